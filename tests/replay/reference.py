"""Random games, and the slow obvious way to what a sample of them must be.

Game number g has one fixed content (`random_game`), and each of its policies spells g and the ply in binary, so that a
test can tell from a sample where it came from and rebuild all of it. Game g | REFRESHED is g with other targets.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from hexpipe.config import GameSettings, ReplaySettings, Shapes
from hexpipe.games.game_env import ONGOING, Game, moves_view
from hexpipe.games.game_records import recorded_rules
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.games.local_view import LocalView
from hexpipe.records import GameRecord, pack_policies, unpack_policies
from hexpipe.replay.replay_buffer import ReplayBuffer
from tests.games.reference_inarow import SlowInARow, game_settings

GAME_BITS, PLY_BITS = 20, 10
REFRESHED = 1 << GAME_BITS - 1


class MadeUpGame(SimpleNamespace):
    """As much of a game as a store asks for."""

    __hash__ = object.__hash__


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

    return MadeUpGame(
        name="made-up",
        board_size=n,
        swap=False,
        num_seats=3,
        num_actions=actions,
        num_views=4,
        max_plies=60,
        shapes=Shapes(board_size=n, num_actions=actions, num_seats=3, code_length=n * n + 2),
        action_view=np.stack([np.roll(np.arange(actions, dtype=np.int16), 7 * k) for k in range(4)]),
        codes_from_cells=codes_from_cells,
    )


def views_game(board_size: int, view_size: int, players: int = 2, **more: Any) -> InARow:
    """n in a row of a win length that random moves seldom reach, seen through a view."""
    more = {"win_length": min(board_size, 6), "thumbnail": True, **more}
    return InARow(game_settings(board_size=board_size, view_size=view_size, players=players, **more))


def random_game(game: Any, number: int) -> GameRecord:
    """Game ``number``: random moves, values and views; its policies spell the number and the ply. The values of a game
    that is REFRESHED are the negatives of those it had."""
    rng = np.random.default_rng(number & ~REFRESHED)
    plies = int(rng.integers(1, (min(game.max_plies, 60) if game.name == "inarow" else game.max_plies) + 1))
    cells = game.board_size**2
    origins = np.zeros((0, 2), np.int16)
    if game.name == "inarow":
        actions, origins = _random_moves(game, plies, rng)
        plies = len(actions)
    else:
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
    if number & REFRESHED:
        values = -values
    outcome = np.full(game.num_seats, -1 / (game.num_seats - 1), np.float32)
    outcome[rng.integers(game.num_seats)] = 1
    if game.num_seats == 2:
        values[:, 1] = -values[:, 0]
    return GameRecord(
        **recorded_rules(game),
        actions=actions,
        seats=(np.arange(plies) % game.num_seats).astype(np.int8),
        views=views,
        root_values=values,
        policy_offsets=offsets,
        policy_bytes=packed,
        outcome=outcome,
        weights_version=number,
        simulations=100,
        origins=origins,
    )


@functools.lru_cache(maxsize=1000)
def known_game(game: Any, number: int) -> GameRecord:
    """`random_game`, made once; not to be written to."""
    return random_game(game, number)


def _random_moves(game: Game, plies: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Legal moves, ``plies`` or to the game's end, seen through views that stay, follow the stones or jump about; and
    their origins, none where the view does not move."""
    states, row = game.new_states(1), np.zeros(1, np.int32)
    legal = np.zeros((1, game.num_actions), np.bool_)
    actions: list[int] = []
    origins: list[np.ndarray] = []
    while len(actions) < plies and states.winner[0] == ONGOING:
        where = (None, -1, rng.integers(game.board_size**2))[rng.choice(3, p=(0.5, 0.4, 0.1))]
        if where is not None and moves_view(game):
            game.place_views(states, row, np.array([where], np.int32))
        game.legal_mask(states, row, legal)
        actions.append(int(rng.choice(np.flatnonzero(legal))))
        if moves_view(game):
            origins.append(states.origin[0].copy())
        game.step(states, row, np.array([actions[-1]], np.int16), row)
    return np.array(actions, np.int16), np.array(origins, np.int16).reshape(-1, 2)


def longest_game(game: Any, plies: int = 0) -> GameRecord:
    """Of as many bytes as a game of ``plies`` plies can take, or of all that there can be."""
    record = random_game(game, 0)
    plies = plies or game.max_plies
    offsets, packed = pack_policies(np.ones((plies, game.num_actions), np.float32))
    turns = np.arange(plies)
    return replace(
        record,
        actions=np.resize(np.arange(game.board_size**2), plies).astype(np.int16),
        seats=(turns % game.num_seats).astype(np.int8),
        views=(turns % game.num_views).astype(np.int8),
        root_values=np.tile(record.outcome, (plies, 1)),
        policy_offsets=offsets,
        policy_bytes=packed,
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


def reference_codes(game: Any, record: GameRecord, ply: int, start: int) -> np.ndarray:
    """The codes of the position before ``ply``, seen through the view of ``start``, by replaying the whole game."""
    if game.name == "inarow":
        slow = copy.copy(slow_positions(game, record.weights_version)[ply])
        slow.origin = view_origin(game, record, start)
        return np.array(slow.codes(), np.int8)
    cells = np.zeros(game.board_size**2, np.int8)
    for action, view in zip(record.actions[:ply], record.views[:ply], strict=True):
        if action < len(cells):
            cells[action] = 1 + view
    codes = np.zeros((1, game.shapes.code_length), np.int8)
    origins = np.zeros((1, 2), np.int16)
    game.codes_from_cells(cells[None], record.views[ply : ply + 1], np.array([ply], np.int32), origins, codes)
    return codes[0]


@functools.lru_cache(maxsize=1000)
def slow_positions(game: InARow, number: int) -> list[SlowInARow]:
    """The position before each ply of game ``number``, by rules made of nothing but ``game.terms``."""
    rules = dict(game.terms)
    name, rewards = rules.pop("game"), rules.pop("placement_rewards")
    if rules["players"] == 3:
        rules["placement_rewards"] = rewards
    settings = GameSettings.model_validate({"name": name, "thumbnail": game.shapes.thumbnail, **rules})
    record, slow, positions = known_game(game, number), SlowInARow(settings), []
    for ply, action in enumerate(record.actions.tolist()):
        slow.origin = view_origin(game, record, ply)
        positions.append(copy.copy(slow))
        slow.board, slow.order = dict(slow.board), list(slow.order)
        slow.play(action)
    return positions


def view_origin(game: Game, record: GameRecord, ply: int) -> tuple[int, int]:
    """Where the view of ``ply`` is."""
    top, left = (record.origins[ply] if moves_view(game) else LocalView.of(game).start).tolist()
    return top, left


def seen_from_start(game: Game, record: GameRecord, ply: int, start: int, action: int) -> int | None:
    """What ``action`` of the view of ``ply`` is in that of ``start``, None where that does not show it."""
    if not moves_view(game):
        return action
    size = game.shapes.view_size
    i, j = (
        own + at - first
        for own, at, first in zip(
            view_origin(game, record, ply), divmod(action, size), view_origin(game, record, start), strict=True
        )
    )
    return i * size + j if 0 <= i < size and 0 <= j < size else None


def reference_threats(slow: SlowInARow) -> int:
    """How many of the three lengths before the win each seat's longest chain reaches, from the mover on."""
    levels = 0
    for k in range(slow.seats):
        longest = slow.longest()[(slow.seat + k) % slow.seats]
        levels += sum(longest >= max(1, slow.rules.win_length - missing) for missing in (1, 2, 3)) << 2 * k
    return levels


def reference_focus(game: InARow, record: GameRecord, ply: int) -> int:
    """The bucket of the cell that ``ply`` was played in: which of V parts of the board's side its middle is in."""
    size, places = game.shapes.view_size, divmod(int(record.actions[ply]), game.shapes.view_size)
    row, column = (at + own for at, own in zip(places, view_origin(game, record, ply), strict=True))
    return (2 * row + 1) * size // (2 * game.board_size) * size + (2 * column + 1) * size // (2 * game.board_size)


def reference_target(record: GameRecord, ply: int, td_steps: int) -> np.ndarray:
    """The value target of ``ply`` by absolute seat."""
    later = ply + td_steps
    return record.outcome if td_steps == 0 or later >= record.num_plies else record.root_values[later]


def reference_priority(record: GameRecord, ply: int, td_steps: int) -> float:
    """Half the error of the mover's root value, in steps of 1/256 and never 0."""
    seat = record.seats[ply]
    error = abs(record.root_values[ply, seat] - reference_target(record, ply, td_steps)[seat])
    return min(1 + math.floor(error * 128), 256) / 256


def reference_sample(
    game: Any, record: GameRecord, ply: int, unroll_steps: int, td_steps: int, looking: bool = False
) -> dict[str, Any]:
    """What sample_batch must give for ``ply`` of ``record``, which is seen in the view of the move before where it is
    ``looking``; actions are -1 where any will do."""
    looking = looking and moves_view(game) and ply > 0
    start = ply - looking
    policies = unpack_policies(record.policy_offsets, record.policy_bytes, game.num_actions)
    steps, seats = unroll_steps + 1, game.num_seats
    sample = {
        "codes": reference_codes(game, record, ply, start),
        "policy": np.zeros((steps, game.num_actions), np.float32),
        "values": np.zeros((steps, seats), np.float32),
        "rewards": np.zeros((unroll_steps, seats), np.float32),
        "actions": np.full(unroll_steps, -1, np.int16),
        "mask": np.zeros(steps, np.float32),
        "unrolled": np.ones(unroll_steps, np.float32),
        "next_codes": np.zeros((unroll_steps, game.shapes.code_length), np.int8),
    }
    if game.shapes.threats:
        sample["threats"] = np.zeros(steps, np.uint8)
    if game.shapes.thumbnail:
        sample["focus"] = np.full(steps, -1, np.int16)
    for u in range(steps):
        q = ply + u
        if q >= record.num_plies:
            break
        frame = game.action_view[record.views[q]]
        for action in range(game.num_actions):
            seen = seen_from_start(game, record, q, start, action)
            if seen is not None:
                sample["policy"][u, frame[seen]] = policies[q, action]
        if sample["policy"][u].any():
            sample["policy"][u] /= sample["policy"][u].sum()
        values = reference_target(record, q, td_steps)
        for k in range(seats):
            sample["values"][u, k] = values[(record.seats[q] + k) % seats]
        sample["mask"][u] = 1
        if game.shapes.threats:
            sample["threats"][u] = reference_threats(slow_positions(game, record.weights_version)[q])
        came_first = record.outcome[record.seats[q]] == record.outcome.max()
        if game.shapes.thumbnail and moves_view(game) and came_first and (u > 0 or looking):
            sample["focus"][u] = reference_focus(game, record, q)
        if u > 0:
            sample["next_codes"][u - 1] = reference_codes(game, record, q, start)
        if u < unroll_steps:
            seen = seen_from_start(game, record, q, start, int(record.actions[q]))
            if seen is None:  # the unroll ends here, whatever comes
                sample["unrolled"][u:] = 0
                break
            sample["actions"][u] = frame[seen]
            if q == record.num_plies - 1:
                for k in range(seats):
                    sample["rewards"][u, k] = record.outcome[(record.seats[q] + 1 + k) % seats]
    return sample


def check_row(
    games: Any, batch: dict[str, np.ndarray], row: int, td_steps: int, looking: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Checks one sampled row against the reference; says which game and ply it is. Of several stages each has every
    so many-th game. What a row of ``looking`` is, whose policy may be cut, is given."""
    stages = games if isinstance(games, Sequence) else (games,)
    number, ply = looking or where_from(batch["policy"][row, 0], stages[0].action_view)
    game = stages[number % len(stages)]
    unroll_steps = batch["actions"].shape[1]
    wanted = reference_sample(game, known_game(game, number), ply, unroll_steps, td_steps, looking is not None)
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


def filled_buffer(games: Any, numbers: range, **changes: Any) -> ReplayBuffer:
    """A buffer with the games ``numbers``; of several stages each has every so many-th."""
    stages = games if isinstance(games, Sequence) else (games,)
    buffer = ReplayBuffer.create(tiny_settings(**changes), games, private=True)
    for number in numbers:
        buffer.add_game(random_game(stages[number % len(stages)], number))
    return buffer


def tiny_buffer(game: Hex, lock: Any, *, private: bool) -> ReplayBuffer:
    """Room for three games, so that every game is evicted and overwritten within a millisecond."""
    return ReplayBuffer.create(tiny_settings(max_games=3, td_steps=3), game, private=private, lock=lock)
