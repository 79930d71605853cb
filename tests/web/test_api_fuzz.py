"""Whatever a visitor sends, the server answers: with what was asked for, or with 4xx and what to do instead.

The short form runs by default; `pytest -m slow tests/web/test_api_fuzz.py` tries as many requests as SLOW_INPUTS says.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytest.importorskip("fastapi")
import uvicorn
from fastapi.testclient import TestClient

from hexpipe.arena.engine import Engine
from hexpipe.games.coordinates import cell_name
from hexpipe.web.refusals import LONGEST_ERROR, MOST_BODY_BYTES
from hexpipe.web.server import make_app
from tests.arena.checkpoints import small_checkpoint

SLOW_INPUTS = 20_000
N, MOST_SIMULATIONS = 4, 16
CELLS = [cell_name(cell, N) for cell in range(N * N)]


class Sent(NamedTuple):
    """A request: ``body`` is sent as it is."""

    method: str
    path: str
    body: bytes
    content_type: str | None = "application/json"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(small_checkpoint(tmp_path_factory.mktemp("run")), swap=True)


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    """A client that raises what the server does not catch."""
    with TestClient(make_app(engine, most_simulations=MOST_SIMULATIONS)) as found:
        yield found


# What is sent

any_text = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates too
numbers = st.integers() | st.floats() | st.sampled_from([-1, 0, 2, 16, 17, 2**31, 2**63, 2**64, 10**30, 1e308])
any_json = st.recursive(
    st.none() | st.booleans() | numbers | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=8,
)
words = (
    st.sampled_from([*CELLS, "swap", "SWAP", "A1", " b2", "e5", "a0", "a01", "a１", "z9", "aa1", "resign", ""])
    | any_text
)
games = st.permutations(CELLS).flatmap(lambda cells: st.integers(0, N * N).map(lambda count: cells[:count]))
swapped = games.map(lambda cells: [*cells[:1], "swap", *cells[1:]])
texts = st.one_of(
    any_text,
    games.map(lambda cells: f"#{N},{''.join(cells)}"),
    st.text('#45,abcd1234:;()[]{}"swrp\\ \n', max_size=40),
    games.map(
        lambda cells: "(;FF[4]GM[11]SZ[4]" + "".join(f";{'BW'[k % 2]}[{cell}]" for k, cell in enumerate(cells)) + ")"
    ),
    st.sampled_from(
        ["(" * 100_000, "[" * 100_000, "#4," + "a1" * 50_000, '{"size": NaN}', "#4,a1:sw:rb", "{}", "9" * 5000]
    ),
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "moves": games | swapped | st.lists(words, max_size=20) | any_json,
        "simulations": st.integers(2, MOST_SIMULATIONS) | any_json,
        "text": texts | any_json,
    },
)
objects = fields | st.tuples(fields, st.dictionaries(any_text, any_json, max_size=2)).map(
    lambda two: {**two[0], **two[1]}
)
whole = (objects | any_json).map(lambda value: json.dumps(value).encode())
raw_text = objects.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
cut = st.tuples(whole, st.integers(0, 200)).map(lambda two: two[0][: -two[1] or None])
large = st.sampled_from([
    b"[" * 200_000,
    b'{"moves":' * 50_000,
    b'{"moves": [' + b'"a1",' * 60_000 + b'"a1"]}',
    b'{"moves": [' + b"1," * 60_000 + b"1]}",
    b'{"simulations": ' + b"9" * 10_000 + b"}",
    b'{"simulations": 1e999, "moves": []}',
    b'{"text": "' + b"a" * 300_000 + b'"}',
    b'{"' + b"k" * 300_000 + b'": 1}',
    b" " * MOST_BODY_BYTES,
    b" " * (MOST_BODY_BYTES + 1),
])  # fmt: skip
questions = st.fixed_dictionaries({"moves": games | swapped, "simulations": st.integers(2, MOST_SIMULATIONS)})
told = st.one_of(questions, st.fixed_dictionaries({"text": texts})).map(lambda value: json.dumps(value).encode())
bodies = st.one_of(told, told, told, whole, whole, raw_text, cut, st.binary(max_size=60), large)
content_types = st.sampled_from(
    [
        *["application/json"] * 8,
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
    ]
)
paths = st.sampled_from(
    [
        *["/api/move", "/api/analyse", "/api/position", "/api/import"] * 8,
        "/api/info",
        "/api/none",
        "/",
        "/pages/%00",
        "/%ff",
    ]
)
methods = st.sampled_from([*["POST"] * 40, "GET", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"])
requests = st.builds(Sent, methods, paths, bodies, content_types)


def check(client: TestClient, sent: Sent) -> None:
    """2xx, or 4xx that says what to do; of a move, one that is free."""
    headers = {} if sent.content_type is None else {"Content-Type": sent.content_type}
    answer = client.request(sent.method, sent.path, content=sent.body, headers=headers)
    assert answer.status_code // 100 in (2, 4), (answer.status_code, answer.text[:200])
    if answer.status_code // 100 == 4:
        if sent.method != "HEAD":
            (error,) = answer.json().items()
            assert error[0] == "error"
            assert 10 < len(error[1]) <= LONGEST_ERROR + 100
    elif (sent.method, sent.path) == ("POST", "/api/move"):
        moves = json.loads(sent.body).get("moves", []) if sent.body else []
        assert answer.json()["move"] not in [str(move).strip().lower() for move in moves]


SHORT = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example]
)
LONG = settings(SHORT, max_examples=SLOW_INPUTS)


@SHORT
@given(requests)
@example(Sent("POST", "/api/move", b'{"simulations": NaN}'))
@example(Sent("POST", "/api/move", b'{"moves": ["\\ud800"]}'))
@example(Sent("POST", "/api/move", b'{"\\ud800": 1}'))
@example(Sent("POST", "/api/move", b"\xff\xfe", None))
@example(Sent("POST", "/api/move", b"[" * 100_000))
@example(Sent("POST", "/api/import", b'{"text": "#4,a1:sw"}'))
def test_any_request_is_answered(client: TestClient, sent: Sent) -> None:
    check(client, sent)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@LONG
@given(requests)
def test_very_many_requests_are_answered(client: TestClient, sent: Sent) -> None:
    check(client, sent)


def test_a_text_of_hex_is_refused_by_another_game(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = small_checkpoint(
        tmp_path_factory.mktemp("run"), game__name="inarow", game__board_size=4, game__win_length=3
    )
    with TestClient(make_app(Engine(folder))) as client:
        answer = client.post("/api/import", json={"text": "#4,a1:s"})
        assert answer.status_code == 400
        assert "Hex alone" in answer.json()["error"]


# The server behind a real socket


@pytest.fixture(scope="module")
def port(engine: Engine) -> Iterator[int]:
    app = make_app(engine, most_simulations=MOST_SIMULATIONS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(200)
        assert not thread.is_alive()


def exchange(port: int, data: bytes) -> bytes:
    """All that comes back for ``data``, after which the sender says that no more will come."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=200) as connection:
        connection.sendall(data)
        with contextlib.suppress(OSError):  # who has refused may have closed already
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                received += part
    return received


def ask(body: bytes, length: int | None = None) -> bytes:
    """POST /api/move on a connection that ends with the answer; ``length`` is what it says of its body."""
    told = len(body) if length is None else length
    head = "POST /api/move HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {told}\r\n\r\n".encode() + body


QUESTION = json.dumps({"moves": ["a1"], "simulations": 4}).encode()
BROKEN = [
    ask(QUESTION, len(QUESTION) + 5),  # breaks off
    ask(QUESTION)[:40],
    ask(b"", 10**18),
    ask(b"{", -1),
    b"POST /api/move HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/move HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",  # TLS
]


def asked_whole(port: int) -> bytes:
    """The answer to a good question, whose sender waits for it."""
    with socket.create_connection(("127.0.0.1", port), timeout=200) as connection:
        connection.sendall(ask(QUESTION))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def assert_answered(answer: bytes) -> None:
    """With 2xx or 4xx, or by hanging up on who broke off."""
    assert not answer or re.match(rb"HTTP/1.1 [24]\d\d ", answer)


@pytest.mark.parametrize("data", BROKEN)
def test_what_breaks_off_and_what_is_no_http(port: int, data: bytes) -> None:
    assert_answered(exchange(port, data))
    assert asked_whole(port).startswith(b"HTTP/1.1 200 ")


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=80) | st.tuples(whole, st.integers(0, 300)).map(lambda two: ask(*two)))
def test_whatever_comes_through_a_socket(port: int, data: bytes) -> None:
    assert_answered(exchange(port, data))
