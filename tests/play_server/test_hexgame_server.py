"""The real hexgame-server with its own bots, in an environment of their own: whole games without an error.

They cannot share hexpipe's: hexgame 0.4.3 wants websockets below 12. HEXGAME_BIN names the folder of their commands.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("websockets", reason="hexpipe[play-server] is not installed")

from websockets.sync.client import connect

from hexpipe.errors import UsageError
from hexpipe.play_server import client
from hexpipe.play_server.client import GameResult, play_games
from tests.play_server.test_client import Careful, Listener
from tests.refusals import refused

ROOT = Path(__file__).parents[2]
SERVER, BOT = (shutil.which(name, path=os.environ.get("HEXGAME_BIN", os.environ["PATH"])) for name in (
    "hexgame-server", "hexgame"
))  # fmt: skip
INSTALL = (
    "python3 -m venv games && games/bin/pip install hexgame==0.4.3 hexgame-server==0.4.3, then HEXGAME_BIN=games/bin"
)
needs_server = pytest.mark.skipif(SERVER is None, reason=f"hexgame-server is not found: {INSTALL}")
needs_bot = pytest.mark.skipif(SERVER is None or BOT is None, reason=f"hexgame is not found: {INSTALL}")

pytestmark = needs_server
BOTS = {
    "random": ["random", "--seed"],
    "first": ["play", "--replay-log", "off", "--username", "bot", "--model-name", "model_first", "--seed"],
}


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "WAITS", (0.1, 0.2, 0.4))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
    return port


class Server:
    """A server process, which keeps places for a short time."""

    def __init__(self, folder: Path, port: int, keeps: int = 2) -> None:
        self.port, self.address = port, f"ws://127.0.0.1:{port}"
        environment = {**os.environ, "HEX_RECONNECT_TIMEOUT": str(keeps), "MAX_SLOTS": "64"}
        command = [str(SERVER), "--port", str(port), "--log-level", "warning"]
        with (folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 200
        while True:
            try:
                self.ask("/health")
                return
            except OSError:
                assert self.process.poll() is None, "the server does not start"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.2)

    def ask(self, path: str) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(folder: Path, keeps: int = 2) -> Iterator[Server]:
    server = Server(folder, free_port(), keeps)
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as server:
        yield server


@contextmanager
def bot(server: Server, kind: str, seed: int, size: int = 7, series: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(BOT), *BOTS[kind], str(seed), "--server", server.address, "--board-size", str(size)]
    command += ["--series-length", str(series), "--move-delay", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.kill()


def waiting(server: Server) -> bool:
    return any(slot["state"] == "waiting" for slot in server.ask("/slots"))


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def net_against_bots(server: Server, games: int, net_first: bool, command: list[str]) -> list[dict[str, Any]]:
    """The JSON lines of games of ``command`` with each of the bots in turn. Who joins first is red; after the first
    game the net may be there sooner than the next bot even where it should not be."""
    lines = []
    with ExitStack() as resources:
        bots = []

        def start_bot(number: int) -> None:
            bots.append(resources.enter_context(bot(server, list(BOTS)[number % 2], number)))

        if not net_first:
            start_bot(0)
            wait_until(lambda: waiting(server))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        net = subprocess.Popen(
            [*command, "--games", str(games)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        resources.callback(net.kill)
        assert net.stdout is not None
        for number in range(games):
            if len(bots) == number:
                wait_until(lambda: waiting(server))
                start_bot(number)
            if not net_first and number + 1 < games:
                wait_until(lambda: not waiting(server))
                start_bot(number + 1)
            lines.append(json.loads(net.stdout.readline()))
        _, said = net.communicate(timeout=60)
        assert net.returncode == 0
        assert [line for line in said.splitlines() if "box" not in line] == [], "nothing went wrong"
    return lines


def check_games(tmp_path: Path, games: int) -> None:
    """The net in the box wins all of its games against bots that play at random or the first empty cell."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "hexpipe.cli.main",
        "play-server",
        "--size",
        "7",
        "--json",
        "--device",
        "cpu",
    ]
    command += ["--simulations", "16", "--name", "tested"]
    lines = []
    with serving(tmp_path) as server:
        for net_first in (True, False):
            lines += net_against_bots(server, games // 2, net_first, [*command, server.address])
    assert Counter(line["result"] for line in lines) == {"won": games}
    assert Counter(line["reason"] for line in lines) == {"connected_sides": games}
    assert {line["side"] for line in lines} == {"red", "blue"}
    for line in lines:
        assert line["first"] == (line["side"] == "red")
        assert line["moves"] == list(dict.fromkeys(line["moves"]))
        assert len(line["moves"]) % 2 == line["first"], "the winner has the last stone"
    print(Counter((line["side"], line["opponent"]) for line in lines))  # noqa: T201
    print("moves a game", sum(len(line["moves"]) for line in lines) / games)  # noqa: T201
    assert {line["opponent"] for line in lines} <= {"random_client", "bot model_first"}


@needs_bot
def test_two_games_with_the_servers_own_bots(tmp_path: Path) -> None:
    check_games(tmp_path, 2)


@needs_bot
@pytest.mark.slow
def test_twenty_games_with_the_servers_own_bots(tmp_path: Path) -> None:
    check_games(tmp_path, 20)


class Player(threading.Thread):
    """`play_games` in a thread, with moves at random; ``before`` is called before each."""

    def __init__(self, server: Server, seed: int, before: Callable[[], object] = lambda: None, **options: Any) -> None:
        super().__init__(daemon=True)
        self.listener, self.error = Listener(), list[BaseException]()
        self._work = partial(play_games, server.address, Careful(seed, before), self.listener, size=7, **options)
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - the test asks for it
            self.error.append(error)

    def results(self) -> list[GameResult]:
        self.join(300)
        assert not self.is_alive(), (self.listener.notes, self.listener.states)
        return self.listener.results


def test_two_of_us_play_a_match_of_three(server: Server) -> None:
    """Who begins changes, and both see the same games."""
    one = Player(server, 1, series=3)
    wait_until(lambda: waiting(server))
    two = Player(server, 2, series=3)
    games = one.results(), two.results()
    assert one.error == two.error == []
    assert one.listener.notes == two.listener.notes == []
    assert len(games[0]) == len(games[1]) >= 2
    for number, (ours, theirs) in enumerate(zip(*games, strict=True)):
        assert (ours.side, theirs.side) == ("red", "blue")
        assert ours.first == (number % 2 == 0)
        assert ours.moves == theirs.moves
        assert {ours.result, theirs.result} == {"won", "lost"}


class Cut:
    """Cuts the connection of the player in whose thread it is called, at some of the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *calls: int) -> None:
        self._made = threading.local()
        self._calls, self._count = calls, 0

        def noted(*arguments: Any, **options: Any) -> Any:
            self._made.connection = connect(*arguments, **options)
            return self._made.connection

        monkeypatch.setattr(client, "connect", noted)

    def __call__(self) -> None:
        self._count += 1
        if self._count in self._calls:
            self._made.connection.socket.shutdown(socket.SHUT_RDWR)


def test_the_server_lets_us_back_into_the_match_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.4.3 changes the token when it has been used, and tells nobody. The opponent waits both times."""
    with serving(tmp_path, keeps=20) as server:
        one = Player(server, 1, Cut(monkeypatch, 3))
        wait_until(lambda: waiting(server))
        two = Player(server, 2)
        (ours,), (theirs,) = one.results(), two.results()
        assert ours.moves == theirs.moves
        assert {ours.result, theirs.result} == {"won", "lost"}
        assert one.listener.notes[-1] == "back in the match"
    with serving(tmp_path, keeps=2) as server:
        one = Player(server, 1, Cut(monkeypatch, 3, 5))
        wait_until(lambda: waiting(server))
        two = Player(server, 2)
        (ours,), (theirs,) = one.results(), two.results()
    assert (ours.result, theirs.result) == ("unfinished", "unfinished")
    assert ours.reason == "not let back in: Invalid reconnect token"
    assert theirs.reason == "the opponent left"


def test_a_server_that_goes_down_in_a_game_and_one_that_comes_back_without_it(tmp_path: Path) -> None:
    calls = 0

    def before() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            server.end()

    with serving(tmp_path) as server:
        one = Player(server, 1, before)
        wait_until(lambda: waiting(server))
        two = Player(server, 2)
        assert [result.result for result in (*one.results(), *two.results())] == ["unfinished"] * 2
        for player in (one, two):
            assert [type(error) for error in player.error] == [UsageError]
            assert "4 failures in a row" in str(player.error[0])


def test_boards_and_matches_that_this_server_does_not_have(server: Server) -> None:
    with refused(UsageError, "Unsupported board size", "5x5", kind="foreign"):
        play_games(server.address, Careful(), Listener(), size=5)
    with refused(UsageError, "Unsupported series length", kind="foreign"):
        play_games(server.address, Careful(), Listener(), size=7, series=2)
    with refused(UsageError, "403", kind="foreign"):
        play_games(f"{server.address}/elsewhere", Careful(), Listener(), size=7)


def test_ctrl_c_resigns_and_ends_with_130(server: Server) -> None:
    command = [sys.executable, "-P", "-m", "hexpipe.cli.main", "play-server", server.address, "--size", "7"]
    command += ["--seconds", "600", "--device", "cpu", "--games", "0"]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as net:
        wait_until(lambda: waiting(server))
        two = Player(server, 2)
        wait_until(lambda: any(slot["state"] == "full" for slot in server.ask("/slots")))
        time.sleep(3)  # until it thinks
        net.send_signal(signal.SIGINT)
        out, said = net.communicate(timeout=200)
    assert net.returncode == 130, said
    assert said.splitlines()[-1] == "hexpipe: interrupted"
    assert "game 1: unfinished as red, first, after 0 moves against hexpipe (interrupted)" in said
    assert "Traceback" not in said
    assert "red, left to right" in out
    (theirs,) = two.results()
    assert (theirs.result, theirs.reason) == ("won", "resignation")
