"""The league: who plays whom, what counts as won, and that every search has the net that it should have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.config import Settings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.records import GameRecord, unpack_policies
from hexpipe.search.evaluator import Evaluator, Moves
from hexpipe.search.mcts import Mcts, search_positions
from hexpipe.selfplay.league import WINDOW, LeagueEvaluator, WinShares, draw_opponents, win_share
from hexpipe.selfplay.self_play import SelfPlay
from tests.search import reference
from tests.search.toys import HalvesGame
from tests.selfplay.evaluators import HashLatents
from tests.selfplay.test_self_play import CountingEvaluator, assert_legal, small_settings


def test_one_of_two_seats_or_one_or_two_of_three_are_drawn_alike() -> None:
    rng = np.random.default_rng(0)
    for num_seats in (2, 3):
        masks = 1 << num_seats
        drawn = np.bincount([draw_opponents(0.5, num_seats, rng) for _ in range(4000)], minlength=masks) / 4000
        wanted = [0.5, *[0.5 / (masks - 2)] * (masks - 2), 0]  # the newest net plays somewhere
        assert drawn.tolist() == pytest.approx(wanted, abs=0.03)
        assert drawn[-1] == 0
    assert {draw_opponents(0.0, 2, rng) for _ in range(100)} == {0}
    assert 0 not in {draw_opponents(1.0, 3, rng) for _ in range(100)}


@pytest.mark.parametrize(("outcome", "opponents", "wanted"), [
    ([1, -1], 0b10, 1.0),
    ([1, -1], 0b01, 0.0),
    ([0, 0], 0b01, 0.5),
    ([1, -0.2, -1], 0b110, 1.0),
    ([1, -0.2, -1], 0b100, 1.0),
    ([1, -0.2, -1], 0b010, 0.5),  # first beats second, third does not
    ([1, -0.2, -1], 0b011, 0.0),
    ([0.4, 0.4, -1], 0b010, 0.25),  # equal, and worse
])  # fmt: skip
def test_win_share(outcome: list[float], opponents: int, wanted: float) -> None:
    assert win_share(np.array(outcome, np.float32), opponents) == wanted


def test_nets_of_equal_strength_share_the_wins() -> None:
    rng = np.random.default_rng(0)
    for places in ([1, -1], [0, 0], [1, -0.2, -1], [0.4, 0.4, -1]):
        values = np.array(places, np.float32)
        shares = [win_share(rng.permutation(values), draw_opponents(1.0, len(places), rng)) for _ in range(2000)]
        assert np.mean(shares) == pytest.approx(0.5, abs=0.04)


def test_shares_are_of_the_last_games() -> None:
    shares = WinShares()
    assert (shares.games, shares.mean) == (0, 0)
    for number in range(WINDOW + 20):
        shares.add(float(number < WINDOW))
    assert (shares.games, shares.mean) == (WINDOW, 0.8)


@given(rows=st.lists(st.booleans(), min_size=1, max_size=12), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_each_row_has_the_answer_of_its_net(rows: list[bool], seed: int) -> None:
    game, theirs = Hex(3), np.array(rows)
    evaluates = [reference.hash_evaluator(game, net) for net in (1, 2)]
    league = LeagueEvaluator(*(CountingEvaluator(evaluate) for evaluate in evaluates))
    rng = np.random.default_rng(seed)
    for group in (1, 0):
        codes = rng.integers(0, 2, (len(rows), 9)).astype(np.int8)
        codes[:, 4] = 0  # one action is legal at the least
        league.divide(group, theirs)
        league.submit(group, codes)
        answer = league.collect(group).answers
        for i, code in enumerate(codes):
            priors, values = evaluates[rows[i]](code)
            assert answer.priors[i].tolist() == priors.tolist()
            assert answer.values[i].tolist() == values.tolist()
        assert answer.rewards is None


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_roots_and_children_have_the_latents_of_their_net(data: st.DataObject) -> None:
    """Against one that keeps both nets' latents apart itself, and asks a fresh pair of nets row by row."""
    game, rng = Hex(3), np.random.default_rng(data.draw(st.integers(0, 99)))
    released: list[int] = []
    league = LeagueEvaluator(HashLatents(game, 1), HashLatents(game, 2), released.append)
    single = [HashLatents(game, 1), HashLatents(game, 2)]
    net_of = dict.fromkeys(range(4), 0)
    last: dict[int, int] = {}  # game to the row of its newest node
    had_opponent = False
    for _ in range(data.draw(st.integers(1, 5))):
        searching = [g for g in range(4) if data.draw(st.booleans())] or [0]
        roots = [g for g in searching if g not in last or data.draw(st.booleans())]
        for g in roots:
            net_of[g] = int(data.draw(st.booleans()))
        children = [g for g in searching if g not in roots]
        codes = rng.integers(0, 2, (len(roots), 9)).astype(np.int8)
        rows = [10 * g for g in roots] + [last[g] + 1 for g in children]
        moves = Moves(
            np.array([last[g] for g in children], np.int32),
            rng.integers(0, 9, len(children)).astype(np.int32),
            np.array(rows, np.int32),
        )
        last |= dict(zip([*roots, *children], rows, strict=True))
        theirs = np.array([net_of[g] == 1 for g in [*roots, *children]])
        before = len(released)
        league.divide(5, theirs)
        league.submit(5, codes, moves)
        assert released[before:] == ([5] if had_opponent and not theirs.any() else [])
        had_opponent = bool(theirs.any())
        answer = league.collect(5).answers
        for i, g in enumerate([*roots, *children]):
            k = i - len(roots)
            one = Moves(moves.parents[k : k + 1], moves.actions[k : k + 1], moves.rows[i : i + 1])
            if k < 0:
                one = Moves(moves.parents[:0], moves.actions[:0], moves.rows[i : i + 1])
            single[net_of[g]].submit(5, codes[i : i + 1] if k < 0 else codes[:0], one)
            wanted = single[net_of[g]].collect(5).answers
            assert answer.priors[i].tolist() == wanted.priors[0].tolist()
            assert answer.values[i].tolist() == wanted.values[0].tolist()
            assert wanted.rewards is not None
            assert answer.rewards is not None
            assert answer.rewards[i].tolist() == wanted.rewards[0].tolist()


def test_the_version_is_the_newest_nets() -> None:
    game = Hex(3)
    newest, opponent = (CountingEvaluator(reference.hash_evaluator(game, net)) for net in (1, 2))
    newest.batches, opponent.batches = 40, 7
    league, codes = LeagueEvaluator(newest, opponent), np.zeros((2, 9), np.int8)

    def ask(*theirs: bool) -> int:
        league.divide(0, np.array(theirs))
        league.submit(0, codes)
        return league.collect(0).version

    assert [ask(True, True), ask(False, True), ask(True, True), ask(False, False)] == [-1, 41, 41, 42]


def plays(
    game: Game, chosen: Settings, nets: list[Evaluator], seed: int, count: int
) -> tuple[list[GameRecord], SelfPlay]:
    """At least ``count`` records of games with a league."""
    records: list[GameRecord] = []
    selfplay = SelfPlay(game, chosen, LeagueEvaluator(*nets), seed, records.append)
    while len(records) < count:
        selfplay.step()
    return records, selfplay


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize("learned", [False, True], ids=["rules", "learned"])
@pytest.mark.parametrize("game", [Hex(3), HalvesGame(3, 5, 4)], ids=["hex3", "three-seats"])
def test_every_move_is_the_move_of_its_seats_net(game: Game, learned: bool, root: str) -> None:
    """Searched again from nothing by the net that should have: the same move, the same policy."""
    plain = {"search.root": root, "search.gumbel_scale": 0.0, "search.dirichlet_fraction": 0.0}
    alone = {"search.reuse_tree": False, "search.early_stop": False, "selfplay.temperature_plies": 0}
    chosen = small_settings(**plain, **alone, **({"algorithm": "muzero"} if learned else {}), **{"league.share": 0.6})

    def net(number: int) -> Any:
        return HashLatents(game, number) if learned else CountingEvaluator(reference.hash_evaluator(game, number))

    records, selfplay = plays(game, chosen, [net(1), net(2)], 0, 14)
    masks = {record.opponents for record in records}
    assert masks >= {0}
    assert len(masks) > 2
    assert selfplay.stats.league_games == sum(record.opponents > 0 for record in records)
    wins = [win_share(record.outcome, record.opponents) for record in records if record.opponents]
    assert selfplay.stats.league_wins == pytest.approx(sum(wins))
    again = [net(1), net(2)]
    for record in records:
        assert_legal(game, record)
        policies = unpack_policies(record.policy_offsets, record.policy_bytes, game.num_actions)
        for ply, action in enumerate(record.actions.tolist()):
            evaluator = again[record.opponents >> int(record.seats[ply]) & 1]
            moves = record.actions[:ply].tolist()
            found = search_positions(game, [moves], evaluator, chosen.search, 0, learned)
            assert found.actions[0] == action
            if root == "puct" and learned:  # the rules' proofs take visits away from the policy
                shares = found.visit_counts[0] / found.visit_counts[0].sum()
                np.testing.assert_allclose(policies[ply], shares, atol=0.03)


@pytest.mark.parametrize("num_seats", [2, 3])
def test_a_tree_is_kept_between_moves_of_one_net_only(num_seats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    game = HalvesGame(num_seats, 7, 4)
    chosen = small_settings(**{"league.share": 0.7, "search.solver": False})
    kept: dict[bool, list[int]] = {True: [], False: []}
    selfplays: list[SelfPlay] = []
    begin = Mcts.begin

    def spy(self: Mcts, games: np.ndarray, **options: Any) -> None:
        group = next((g for s in selfplays for g in s._groups if g.mcts is self), None)
        for g in games.tolist() if group is not None else []:
            seats = group.games[g].seats
            if seats:
                now = int(self.states.to_move[self.root_rows(np.array([g], np.int32))[0]])
                same = (group.opponents[g] >> now & 1) == (group.opponents[g] >> seats[-1] & 1)
                kept[bool(same)].append(int(self.tree.visits[g, 0]))
        begin(self, games, **options)

    monkeypatch.setattr(Mcts, "begin", spy)
    records: list[GameRecord] = []
    nets = [CountingEvaluator(reference.hash_evaluator(game, net)) for net in (1, 2)]
    selfplays.append(SelfPlay(game, chosen, LeagueEvaluator(*nets), 0, records.append))
    while len(records) < 30:
        selfplays[0].step()
    assert len(kept[False]) > 20
    assert not any(kept[False])
    assert np.mean(np.array(kept[True]) > 0) > 0.9


def test_a_share_of_the_games_has_opponents_and_all_say_the_newest_version() -> None:
    game, chosen = Hex(3), small_settings(**{"league.share": 0.3})
    newest, opponent = (CountingEvaluator(reference.hash_evaluator(game, net)) for net in (1, 2))
    opponent.batches = 10**6
    records, _ = plays(game, chosen, [newest, opponent], 0, 100)
    assert np.mean([record.opponents > 0 for record in records]) == pytest.approx(0.3, abs=0.15)
    assert max(record.weights_version for record in records) < 10**6
    assert opponent.positions < 0.3 * newest.positions
    again, _ = plays(game, chosen, [CountingEvaluator(reference.hash_evaluator(game, net)) for net in (1, 2)], 0, 100)
    assert [record.actions.tolist() for record in again] == [record.actions.tolist() for record in records]


def test_without_a_league_nobody_is_an_opponent() -> None:
    game, records = Hex(3), []
    evaluator = CountingEvaluator(reference.hash_evaluator(game, 1))
    selfplay = SelfPlay(game, small_settings(**{"league.share": 1.0}), evaluator, 0, records.append)
    while len(records) < 5:
        selfplay.step()
    assert {record.opponents for record in records} == {0}
    assert selfplay.stats.league_games == 0
