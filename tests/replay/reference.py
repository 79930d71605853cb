"""Random games, and the slow obvious way to what a sample of them must be.

Game number g has one fixed content (`random_game`), and each of its policies spells g and the ply in binary, so that a
test can tell from a sample where it came from and rebuild all of it.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from hexpipe.config import ReplaySettings, Shapes
from hexpipe.games.game_env import ONGOING
from hexpipe.games.hex import Hex
from hexpipe.records import GameRecord, pack_policies, unpack_policies
from hexpipe.replay.replay_buffer import ReplayBuffer

GAME_BITS, PLY_BITS = 20, 10


def three_seat_game() -> Any:
    """A made-up game of three seats and views whose cells need a byte and whose frames rotate the actions."""
    n, extra = 17, 3
    actions = n * n + extra

    def codes_from_cells(
        cells: np.ndarray, views: np.ndarray, plies: np.ndarray, origins: np.ndarray, out: np.ndarray
    ) -> None:
        out[:, : n * n] = cells
        out[:, n * n] = views
        out[:, n * n + 1] = plies % 128

    return SimpleNamespace(
        name="made-up",
        board_size=n,
        swap=False,
        win_length=0,
        start_origin=np.zeros(2, np.int16),
        view_moves=False,
        num_seats=3,
        num_actions=actions,
        num_views=4,
        max_plies=60,
        shapes=Shapes(board_size=n, num_actions=actions, num_seats=3, code_length=n * n + 2),
        action_view=np.stack([np.roll(np.arange(actions, dtype=np.int16), 7 * k) for k in range(4)]),
        codes_from_cells=codes_from_cells,
    )


def random_game(game: Any, number: int) -> GameRecord:
    """Game ``number``: random moves, values and views; its policies spell the number and the ply."""
    rng = np.random.default_rng(number)
    plies = int(rng.integers(1, game.max_plies + 1))
    cells = game.board_size**2
    actions = np.resize(rng.permutation(cells), plies).astype(np.int16)
    views = (np.arange(plies) % game.num_views).astype(np.int8)
    if game.swap and plies > 1 and number % 2:
        actions[1] = cells
        views[2:] = (np.arange(plies - 2) + 1) % 2
    weights = np.zeros((plies, game.num_actions), np.float32)
    weights[:, : GAME_BITS + PLY_BITS] = [spell(number, ply) for ply in range(plies)]
    weights *= rng.uniform(0.5, 1, weights.shape)
    offsets, packed = pack_policies(weights)
    values = rng.uniform(-1, 1, (plies, game.num_seats)).astype(np.float32)
    outcome = np.full(game.num_seats, -1 / (game.num_seats - 1), np.float32)
    outcome[rng.integers(game.num_seats)] = 1
    if game.num_seats == 2:
        values[:, 1] = -values[:, 0]
    return GameRecord(
        game=game.name,
        board_size=game.board_size,
        swap=game.swap,
        num_seats=game.num_seats,
        num_actions=game.num_actions,
        actions=actions,
        seats=(np.arange(plies) % game.num_seats).astype(np.int8),
        views=views,
        root_values=values,
        policy_offsets=offsets,
        policy_bytes=packed,
        outcome=outcome,
        weights_version=number,
        simulations=100,
        win_length=game.win_length,
    )


def played_game(game: Hex, seed: int) -> GameRecord:
    """A game of random moves by the rules, with a swap where they have it; its policies are the moves played."""
    rng = np.random.default_rng(seed)
    actions: list[int] = []
    seats, views = [], []
    states = game.play([])
    legal = np.zeros((1, game.num_actions), np.bool_)
    while states.winner[0] == ONGOING:
        game.legal_mask(states, np.zeros(1, np.int32), legal)
        seats.append(int(states.to_move[0]))
        views.append(int(states.view[0]))
        actions.append(
            game.board_size**2 if game.swap and len(actions) == 1 else int(rng.choice(np.flatnonzero(legal)))
        )
        states = game.play(actions)
    outcome = np.zeros((1, 2), np.float32)
    game.terminal_values(states, np.zeros(1, np.int32), outcome)
    offsets, packed = pack_policies(np.eye(game.num_actions, dtype=np.float32)[actions])
    values = rng.uniform(-1, 1, len(actions)).astype(np.float32)
    return GameRecord(
        game=game.name,
        board_size=game.board_size,
        swap=game.swap,
        num_seats=2,
        num_actions=game.num_actions,
        actions=np.array(actions, np.int16),
        seats=np.array(seats, np.int8),
        views=np.array(views, np.int8),
        root_values=np.stack([values, -values], 1),
        policy_offsets=offsets,
        policy_bytes=packed,
        outcome=outcome[0],
        weights_version=0,
        simulations=1,
    )


def spell(number: int, ply: int) -> list[int]:
    """A row of policy entries, 1 for each bit that is set; the last one is always, so that none is empty."""
    number_bits = [number >> bit & 1 for bit in range(GAME_BITS)]
    return [*number_bits, *(ply >> bit & 1 for bit in range(PLY_BITS - 1)), 1]


def where_from(policy: np.ndarray, action_view: np.ndarray) -> tuple[int, int]:
    """The game and the ply that a net-frame policy [A] spells, of whichever view."""
    for view in range(len(action_view)):
        absolute = policy[action_view[view]] > 0
        if absolute[GAME_BITS + PLY_BITS - 1] and not absolute[GAME_BITS + PLY_BITS :].any():
            bits = absolute.astype(int).tolist()
            number = sum(bit << k for k, bit in enumerate(bits[:GAME_BITS]))
            ply = sum(bit << k for k, bit in enumerate(bits[GAME_BITS : GAME_BITS + PLY_BITS - 1]))
            if ply % len(action_view) == view or view == (ply - 1) % 2:
                return number, ply
    raise AssertionError("a policy that no game has")


def reference_codes(game: Any, record: GameRecord, ply: int) -> np.ndarray:
    """The codes of the position before ``ply``, by replaying the whole game from its start."""
    cells = np.zeros(game.board_size**2, np.int8)
    for action, view in zip(record.actions[:ply], record.views[:ply], strict=True):
        if action < len(cells):
            cells[action] = 1 + view
    codes = np.zeros((1, game.shapes.code_length), np.int8)
    origins = np.zeros((1, 2), np.int16)
    game.codes_from_cells(cells[None], record.views[ply : ply + 1], np.array([ply], np.int32), origins, codes)
    return codes[0]


def reference_target(record: GameRecord, ply: int, td_steps: int) -> np.ndarray:
    """The value target of ``ply`` by absolute seat."""
    later = ply + td_steps
    return record.outcome if td_steps == 0 or later >= record.num_plies else record.root_values[later]


def reference_priority(record: GameRecord, ply: int, td_steps: int) -> float:
    """Half the error of the mover's root value, in steps of 1/256 and never 0."""
    seat = record.seats[ply]
    error = abs(record.root_values[ply, seat] - reference_target(record, ply, td_steps)[seat])
    return min(1 + math.floor(error * 128), 256) / 256


def reference_sample(game: Any, record: GameRecord, ply: int, unroll_steps: int, td_steps: int) -> dict[str, Any]:
    """What sample_batch must give for ``ply`` of ``record``; actions are -1 where any will do."""
    policies = unpack_policies(record.policy_offsets, record.policy_bytes, game.num_actions)
    steps, seats = unroll_steps + 1, game.num_seats
    sample = {
        "codes": reference_codes(game, record, ply),
        "policy": np.zeros((steps, game.num_actions), np.float32),
        "values": np.zeros((steps, seats), np.float32),
        "rewards": np.zeros((unroll_steps, seats), np.float32),
        "actions": np.full(unroll_steps, -1, np.int16),
        "mask": np.zeros(steps, np.float32),
        "next_codes": np.zeros((unroll_steps, game.shapes.code_length), np.int8),
    }
    for u in range(steps):
        q = ply + u
        if q >= record.num_plies:
            break
        frame = game.action_view[record.views[q]]
        for action in range(game.num_actions):
            sample["policy"][u, frame[action]] = policies[q, action]
        values = reference_target(record, q, td_steps)
        for k in range(seats):
            sample["values"][u, k] = values[(record.seats[q] + k) % seats]
        sample["mask"][u] = 1
        if u > 0:
            sample["next_codes"][u - 1] = reference_codes(game, record, q)
        if u < unroll_steps:
            sample["actions"][u] = frame[record.actions[q]]
            if q == record.num_plies - 1:
                for k in range(seats):
                    sample["rewards"][u, k] = record.outcome[(record.seats[q] + 1 + k) % seats]
    return sample


def check_row(game: Any, batch: dict[str, np.ndarray], row: int, td_steps: int) -> tuple[int, int]:
    """Checks one sampled row against the reference; says which game and ply it is."""
    number, ply = where_from(batch["policy"][row, 0], game.action_view)
    unroll_steps = batch["actions"].shape[1]
    wanted = reference_sample(game, random_game(game, number), ply, unroll_steps, td_steps)
    assert set(wanted) - {"next_codes"} <= set(batch) <= {*wanted, "weights", "games"}
    free = wanted["actions"] < 0
    wanted["actions"][free] = batch["actions"][row][free]
    assert ((batch["actions"][row] >= 0) & (batch["actions"][row] < game.num_actions)).all()
    for name in set(wanted) & set(batch):
        expected = wanted[name]
        tolerance = 2e-5 if name in ("policy", "values", "rewards") else 0
        np.testing.assert_allclose(batch[name][row], expected, atol=tolerance, err_msg=f"{name} of {number}/{ply}")
    return number, ply


def tiny_settings(**changes: Any) -> ReplaySettings:
    """Settings of a buffer whose ring is as small as the minimum of games allows (see `tiny_buffer`)."""
    return ReplaySettings.model_validate({"max_games": 20, "min_games": 1, "snapshot_interval": 4, **changes})


def tiny_buffer(game: Hex, lock: Any, *, private: bool) -> ReplayBuffer:
    """Room for three games, so that every game is evicted and overwritten within a millisecond."""
    return ReplayBuffer.create(tiny_settings(max_games=3, td_steps=3), game, private=private, lock=lock)
