"""`hexpipe analyze`: many queries at once, each answered, bad ones by an error with their id."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hexpipe.arena.engine import Engine
from hexpipe.cli.analyze import answers
from tests.arena.checkpoints import small_checkpoint


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(small_checkpoint(tmp_path_factory.mktemp("run")))


def ask(engine: Engine, *queries: Any) -> list[dict[str, Any]]:
    lines = "\n".join(query if isinstance(query, str) else json.dumps(query) for query in queries)
    found = list(answers(engine, io.StringIO(lines), 8))
    json.dumps(found)
    return found


def test_every_query_is_answered(engine: Engine) -> None:
    found = ask(
        engine,
        {"id": "a", "moves": []},
        {"id": "b", "moves": ["b2", "c3"], "simulations": 20},
        "",
        {"id": 3, "game": "#4,a1b2c3", "turns": [0, 2, 3]},
        {"id": None, "game": "(;FF[4]GM[11]SZ[4];B[a1];W[b2])"},
    )
    by_id = {(answer["id"], answer["turn"]): answer for answer in found}
    assert by_id.keys() == {("a", 0), ("b", 2), (3, 0), (3, 2), (3, 3), (None, 2)}
    assert by_id["b", 2]["simulations"] == 20
    assert by_id[3, 3]["to_move"] == 1
    assert by_id["a", 0]["moves"][0]["variation"]
    assert by_id["a", 0]["moves"] == by_id[3, 0]["moves"]


@pytest.mark.parametrize(("query", "words"), [
    ("{", "JSON"), ("[]", "object"), ({"id": 7}, "either"), ({"id": 7, "moves": ["z9"]}, "z9"),
    ({"id": 7, "moves": ["a1", "a1"]}, "taken"), ({"id": 7, "moves": "a1"}, "list"), ({"id": 7, "what": 1}, "what"),
    ({"id": 7, "moves": [], "simulations": 1}, "2 to"), ({"id": 7, "moves": ["a1"], "turns": [2]}, "0 to 1"),
    ({"id": 7, "game": "#5,a1"}, "5x5"), ({"id": 7, "moves": ["a1", "b1", "a2", "b2", "a3", "b3", "a4"]}, "over"),
])  # fmt: skip
def test_a_bad_query_harms_no_other(engine: Engine, query: Any, words: str) -> None:
    bad, good = sorted(ask(engine, query, {"id": "good", "moves": []}), key=lambda answer: answer["id"] == "good")
    assert words in bad["error"]
    assert bad["id"] == (7 if isinstance(query, dict) else None)
    assert good["simulations"] == 8


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.text(), max_size=4) | st.lists(
    st.dictionaries(
        st.sampled_from(["id", "moves", "game", "turns", "simulations"]),
        st.none() | st.integers(-3, 9) | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=3),
    ).map(json.dumps), max_size=4))  # fmt: skip
def test_nothing_that_is_sent_ends_it(engine: Engine, lines: list[str]) -> None:
    ask(engine, *(line.replace("\n", " ").replace("\r", " ") for line in lines))


def test_the_command_reads_to_the_end(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from hexpipe.cli.analyze import command

    run = small_checkpoint(tmp_path / "run")
    result = CliRunner().invoke(command, [str(run), "--simulations", "4"], input='{"id":1,"moves":[]}\n{"id":2}\n')
    assert result.exit_code == 0
    assert {json.loads(line)["id"] for line in result.output.splitlines()} == {1, 2}
