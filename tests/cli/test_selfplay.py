"""`hexpipe selfplay` as people run it, with nets that know nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from hexpipe.cli.main import run
from hexpipe.config import load_settings
from hexpipe.games.board_moves import checked_moves, parse_move
from hexpipe.games.factory import make_game
from hexpipe.games.hex import checked_game
from hexpipe.notation.format_conversion import HexGame, read_game, split_games
from tests.arena.checkpoints import small_checkpoint
from tests.processes.forked import forked

ROOT = Path(__file__).parents[2]
EAGER = {"inference__backend": "eager", "inference__dtype": "float32"}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("nets") / "net", **EAGER)


def _games(folder: Path, name: str = "games.jsonl") -> list[HexGame]:
    """Every game of a file, held against the rules: legal, over, won by whom it says."""
    games = [read_game(piece.text) for piece in split_games((folder / name).read_text())]
    for game in games:
        assert game.winner is not None
        assert checked_game(game).notes == ()
        assert checked_game(HexGame(game.size, game.moves)).winner == game.winner
    return games


def _play(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert run(["selfplay", "--json", "--num-workers", "1", *map(str, arguments)]) == 0
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    return summary


def test_games_are_played_saved_and_gone_on_with(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "games"
    arguments = ("--model-path", net, "--batch-size", 3, "--simulations", 4, "--output-dir", folder)
    first = _play(capsys, *arguments, "--num-games", 4)
    games = _games(folder)
    assert first["games"] == first["session_games"] == len(games) == 4
    assert first["wins"] == [sum(game.winning_seat == seat for game in games) for seat in (0, 1)]
    assert first["moves"] == sum(len(game.moves) for game in games)
    assert first["boards"] > first["cache_hits"] + first["cache_repeats"] >= 0
    assert first["opening_boards"] >= 3 * 16
    assert json.loads((folder / "summary.json").read_text()) == first
    assert _games(folder, "games.trmph") == _games(folder, "games.sgf") == games
    lines = [json.loads(line) for line in (folder / "games.jsonl").read_text().splitlines()]
    assert all(1 <= line["opening_plies"] <= 4 for line in lines)

    second = _play(capsys, *arguments, "--num-games", 6)
    assert (second["games"], second["session_games"]) == (6, 2)
    assert _games(folder)[:4] == games
    assert _play(capsys, *arguments, "--num-games", 5)["session_games"] == 0  # they are there already
    assert run(["selfplay", *map(str, arguments), "--seed", "7"]) == 2
    assert "with seed 0, not 7" in capsys.readouterr().err
    assert run(["convert", str(folder / "games.sgf"), "--to", "trmph"]) == 0
    assert capsys.readouterr().out == (folder / "games.trmph").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        {"game.swap": True},
        {"search.root": "puct"},
        {"algorithm": "muzero"},
        {"game.name": "inarow", "game.board_size": 9, "game.view_size": 5, "game.players": 3},
    ],
    ids=["swap", "puct", "muzero", "rows"],
)
def test_every_kind_of_net_plays(kind: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = small_checkpoint(tmp_path / "net", **kind)
    summary = _play(capsys, "--model-path", net, "--num-games", 5, "--batch-size", 2, "--output-dir", tmp_path / "out")
    assert summary["games"] == sum(summary["wins"]) + summary["draws"] == 5
    assert (summary["cache_hit_rate"] is None) == ("algorithm" in kind)
    game = make_game(load_settings("quick", {"game.board_size": 4, **kind}).game)
    for line in (tmp_path / "out" / "games.jsonl").read_text().splitlines():
        moves = [parse_move(game, word) for word in json.loads(line)["moves"]]
        states = checked_moves(game, moves)  # raises on an illegal one
        winner = int(states.winner[0])
        assert json.loads(line)["winning_seat"] == (winner if winner < game.num_seats else None)


def test_the_policy_alone_and_openings_of_a_file(net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openings = tmp_path / "openings.txt"
    openings.write_text("#4,a1\n#4,b2c3\n")
    arguments = ("--model-path", net, "--openings", openings, "--simulations", 0, "--output-dir", tmp_path / "out")
    summary = _play(capsys, *arguments, "--num-games", 20, "--batch-size", 10)
    games = _games(tmp_path / "out")
    begun = [game.moves[: 1 if game.moves[0] == 0 else 2] for game in games]
    assert sorted(begun) == [(0,)] * 10 + [(5, 10)] * 10
    assert len({game.moves for game in games}) == 20 - summary["duplicates"] > 10
    # one evaluation a move: what the search finds of a move is kept for the next
    assert summary["boards"] <= summary["moves"]
    assert summary["opening_boards"] == 0
    assert summary["cache_hits"] + summary["cache_repeats"] >= 18  # games of one opening begin alike


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model-path", "nowhere"], "no checkpoint in nowhere"),
        ([], "--model-path"),
        (["--model-path", "NET", "--openings", "no.txt"], "no file of openings no.txt"),
        (["--model-path", "NET", "--num-games", "0"], "--num-games"),
        (["--model-path", "NET", "--num-workers", "0"], "--num-workers"),
        (["--model-path", "NET", "--batch-size", "0"], "--batch-size"),
        (["--model-path", "NET", "--temperature", "-1"], "--temperature"),
        (["--model-path", "NET", "--opening-plies", "0"], "--opening-plies"),
        (["--model-path", "NET", "--cache-size", "-1"], "--cache-size"),
        (["--model-path", "NET", "--output-dir", "/dev/null/games"], "cannot be written"),
    ],
)
def test_bad_input_ends_with_one_line_and_exit_code_2(
    arguments: list[str], words: str, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["selfplay", *(str(net) if word == "NET" else word for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


class _Command:
    """`hexpipe selfplay` without end, by the policy alone, in a process and a group of its own."""

    def __init__(self, net: Path, folder: Path) -> None:
        self.folder = folder
        words = ["--num-games", "1000000", "--num-workers", "2", "--simulations", "0", "--openings", "random"]
        self.process = psutil.Popen(
            [sys.executable, "-m", "hexpipe.cli.main", "selfplay", "--model-path", net, "--output-dir", folder, *words],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def until_games(self, more: int, timeout: float = 280.0) -> list[psutil.Process]:
        """Wait for ``more`` games; its workers."""
        wanted, deadline = _saved(self.folder) + more, time.monotonic() + timeout
        while _saved(self.folder) < wanted:
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline, "it took too long"
            time.sleep(0.02)
        return forked(self.process)


def _saved(folder: Path) -> int:
    path = folder / "games.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@contextmanager
def _endless(net: Path, folder: Path) -> Iterator[_Command]:
    command = _Command(net, folder)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
            command.process.communicate()


def test_whatever_is_killed_saved_games_stay_whole(net: Path, tmp_path: Path) -> None:
    with _endless(net, tmp_path) as killed:
        workers = killed.until_games(30)
        assert len(workers) == 2
        killed.process.kill()
        killed.process.communicate()
        assert psutil.wait_procs(workers, timeout=100.0)[1] == []
    saved = len(_games(tmp_path))
    assert saved >= 30
    for name in ("games.trmph", "games.sgf"):
        assert saved - 300 < len(_games(tmp_path, name)) <= saved

    with _endless(net, tmp_path) as broken:
        workers = broken.until_games(10)
        workers[0].kill()
        output = broken.process.communicate(timeout=250)[0]
        assert broken.process.returncode == 1
        assert "died and ended the run" in output
        assert "SIGKILL" in output
    games = _games(tmp_path)
    assert len(games) >= saved + 10
    assert _games(tmp_path, "games.trmph") == _games(tmp_path, "games.sgf") == games

    with _endless(net, tmp_path) as interrupted:
        interrupted.until_games(10)
        os.killpg(interrupted.process.pid, signal.SIGINT)
        output = interrupted.process.communicate(timeout=250)[0]
        assert interrupted.process.returncode == 130
        assert "boards" in output
        assert "Traceback" not in output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["interrupted"]
    assert summary["games"] == len(_games(tmp_path)) >= len(games) + 10
