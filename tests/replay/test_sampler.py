"""Samples against the slow reference, uniformity, and readers beside a writer that evicts without pause."""

from __future__ import annotations

import threading
from dataclasses import replace
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.games.game_env import as_stages
from hexpipe.games.hex import Hex
from hexpipe.records import pack_policies, unpack_policies
from hexpipe.replay import sampler, targets
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.shm import spawn_context
from tests.replay.reference import (
    check_row,
    filled_buffer,
    played_game,
    random_game,
    three_seat_game,
    tiny_buffer,
    tiny_settings,
    views_game,
)


@pytest.fixture(autouse=True)
def seen_in_their_own_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy spells where it is from, unless it is cut to the view of another move."""
    monkeypatch.setattr(sampler, "LOOKING", 0.0)


GAMES: dict[str, Any] = {
    "hex6": Hex(6),
    "hex6-swap": Hex(6, swap=True),
    "hex17": Hex(17),
    "three seats": three_seat_game(),
    "view": views_game(13, 7),
    "view, three seats": views_game(18, 9, players=3),
    "view without a thumbnail": views_game(10, 7, thumbnail=False),
    "largest board": views_game(200, 7, players=3, move_cap=60),
    "larger view": views_game(7, 9),
    "whole view": views_game(8, 8, players=3, thumbnail=False),
    "stages": (views_game(9, 7), views_game(16, 7), views_game(7, 7)),
    "stages, three seats": (views_game(8, 7, players=3), views_game(31, 7, players=3, win_length=9)),
}


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize(("td_steps", "interval"), [(0, 16), (3, 4), (5, 1), (1, 256)])
def test_every_sample_is_what_replaying_its_game_gives(name: str, td_steps: int, interval: int) -> None:
    game = GAMES[name]
    buffer = filled_buffer(game, range(12), td_steps=td_steps, snapshot_interval=interval)
    rng = np.random.default_rng(1)
    found = set()
    for unroll_steps, observations in ((0, False), (5, False), (5, True), (0, True)):
        batch = buffer.sample_batch(16, rng, unroll_steps, observations=observations)
        assert ("next_codes" in batch) == observations
        found |= {check_row(game, batch, row, td_steps) for row in range(16)}
    assert len(found) > 30


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(sorted(GAMES)),
    first=st.integers(0, 2**20 - 10),
    unroll_steps=st.integers(1, 70),
    td_steps=st.integers(0, 70),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_long_unrolls_pass_the_end_of_games_of_any_kind(
    name: str, first: int, unroll_steps: int, td_steps: int, share: float
) -> None:
    game = GAMES[name]
    buffer = filled_buffer(game, range(first, first + 3), td_steps=td_steps, priority_share=share)
    batch = buffer.sample_batch(6, np.random.default_rng(first), unroll_steps, observations=True)
    for row in range(6):
        check_row(game, batch, row, td_steps)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(7, 40), min_size=1, max_size=3),
    view_size=st.sampled_from([7, 9, 11]),
    players=st.integers(2, 3),
    interval=st.integers(1, 70),
    unroll_steps=st.integers(1, 12),
    first=st.integers(0, 2**20 - 10),
)
def test_boards_and_views_of_any_size(
    sizes: list[int], view_size: int, players: int, interval: int, unroll_steps: int, first: int
) -> None:
    sizes = [size + (size < view_size and size % 2 == 0) for size in sizes]  # the larger must have a middle
    stages = [views_game(size, view_size, players) for size in sizes]
    buffer = filled_buffer(stages, range(first, first + 4), td_steps=2, snapshot_interval=interval)
    batch = buffer.sample_batch(8, np.random.default_rng(first), unroll_steps, observations=True)
    drawn = [check_row(stages, batch, row, td_steps=2) for row in range(8)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "LOOKING", 1.0)  # the same positions, from where the move before was played
        batch = buffer.sample_batch(8, np.random.default_rng(first), unroll_steps, observations=True)
    for row in range(8):
        check_row(stages, batch, row, td_steps=2, looking=drawn[row])


def test_a_ply_that_was_searched_too_little_has_a_value_and_no_policy() -> None:
    game = Hex(3)
    record = played_game(game, 5)
    policies = unpack_policies(record.policy_offsets, record.policy_bytes, 9)
    known = np.arange(record.num_plies) % 2 == 0
    offsets, packed = pack_policies(policies, known)
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    buffer.add_game(replace(record, policy_offsets=offsets, policy_bytes=packed))
    batch = buffer.sample_batch(64, np.random.default_rng(0), unroll_steps=2)
    stones = (batch["codes"] != 0).sum(axis=1)
    assert len(set(stones.tolist())) > 3
    for row, ply in enumerate(stones.tolist()):
        there = [bool(known[q]) for q in range(ply, min(ply + 3, record.num_plies))]
        assert batch["policy"][row].any(-1)[: len(there)].tolist() == there
        assert batch["mask"][row].tolist() == [1] * len(there) + [0] * (3 - len(there))
        assert abs(batch["values"][row, 0, 0]) == 1


def test_a_move_that_the_starts_view_does_not_show_cuts_the_unroll() -> None:
    """A game of five plies whose views go away to the lower right and come back: what is left of them, by hand."""
    game = views_game(16, 7, win_length=16)
    weights = np.zeros((5, 49), np.float32)
    weights[:, 0] = [1, 1, 1, 0, 1]  # the first cell of each view
    weights[:, 48] = [0, 3, 3, 3, 3]  # and the last
    offsets, packed = pack_policies(weights)
    record = replace(
        random_game(game, 0),
        actions=np.array([24, 24, 24, 24, 25], np.int16),  # 24 is the view's middle
        origins=np.array([[3, 3], [3, 4], [6, 6], [9, 9], [3, 4]], np.int16),
        seats=np.array([0, 1, 0, 1, 0], np.int8),
        views=np.array([0, 1, 0, 1, 0], np.int8),
        root_values=np.zeros((5, 2), np.float32),
        policy_offsets=offsets,
        policy_bytes=packed,
        outcome=np.array([1, -1], np.float32),
    )
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    buffer.add_game(record)
    batch = buffer.sample_batch(60, np.random.default_rng(0), 5, observations=True)
    row = int(np.flatnonzero(batch["policy"][:, 0, 0] == 1)[0])  # of the first ply
    assert batch["actions"][row, :3].tolist() == [24, 25, 48]
    assert batch["mask"][row].tolist() == [1, 1, 1, 1, 0, 0]
    assert batch["unrolled"][row].tolist() == [1, 1, 1, 0, 0]
    shown = [np.flatnonzero(policy).tolist() for policy in batch["policy"][row]]
    assert shown == [[0], [1], [24], [], [], []]
    np.testing.assert_array_equal(batch["policy"][row].sum(axis=1), [1, 1, 1, 0, 0, 0])
    assert batch["values"][row, :, 0].tolist() == [1, -1, 1, -1, 0, 0]
    # the start's own view gives its move away, and the seat of the second and the fourth ply has lost
    assert batch["focus"][row].tolist() == [-1, -1, 4 * 7 + 4, -1, -1, -1]
    assert not batch["rewards"][row].any()
    stones = [batch["next_codes"][row, step, :49].nonzero()[0].tolist() for step in range(5)]
    assert stones == [[24], [24, 25], [24, 25, 48], [], []]
    # of the last ply the end is told as ever
    last = int(np.flatnonzero((batch["mask"].sum(axis=1) == 1) & batch["unrolled"].all(axis=1))[0])
    assert batch["rewards"][last, 0].tolist() == [-1, 1]


def test_a_part_of_the_samples_are_seen_from_the_view_of_the_move_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which tells where the mover came to look: in its own view there is nothing to be learned of that."""
    monkeypatch.setattr(sampler, "LOOKING", targets.LOOKING)
    game = views_game(16, 7, win_length=16)
    record = replace(random_game(game, 3), outcome=np.zeros(2, np.float32))  # of a draw both are learned from
    jumps = 1 + np.flatnonzero((np.diff(record.origins, axis=0) != 0).any(axis=1))
    assert len(jumps) > 5
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    buffer.add_game(record)
    batch = buffer.sample_batch(4000, np.random.default_rng(0))
    looking = batch["focus"][:, 0] >= 0
    share = targets.LOOKING * (1 - 1 / record.num_plies)  # before the first ply there is no view
    assert looking.mean() == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5)
    own = {codes.tobytes() for codes in batch["codes"][~looking]}
    assert np.mean([codes.tobytes() not in own for codes in batch["codes"][looking]]) == pytest.approx(
        len(jumps) / (record.num_plies - 1), abs=0.06
    )
    whole = filled_buffer(views_game(7, 7), range(4)).sample_batch(200, np.random.default_rng(0), 3)
    assert (whole["focus"] == -1).all()  # where all is in view there is nothing to look for


def test_a_game_played_by_the_rules_gives_the_codes_that_its_states_give() -> None:
    """Against the rules themselves, swap included, whose view stays while the seats change colours."""
    game = Hex(3, swap=True)
    record = played_game(game, 5)
    assert record.actions[1] == 9
    assert record.views[:5].tolist() == [0, 1, 1, 0, 1]
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    buffer.add_game(record)
    batch = buffer.sample_batch(200, np.random.default_rng(0), record.num_plies, observations=True)
    states = [game.play(record.actions[:ply].tolist()) for ply in range(record.num_plies + 1)]
    codes = np.zeros((record.num_plies, 1, game.shapes.code_length), np.int8)
    for ply in range(record.num_plies):
        game.codes(states[ply], np.zeros(1, np.int32), codes[ply])
    value = np.zeros((1, 2), np.float32)
    game.terminal_values(states[-1], np.zeros(1, np.int32), value)
    seen = set()
    for row in range(200):
        ply = next(p for p in range(record.num_plies) if np.array_equal(batch["codes"][row], codes[p, 0]))
        left = record.num_plies - ply
        np.testing.assert_array_equal(batch["next_codes"][row, : left - 1], codes[ply + 1 :, 0])
        assert not batch["next_codes"][row, left - 1 :].any()
        # the last ply passed the turn, and the next to move is who has lost
        assert value[0, states[-1].to_move[0]] == -1
        np.testing.assert_array_equal(batch["rewards"][row, left - 1], [-1, 1])
        assert not np.delete(batch["rewards"][row], left - 1, axis=0).any()
        assert batch["values"][row, left - 1].tolist() == [1, -1]
        seen.add(ply)
    assert len(seen) == record.num_plies


def test_actions_past_the_end_are_drawn_from_all() -> None:
    game = Hex(3, swap=True)
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    buffer.add_game(played_game(game, 1))
    rng = np.random.default_rng(8)
    batch = buffer.sample_batch(500, rng, 30)
    counts = np.bincount(batch["actions"][batch["mask"][:, :-1] == 0], minlength=game.num_actions)
    mean = counts.sum() / game.num_actions
    assert mean > 1000
    assert ((counts - mean) ** 2 / mean).sum() < game.num_actions - 1 + 5 * np.sqrt(2 * game.num_actions)


def test_positions_are_drawn_uniformly() -> None:
    game = Hex(6)
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    for number in range(30):  # the oldest ten leave again
        buffer.add_game(random_game(game, number))
    rng = np.random.default_rng(2)
    batch = buffer.sample_batch(10_000, rng)
    counts: dict[bytes, int] = {}
    for row in range(10_000):
        key = batch["policy"][row, 0].tobytes()
        counts[key] = counts.get(key, 0) + 1
    mean = 10_000 / buffer.num_positions
    assert len(counts) == buffer.num_positions
    chi_square = sum((count - mean) ** 2 / mean for count in counts.values())
    # mean n - 1, standard deviation sqrt(2 n): five of them
    assert abs(chi_square - buffer.num_positions) < 5 * np.sqrt(2 * buffer.num_positions)


def test_out_is_filled_and_the_same_seed_samples_the_same() -> None:
    game = Hex(6)
    buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
    buffer.add_game(random_game(game, 7))
    for observations in (True, False):
        out = targets.allocate_batch(game.shapes, 16, 5, observations)
        for array in out.values():
            array.fill(77)
        assert buffer.sample_batch(16, np.random.default_rng(3), 5, out, observations=observations) is out
        again = buffer.sample_batch(16, np.random.default_rng(3), 5, observations=observations)
        assert set(again) == set(out)
        for name, array in again.items():
            np.testing.assert_array_equal(array, out[name])
    with pytest.raises(ValueError, match="policy"):
        buffer.sample_batch(16, np.random.default_rng(3), 4, out)
    with pytest.raises(ValueError, match="next_codes"):
        buffer.sample_batch(16, np.random.default_rng(3), 5, out, observations=True)
    out["rewards"] = out["rewards"].astype(np.float64)
    with pytest.raises(ValueError, match=r"rewards.* float32"):
        buffer.sample_batch(16, np.random.default_rng(3), 5, out)


def test_an_empty_buffer_cannot_be_sampled() -> None:
    with pytest.raises(ValueError, match="empty"):
        ReplayBuffer.create(tiny_settings(), Hex(6), private=True).sample_batch(1, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["hex6", "view, three seats", "stages"])
def test_damaged_memory_is_an_error_not_a_sample(name: str) -> None:
    games = as_stages(GAMES[name])
    buffer = ReplayBuffer.create(tiny_settings(), games, private=True)
    for game in games:
        buffer.add_game(random_game(game, 3))
    damage = {"offsets": 2**30, "sizes": 2**30, "plies": 2**30, "stages": 200}
    for field, wrong in damage.items():
        array = buffer.segment.arrays[field]
        good = array[0]
        array[0] = wrong
        with pytest.raises(RuntimeError, match="damaged"):
            buffer.sample_batch(32, np.random.default_rng(0))
        array[0] = good
    rng = np.random.default_rng(4)
    for _ in range(200):  # whatever the bytes are, nothing is read or written out of bounds
        buffer.segment.arrays["data"][:] = rng.integers(0, 256, len(buffer.segment.arrays["data"]))
        try:
            batch = buffer.sample_batch(64, rng, 5, observations=True)
        except RuntimeError:
            continue
        np.testing.assert_allclose(batch["policy"].sum(axis=2), batch["mask"], atol=1e-5)


def _write(buffer: ReplayBuffer, stop: Any) -> None:
    """Adds games 0, 1, 2, ... until ``stop`` is set; 400 different ones, so that it need not wait for the dice."""
    game = Hex(6)
    records = [random_game(game, number) for number in range(400)]
    while not stop.is_set():
        for record in records:
            buffer.add_game(record)


def _read(buffer: ReplayBuffer, batches: int) -> None:
    """Checks rows of at least ``batches`` batches, and goes on until a hundred games went by in the meantime."""
    game = Hex(6)
    rng = np.random.default_rng(5)
    before, done = buffer.total_games, 0
    while done < batches or buffer.total_games - before <= 100:
        done += 1
        # so large a batch takes longer than the writer needs to go around the ring
        batch = buffer.sample_batch(4096, rng, 5)
        for row in rng.choice(4096, 100, replace=False):
            check_row(game, batch, row, td_steps=3)


def test_a_writer_that_goes_round_in_each_read_is_no_endless_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A game comes with each four rows that are read, into room for three: of many rows at once none would stay."""
    buffer, game = tiny_buffer(Hex(6), None, private=True), Hex(6)
    read, reads = sampler.read_samples, list[int]()
    records = [random_game(game, number) for number in range(20)]
    buffer.add_game(records[0])

    def read_beside_a_writer(*arguments: Any) -> None:
        read(*arguments)
        reads.append(len(arguments[3]))
        assert len(reads) < 1000, "it gets nowhere"
        for number in range(reads[-1] // 4):
            buffer.add_game(records[number % 20])

    monkeypatch.setattr(sampler, "read_samples", read_beside_a_writer)
    batch = buffer.sample_batch(64, np.random.default_rng(1), 5)
    assert reads[0] == 64
    assert max(reads[-5:]) < 16
    for row in range(64):
        check_row(game, batch, row, td_steps=3)


def test_a_thread_that_reads_sees_only_whole_games() -> None:
    buffer = tiny_buffer(Hex(6), None, private=True)
    buffer.add_game(random_game(Hex(6), 0))
    stop = threading.Event()
    writer = threading.Thread(target=_write, args=(buffer, stop))
    writer.start()
    try:
        _read(buffer, 6)
    finally:
        stop.set()
        writer.join()


def test_a_process_that_reads_sees_only_whole_games() -> None:
    context = spawn_context()
    buffer = tiny_buffer(Hex(6), context.Lock(), private=False)
    buffer.add_game(random_game(Hex(6), 0))
    stop: Event = context.Event()
    writer = context.Process(target=_write, args=(buffer, stop))
    writer.start()
    try:
        deadline = threading.Event()
        while buffer.total_games < 500 and writer.is_alive():
            deadline.wait(0.01)
        _read(buffer, 6)
    finally:
        stop.set()
        writer.join(200)
    assert writer.exitcode == 0
    assert buffer.num_games <= 3
    assert buffer.memory_report()["total_games"] == buffer.total_games
