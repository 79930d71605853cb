"""The JSON API: a game from start to end, every bad input a clear 4xx, a full queue a 503, watchers of a run."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

from hexpipe.arena.analysis import Analysis
from hexpipe.arena.engine import Engine
from hexpipe.web.refusals import MOST_BODY_BYTES
from hexpipe.web.server import PAGES, make_app
from tests.arena.checkpoints import small_checkpoint


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(small_checkpoint(tmp_path_factory.mktemp("run")), swap=True)


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(make_app(engine, most_simulations=200)) as found:
        yield found


def test_a_whole_game_through_the_api(client: TestClient) -> None:
    moves: list[str] = []
    while True:
        position = client.post("/api/position", json={"moves": moves}).json()
        assert position["moves"] == moves
        if position["winner"] is not None:
            break
        assert position["to_move"] == len(moves) % 2 if "swap" not in moves else True
        answer = client.post("/api/move", json={"moves": moves, "simulations": 8}).json()
        assert answer["simulations"] <= 8
        assert 0 <= answer["win_probability"] <= 1
        assert sum(answer["policy"].values()) == pytest.approx(1)
        moves.append(answer["move"])
    assert position["outcome"] in ([1, -1], [-1, 1])
    assert position["to_move"] is None
    for form in position["texts"].values():
        again = client.post("/api/import", json={"text": form}).json()
        assert again["moves"] == moves
    over = client.post("/api/move", json={"moves": moves})
    assert over.status_code == 400
    assert "over" in over.json()["error"]


def test_an_analysis_names_moves_and_variations(client: TestClient) -> None:
    found = client.post("/api/analyse", json={"moves": ["b2"], "simulations": 50}).json()
    assert found["to_move"] == 1
    assert found["simulations"] == 50
    assert sum(found["policy"].values()) == pytest.approx(1, abs=0.01)
    assert "swap" in found["policy"]
    assert sum(move["visits"] for move in found["moves"]) == 50
    for move in found["moves"]:
        assert move["variation"][0] == move["move"]


def test_a_position_goes_in_is_played_on_and_goes_out(client: TestClient) -> None:
    text = "(;FF[4]GM[11]SZ[4];AB[a1][b1][c1]AW[d4]PL[W];W[a2])"
    position = client.post("/api/import", json={"text": text}).json()
    start = {"black": ["a1", "b1", "c1"], "white": ["d4"], "to_move": "white"}
    assert (position["start"], position["moves"], position["colour"]) == (start, ["a2"], 0)
    assert list(position["texts"]) == ["sgf"]
    assert client.post("/api/import", json={"text": position["texts"]["sgf"]}).json() == position
    assert client.post("/api/position", json={"start": start, "moves": ["a2"]}).json() == position
    found = client.post("/api/analyse", json={"start": start, "moves": [], "simulations": 8}).json()
    assert found["to_move"] == 1
    assert {"a1", "b1", "c1", "d4"}.isdisjoint(found["policy"])
    move = client.post("/api/move", json={"start": start, "moves": ["a2"], "simulations": 8}).json()["move"]
    assert client.post("/api/position", json={"start": start, "moves": ["a2", move]}).json()["moves"][1] == move
    assert client.post("/api/position", json={"moves": ["a1"]}).json()["start"] is None
    for bad, words in (
        ({"black": ["a1"], "white": ["a1"]}, "two stones stand on a1"),
        ({"black": ["a1", "a2", "a3", "a4"]}, "already won"),
        ({"black": ["z9"]}, "z9"),
    ):
        answer = client.post("/api/position", json={"start": bad})
        assert answer.status_code == 400
        assert words in answer.json()["error"]


def test_info_says_what_is_served(client: TestClient, engine: Engine) -> None:
    facts = client.get("/api/info").json()["engine"]
    assert facts["title"] == "Hex 4x4 with swap"
    assert facts["most_simulations"] == 200
    assert facts["checkpoint"] == str(engine.checkpoint.path)


@pytest.mark.parametrize(("path", "body", "status", "words"), [
    ("/api/position", {"moves": ["z9"]}, 400, "z9"),
    ("/api/position", {"moves": ["a1", "a1"]}, 400, "taken"),
    ("/api/position", {"moves": ["swap"]}, 400, "swap"),
    ("/api/position", {"moves": "a1"}, 422, "list"),
    ("/api/position", {"moves": [1]}, 422, "string"),
    ("/api/position", {"moves": ["a1"], "else": 1}, 422, "else"),
    ("/api/position", {"moves": ["a" * 17]}, 422, "16"),
    ("/api/move", {"moves": [], "simulations": 1}, 422, "greater"),
    ("/api/move", {"moves": [], "simulations": 201}, 400, "200"),
    ("/api/import", {"text": "#4,a1a1"}, 400, "twice"),
    ("/api/import", {"text": "#5,a1"}, 400, "5x5"),
    ("/api/import", {"text": "(;GM[1])"}, 400, "GM"),
    ("/api/import", {"text": "x"}, 400, "x"),
])  # fmt: skip
def test_bad_input_is_said(client: TestClient, path: str, body: Any, status: int, words: str) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status
    assert words in answer.text


def test_what_is_no_json_and_what_is_too_long(client: TestClient) -> None:
    assert client.post("/api/move", content=b"{").status_code == 422
    assert client.post("/api/move", content=b" " * (MOST_BODY_BYTES + 1)).status_code == 413

    def parts() -> Iterator[bytes]:
        for _ in range(200):
            yield b" " * 10_000

    assert client.post("/api/move", content=parts()).status_code == 413  # without a length before it
    assert client.get("/api/nothing").status_code == 404
    assert client.get("/pages/../server.py").status_code == 404
    assert "access-control-allow-origin" not in client.get("/api/info", headers={"Origin": "http://x"}).headers


class _SlowEngine:
    """An engine that searches when it is told to, and remembers how many positions it had together."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.go = threading.Event()
        self.together: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def analyse(self, positions: Sequence[Sequence[int]], simulations: int, **limits: Any) -> list[Analysis]:
        self.together.append(len(positions))
        self.go.wait(200)
        return self._engine.analyse(positions, simulations)


def test_searches_that_wait_go_together_and_too_many_are_refused(engine: Engine) -> None:
    slow = _SlowEngine(engine)
    with TestClient(make_app(slow, most_waiting=4)) as client, ThreadPoolExecutor(8) as pool:  # type: ignore[arg-type]
        body = {"moves": [], "simulations": 4}
        first = pool.submit(client.post, "/api/move", json=body)
        while not slow.together:
            time.sleep(0.01)
        others = [pool.submit(client.post, "/api/move", json=body) for _ in range(4)]
        while client.app.state.searches.waiting < 4:  # type: ignore[attr-defined]
            time.sleep(0.01)
        refused = client.post("/api/move", json=body)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"]
        slow.go.set()
        answers = [future.result() for future in (first, *others)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert slow.together == [1, 4]


def test_a_search_that_fails_is_told_and_the_next_one_works(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with TestClient(make_app(engine), raise_server_exceptions=False) as client:
        with monkeypatch.context() as patch:
            patch.setattr(engine, "analyse", lambda *_, **__: 1 / 0)
            assert client.post("/api/move", json={"moves": []}).status_code == 500
        assert client.post("/api/move", json={"moves": [], "simulations": 4}).status_code == 200


def test_the_api_describes_itself(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert {"/api/move", "/api/analyse", "/api/position", "/api/import", "/api/info"} <= document["paths"].keys()
    assert client.get("/api").status_code == 200


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.*")), ids=lambda page: page.name)
def test_pages_load_nothing_from_elsewhere(page: Path) -> None:
    """No network is needed but this server's: only what a person clicks may lead elsewhere."""
    loaded = re.findall(r"""(?:src=|href=|import .*? from |fetch\(|url\()\s*["'`(]?([^"'`)\s>]+)""", page.read_text())
    assert [address for address in loaded if "//" in address and not address.startswith("https://hexworld.org")] == []


def test_a_run_without_a_net_has_its_page_alone(tmp_path: Path) -> None:
    from hexpipe.config import dump_settings, load_settings

    (tmp_path / "settings.json").write_text(dump_settings(load_settings()))
    (tmp_path / "metrics.jsonl").write_text('{"time": 1, "loss": 2.0}\n{"time": 2, "games": 5}\n{"time": 3')
    with TestClient(make_app(None, tmp_path)) as client:
        assert client.post("/api/move", json={}).status_code == 404
        state = client.get("/api/run/state").json()
        assert not state["alive"]
        assert state["figures"] == {"time": 2, "games": 5}
        assert client.get("/api/run/metrics").json() == {"games": [None, 5], "loss": [2.0, None], "time": [1, 2]}
        assert client.get("/api/run/games").json() == []
        with client.websocket_connect("/api/run/live") as socket:
            assert socket.receive_json()["title"] == "Hex 5x5"


def test_pieces_have_steps_and_moves_of_both_seats_their_own_names(tmp_path: Path) -> None:
    game = {"game__name": "breakthrough", "game__board_size": 5, "game__board_width": 4}
    with TestClient(make_app(Engine(small_checkpoint(tmp_path, **game)), most_simulations=100)) as client:
        first = client.post("/api/position", json={"moves": []}).json()
        assert first["extra_actions"] == []
        assert {"move": "a1b2", "from": 0, "to": 5} in first["steps"]
        assert len(first["steps"]) == 10
        moves = ["a1b2", "a5a4"]
        position = client.post("/api/position", json={"moves": ["A1-b2", "a5a4"]}).json()
        assert (position["moves"], position["last"], position["to_move"]) == (moves, 12, 0)
        found = client.post("/api/analyse", json={"moves": moves[:1], "simulations": 50}).json()
        assert found["policy"].keys() <= {step["move"] for step in client.post(
            "/api/position", json={"moves": moves[:1]}).json()["steps"]}  # fmt: skip
        for move in found["moves"]:
            assert move["variation"][0] == move["move"]
            client.post("/api/position", json={"moves": [*moves[:1], *move["variation"]]}).raise_for_status()
        answer = client.post("/api/move", json={"moves": moves[:1], "simulations": 8}).json()
        client.post("/api/position", json={"moves": [*moves[:1], answer["move"]]}).raise_for_status()
        backwards = client.post("/api/position", json={"moves": ["a5a4"]})
        assert backwards.status_code == 400
        assert "seat 0 goes down" in backwards.json()["error"]
