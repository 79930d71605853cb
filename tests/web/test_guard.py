"""Who may ask the server, and the headers that every answer has, whatever it answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from hexpipe.arena.engine import Engine
from hexpipe.config import dump_settings, load_settings
from hexpipe.errors import UsageError
from hexpipe.web.guard import SECURITY_HEADERS
from hexpipe.web.hosts import LOOPBACK, Hosts, host_of, host_of_origin, hosts_of
from hexpipe.web.refusals import MOST_BODY_BYTES
from hexpipe.web.server import make_app
from tests.arena.checkpoints import small_checkpoint

LIVE = "ws://localhost/api/run/live"  # the client has its own host for websockets


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "settings.json").write_text(dump_settings(load_settings()))
    (folder / "metrics.jsonl").write_text('{"time": 1, "games": 5}\n')
    return folder


@pytest.fixture(scope="module")
def client(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    engine = Engine(small_checkpoint(tmp_path_factory.mktemp("net")))
    app = make_app(engine, run, hosts=hosts_of("127.0.0.1", ["play.example"]))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as found:
        yield found


# Names


@pytest.mark.parametrize(("authority", "host"), [
    ("localhost", "localhost"),
    ("LocalHost:8000", "localhost"),
    ("localhost.", "localhost"),
    ("127.0.0.1:80", "127.0.0.1"),
    ("[::1]", "::1"),
    ("[0:0:0:0:0:0:0:1]:8000", "::1"),
    ("my_box-2.example:1", "my_box-2.example"),
    ("", None),
    (":8000", None),
    ("::1", None),
    ("[::1", None),
    ("[zz]", None),
    ("[127.0.0.1]:1x", None),
    ("user@localhost", None),
    ("localhost/x", None),
    ("localhost evil.example", None),
    ("localhost:80:80", None),
    ("localhost\n", None),
    ("ｌocalhost", None),
    ("..", None),
])  # fmt: skip
def test_the_host_of_a_header(authority: str, host: str | None) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(("origin", "host"), [
    ("http://localhost:8000", "localhost"),
    ("https://[::1]:8000", "::1"),
    ("HTTPS://Play.Example", "play.example"),
    ("null", None),
    ("", None),
    ("file://", None),
    ("http://localhost/", None),
    ("http://localhost@evil.example", None),
    ("chrome-extension://localhost", None),
])  # fmt: skip
def test_the_host_of_an_origin(origin: str, host: str | None) -> None:
    assert host_of_origin(origin) == host


def test_whom_a_server_answers_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box.lan.example")
    assert hosts_of("127.0.0.1") == Hosts(LOOPBACK)
    assert hosts_of("[::1]") == Hosts(LOOPBACK)
    assert hosts_of("192.0.2.7").allow("192.0.2.7")
    assert not hosts_of("192.0.2.7").allow("192.0.2.8")
    assert not hosts_of("192.0.2.7").allow("box.lan.example")
    for everywhere in ("0.0.0.0", "::", "[::]", "0:0::0"):
        found = hosts_of(everywhere)
        for host in ("192.0.2.7", "2001:db8::1", "box", "box.lan.example", "localhost"):
            assert found.allow(host)
        for host in ("evil.example", "box.evil.example", "", None):
            assert not found.allow(host)
    more = hosts_of("127.0.0.1", ["Play.Example:443", "2001:db8::2", "[2001:db8::3]:1"])
    assert more.names - LOOPBACK == {"play.example", "2001:db8::2", "2001:db8::3"}
    for bad in ("https://play.example", "", "*", "a b", "play.example/x"):
        with pytest.raises(UsageError, match="is no host"):
            hosts_of("127.0.0.1", [bad])


# Questions


@pytest.mark.parametrize(
    "path", ["/", "/dashboard", "/api", "/api/info", "/pages/board.js", "/openapi.json", "/api/none"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_a_host_that_is_not_allowed(client: TestClient, method: str, path: str) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "127.1", "192.0.2.7", "localhost,evil.example", ""):
        answer = client.request(method, path, headers={"Host": host})
        assert answer.status_code == 421
        assert method == "HEAD" or "--allow-host" in answer.json()["error"]
    for host in ("localhost:1", "127.0.0.1", "[::1]:8000", "play.example"):
        assert client.request(method, path, headers={"Host": host}).status_code != 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example", "x", "http://"])
def test_a_page_of_another_site(client: TestClient, origin: str) -> None:
    """It reads no run, and has nothing searched; its GET is answered, and its browser keeps the answer from it."""
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(LIVE, headers={"Origin": origin}):
        pass
    assert refused.value.status_code == 403
    assert refused.value.headers["Cache-Control"] == "no-store"
    asked = client.post("/api/move", json={"simulations": 2}, headers={"Origin": origin})
    assert (asked.status_code, "another site" in asked.text) == (403, True)
    shown = client.get("/api/info", headers={"Origin": origin})
    assert shown.status_code == 200
    assert "access-control-allow-origin" not in shown.headers


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost:9"}, {"Origin": "https://play.example"}])
def test_a_program_and_a_page_of_its_own(client: TestClient, headers: dict[str, str]) -> None:
    with client.websocket_connect(LIVE, headers=headers) as socket:
        assert socket.receive_json()["title"] == "Hex 5x5"
    assert client.post("/api/move", json={"simulations": 2}, headers=headers).status_code == 200


def test_a_websocket_by_another_name_or_elsewhere(client: TestClient) -> None:
    for host, path, status in (("evil.example", "run/live", 421), ("localhost", "none", 404)):
        address, headers = f"ws://{host}/api/{path}", {"Origin": f"http://{host}"}
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(address, headers=headers):
            pass
        assert refused.value.status_code == status
        assert refused.value.headers["X-Content-Type-Options"] == "nosniff"


# Answers

ASKED = [
    ("GET", "/", None, 200),
    ("GET", "/dashboard", None, 200),
    ("GET", "/api", None, 200),
    ("GET", "/openapi.json", None, 200),
    ("GET", "/pages/board.js", None, 200),
    ("GET", "/pages/hexpipe.css", None, 200),
    ("GET", "/pages", None, 307),  # a folder
    ("GET", "/pages/none", None, 404),
    ("GET", "/api/run/metrics", None, 200),
    ("GET", "/none", None, 404),
    ("POST", "/", b"", 405),
    ("OPTIONS", "/api/move", b"", 405),
    ("POST", "/api/move", b"{", 422),
    ("POST", "/api/move", b'{"moves": ["z9"]}', 400),
    ("POST", "/api/move", b" " * (MOST_BODY_BYTES + 1), 413),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), ASKED)
def test_headers_of_every_answer(client: TestClient, method: str, path: str, body: bytes | None, status: int) -> None:
    told = {"Content-Type": "application/json"}
    answer = client.request(method, path, content=body, headers=told, follow_redirects=False)
    assert answer.status_code == status
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    page = "etag" in answer.headers
    assert answer.headers["Cache-Control"] == ("no-cache" if page else "no-store")
    assert page == (status == 200 and (path.startswith("/pages") or path in ("/", "/dashboard", "/api")))


def test_headers_of_a_failure_and_of_what_has_not_changed(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/pages/board.js")
    again = client.get("/pages/board.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.headers["Cache-Control"]) == (304, "no-cache")
    monkeypatch.setattr("hexpipe.web.server.Position", lambda *_: 1 / 0)
    failed = client.post("/api/position", json={})
    assert failed.status_code == 500
    for answer in (again, failed):
        assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize("path", [path for method, path, _, _ in ASKED if method == "GET"])
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    got = client.get(path, follow_redirects=False)
    head = client.head(path, follow_redirects=False)
    assert head.status_code == got.status_code
    assert head.content == b""
    assert dict(head.headers) == dict(got.headers)


def test_head_of_what_is_only_asked(client: TestClient) -> None:
    assert client.head("/api/move").status_code == 405
    assert client.post("/api/info").headers["Allow"] == "GET, HEAD"
