"""Growing boards: when a stage is mastered, and games of two stages side by side in one process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hexpipe.config import Settings
from hexpipe.games.factory import make_stages
from hexpipe.games.game_env import Game
from hexpipe.games.local_view import LocalView
from hexpipe.records import GameRecord, pack_policies
from hexpipe.search.evaluator import Evaluator
from hexpipe.search.mcts import Mcts
from hexpipe.selfplay.curriculum import Curriculum, stage_in_words
from hexpipe.selfplay.league import WINDOW, LeagueEvaluator
from hexpipe.selfplay.self_play import SelfPlay
from tests.search import reference
from tests.selfplay.evaluators import HashLatents
from tests.selfplay.test_self_play import CountingEvaluator, small_settings

STAGES = {"game.name": "inarow", "curriculum.stages": [[3, 3], [4, 3], [5, 4]], "curriculum.stage_games": 4}


def settings_of(**options: Any) -> Settings:
    return small_settings(**{**STAGES, **options})


def finished(size: int, win_length: int, share: float | None = None, weights: int = 2) -> GameRecord:
    """A game of one ply; with a ``share`` of the league, which the newest net played as seat 0."""
    offsets, packed = pack_policies(np.eye(1, 9, dtype=np.float32))
    outcome = {None: [1, -1], 1.0: [1, -1], 0.5: [0, 0], 0.0: [-1, 1]}[share]
    return GameRecord(
        game="inarow",
        board_size=size,
        swap=False,
        num_seats=2,
        num_actions=9,
        actions=np.zeros(1, np.int16),
        seats=np.zeros(1, np.int8),
        views=np.zeros(1, np.int8),
        root_values=np.zeros((1, 2), np.float32),
        policy_offsets=offsets,
        policy_bytes=packed,
        outcome=np.array(outcome, np.float32),
        weights_version=weights,
        simulations=8,
        win_length=win_length,
        opponents=0 if share is None else 0b10,
        origins=np.zeros((int(size > 3), 2), np.int16),  # the view has 3 cells
    )


def test_where_a_solver_tells_it_a_stage_ends_when_the_net_agrees_or_with_ten_times_its_games() -> None:
    right = 0.0
    curriculum = Curriculum(settings_of(**{"curriculum.solved": 0.8}), solved=lambda: right)
    for _ in range(39):
        curriculum.add(finished(3, 3))
        assert not curriculum.ended
    right = 0.8
    assert curriculum.ended
    right = 0.79
    assert not curriculum.ended
    curriculum.add(finished(3, 3))
    assert curriculum.ended
    right, few = 1.0, Curriculum(settings_of(), solved=lambda: right)
    for _ in range(3):
        few.add(finished(3, 3))
    assert not few.ended


def test_without_a_league_a_stage_ends_with_its_games() -> None:
    curriculum = Curriculum(settings_of())
    for number in range(4):
        assert not curriculum.ended
        curriculum.add(finished(4, 3))  # of no stage that is played
        curriculum.add(finished(3, 3, weights=1))
        assert curriculum.games == number + 1
    assert not curriculum.ended, "only the weights that the run began with have played it"
    curriculum.add(finished(3, 3))
    assert curriculum.ended
    curriculum.next_stage()
    assert (curriculum.stage, curriculum.games, curriculum.ended) == (1, 0, False)
    curriculum.next_stage()
    for _ in range(10):
        curriculum.add(finished(5, 4))
    assert not curriculum.ended, "the last stage does not end"


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_stage_ends_only_after_a_net_that_was_trained_in_it_has_played(share: float) -> None:
    curriculum = Curriculum(settings_of(**{"league.share": share}))
    for stage, size in ((0, 3), (1, 4)):
        assert curriculum.stage == stage
        for weights in (stage + 1, stage + 1, -1):  # those that were there when the stage began, and imported games
            for _ in range(2 * WINDOW):
                curriculum.add(finished(size, 3, 1.0, weights))
            assert not curriculum.ended
            assert curriculum.shares.games == 0
        resumed = Curriculum(settings_of(**{"league.share": share}), stage, weights=stage + 1)
        resumed.restore([finished(size, 3, 1.0, stage + 1)] * 9, 9)
        assert not resumed.ended
        for _ in range(WINDOW):
            curriculum.add(finished(size, 3, 1.0, stage + 2))
        assert curriculum.ended
        curriculum.next_stage()


def test_with_a_league_the_newest_net_must_win_its_share_of_the_last_games() -> None:
    curriculum = Curriculum(settings_of(**{"league.share": 0.5, "curriculum.mastery": 0.6}))
    for _ in range(30):
        curriculum.add(finished(3, 3))
    for _ in range(WINDOW - 1):
        curriculum.add(finished(3, 3, 1.0))
    assert not curriculum.ended, "one league game is missing"
    for _ in range(81):
        curriculum.add(finished(3, 3, 0.5))
    assert (curriculum.shares.games, curriculum.shares.mean) == (WINDOW, pytest.approx(0.595))
    assert not curriculum.ended
    curriculum.add(finished(3, 3, 1.0))  # in the place of a won one
    assert not curriculum.ended
    for _ in range(19):  # which pushes out the 18 won ones that are left, and a drawn one
        curriculum.add(finished(3, 3, 1.0))
    assert curriculum.shares.mean == pytest.approx(0.6)
    assert curriculum.ended
    curriculum.add(finished(3, 3, 0.0))
    assert not curriculum.ended
    curriculum.next_stage()
    assert curriculum.shares.games == 0


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_resumed_run_stands_where_it_stood(share: float) -> None:
    settings = settings_of(**{"league.share": share, "curriculum.stage_games": 200})
    rng = np.random.default_rng(0)
    games = [
        finished(*((3, 3) if rng.random() < 0.2 else (4, 3)), (None, 0.0, 0.5, 1.0)[rng.integers(4) if share else 0])
        for _ in range(300)
    ]
    before, after = Curriculum(settings, 1), Curriculum(settings, 1)
    for game in games:
        before.add(game)
    after.restore(reversed(games), len(games))
    assert (after.games, after.ended) == (before.games, before.ended)
    assert (after.shares.games, after.shares.mean) == (before.shares.games, before.shares.mean)
    assert (after.shares.games == WINDOW) == (share > 0)


def test_the_last_stage_is_restored_from_its_newest_games_alone() -> None:
    looked: list[int] = []

    def games() -> Any:
        for number in range(10**9):
            looked.append(number)
            yield finished(5, 4, 1.0 if number % 2 else None)

    curriculum = Curriculum(settings_of(**{"league.share": 0.5}), 2)
    curriculum.restore(games(), 12345)
    assert (curriculum.games, curriculum.shares.games, curriculum.shares.mean) == (12345, WINDOW, 1.0)
    assert len(looked) < 3 * WINDOW
    looked.clear()
    Curriculum(settings_of(), 2).restore(games(), 12345)
    assert len(looked) <= 1


def test_a_run_without_a_curriculum_has_one_stage() -> None:
    settings = small_settings()
    curriculum = Curriculum(settings)
    assert not curriculum.ended
    curriculum.restore(iter(()), 7)
    assert (curriculum.stage, curriculum.games, curriculum.ended) == (0, 7, False)


def test_stages_in_words() -> None:
    stages = {"curriculum.stages": [[15, 5], [30, 6], [50, 7], [100, 8]]}
    settings, league = settings_of(**stages), settings_of(**stages, **{"league.share": 0.25})
    assert stage_in_words(settings, 0) == "stage 1 of 4: 5 in a row 15x15"
    assert stage_in_words(settings, 1, 1512) == "stage 2 of 4: 6 in a row 30x30 (ended stage 1 after 1,512 games)"
    assert stage_in_words(league, 1, 1512) == "stage 2 of 4: 6 in a row 30x30 (mastered stage 1 after 1,512 games)"


def best_move(game: Game, record: GameRecord, ply: int, evaluator: Evaluator, settings: Settings) -> int:
    """What a search from nothing plays at ``ply`` of a recorded game, whose views are where the record has them."""
    mcts = Mcts(game, 1, settings.search, np.random.default_rng(0), settings.algorithm == "muzero")
    one, row = np.zeros(1, np.int32), np.zeros(1, np.int32)
    mcts.reset(one)
    row = mcts.root_rows(one)
    origins = record.origins if len(record.origins) else np.tile(LocalView.of(game).start, (record.num_plies, 1))
    for action, origin in zip(record.actions[:ply], origins, strict=False):
        mcts.states.origin[row] = origin
        game.step(mcts.states, row, np.array([action], np.int32), row)
    mcts.states.origin[row] = origins[ply]
    assert mcts.states.winner[row[0]] < 0
    mcts.begin(one, noise=False)
    while mcts.select():
        evaluator.submit(0, *mcts.request)
        mcts.update(evaluator.collect(0).answers)
    return int(mcts.results(one).actions[0])


@pytest.mark.parametrize("learned", [False, True], ids=["rules", "learned"])
def test_games_of_two_stages_side_by_side_have_their_own_answers(learned: bool) -> None:
    """Stages change in the middle of games, with a league; every move is the one that its net would play alone."""
    plain = {"search.gumbel_scale": 0.0, "search.dirichlet_fraction": 0.0, "selfplay.temperature_plies": 0}
    alone = {"search.reuse_tree": False, "search.early_stop": False, "league.share": 0.5}
    settings = settings_of(**plain, **alone, **({"algorithm": "muzero"} if learned else {}))
    stages, stage, records = make_stages(settings), [0], list[GameRecord]()

    def net(number: int) -> Any:
        hashed = reference.hash_evaluator(stages[0], number)
        return HashLatents(stages[0], number) if learned else CountingEvaluator(hashed)

    nets = [net(1), net(2)]
    selfplay = SelfPlay(stages, settings, LeagueEvaluator(*nets), 0, records.append, stage=lambda: stage[0])
    mixed, began = 0, [0, 0, 0]
    simulations = [0]
    while len(records) < 30:
        if len(records) >= 6 and stage[0] == 0:
            stage[0], began[1] = 1, len(records)
        if len(records) >= 18 and stage[0] == 1:
            stage[0], began[2] = 2, len(records)
        selfplay.step()
        mixed += any(len(turn._asking) > 1 for turn in selfplay._turns)
        simulations.append(selfplay.stats.simulations)
    assert mixed > 10
    assert simulations == sorted(simulations)
    assert [len(turn.groups) for turn in selfplay._turns] == [1, 1], "what an earlier stage took is free again"
    by_stage = [[i for i, r in enumerate(records) if r.board_size == game.board_size] for game in stages]
    for number in (1, 2):
        assert min(by_stage[number]) >= began[number]
    # of the games under way when the next stage began, six at the most, each ended on its own board
    assert len([i for i in by_stage[0] if i >= began[1]]) in range(1, 7)
    again = [net(1), net(2)]
    for record in records:
        game = next(game for game in stages if game.board_size == record.board_size)
        assert record.win_length == game.win_length
        for ply, action in enumerate(record.actions.tolist()):
            evaluator = again[record.opponents >> int(record.seats[ply]) & 1]
            assert best_move(game, record, ply, evaluator, settings) == action


def test_a_run_begins_at_the_stage_that_it_is_told() -> None:
    settings, records = settings_of(), list[GameRecord]()
    stages = make_stages(settings)
    evaluator = CountingEvaluator(reference.hash_evaluator(stages[0], 1))
    selfplay = SelfPlay(stages, settings, evaluator, 0, records.append, stage=lambda: 1)
    while len(records) < 3:
        selfplay.step()
    assert {record.board_size for record in records} == {4}
