"""Tournaments: fair schedules, results that last, players by name, programs over HTP, and a known order of strength."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from hexpipe.arena.contestants import Contestant, SolverPlayer, common_game, expand, make_contestants
from hexpipe.arena.htp_player import HtpPlayer
from hexpipe.arena.match import play_match
from hexpipe.arena.players import RESIGN, RandomPlayer
from hexpipe.arena.ratings import Unit
from hexpipe.arena.results import PlayedGame, Results
from hexpipe.arena.tournament import Plan, Tournament, crosstable
from hexpipe.errors import ArchiveError, CheckpointError, ProcessDiedError, SettingsError, UsageError
from hexpipe.games.hex import Hex
from tests.arena.checkpoints import small_checkpoint

HEX = Hex(4)
ENGINE = f"{sys.executable} {Path(__file__).parent / 'toy_htp_engine.py'}"


def tournament(plan: Plan, game: Hex = HEX) -> Tournament:
    players = [
        Contestant("random", RandomPlayer(game, 1)),
        Contestant("solver", SolverPlayer(game, 2)),
        Contestant("other", RandomPlayer(game, 3)),
    ]
    return Tournament(game, players, plan)


def test_perfect_play_is_rated_first_and_its_matches_end_early() -> None:
    games = tournament(Plan(pairs=40, round_pairs=5, opening_plies=1))
    rounds = 0
    while games.open_pairs():
        for pair in games.play_round():
            first, second = pair
            assert (first.first, first.second) == (second.second, second.first)
            assert first.moves[:1] == second.moves[:1]
            assert first.opening == 1
        rounds += 1
    ratings = games.ratings(anchor=0)
    assert ratings[1].elo - 1.96 * ratings[1].error > 100
    assert abs(ratings[2].elo) < 3 * ratings[2].error
    assert len(games.between(0, 1)) < len(games.between(0, 2)) <= 40
    table = crosstable(games)
    for a in range(3):
        assert table[a][a] == (0, 0)
        for b in range(a):
            assert table[a][b][1] == table[b][a][1] == 2 * len(games.between(a, b))
            assert table[a][b][0] + table[b][a][0] == table[a][b][1]


def test_openings_are_new_as_long_as_there_are_some() -> None:
    games = tournament(Plan(opening_plies=1))
    openings = [games.opening(k)[0] for k in range(16)]
    assert sorted(openings) == list(range(16))
    assert len(games.opening(16)) == 1
    assert tournament(Plan(opening_plies=1)).opening(7) == games.opening(7)


def test_openings_that_end_games_are_refused() -> None:
    with pytest.raises(SettingsError, match="fewer"):
        tournament(Plan(opening_plies=16)).opening(0)


def test_results_last_and_count(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    pair = [PlayedGame("a", "b", 1.0, (3, 4, 5), 1), PlayedGame("b", "a", 0.5, (3, 4), 1, True)]
    with Results(path) as results:
        results.add_units("Hex 4x4", [pair, pair])
        results.add_units("Hex 5x5", [pair])
    with Results(path) as results:
        assert results.units("Hex 4x4", ["b", "c", "a"]) == [Unit(0, 2, 0.5, 2)] * 2
        assert results.units("Hex 4x4", ["b", "c"]) == []
        assert results.games("Hex 4x4") == pair * 2
        assert len(results.games()) == 6
    (tmp_path / "other").write_text("no database of ours, " * 100)
    with pytest.raises(ArchiveError, match="other"):
        Results(tmp_path / "other")


def test_players_by_name(tmp_path: Path) -> None:
    run = small_checkpoint(tmp_path / "run")
    checkpoint = str(next((run / "checkpoints").iterdir()))
    assert expand([str(run), "random"]) == [checkpoint, "random"]
    assert common_game([checkpoint, "random"], None, None).board_size == 4
    assert common_game(["solver", "random"], None, None).title == "Hex 5x5"
    assert common_game([checkpoint], 6, True).title == "Hex 6x6 with swap"
    with ExitStack() as resources:
        rules = common_game([checkpoint], None, None)
        players = make_contestants([checkpoint, "random", f"htp:{ENGINE}"], rules, resources, simulations=8)
        assert [player.name for player in players[:2]] == ["run/7@8", "random"]
        games = Tournament(HEX, players, Plan(pairs=2, round_pairs=2))
        games.play_round()
        assert all(len(games.between(a, b)) == 2 for a in range(3) for b in range(a))


def test_what_is_no_player_is_said(tmp_path: Path) -> None:
    rules = common_game(["random"], 4, None)
    with ExitStack() as resources:
        with pytest.raises(CheckpointError):
            common_game([str(tmp_path / "none")], None, None)
        with pytest.raises(SettingsError, match="5x5"):
            make_contestants(["solver"], common_game(["random"], 7, None), resources)
        with pytest.raises(UsageError, match="two players"):
            make_contestants(["random", "random"], rules, resources)
        with pytest.raises(SettingsError, match="cannot be started"):
            make_contestants(["htp:/no/such/program"], rules, resources)
    with pytest.raises(SettingsError, match="two players"):
        Tournament(HEX, [Contestant("alone", RandomPlayer(HEX, 0))], Plan())


def test_a_program_plays_several_games_at_once() -> None:
    game = Hex(4, swap=True)
    with HtpPlayer(game, ENGINE) as engine:
        seats = np.array([[0, 1], [1, 0]] * 4)
        outcomes, moves, resigned = play_match(game, [engine, RandomPlayer(game, 5)], seats, [[k] for k in range(8)])
        assert not resigned.any()
        assert (np.abs(outcomes) == 1).all()
        for played in moves:
            assert game.play(played).winner[0] >= 0
        assert any(16 in played for played in moves)  # swaps came across


@pytest.mark.parametrize(("mode", "words"), [
    ("silent", "within"), ("dies", "has ended"), ("illegal", "illegal"), ("nonsense", "no coordinate"),
    ("error", "no way"), ("bytes", "no coordinate"),
])  # fmt: skip
def test_a_program_that_fails_is_named_with_what_it_did(mode: str, words: str) -> None:
    seconds = 0.5 if mode == "silent" else 100.0
    with HtpPlayer(HEX, f"{ENGINE} {mode}", seconds=seconds) as engine, pytest.raises(ProcessDiedError, match=words):
        engine.choose([[5]])


def test_a_program_may_be_let_go_at_any_moment() -> None:
    for _ in range(10):
        with HtpPlayer(HEX, ENGINE) as engine:
            pass
        assert not engine._reader.is_alive()
        assert engine._process.returncode == 0


def test_resigning_loses() -> None:
    with HtpPlayer(HEX, f"{ENGINE} resign") as engine:
        assert engine.choose([[]])[0] == RESIGN
        outcomes, moves, resigned = play_match(HEX, [engine, RandomPlayer(HEX, 0)], np.array([[0, 1], [1, 0]]))
    assert outcomes.tolist() == [[-1, 1], [1, -1]]
    assert resigned.all()
    assert [len(played) for played in moves] == [0, 1]
