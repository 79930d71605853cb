"""`hexpipe analyze`: many queries at once, each answered, bad ones by an error with their id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hexpipe
from hexpipe.arena import queries
from hexpipe.arena.desk import Desk
from hexpipe.arena.engine import Engine
from hexpipe.cli.analyze import answers
from tests.arena.checkpoints import small_checkpoint
from tests.clock import TestClock

BOARDS = [f'"size": {n}' for n in (3, 5, 6, 7, 8, 9)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(small_checkpoint(tmp_path_factory.mktemp("run"), inference__backend="eager"))


def ask(engine: Engine, *queries: Any) -> list[dict[str, Any]]:
    lines: list[str | bytes] = [query if isinstance(query, str | bytes) else json.dumps(query) for query in queries]
    found = list(answers(engine, lines, 8))
    json.dumps(found, allow_nan=False)
    return found


class Driver:
    """A program that says a line when it likes, and takes answers one by one."""

    def __init__(self, engine: Engine) -> None:
        self.desk = Desk(engine, 8)
        self.answers = self.desk.answers()

    def say(self, **fields: Any) -> None:
        self.desk.say(json.dumps(fields).encode())

    def next(self) -> dict[str, Any]:
        return next(self.answers)

    def rest(self) -> list[dict[str, Any]]:
        self.desk.close()
        return list(self.answers)


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
    visits = [[(move["move"], move["visits"]) for move in by_id[key]["moves"]] for key in (("a", 0), (3, 0))]
    assert visits[0] == visits[1]


@pytest.mark.parametrize(("query", "words"), [
    ("{", "JSON"), ("[]", "object"), ({"id": 7}, "either"), ({"id": 7, "moves": ["z9"]}, "z9"),
    ({"id": 7, "moves": ["a1", "a1"]}, "taken"), ({"id": 7, "moves": "a1"}, "list"), ({"id": 7, "what": 1}, "what"),
    ({"id": 7, "moves": [], "simulations": 1}, "2 to"), ({"id": 7, "moves": ["a1"], "turns": [2]}, "0 to 1"),
    ({"id": 7, "game": "#5,a1"}, "5x5"), ({"id": 7, "moves": ["a1", "b1", "a2", "b2", "a3", "b3", "a4"]}, "over"),
    (b'{"id": "\xff", "moves": []}', "UTF-8"), ("[" * 1000 + "]" * 1000, "query"), ("[" * 500_000, ""),
    ('{"id": NaN, "moves": []}', "NaN"), ('{"id": 1e999, "moves": []}', "too large"), ('{"id": -Infinity}', "Infinity"),
    ('{"id": ' + "9" * 5000 + "}", "JSON"), ('{"id": ' + "[" * 40 + "]" * 40 + "}", "brackets"),
    ('{"id": 7, "moves": [' + '"a1",' * 300_000 + '"a1"]}', "bytes"),
    ('{"moves": ' + "[" * 600 + "]" * 600 + "}", "brackets"), ({"id": 7, "moves": [], "turns": [True]}, "turns"),
    ({"id": 7, "moves": [], "size": 99}, "27"), ({"id": 7, "moves": [], "size": "5"}, "whole"),
    ({"id": 7, "moves": [], "boardXSize": 5, "boardYSize": 6}, "twice"),
    ({"id": 7, "moves": [], "rules": "go"}, "swap"),
    ({"id": 7, "moves": [], "maxTime": 0}, "maxTime"), ({"id": 7, "moves": [], "priority": 1.5}, "priority"),
    ({"id": 7, "moves": [], "priorities": [1, 2]}, "priorities"), ({"id": 7, "action": "dance"}, "terminate_all"),
    ({"id": 7, "action": "terminate"}, "terminateId"), ({"id": 7, "moves": [["W", "a1"]]}, "black's"),
    ({"id": 7, "moves": [], "overrideSettings": {"komi": 7}}, "maxTime"), ({"id": 7, "moves": [["B"]]}, "pair"),
    ({"id": 7, "moves": [], "size": 27, "simulations": 1_000_000, "maxTime": 1}, None),
])  # fmt: skip
def test_a_bad_query_harms_no_other(
    engine: Engine, query: Any, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if words is None:  # a machine on which that tree does not fit
        words = "would fit"
        monkeypatch.setattr(queries, "_memory", lambda: 10**9)
    bad, good = sorted(ask(engine, query, {"id": "good", "moves": []}), key=lambda answer: answer["id"] == "good")
    assert words in bad["error"]
    assert bad["id"] == (7 if isinstance(query, dict) else None)
    assert good["simulations"] == 8


FINISHED = ["a1", "b1", "a2", "b2", "a3", "b3", "a4"]


def test_a_finished_game_is_answered_but_for_its_last_turn(engine: Engine) -> None:
    found = {answer["turn"]: answer for answer in ask(engine, {"id": 1, "moves": FINISHED, "turns": list(range(8))})}
    assert sorted(found) == list(range(8))
    assert "over after 7" in found[7]["error"]
    assert all(found[turn]["simulations"] or found[turn]["proven"] for turn in range(7))
    assert {answer["isDuringSearch"] for answer in found.values()} == {False}


def test_a_query_has_its_own_board_and_rules(engine: Engine) -> None:
    found = {
        answer["id"]: answer
        for answer in ask(
            engine,
            {"id": "game", "game": "#6,a1b2", "size": 6},
            {"id": "swap", "moves": ["a1", "swap", "b2"], "size": 5, "swap": True},
            {"id": "no", "moves": ["a1", "swap"]},
            {"id": "own", "moves": ["a1"]},
        )
    }
    assert len(found["game"]["policy"]) == 34
    assert found["swap"]["turn"] == 3
    assert "error" in found["no"]
    assert len(found["own"]["policy"]) == 15


def test_katagos_words_mean_the_same(engine: Engine) -> None:
    """A query in the words of its documentation has today's answer, and the same in those words."""
    katago = {
        "id": "k", "moves": [["B", "b2"], ["w", "c3"]], "rules": "swap", "boardXSize": 5, "boardYSize": 5,
        "analyzeTurns": [0, 2], "maxVisits": 20, "overrideSettings": {"maxTime": 1000}, "includePolicy": True,
    }  # fmt: skip
    ours = {"id": "h", "moves": ["b2", "c3"], "swap": True, "size": 5, "turns": [0, 2], "simulations": 20}
    by_id = {(answer["id"], answer["turn"]): answer for answer in ask(engine, katago, ours)}
    for turn in (0, 2):
        assert "moveInfos" not in by_id["h", turn]
        own = theirs = by_id["k", turn]
        assert by_id["h", turn].keys() < own.keys()
        assert [move["visits"] for move in by_id["h", turn]["moves"]] == [move["visits"] for move in own["moves"]]
        assert theirs["turnNumber"] == turn
        for order, (move, info) in enumerate(zip(own["moves"], theirs["moveInfos"], strict=True)):
            assert info == {
                "move": move["move"], "visits": move["visits"], "prior": move["prior"], "order": order,
                "winrate": move["win_probability"], "pv": move["variation"],
            }  # fmt: skip
        assert theirs["rootInfo"]["currentPlayer"] == "BW"[own["to_move"]]
        assert theirs["rootInfo"]["winrate"] == own["win_probability"]
    moves = {"id": 1, "moves": [["B", "a1"], ["W", "swap"], ["W", "b2"]], "rules": {"swap": True}}
    assert ask(engine, moves)[0]["turn"] == 3


def test_higher_priorities_go_first_and_stop_what_is_under_way(engine: Engine) -> None:
    driver = Driver(engine)
    driver.say(id="long", moves=[], simulations=100_000, size=9, reportDuringSearchEvery=1e-9)
    assert driver.next()["isDuringSearch"]
    driver.say(id="low", moves=["a1"], priority=-1)
    driver.say(id="plain", moves=["b1"])
    driver.say(id="high", moves=["c1"], priority=5, simulations=16)
    driver.say(id="turns", moves=["d1", "d2"], turns=[0, 1], priorities=[7, 6])
    order = []
    while len(order) < 4:
        answer = driver.next()
        if not answer["isDuringSearch"]:
            order.append((answer["id"], answer["turn"]))
    assert order == [("turns", 0), ("turns", 1), ("high", 1), ("plain", 1)]  # beside the long one
    driver.say(id=1, action="terminate", terminateId="long")
    left = [answer["id"] for answer in driver.rest() if not answer.get("isDuringSearch")]
    assert left == [1, "long", "low"]


def test_what_is_terminated_is_answered_with_what_it_has(engine: Engine) -> None:
    driver = Driver(engine)
    driver.say(id="a", moves=["a1", "b2"], turns=[0, 1, 2], simulations=100_000, size=9, reportDuringSearchEvery=1e-9)
    assert driver.next()["isDuringSearch"]
    driver.say(id=1, moves=["a1"], priority=-1)
    driver.say(id=True, moves=["a1"], priority=-1)
    driver.say(id="x", action="terminate", terminateId="a", turnNumbers=[1, 7])
    driver.say(id="y", action="terminate", terminateId=1)
    driver.say(id="s", action="query_status")
    found: dict[str, dict[str, Any]] = {}
    while len(found) < 5:
        answer = driver.next()
        if not answer.get("isDuringSearch"):
            found[str(answer["id"])] = answer
    assert found["x"] == {"id": "x", "action": "terminate", "terminateId": "a", "turnNumbers": [1, 7]}
    assert found["y"] == {"id": "y", "action": "terminate", "terminateId": 1}
    assert found["1"] == {"id": 1, "turn": 1, "turnNumber": 1, "isDuringSearch": False, "noResults": True}
    assert (found["s"]["waiting"], found["s"]["models"][0]["step"]) == (1, 7)
    assert found["s"]["searching"] + found["s"]["answered"] == 3
    assert found["a"]["turn"] == 1
    assert 0 <= found["a"]["simulations"] < 100_000
    driver.say(id="z", action="terminate_all")
    rest = [answer for answer in driver.rest() if not answer.get("isDuringSearch")]
    told = sorted((str(answer["id"]), answer.get("turn")) for answer in rest)
    assert told == [("True", 1), ("a", 0), ("a", 2), ("z", None)]


def test_a_limit_of_time_and_reports_on_the_way(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    TestClock(monkeypatch, tick=0.01)
    found = ask(
        engine,
        {"id": "t", "moves": [], "simulations": 100_000, "size": 9, "maxTime": 1.0, "reportDuringSearchEvery": 0.25},
        {"id": "v", "action": "query_version"},
    )
    assert found[-1]["id"] == "t"
    assert not found[-1]["isDuringSearch"]
    reports = [answer for answer in found if answer.get("isDuringSearch")]
    assert 2 <= len(reports) <= 4
    counts = [answer["simulations"] for answer in reports] + [found[-1]["simulations"]]
    assert counts == sorted(counts)
    assert 0 < counts[-1] < 100_000
    assert {"id": "v", "action": "query_version", "version": hexpipe.__version__, "git_hash": "<omitted>"} in found
    assert ask(engine, {"id": "m", "action": "query_models"})[0]["models"][0]["boardXSize"] == 4


def test_queries_side_by_side_are_answered_as_alone(engine: Engine) -> None:
    """Whatever they are mixed with: other numbers of simulations, other boards, other priorities."""
    many = [
        {"id": n, "moves": ["a1", "b2", "c3"][: n % 4], "simulations": 4 + n % 9, "size": 4 + n % 2, "priority": n % 3}
        for n in range(40)
    ]
    together = {answer["id"]: answer for answer in ask(engine, *many)}
    assert sorted(together) == list(range(40))
    for n in (0, 7, 22, 39):
        (alone,) = ask(engine, many[n])
        assert alone["simulations"] == together[n]["simulations"]
        assert [move["move"] for move in alone["moves"]] == [move["move"] for move in together[n]["moves"]]


def test_a_net_with_learned_dynamics_is_asked_for_one_batch_at_a_time(tmp_path: Path) -> None:
    learned = Engine(small_checkpoint(tmp_path / "run", algorithm="muzero"))
    queries = [{"id": n, "moves": ["a1"][: n % 2], "simulations": 7 + n % 2, "priority": n % 2} for n in range(8)]
    assert sorted(answer["id"] for answer in ask(learned, *queries) if answer["simulations"]) == list(range(8))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.text(), max_size=4) | st.lists(
    st.dictionaries(
        st.sampled_from([
            "id", "moves", "game", "turns", "simulations", "size", "swap", "maxTime", "reportDuringSearchEvery",
            "priority", "priorities", "action", "terminateId", "turnNumbers", "analyzeTurns", "maxVisits", "rules",
        ]),
        st.none() | st.integers(-3, 9) | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=3)
        | st.sampled_from(["terminate", "terminate_all", "query_status", "swap", ["a1"], [["B", "a1"]], True]),
    ).map(json.dumps), max_size=4))  # fmt: skip
def test_nothing_that_is_sent_ends_it(engine: Engine, lines: list[str]) -> None:
    lines = [line for line in lines if not any(size in line for size in BOARDS)]  # whose engines take their time
    found = ask(engine, *lines, {"id": "last", "moves": []})
    assert "last" in [answer["id"] for answer in found]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_are_answered(engine: Engine, lines: list[bytes]) -> None:
    assert len(ask(engine, *lines)) == sum(bool(line.strip()) for line in lines)


def test_the_command_reads_to_the_end(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from hexpipe.cli.analyze import command

    run = small_checkpoint(tmp_path / "run")
    result = CliRunner().invoke(command, [str(run), "--simulations", "4"], input='{"id":1,"moves":[]}\n{"id":2}\n')
    assert result.exit_code == 0
    assert {json.loads(line)["id"] for line in result.output.splitlines()} == {1, 2}


def test_the_command_and_what_can_become_of_its_pipes(tmp_path: Path) -> None:
    """Bytes that are no text for a strict locale; input that is closed, or a folder; a reader that goes away."""
    run = small_checkpoint(tmp_path / "run", inference__backend="eager")
    root = str(Path(hexpipe.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, "-P", "-m", "hexpipe.cli.main", "analyze", str(run), "--simulations", "4"]
    lines = b'\xff\n{"id": 1, "moves": []}\n' + b"[" * 1000 + b"]" * 1000 + b'\n{"id": NaN}\n{"id": 2, "moves": ["a1"]}'
    done = subprocess.run(command, input=lines, env=environment, capture_output=True, timeout=280, check=True)
    found = [json.loads(line, parse_constant=pytest.fail) for line in done.stdout.splitlines()]
    assert sorted(str(answer["id"]) for answer in found) == ["1", "2", "None", "None", "None"]
    assert done.stderr == b""
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command], env=environment, capture_output=True, timeout=280, check=False
    )
    assert (closed.returncode, closed.stdout) == (2, b"")
    assert len(closed.stderr.splitlines()) == 1
    asked = b'{"id": 1, "moves": [], "size": 9, "simulations": 1000000}\n'
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"id": 0, "moves": []}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.stdin.write(asked)
        process.stdin.flush()
        process.stdout.close()  # a search of a million simulations has nobody to be told to
        assert process.wait(timeout=280) == 0
