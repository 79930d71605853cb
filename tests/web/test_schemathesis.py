"""The OpenAPI document against the server: what it allows and forbids is asked, and every answer must be as it says.

schemathesis is used as a library, with the same questions in every run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
schemathesis = pytest.importorskip("schemathesis")
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from hexpipe.arena.engine import Engine
from hexpipe.config import dump_settings
from hexpipe.web.hosts import Hosts
from hexpipe.web.server import make_app
from tests.arena.checkpoints import small_checkpoint

QUESTIONS = 25
MOST_SIMULATIONS = 8
ALIKE = settings(
    max_examples=QUESTIONS,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
PLAY = ["/api/position", "/api/move", "/api/analyse", "/api/import"]
RUN = ["/api/info", "/api/run/state", "/api/run/metrics", "/api/run/games"]
REFUSED_WELL = ["400", "413", "422"]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    run = small_checkpoint(tmp_path_factory.mktemp("run"))
    engine = Engine(run, swap=True)
    (run / "settings.json").write_text(dump_settings(engine.settings))
    lines = [json.dumps({"time": 1.5 * k, "games": k, **({"loss": 1 / k} if k % 3 else {})}) for k in range(1, 90)]
    (run / "metrics.jsonl").write_text("\n".join(lines))
    app = make_app(engine, run, most_simulations=MOST_SIMULATIONS, hosts=Hosts())
    load_all_checks()
    config = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSED_WELL}}})
    with TestClient(app, base_url="http://localhost") as client:
        found = schemathesis.openapi.from_dict(client.get("/openapi.json").json(), config=config)
        found.app = app
        yield found


def answers(schema: Any, path: str, method: str, mode: Any) -> Counter[int]:
    """How often each status came back for questions of ``mode``; schemathesis raises where an answer is not as said."""
    statuses: Counter[int] = Counter()
    # the rules of games are in no schema: of moves and texts that are of the right form most are refused
    leave_out = [positive_data_acceptance] if path in PLAY else []

    @ALIKE
    @given(schema[path][method].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(base_url="http://localhost")
        statuses[answer.status_code] += 1
        case.validate_response(answer, excluded_checks=leave_out)

    ask()
    return statuses


@pytest.mark.parametrize("path", PLAY)
def test_questions_of_the_right_form(schema: Any, path: str) -> None:
    statuses = answers(schema, path, "POST", schemathesis.GenerationMode.POSITIVE)
    assert statuses.keys() <= {200, 400}
    assert sum(statuses.values()) >= QUESTIONS // 2
    assert statuses[200] > 0 or path == "/api/import"


@pytest.mark.parametrize("path", PLAY)
def test_questions_of_a_wrong_form(schema: Any, path: str) -> None:
    statuses = answers(schema, path, "POST", schemathesis.GenerationMode.NEGATIVE)
    assert statuses.keys() <= {400, 413, 422}
    assert sum(statuses.values()) >= QUESTIONS // 2


@pytest.mark.parametrize("path", RUN)
def test_what_is_told_of_a_run(schema: Any, path: str) -> None:
    assert answers(schema, path, "GET", schemathesis.GenerationMode.POSITIVE).keys() == {200}


def test_every_address_is_asked(schema: Any) -> None:
    assert {operation.ok().path for operation in schema.get_all_operations()} == {*PLAY, *RUN}


def test_every_refusal_is_described(schema: Any) -> None:
    for operation in (found.ok() for found in schema.get_all_operations()):
        described = {int(status) for status in operation.definition.raw["responses"]}
        assert described >= {200, 408, 413, 421, 500}
        assert described >= ({400, 403, 422} if operation.path in PLAY else {200})
        assert (503 in described) == (operation.path in ("/api/move", "/api/analyse"))
    body = schema.raw_schema["components"]["schemas"]["SearchBody"]["properties"]["simulations"]
    assert (body["maximum"], body["default"]) == (MOST_SIMULATIONS, MOST_SIMULATIONS)
