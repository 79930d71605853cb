"""The server as a process behind a socket: whatever visitors do, a signal ends it, and nobody keeps others out."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
from hexpipe.cli.main import run as run_command
from hexpipe.config import dump_settings, load_settings
from hexpipe.web.guard import SECURITY_HEADERS

LONG = 200  # seconds: what would be waited for where something is broken
SERVER = """
import resource, signal, sys, threading, time
from pathlib import Path
from types import SimpleNamespace
from hexpipe.games.hex import Hex
from hexpipe.web import listening
from hexpipe.web.hosts import hosts_of
from hexpipe.web.server import make_app

def search(positions, simulations, **limits):
    print("searches", flush=True)
    time.sleep(1000)

def tell_how_many_wait():
    for _ in sys.stdin:
        print(app.state.searches.waiting, flush=True)

engine = SimpleNamespace(game=Hex(3), analyse=search)
for change in sys.argv[2:]:
    name, value = change.split("=")
    setattr(listening, name, float(value) if "." in value else int(value))
with listening.open_listener("localhost", 0) as listener:
    app = make_app(engine, Path(sys.argv[1]), most_waiting=4, hosts=hosts_of("localhost"))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=tell_how_many_wait, daemon=True).start()
    listening.serve(app, listener)
"""


class Server:
    """A server whose searches never end and cannot be stopped."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def waiting(self) -> int:
        """How many searches wait for the one that is under way."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.line())

    def send(self, data: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=LONG)
        with contextlib.ExitStack() as unless_sent:
            unless_sent.enter_context(connection)
            connection.sendall(data)
            unless_sent.pop_all()
        return connection

    def ask(self, data: bytes) -> bytes:
        """All that comes back until the server hangs up."""
        with self.send(data) as connection:
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def end(self, number: int) -> float:
        """Seconds until the process has died of ``number``."""
        began = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(LONG) == -number
        return time.monotonic() - began


@contextmanager
def served(run: Path, *changes: str) -> Iterator[Server]:
    command = [sys.executable, "-P", "-c", SERVER, str(run), *changes]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "settings.json").write_text(dump_settings(load_settings()))
    with (folder / "metrics.jsonl").open("w") as lines:
        for k in range(2000):
            lines.write(json.dumps({"time": k, **{f"figure-{f}": k + f / 7 for f in range(40)}}) + "\n")
    return folder


def request(path: str = "/dashboard", method: str = "GET", body: bytes = b"", length: int | None = None) -> bytes:
    told = len(body) if length is None else length
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {told}\r\n\r\n".encode() + body


HALF_A_BODY = request("/api/move", "POST", b"{", 100)
SEARCH = request("/api/move", "POST", b"{}")
WATCH = (
    b"GET /api/run/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def test_a_signal_ends_it_whatever_visitors_do(run: Path) -> None:
    """Bodies that do not come, searches under way and waiting, watchers and readers who read nothing, no question."""
    with served(run) as server, contextlib.ExitStack() as open_:
        search = open_.enter_context(server.send(SEARCH))
        assert server.line() == "searches\n"
        waiting = open_.enter_context(server.send(SEARCH))
        for data in (HALF_A_BODY, HALF_A_BODY[:40], WATCH, request("/api/run/metrics") * 50, b""):
            open_.enter_context(server.send(data))
        assert b" 200 OK" in server.ask(request())
        took = server.end(signal.SIGTERM)
        assert took < 60  # 4 s on a machine that has nothing else to do; without an end of its own, 1,000 s
        for refused in (search, waiting):
            assert refused.recv(65536).startswith(b"HTTP/1.1 503 ")


def test_a_second_signal_ends_it_at_once(run: Path) -> None:
    with served(run, "PATIENCE_SECONDS=1000", "END_SECONDS=1000.0") as server, server.send(HALF_A_BODY):
        assert b" 200 OK" in server.ask(request())
        server.process.send_signal(signal.SIGTERM)
        refused = False
        while not refused:  # it has begun to end
            assert server.process.poll() is None
            try:
                server.send(b"").close()
            except ConnectionError:
                refused = True
        server.end(signal.SIGINT)


def test_a_signal_that_was_ignored_stays_ignored(run: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with served(run) as server:
            signal.signal(signal.SIGINT, before)
            server.process.send_signal(signal.SIGINT)
            for _ in range(5):
                assert b" 200 OK" in server.ask(request())
                time.sleep(0.1)
            server.end(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_visitors_who_have_gone_take_nobody_s_place(run: Path) -> None:
    with served(run) as server:
        first = server.send(SEARCH)
        assert server.line() == "searches\n"
        with contextlib.ExitStack() as waiting:
            for _ in range(4):
                waiting.enter_context(server.send(SEARCH))
            _until(lambda: server.waiting() == 4)  # else the next one may be before one of these
            assert b" 503 " in server.ask(SEARCH)
        _until(lambda: server.waiting() == 0)
        with server.send(SEARCH):  # there is room again
            _until(lambda: server.waiting() == 1)
        first.close()


def test_who_says_nothing_is_hung_up_on(run: Path) -> None:
    with served(run, "HEAD_SECONDS=0.2") as server:
        for data in (b"", request()[:30]):
            assert server.ask(data) == b""
        with server.send(request().replace(b"close", b"keep-alive")) as connection:
            answer = connection.recv(65536)
            assert b" 200 OK" in answer
            while not answer.endswith(b"</html>\n"):  # head and body may come as two
                answer += connection.recv(65536)
            connection.sendall(request()[:30])  # the next one does not come
            assert connection.recv(65536) == b""
        with server.send(WATCH) as watcher:  # one who is told something stays
            for _ in range(3):
                assert watcher.recv(65536)


def test_too_many_connections_are_told_so(run: Path) -> None:
    with served(run, "MOST_CONNECTIONS=5") as server:
        with contextlib.ExitStack() as held:
            for _ in range(5):
                held.enter_context(server.send(b"")).settimeout(LONG)
            _until(lambda: server.ask(b"").startswith(b"HTTP/1.1 503 "))
        _until(lambda: b" 200 OK" in server.ask(request()))


def test_what_is_no_http_is_told_so_and_curves_are_packed(run: Path) -> None:
    with served(run) as server:
        for data in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"x" * 70_000):
            answer = server.ask(data)
            assert answer.startswith(b"HTTP/1.1 400 ")
            for name, value in SECURITY_HEADERS.items():
                assert f"{name}: {value}".lower().encode() in answer.lower()
        head = server.ask(request("/pages/board.js", "HEAD"))
        assert head.startswith(b"HTTP/1.1 200 ")
        assert head.endswith(b"\r\n\r\n")
        assert int(re.findall(rb"content-length: (\d+)", head)[0]) > 1000

        plain = server.ask(request("/api/run/metrics"))
        packed = server.ask(request("/api/run/metrics").replace(b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n"))
        assert b"content-encoding: gzip" in packed
        assert b"vary: accept-encoding" in plain.lower()
        assert len(packed) < 0.6 * len(plain)


@pytest.mark.parametrize(("options", "words"), [
    (["--host", ""], "--host is empty"),
    (["--host", " "], "--host is empty"),
    (["--host", "a" * 80], "cannot listen on"),
    (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1:8000"),
    (["--host", "2001:db8::1"], "cannot listen on [2001:db8::1]:8000"),
    (["--allow-host", "http://play.example"], "'http://play.example' is no host"),
])  # fmt: skip
def test_what_cannot_be_listened_on(
    run: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    (run / "lock").touch()
    assert run_command(["serve", str(run), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="needs IPv6")
def test_the_command_listens_on_either_kind_of_address(run: Path) -> None:
    (run / "lock").touch()
    command = [sys.executable, "-P", "-m", "hexpipe", "serve", str(run), "--host", "::1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "no checkpoint" in process.stdout.readline()
            found = re.search(r"http://\[::1\]:(\d+)/ ", process.stdout.readline())
            assert found
            with socket.create_connection(("::1", int(found[1])), timeout=LONG) as connection:
                connection.sendall(request("/dashboard").replace(b"localhost", f"[::1]:{found[1]}".encode()))
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            process.send_signal(signal.SIGINT)
            assert process.wait(LONG) == 130
        finally:
            process.kill()


def _until(true: object) -> None:
    assert callable(true)
    end = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
