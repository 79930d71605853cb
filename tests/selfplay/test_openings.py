"""Openings: random plies that self-play plays by itself, and moves that are given to it; where such moves come from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from hexpipe.bench.replay import HashEvaluator
from hexpipe.config import ReplaySettings, load_settings
from hexpipe.errors import UsageError
from hexpipe.games.board_moves import after_moves, checked_moves, moves_of_actions
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.games.hex import Hex
from hexpipe.records import GameRecord
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.openings import balanced_openings, imbalance, random_openings, read_openings
from hexpipe.selfplay.self_play import SelfPlay
from tests.refusals import refused

GAMES = {
    "hex": {"game.board_size": 5},
    "swap": {"game.board_size": 4, "game.swap": True},
    "tiny": {"game.board_size": 3},
    "rows": {"game.name": "inarow", "game.board_size": 9, "game.view_size": 5, "game.players": 3},
}


def _game(kind: str) -> Game:
    return make_game(load_settings("quick", GAMES[kind]).game)


def _play_given(kind: str, openings: Iterator[tuple[int, ...]]) -> tuple[SelfPlay, list[GameRecord]]:
    given = {"search.num_simulations": 4, "selfplay.games_per_worker": 8, "selfplay.opening_random_plies": 3}
    settings = load_settings("quick", {**GAMES[kind], **given})
    records: list[GameRecord] = []
    game = make_game(settings.game)
    play = SelfPlay(game, settings, HashEvaluator(game, 2), 3, records.append, openings=openings)
    while not play.done:
        play.step()
    return play, records


def _moves(game: Game, record: GameRecord) -> tuple[int, ...]:
    return tuple(moves_of_actions(game, record.actions, record.origins).tolist())


@pytest.mark.parametrize("kind", GAMES)
@pytest.mark.parametrize("count", [0, 3, 21])
def test_every_given_opening_is_one_game_and_then_no_more_begin(kind: str, count: int) -> None:
    game = _game(kind)
    openings = list(islice(random_openings(game, 4, np.random.default_rng(0), at_once=5), count))
    play, records = _play_given(kind, iter(openings))
    begun = sorted(_moves(game, record)[: record.opening_plies] for record in records)
    assert begun == sorted(openings)
    for record in records:
        assert checked_moves(game, _moves(game, record)).winner[0] != ONGOING
    assert play.stats.games == count
    assert (play.stats.evaluations > 0) == (count > 0)
    play.step()  # nothing is left to do, which is no error
    assert play.stats.games == count


@pytest.mark.parametrize("kind", GAMES)
def test_drawn_openings_are_legal_go_on_and_have_every_length(kind: str) -> None:
    game = _game(kind)
    openings = list(islice(random_openings(game, 5, np.random.default_rng(1)), 200))
    assert {len(opening) for opening in openings} == {1, 2, 3, 4, 5}
    assert len({opening[0] for opening in openings}) > game.board_size
    for opening in openings:
        assert checked_moves(game, opening).winner[0] == ONGOING


@pytest.mark.parametrize("kind", GAMES)
def test_balanced_openings_lean_less_than_random_ones_by_the_same_net(kind: str) -> None:
    game, rng = _game(kind), np.random.default_rng(2)
    evaluator = HashEvaluator(game, 2)
    balanced = balanced_openings(game, 4, rng, evaluator, group=1, at_once=10)
    imbalances = []
    for openings in (balanced, random_openings(game, 4, rng)):
        codes = np.zeros((60, game.shapes.code_length), np.int8)
        for number, opening in enumerate(islice(openings, 60)):
            states = after_moves(game, opening)
            assert states.winner[0] == ONGOING
            game.codes(states, np.zeros(1, np.int32), codes[number : number + 1])
        evaluator.submit(0, codes)
        imbalances.append(imbalance(evaluator.collect(0).answers.values))
    assert imbalances[0].mean() < 0.6 * imbalances[1].mean()


def test_a_lean_is_a_distance_from_even_chances() -> None:
    values = np.array([[0.3, -0.3], [-0.3, 0.3], [0, 0]], np.float32)
    np.testing.assert_allclose(imbalance(values), [0.3, 0.3, 0])
    np.testing.assert_allclose(imbalance(np.array([[1, -0.2, -1], [-0.1, 0, -0.1]], np.float32)), [1, 0.05], rtol=1e-6)


def test_openings_come_from_a_file_of_any_notation(tmp_path: Path) -> None:
    file = tmp_path / "openings.txt"
    file.write_text("#5,a1b2\n# a comment\nhttps://hexworld.org/board/#5c1,c3\n(;FF[4]GM[11]SZ[5];B[e5])\na2 c4 d1\n")
    assert read_openings(file, Hex(5)) == ((0, 6), (12,), (24,), (5, 17, 3))
    for text, kind, move, named in (
        ("#5,a1\n#4,a1\n", "board", None, "line 2: "),
        ("#5,a1a1\n", "occupied", 2, "line 1: "),
        ("#5c1,a1:s\n", "rule", 2, "line 1: "),
        ("#5,a1b1a2b2a3b3a4b4a5\n", "over", None, "line 1: "),
        ("\n", "missing", None, ""),
    ):
        file.write_text(text)
        with refused(UsageError, named, kind=kind, move=move, path=file):
            read_openings(file, Hex(5))
    with refused(UsageError, kind="access", path=tmp_path):
        read_openings(tmp_path, Hex(5))


def _play(size: int, most: int, games: int) -> tuple[Hex, list[GameRecord]]:
    game = Hex(size)
    settings = load_settings(
        "quick",
        {
            "game.board_size": size,
            "search.num_simulations": 8,
            "selfplay.games_per_worker": 8,
            "selfplay.opening_random_plies": most,
        },
    )
    records: list[GameRecord] = []
    play = SelfPlay(game, settings, HashEvaluator(game, 2), seed=3, on_game=records.append)
    while len(records) < games:
        play.step()
    return game, records


@pytest.mark.parametrize(("size", "most"), [(4, 5), (3, 9)])
def test_openings_are_legal_varied_and_marked(size: int, most: int) -> None:
    game, records = _play(size, most, 60)
    lengths = {record.opening_plies for record in records}
    assert {0, 1, 2, 3} <= lengths
    assert max(lengths) <= most
    for record in records:
        states = game.play(record.actions.tolist())  # raises on an illegal move
        assert states.winner[0] >= 0
        assert record.num_positions == record.num_plies - record.opening_plies > 0
        assert (record.root_values[: record.opening_plies] == 0).all()


def test_the_buffer_samples_no_opening_ply() -> None:
    game, records = _play(4, 5, 40)
    buffer = ReplayBuffer.create(ReplaySettings(min_games=1, max_games=64), game, private=True)
    for record in records:
        buffer.add_game(record)
    assert buffer.num_positions == sum(record.num_positions for record in records)
    learned, openings = set(), set()
    for record in records:
        cells = np.zeros((1, 16), np.int8)
        code = np.zeros((1, game.shapes.code_length), np.int8)
        for ply, action in enumerate(record.actions.tolist()):
            plies, origins = np.array([ply], np.int32), np.zeros((1, 2), np.int16)
            game.codes_from_cells(cells, record.views[ply : ply + 1], plies, origins, code)
            (openings if ply < record.opening_plies else learned).add(code.tobytes())
            cells[0, action] = 1 + record.views[ply]
    sampled = {row.tobytes() for row in buffer.sample_batch(4000, np.random.default_rng(0))["codes"]}
    assert sampled <= learned
    assert openings - learned - sampled


def test_a_record_keeps_its_opening() -> None:
    _, records = _play(4, 5, 20)
    record = next(record for record in records if record.opening_plies)
    assert GameRecord.from_bytes(record.to_bytes()).opening_plies == record.opening_plies
