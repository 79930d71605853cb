"""`hexpipe play-server`: what it prints, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("websockets", reason="hexpipe[play-server] is not installed")

from hexpipe.cli.main import run
from hexpipe.play_server import client
from tests.arena.checkpoints import small_checkpoint
from tests.play_server.fake_server import FakeServer, Talk, whole_match
from tests.play_server.test_client import closed_port


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("run"), inference__backend="eager")


def test_games_as_json_lines(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--games", "2", "--simulations", "4", "--device", "cpu", "--json"]
    with FakeServer(whole_match, whole_match, size=4) as server:
        assert run(["play-server", server.address, str(run_dir), *words]) == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["game"] for line in lines] == [1, 2]
    assert lines[0].keys() == {
        "game", "size", "slot", "side", "first", "opponent", "result", "reason", "moves", "seconds",
    }  # fmt: skip
    assert lines[0]["size"] == 4
    assert all(line["result"] in ("won", "lost") for line in lines)
    assert err == ""


def test_games_in_words(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeServer(whole_match, size=5) as server:
        words = ["--simulations", "4", "--device", "cpu", "--size", "5"]
        assert run(["play-server", server.address.replace("ws:", "http:"), str(run_dir), *words]) == 0
    out, err = capsys.readouterr()
    assert "red, left to right" in out
    assert err.startswith("game 1: ")
    assert "as red, first, after" in err
    assert "against somebody (connected_sides)" in err


def test_a_server_that_is_down(
    run_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WAITS", (0.01,))
    assert run(["play-server", closed_port(), str(run_dir), "--device", "cpu", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("hexpipe: ws://127.0.0.1:")
    assert "2 failures in a row" in last


@pytest.mark.parametrize(("words", "said"), [
    (["localhost:8000"], "ws://HOST:PORT"),
    (["ws://127.0.0.1:1", "/no/such/run"], "/no/such/run"),
    (["ws://127.0.0.1:1", "--size", "28"], "3 to 27"),
    (["ws://127.0.0.1:1", "--size", "2"], "3"),
    (["ws://127.0.0.1:1", "--games", "-1"], "--games"),
])  # fmt: skip
def test_what_is_refused_before_anybody_is_asked(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["play-server", *words, "--device", "cpu"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert said in err[-1]
    assert len(err) <= 2, "the net in the box may be told of first"


def test_a_board_that_the_server_does_not_have(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuses(talk: Talk) -> None:
        talk.refuse("Unsupported board size")

    with FakeServer(refuses) as server:
        assert run(["play-server", server.address, str(run_dir), "--device", "cpu"]) == 2
    assert "refuses a match on 4x4: Unsupported board size" in capsys.readouterr().err


def test_a_net_of_another_game(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = small_checkpoint(tmp_path, game__name="inarow")
    assert run(["play-server", "ws://127.0.0.1:1", str(other), "--device", "cpu"]) == 2
    assert "name a checkpoint of Hex" in capsys.readouterr().err


def test_without_its_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "websockets.exceptions", None)
    monkeypatch.delitem(sys.modules, "hexpipe.play_server.client")
    assert run(["play-server", "ws://127.0.0.1:1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs websockets" in line
    assert line.endswith("-m pip install websockets")
