"""The serve benchmark, short: the real server under a few visitors, answers that are refused, a server that dies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from hexpipe.bench import serve
from hexpipe.errors import CheckpointError, HexpipeError
from hexpipe.games.hex import Hex
from tests.arena.checkpoints import small_checkpoint


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "WARM_SECONDS", 0.2)


def test_visitors_are_answered(tmp_path: Path) -> None:
    folder = small_checkpoint(tmp_path)
    figures = serve.run(checkpoint=str(folder), clients=8, seconds=1.0, simulations=4, positions=50)
    assert figures["errors"] == 0, figures["first_error"]
    assert figures["busy"] == 0
    assert int(figures["requests"]) >= 8
    assert float(figures["p50_ms"]) <= float(figures["p99_ms"]) <= float(figures["most_ms"])
    assert float(figures["rss_after_mb"]) > 0


def test_a_server_that_cannot_start_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        serve.run(checkpoint=str(tmp_path / "none"), seconds=0.1)
    with pytest.raises(HexpipeError, match="most-waiting"):
        serve.run(checkpoint=str(small_checkpoint(tmp_path)), seconds=0.1, most_waiting=0)


def test_questions_are_of_games_that_go_on() -> None:
    bodies = [json.loads(body) for body in serve.bodies_of(Hex(3), 40, 7)]
    assert {body["simulations"] for body in bodies} == {7}
    assert len({tuple(body["moves"]) for body in bodies}) > 10
