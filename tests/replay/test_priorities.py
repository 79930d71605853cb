"""Sampling by priority: the codes that are stored, the frequencies that follow, and the weights that undo them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.games.hex import Hex
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.targets import value_priorities
from tests.replay.reference import random_game, reference_priority, three_seat_game, tiny_settings, where_from

GAMES = {"hex6-swap": Hex(6, swap=True), "three seats": three_seat_game()}


@given(name=st.sampled_from(sorted(GAMES)), number=st.integers(0, 2**20 - 1), td_steps=st.integers(0, 80))
def test_priorities_are_the_movers_errors(name: str, number: int, td_steps: int) -> None:
    record = random_game(GAMES[name], number)
    wanted = [reference_priority(record, ply, td_steps) for ply in range(record.num_plies)]
    codes = value_priorities(record, td_steps)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal((1 + codes.astype(float)) / 256, wanted)


def test_the_best_and_the_worst_value_have_the_last_and_the_first_code() -> None:
    record = random_game(Hex(6), 3)
    for sign, code in ((1, 0), (-1, 255)):
        record.root_values[:] = sign * record.outcome
        assert (value_priorities(record, 0) == code).all()


def filled(share: float, td_steps: int = 0) -> ReplayBuffer:
    """A buffer of twenty games of three seats after ten that have left."""
    buffer = ReplayBuffer.create(
        tiny_settings(priority_share=share, td_steps=td_steps), three_seat_game(), private=True
    )
    for number in range(30):
        buffer.add_game(random_game(three_seat_game(), number))
    return buffer


@pytest.mark.parametrize(("share", "td_steps"), [(0.5, 0), (1.0, 3)])
def test_positions_are_drawn_as_the_formula_says_and_weights_undo_it(share: float, td_steps: int) -> None:
    game, draws = three_seat_game(), 20_000
    records = {number: random_game(game, number) for number in range(10, 30)}
    chances = {
        (number, ply): 1 - share + share * reference_priority(record, ply, td_steps)
        for number, record in records.items()
        for ply in range(record.num_plies)
    }
    buffer = filled(share, td_steps)
    assert buffer.num_positions == len(chances)
    batch = buffer.sample_batch(draws, np.random.default_rng(6))
    drawn = [where_from(batch["policy"][row, 0], game.action_view) for row in range(draws)]
    counts = dict.fromkeys(chances, 0)
    for place in drawn:
        counts[place] += 1
    mean = draws / sum(chances.values())
    chi_square = sum((counts[place] - mean * chance) ** 2 / (mean * chance) for place, chance in chances.items())
    assert abs(chi_square - len(chances)) < 5 * np.sqrt(2 * len(chances))
    uniform = sum((count - draws / len(chances)) ** 2 / (draws / len(chances)) for count in counts.values())
    assert uniform > len(chances) + 10 * np.sqrt(2 * len(chances))  # the test can tell
    inverse = np.array([1 / chances[place] for place in drawn])
    np.testing.assert_allclose(batch["weights"], inverse / inverse.mean(), rtol=1e-5)
    assert batch["weights"].mean() == pytest.approx(1, abs=1e-4)
    # what weights are for: a mean over samples is that over all positions
    errors = np.array([reference_priority(records[number], ply, td_steps) for number, ply in drawn])
    everywhere = np.mean([reference_priority(records[number], ply, td_steps) for number, ply in chances])
    assert np.average(errors, weights=batch["weights"]) == pytest.approx(everywhere, rel=0.03)
    assert errors.mean() > 1.1 * everywhere


def test_without_a_share_the_draw_is_that_of_the_generator_alone() -> None:
    game = three_seat_game()
    buffer = filled(0)
    records = [random_game(game, number) for number in range(30)]
    places = [(number, ply) for number, record in enumerate(records) for ply in range(record.num_plies)]
    rng, twin = np.random.default_rng(9), np.random.default_rng(9)
    batch = buffer.sample_batch(100, rng, 0)
    drawn = [where_from(batch["policy"][row, 0], game.action_view) for row in range(100)]
    first = len(places) - buffer.num_positions
    assert drawn == [places[i] for i in twin.integers(first, len(places), 100)]
    assert rng.bit_generator.state == twin.bit_generator.state
    assert (batch["weights"] == 1).all()


def test_the_same_seed_draws_the_same_by_priority_too() -> None:
    buffer = filled(0.7)
    one, two, other = (buffer.sample_batch(50, np.random.default_rng(seed), 3) for seed in (1, 1, 2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])
    assert not np.array_equal(one["codes"], other["codes"])


def test_values_that_are_all_exact_can_still_be_drawn() -> None:
    game = Hex(6)
    buffer = ReplayBuffer.create(tiny_settings(priority_share=1.0), game, private=True)
    record = random_game(game, 3)
    record.root_values[:] = record.outcome
    buffer.add_game(record)
    batch = buffer.sample_batch(200, np.random.default_rng(0))
    assert (batch["weights"] == 1).all()
    assert len(np.unique(batch["policy"][:, 0], axis=0)) == record.num_plies


def test_damaged_bytes_are_drawn_and_then_found_out() -> None:
    buffer = filled(1.0)
    rng = np.random.default_rng(4)
    for name in ("offsets", "sizes", "plies"):
        array = buffer.segment.arrays[name]
        good = array.copy()
        array[:] = 2**30
        with pytest.raises(RuntimeError, match="damaged"):
            buffer.sample_batch(4, rng)
        array[:] = good
    for _ in range(100):
        buffer.segment.arrays["data"][:] = rng.integers(0, 256, len(buffer.segment.arrays["data"]))
        try:
            buffer.sample_batch(64, rng, 5, observations=True)
        except RuntimeError:
            continue
