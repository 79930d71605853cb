"""Self-play on boards larger than the view: it goes where the net looks, or to a stone; records tell."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest

from hexpipe.answers import Answers
from hexpipe.bench.hash_kernels import hash_evaluate
from hexpipe.config import Settings, load_settings
from hexpipe.games.factory import make_game
from hexpipe.records import GameRecord, unpack_policies
from hexpipe.search.evaluator import Evaluation, Evaluator, Moves
from hexpipe.selfplay.self_play import SelfPlay
from hexpipe.selfplay.view_placement import OWN_SHARE
from tests.games.reference_inarow import SlowInARow

ROW = np.zeros(1, np.int32)
Look = Callable[[np.ndarray], int]


def settings_for(**options: Any) -> Settings:
    defaults: dict[str, Any] = {
        "game.name": "inarow",
        "game.board_size": 15,
        "game.view_size": 7,
        "game.win_length": 4,
        "search.root": "puct",
        "search.num_simulations": 12,
        "search.leaves_per_game": 2,
        "selfplay.games_per_worker": 4,
        "selfplay.focus_share": 1.0,
        "selfplay.opening_random_plies": 0,
    }
    return load_settings("quick", {**defaults, **options})


class LookingEvaluator:
    """Priors and values from a hash; ``look`` says the bucket for codes int8 [C]."""

    def __init__(self, settings: Settings, look: Look) -> None:
        self.shapes, self.look = make_game(settings.game).shapes, look
        self.answers: dict[int, Evaluation] = {}

    def submit(self, group: int, codes: np.ndarray, moves: Moves | None = None) -> None:
        priors = np.zeros((len(codes), self.shapes.num_actions), np.float32)
        values = np.zeros((len(codes), self.shapes.num_seats), np.float32)
        hash_evaluate(codes, priors, values)
        focus = np.array([self.look(code) for code in codes], np.int16)
        self.answers[group] = Evaluation(Answers(priors, values, focus=focus), 1)

    def collect(self, group: int) -> Evaluation:
        return self.answers.pop(group)


def play(settings: Settings, evaluator: Evaluator, count: int, seed: int = 0) -> list[GameRecord]:
    """At least ``count`` records."""
    records: list[GameRecord] = []
    selfplay = SelfPlay(make_game(settings.game), settings, evaluator, seed, records.append)
    while len(records) < count:
        selfplay.step()
    return records


def by_hash(buckets: int) -> Look:
    return lambda codes: zlib.crc32(codes.tobytes()) % buckets


def middle_of(bucket: int, n: int, v: int) -> int:
    """The cell under the middle of a bucket, by fractions."""
    row, column = (int((at + Fraction(1, 2)) * n / v) for at in divmod(bucket, v))
    return row * n + column


def placed(slow: SlowInARow, centre: int) -> list[int]:
    """Where a view around ``centre`` comes to be; the slow rules only look about where it is full."""
    room = slow.n - slow.v
    origin = [min(max(at - slow.v // 2, 0), room) for at in divmod(centre, slow.n)]
    if all(cell in slow.board for cell in slow.shown((origin[0], origin[1]))):
        slow.place_view(centre)
        return [*slow.origin]
    return origin


class Places(NamedTuple):
    """Where the view of a ply may be: around the last stone, around the bucket that the net says of the position as the
    view of the move before shows it, around each of the mover's own stones (the last one where it has none)."""

    last: list[int]
    focus: list[int]
    own: list[list[int]]


def replayed(settings: Settings, record: GameRecord, look: Look) -> list[Places]:
    """Play a record by the slow rules, each move in the view that it names, and hold it to them; the places of each ply
    but the first."""
    slow, game, places = SlowInARow(settings.game), make_game(settings.game), []
    states, codes = game.new_states(1), np.zeros((1, game.shapes.code_length), np.int8)
    policies = unpack_policies(record.policy_offsets, record.policy_bytes, game.num_actions)
    for ply, (action, origin) in enumerate(zip(record.actions.tolist(), record.origins.tolist(), strict=True)):
        assert slow.winner < 0
        assert (record.seats[ply], record.views[ply]) == (slow.seat, slow.seat)
        slow.origin, states.origin[0] = tuple(origin), origin
        assert set(np.flatnonzero(policies[ply]).tolist()) <= set(slow.legal())
        assert policies[ply, action] > 0  # so the child was visited: the net was asked about it
        slow.play(action)
        game.step(states, ROW, np.array([action], np.int32), ROW)
        if slow.winner < 0:
            game.codes(states, ROW, codes)
            own = slow.order[-slow.seats :: -slow.seats] or slow.order[-1:]
            focus = placed(slow, middle_of(look(codes[0]), slow.n, slow.v))
            places.append(Places(placed(slow, slow.order[-1]), focus, [placed(slow, cell) for cell in own]))
    assert slow.winner >= 0
    assert record.outcome.tolist() == pytest.approx(slow.values())
    return places


GAMES: dict[str, dict[str, Any]] = {
    "two": {},
    "three": {"game.players": 3},
    "views fill up": {"game.board_size": 7, "game.view_size": 3, "game.win_length": 6},
    "gumbel": {"search.root": "gumbel"},
    "no reuse": {"search.reuse_tree": False},
}


@pytest.mark.parametrize("name", GAMES)
def test_every_view_is_where_the_net_looks(name: str) -> None:
    """To the cell, at every ply, with a share of 1."""
    settings = settings_for(**GAMES[name])
    n, v = settings.game.board_size, settings.game.view_size or 0
    look, differ = by_hash(v * v), 0
    records = play(settings, LookingEvaluator(settings, look), 6)
    for record in records:
        assert record.origins[0].tolist() == [(n - v) // 2] * 2
        places = replayed(settings, record, look)
        assert record.origins[1:].tolist() == [place.focus for place in places]
        differ += sum(place.last != place.focus for place in places)
    assert differ > 30
    again = play(settings, LookingEvaluator(settings, look), 6)
    assert [record.to_bytes() for record in again] == [record.to_bytes() for record in records]
    other = play(settings, LookingEvaluator(settings, look), 6, seed=1)
    assert [record.to_bytes() for record in other] != [record.to_bytes() for record in records]


@pytest.mark.parametrize("name", GAMES)
def test_else_a_view_is_around_a_stone_of_the_movers_own_or_the_last_one(name: str) -> None:
    settings = settings_for(**GAMES[name], **{"selfplay.focus_share": 0.0})
    look, at_last, far = by_hash((settings.game.view_size or 0) ** 2), [], 0
    for record in play(settings, LookingEvaluator(settings, look), 12):
        for origin, places in zip(record.origins[1:].tolist(), replayed(settings, record, look), strict=True):
            assert origin == places.last or origin in places.own
            if places.last not in places.own:
                at_last.append(origin == places.last)
            far += origin in places.own[1:] and origin not in (places.own[0], places.last)
    assert len(at_last) > 30
    share = 1 - OWN_SHARE
    assert np.mean(at_last) == pytest.approx(share, abs=4 * (share * OWN_SHARE / len(at_last)) ** 0.5)
    assert far > 5  # any stone, not the newest alone


def test_a_share_between_takes_either() -> None:
    settings, look = settings_for(**{"selfplay.focus_share": 0.75}), by_hash(49)
    followed = []
    for record in play(settings, LookingEvaluator(settings, look), 20):
        for origin, places in zip(record.origins[1:].tolist(), replayed(settings, record, look), strict=True):
            stones = [places.last, *places.own]
            assert origin == places.focus or origin in stones
            if places.focus not in stones:
                followed.append(origin == places.focus)
    assert len(followed) > 60
    # four standard deviations
    assert np.mean(followed) == pytest.approx(0.75, abs=4 * (0.75 * 0.25 / len(followed)) ** 0.5)


def test_of_a_net_that_says_nothing_views_follow_the_stones() -> None:
    class Blind(LookingEvaluator):
        def collect(self, group: int) -> Evaluation:
            evaluation = super().collect(group)
            return evaluation._replace(answers=evaluation.answers._replace(focus=None))

    settings, look = settings_for(), by_hash(49)
    for record in play(settings, Blind(settings, look), 4):
        assert record.origins[1:].tolist() == [places.last for places in replayed(settings, record, look)]


def test_each_seat_plays_where_it_looks() -> None:
    """A net that sends the first seat to one corner and the second to the other parts them for a whole game."""
    settings = settings_for(**{"game.win_length": 7, "game.move_cap": 40})
    game = make_game(settings.game)
    sizes = np.bincount((2 * np.arange(15) + 1) * 7 // 30)
    areas = np.outer(sizes, sizes).ravel()

    def look(codes: np.ndarray) -> int:
        mine, theirs = (np.rint(part * areas / 127).sum() for part in codes[49:147].reshape(2, 49))
        return 0 if mine == theirs else 48

    for record in play(settings, LookingEvaluator(settings, look), 5):
        for ply in range(1, record.num_plies):
            row, column = divmod(game.cell_of_action(int(record.actions[ply]), record.origins[ply]), 15)
            assert max(row, column) <= 6 if ply % 2 == 0 else min(row, column) >= 8
        assert record.num_plies > 13


@pytest.mark.parametrize("reuse", [True, False])
def test_a_subtree_is_kept_only_under_a_view_that_stayed(reuse: bool) -> None:
    settings = settings_for(**{"search.reuse_tree": reuse, "search.num_simulations": 30})
    # a few places to look at, so that a view often stays
    evaluator = LookingEvaluator(settings, lambda codes: (0, 6, 24)[zlib.crc32(codes.tobytes()) % 3])
    records: list[GameRecord] = []
    selfplay = SelfPlay(make_game(settings.game), settings, evaluator, 0, records.append)
    kept, dropped = [], []
    for group in selfplay._groups:
        mcts = group.mcts

        def watched(games: np.ndarray, centres: np.ndarray, mcts: Any = mcts, place: Any = mcts.place_views) -> None:
            rows = mcts.root_rows(games)
            nodes, origins = mcts.tree.num_nodes[games], mcts.states.origin[rows]
            place(games, centres)
            assert (mcts.root_rows(games) == rows).all()
            moved = (mcts.states.origin[rows] != origins).any(1)
            now = mcts.tree.num_nodes[games]
            assert (now[~moved] == nodes[~moved]).all()
            assert (now[moved] == 1).all()
            assert not mcts.tree.visits[games[moved], 0].any()
            kept.extend(now[~moved].tolist())
            dropped.extend(nodes[moved].tolist())

        mcts.place_views = watched
    while len(records) < 5:
        selfplay.step()
    assert (max(kept) > 3) == (max(dropped) > 3) == reuse
    assert min(len(kept), len(dropped)) > 20


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_openings_spread_over_the_board(share: float) -> None:
    """By chance, in views that are in the record, however often the net looks about later; after an opening the view is
    around its last stone."""
    regions, jumps, first, look = np.zeros((3, 3), int), [], [], by_hash(49)
    chosen = {"selfplay.opening_random_plies": 6, "search.num_simulations": 4, "game.move_cap": 20}
    settings = settings_for(**chosen, **{"selfplay.focus_share": share})
    for record in play(settings, LookingEvaluator(settings, look), 60):
        opening, origins = record.opening_plies, record.origins.tolist()
        places = [[4, 4], *(place.last for place in replayed(settings, record, look))]
        jumps += [origins[ply] != places[ply] for ply in range(opening)]
        assert origins[opening] == places[opening]
        for ply in range(opening):
            cell = make_game(settings.game).cell_of_action(int(record.actions[ply]), record.origins[ply])
            regions[cell // 15 // 5, cell % 15 // 5] += 1
            first += [cell] if ply == 0 else []
    assert np.mean(jumps) > 0.85  # all but those that come to the same place
    assert regions.min() > regions.sum() / 9 / 3
    assert len(set(first)) > 30


def test_learned_dynamics_say_where_to_look_too() -> None:
    """Of an imagined position: here the bucket that has the number of the action that led there."""

    class Imagining:
        def submit(self, group: int, codes: np.ndarray, moves: Moves | None = None) -> None:
            assert moves is not None
            rows = len(moves.rows)
            focus = np.concatenate([np.zeros(len(codes), np.int16), moves.actions.astype(np.int16)])
            values = np.zeros((rows, 2), np.float32)
            answers[group] = Evaluation(Answers(np.full((rows, 49), 1 / 49, np.float32), values, values, focus), 1)

        def collect(self, group: int) -> Evaluation:
            return answers.pop(group)

    settings, answers = settings_for(algorithm="muzero"), dict[int, Evaluation]()
    for record in play(settings, Imagining(), 5):
        replayed(settings, record, by_hash(49))
        slow = SlowInARow(settings.game)
        for ply, action in enumerate(record.actions[:-1].tolist()):
            slow.origin = tuple(record.origins[ply].tolist())
            slow.play(action)
            assert record.origins[ply + 1].tolist() == placed(slow, middle_of(action, 15, 7))
