"""Tournaments: fair schedules, results that last, players by name, programs over HTP, and a known order of strength."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from hexpipe.arena.contestants import (
    Contestant,
    SolverPlayer,
    common_game,
    expand,
    make_contestants,
    split_name,
)
from hexpipe.arena.htp_player import HtpPlayer
from hexpipe.arena.match import play_match
from hexpipe.arena.players import FORFEIT, RESIGN, RandomPlayer
from hexpipe.arena.ratings import Unit
from hexpipe.arena.results import PlayedGame, Results
from hexpipe.arena.tournament import Plan, Tournament, crosstable
from hexpipe.errors import ArchiveError, CheckpointError, SettingsError, UsageError
from hexpipe.games.hex import Hex
from tests.arena.checkpoints import small_checkpoint
from tests.refusals import refused

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
    with refused(SettingsError, "16", kind="range", setting="--opening-plies"):
        tournament(Plan(opening_plies=16)).opening(0)


def test_results_last_and_count(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    pair = [PlayedGame("a", "b", 1.0, (3, 4, 5), 1, True, True), PlayedGame("b", "a", 0.5, (3, 4), 1, True)]
    with Results(path) as results:
        results.add_units("Hex 4x4", [pair, pair])
        results.add_units("Hex 5x5", [pair])
    with Results(path) as results:
        assert results.units("Hex 4x4", ["b", "c", "a"]) == [Unit(0, 2, 0.5, 2)] * 2
        assert results.units("Hex 4x4", ["b", "c"]) == []
        assert results.games("Hex 4x4") == pair * 2
        assert results.forfeits("Hex 4x4", ["a", "b"]) == {"b": 2}
        assert results.forfeits("Hex 4x4", ["b", "c"]) == {}
        assert len(results.games()) == 6
    (tmp_path / "other").write_text("no database of ours, " * 100)
    with refused(ArchiveError, kind="damaged", path=tmp_path / "other"):
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
        with refused(SettingsError, kind="conflict", setting="game.board_size", high=6):
            make_contestants(["solver"], common_game(["random"], 7, None), resources)
        with refused(UsageError, "random", kind="conflict"):
            make_contestants(["random", "random"], rules, resources)
        with refused(SettingsError, "/no/such/program", kind="missing"):
            make_contestants(["htp:/no/such/program"], rules, resources)
    with refused(SettingsError, kind="missing"):
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
def test_a_program_that_fails_forfeits_the_game_and_is_started_anew(mode: str, words: str) -> None:
    seconds = 0.5 if mode == "silent" else 100.0
    with HtpPlayer(HEX, f"{ENGINE} {mode}", seconds=seconds) as engine:
        assert engine.choose([[5], [6]]).tolist() == [FORFEIT, FORFEIT]
        assert len(engine.failures) == 2
        assert all(words in failure for failure in engine.failures)
        assert engine._program is None


def test_a_forfeit_costs_that_game_alone() -> None:
    """A program that dies at its second move of all: a game is lost by each start of it that gets so far."""
    with HtpPlayer(HEX, f"{ENGINE} sometimes") as engine:
        players = [Contestant("program", engine), Contestant("random", RandomPlayer(HEX, 3))]
        games = Tournament(HEX, players, Plan(pairs=3, round_pairs=3, opening_plies=0))
        played = [game for pair in games.play_round() for game in pair]
        forfeited = [game for game in played if game.forfeited]
        assert len(played) == 6
        assert len(forfeited) == games.forfeits["program"] == len(engine.failures) > 0
        assert games.forfeits["random"] == 0
        for game in forfeited:
            assert game.resigned
            assert game.loser == "program"
        assert "has ended" in engine.failures[0]


@pytest.mark.parametrize("swap", [True, False])
def test_a_program_is_told_of_the_swap_rule(swap: bool, tmp_path: Path) -> None:
    game = Hex(4, swap=swap)
    for mode in ("plays", "plain"):  # which knows of no rules
        log = tmp_path / mode
        with HtpPlayer(game, f"{ENGINE} {mode} {log}") as engine:
            assert engine.choose([[]])[0] >= 0
        assert log.read_text() == f"param_game allow_swap {int(swap)}\n"


def test_players_have_the_names_that_they_are_given(tmp_path: Path) -> None:
    run = small_checkpoint(tmp_path / "run")
    small_checkpoint(run, step=9)
    named = expand([f"new={run}", "a=random", f"b=htp:{ENGINE} --x=1", "random"])
    assert [split_name(spec)[0] for spec in named] == ["new/7", "new/9", "a", "b", None]
    assert split_name(f"htp:{ENGINE} --x=1") == (None, f"htp:{ENGINE} --x=1")
    assert split_name("b=htp:mohex --seed=1") == ("b", "htp:mohex --seed=1")
    odd = tmp_path / "lr=0.1"
    odd.mkdir()
    assert split_name(str(odd)) == (None, str(odd))
    with ExitStack() as resources:
        players = make_contestants(named, common_game(named, None, None), resources)
        assert [player.name for player in players] == ["new/7", "new/9", "a", "b", "random"]


def test_a_program_may_be_let_go_at_any_moment() -> None:
    for _ in range(10):
        with HtpPlayer(HEX, ENGINE) as engine:
            assert engine._program is not None
            program = engine._program
        assert not program.reader.is_alive()
        assert program.process.returncode == 0


def test_resigning_loses() -> None:
    with HtpPlayer(HEX, f"{ENGINE} resign") as engine:
        assert engine.choose([[]])[0] == RESIGN
        outcomes, moves, resigned = play_match(HEX, [engine, RandomPlayer(HEX, 0)], np.array([[0, 1], [1, 0]]))
    assert outcomes.tolist() == [[-1, 1], [1, -1]]
    assert resigned.all()
    assert [len(played) for played in moves] == [0, 1]
