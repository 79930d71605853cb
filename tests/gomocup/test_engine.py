"""Commands and answers, line by line, over a net that answers by a hash of the position."""

from __future__ import annotations

import io
import os
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.arena.analysis import Analysis
from hexpipe.arena.lines import Interruption
from hexpipe.arena.thinker import NetThinker, RandomThinker, Thinker
from hexpipe.config import load_settings
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.games.inarow import InARow
from hexpipe.games.set_up import Position
from hexpipe.gomocup.engine import NO_LIMIT, GomocupEngine
from hexpipe.gomocup.protocol import INTERRUPT, LONGEST_LINE, Command, format_answer, parse_line, serve
from tests.clock import TestClock
from tests.games.reference_inarow import game_settings
from tests.htp.thinkers import HashEngine


class Manager:
    """An engine that is told lines, and what its thinker was asked; with ``chance`` that one thinks nothing."""

    def __init__(self, rule: str = "free", chance: bool = False) -> None:
        self.made: list[HashEngine] = []

        def rules(board_size: int) -> InARow:
            given = {"name": "inarow", "board_size": board_size, "win_length": 5, "row_rule": rule}
            return InARow(load_settings(overrides={f"game.{name}": value for name, value in given.items()}).game)

        def rules_for_thinker(board_size: int, swap: bool) -> Game:
            return rules(board_size)

        def make(board_size: int, swap: bool) -> HashEngine:
            self.made.append(HashEngine(board_size, swap, rules_for_thinker))
            return self.made[-1]

        thinker: Thinker = NetThinker(make)  # type: ignore[arg-type]
        if chance:
            thinker = RandomThinker(1, make_game=rules_for_thinker)
        self.engine = GomocupEngine(thinker, rules, rule)

    def tell(self, *lines: str) -> list[str]:
        """The answers to ``lines``, without messages for people."""
        return [line for line in self.tell_all(*lines) if not line.startswith("MESSAGE")]

    def tell_all(self, *lines: str) -> list[str]:
        sink = io.BytesIO()
        serve(io.BytesIO("".join(line + "\r\n" for line in lines).encode()), sink, self.engine.handle)
        return sink.getvalue().decode().splitlines()

    @property
    def asked(self) -> tuple[int | None, float | None]:
        return self.made[-1].asked[-1]


def started(size: int = 9, rule: str = "free") -> Manager:
    manager = Manager(rule)
    assert manager.tell(f"START {size}") == ["OK"]
    return manager


def place(answer: str) -> tuple[int, int]:
    x, _, y = answer.partition(",")
    return int(x), int(y)


@pytest.mark.parametrize(("line", "command"), [
    (b"START 20\r\n", Command("START", "20")),
    (b"turn  3, 4 \n", Command("TURN", "3, 4")),
    (b"\x00END\x7f", Command("END", "")),
    (b"3,4,1\r\n", Command("3,4,1", "")),
    (b"\r\n", None),
    (b" \t\n", None),
    (b"", None),
])  # fmt: skip
def test_lines(line: bytes, command: Command | None) -> None:
    assert parse_line(line) == command


def test_answers_are_lines() -> None:
    assert format_answer(["MESSAGE a\r\nb", "1,2"]) == b"MESSAGE a b\n1,2\n"
    assert format_answer([]) == b""


def test_a_game() -> None:
    manager = Manager()
    assert manager.tell("ABOUT")[0].startswith('name="hexpipe", version="')
    assert manager.tell("START 9", "") == ["OK"]
    message, first = manager.tell_all("BEGIN")
    assert message.startswith("MESSAGE wins with ")
    x, y = place(first)
    taken = manager.tell(f"TURN {x},{y}")
    assert taken == [f"ERROR move 2 ({'abcdefghi'[x]}{y + 1}) is illegal: the cell is taken"]
    second = manager.tell(f"TURN {(x + 1) % 9},{y}")
    assert second not in ([first], [f"{(x + 1) % 9},{y}"])
    assert manager.tell(f"TAKEBACK {second[0]}", f"TAKEBACK {(x + 1) % 9},{y}") == ["OK", "OK"]
    assert manager.tell(f"TURN {(x + 1) % 9},{y}") == second, "the same position, the same move"
    assert manager.tell("TAKEBACK 8,8")[0].startswith("ERROR only the last move can be taken back: the last move is ")
    assert manager.tell("BEGIN") == ["ERROR BEGIN is for an empty board: RESTART first"]
    assert manager.tell("RESTART", "BEGIN") == ["OK", first]
    assert manager.tell("RESTART", "PLAY 3,4", "TAKEBACK 3,4") == ["OK", "3,4", "OK"]


def test_x_is_the_column() -> None:
    manager = started(9)
    manager.tell("BOARD", "8,0,2", "DONE")
    assert manager.engine._moves[0] == 8
    assert manager.made[-1].game.cell_name(8) == "i1"


def test_what_is_wrong_is_said_and_ends_nothing() -> None:
    manager = Manager()
    for line in ("BEGIN", "TURN 1,1", "RESTART", "TAKEBACK 1,1", "PLAY 1,1"):
        assert manager.tell(line) == ["ERROR there is no board yet: START first"]
    assert manager.tell("BOARD", "1,1,1", "DONE")[0].startswith("ERROR BOARD: there is no board yet")
    for line in ("START", "START x", "START -5", "START 9 9", "START 2", "START 201", "RECTSTART 20,15", "RECTSTART 5"):
        (answer,) = manager.tell(line)
        assert answer.startswith("ERROR "), line
    assert manager.tell("RECTSTART 9,9") == ["OK"]
    for line in (
        "TURN",
        "TURN 9,0",
        "TURN 0,9",
        "TURN -1,0",
        "TURN a1",
        "TURN 1,1,1",
        "TURN 1",
        "PLAY 9,9",
        "TAKEBACK",
    ):
        (answer,) = manager.tell(line)
        assert answer.startswith("ERROR "), line
    assert manager.tell("FOO 1", "DONE") == [
        "UNKNOWN FOO is no command that hexpipe knows",
        "UNKNOWN DONE is no command that hexpipe knows",
    ]
    assert manager.tell("A" * 2 * LONGEST_LINE) == [f"ERROR a line has {LONGEST_LINE} bytes at most"]
    assert len(manager.tell("BEGIN")) == 1
    assert manager.tell("RESTART", "END", "BEGIN") == ["OK"], "nothing is heard after END"


@pytest.mark.parametrize(("lines", "words"), [
    (["1,1,3"], "walls are not played here"),
    (["1,1,1"], "1 own stones and 0 of the opponent's are no position in which it is this side's turn"),
    (["1,1,2", "1,2,2"], "0 own stones and 2"),
    (["1,1,2", "1,1,1"], "the cell is taken"),
    (["1,1,2", "what", "1,2"], "'WHAT' is no place"),
    (["9,1,2"], "'9,1' is no cell: x,y are 0 to 8"),
    ([f"{x},{y},{2 - y % 2}" for y in range(2) for x in range(5)], "seat 0 has already won"),
    ([f"{x},{y},{2 - y % 2}" for x in range(5) for y in range(2)][:9], "the game is over"),
])  # fmt: skip
def test_boards_that_cannot_be(lines: list[str], words: str) -> None:
    manager = started()
    manager.tell("TURN 4,4")
    before = manager.engine._moves
    (answer,) = manager.tell("BOARD", *lines, "DONE")
    assert answer.startswith("ERROR ")
    assert words in answer
    assert manager.engine._moves == before


def test_boards() -> None:
    manager = started()
    (first,) = manager.tell("BOARD", "DONE")
    assert manager.tell("RESTART", "BEGIN") == ["OK", first]
    (answer,) = manager.tell("BOARD", "4,4,1", "INFO timeout_turn 100", "4,5,2", "5,5,1", "3,4,2", "DONE")
    assert manager.engine._moves[:4] == [40, 49, 50, 39]
    # in another order: whoever has as many stones as the other moved first where it is to move
    assert manager.tell("BOARD", "4,5,2", "3,4,2", "4,4,1", "5,5,1", "DONE") == [answer]
    assert manager.engine._moves[:4] == [40, 49, 50, 39]
    manager.tell("BOARD", "4, 4, 2", "DONE")
    assert manager.engine._moves[0] == 40
    assert manager.tell_all("BOARD", "1,1,2", "ABOUT")[0] == "MESSAGE BOARD was not ended by DONE, and is forgotten"
    assert manager.engine._moves[0] == 40


@pytest.mark.parametrize(("rule", "agreed"), [("free", (0,)), ("exact", (1,)), ("renju", (4, 5))])
def test_the_rule_must_be_the_nets(rule: str, agreed: tuple[int, ...]) -> None:
    manager = started(rule=rule)
    for asked in (0, 1, 2, 3, 4, 5, 8, 9):
        (answer,) = manager.tell("RESTART", f"INFO rule {asked}", "BEGIN")[1:]
        assert answer.startswith(f"ERROR INFO rule {asked} is ") == (asked not in agreed), asked
    manager.tell("RESTART")
    for lines in (("TURN 1,1",), ("BOARD", "DONE"), ("SWAP2BOARD", "DONE")):
        (answer,) = manager.tell(*lines)
        assert answer.startswith("ERROR INFO rule 9 is nothing that is played here, and this engine plays another game")
        assert manager.engine._moves == []


def test_renju_knows_what_black_may_not() -> None:
    manager = started(rule="renju")
    black, white = [(4, 2), (4, 3), (2, 4), (3, 4)], [(0, 8), (2, 8), (4, 8), (6, 8)]
    lines = [
        f"{x},{y},{field}"
        for pair in zip(black, white, strict=True)
        for field, (x, y) in zip((2, 1), pair, strict=True)
    ]
    manager.tell("BOARD", *lines[:-1], "DONE")
    (answer,) = manager.tell("TURN 4,4")
    assert answer == "ERROR move 9 (e5) is illegal: two threes at once are forbidden to black"


def test_times_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = TestClock(monkeypatch, tick=0.0005)
    manager = started()
    manager.tell("BEGIN")
    assert manager.asked == (None, None), "without a limit the run's simulations"
    manager.tell("RESTART", "INFO timeout_turn 1000", "BEGIN")
    assert manager.asked[1] == pytest.approx(0.9)
    manager.tell("INFO TIMEOUT_TURN 100", "RESTART", "BEGIN")
    assert manager.asked[1] == pytest.approx(0.05)
    began = clock.now
    manager.tell("INFO timeout_turn 0", "RESTART", "BEGIN")
    assert manager.asked[1] == 0
    assert clock.now - began < 0.1
    manager.tell("INFO timeout_turn 5000", "INFO timeout_match 30100", "RESTART", "BEGIN")
    assert manager.asked[1] == pytest.approx(1.0), "a thirtieth"
    manager.tell("INFO time_left 3100", "RESTART", "INFO time_left 3100", "BEGIN")
    assert manager.asked[1] == pytest.approx(0.1)
    manager.tell("RESTART", "INFO time_left -50", "BEGIN")
    assert manager.asked[1] == 0
    manager.tell("RESTART", f"INFO time_left {NO_LIMIT}", "BEGIN")
    assert manager.asked[1] == pytest.approx(4.9)


def test_what_info_says_else_is_left_alone() -> None:
    manager = started()
    lines = ("INFO", "INFO x", "INFO timeout_turn", "INFO timeout_turn soon", "INFO max_memory 83886080")
    more = ("INFO game_type 1", "INFO folder /tmp/x y", "INFO evaluate 3,4", "INFO thread_num 2")
    assert manager.tell_all(*lines, *more) == []
    assert manager.engine._turn is None


def test_swap2() -> None:
    manager = started(15)
    (three,) = manager.tell("SWAP2BOARD", "DONE")
    stones = three.split()
    assert len({place(stone) for stone in stones}) == 3
    (answer,) = manager.tell("RESTART", "SWAP2BOARD", *stones, "DONE")[1:]
    assert answer == "SWAP" or place(answer) not in map(place, stones)
    assert len(manager.engine._moves) == 3 + (answer != "SWAP")
    assert manager.tell("RESTART", "SWAP2BOARD", *stones, "0,0", "0,1", "DONE")[1] != ""
    (answer,) = manager.tell("SWAP2BOARD", "1,1", "DONE")
    assert answer == "ERROR swap2 is about 0, 3 or 5 stones, not 1"
    openings = (("7,7", "0,0", "7,8"), ("0,0", "7,7", "14,14"), ("3,7", "7,0", "1,8"), ("5,5", "9,9", "3,4"))
    for opening in openings:
        _, message, answer = manager.tell_all("RESTART", "SWAP2BOARD", *opening, "DONE")
        percent = float(message.split()[3].removesuffix("%"))
        assert (answer == "SWAP") == (percent < 50)


def test_a_search_ends_when_the_manager_says_so() -> None:
    """STOP ends it with the best move so far, END without an answer."""
    commands, write_end = os.pipe()
    read_end, answers = os.pipe()
    interruption = Interruption(INTERRUPT)

    def rules(board_size: int, swap: bool = False) -> InARow:
        return InARow(game_settings(board_size, 5))

    class Patient(RandomThinker):
        """Thinks until it is told to end."""

        def think(self, position: Position, seconds: float | None = None) -> Analysis:
            while not interruption():
                time.sleep(0.001)
            return super().think(position)

    engine = GomocupEngine(Patient(1, make_game=rules), rules, "free")

    def work() -> None:
        with os.fdopen(commands, "rb") as source, os.fdopen(answers, "wb", buffering=0) as sink:
            serve(source, sink, engine.handle, interruption)
            ended.set()  # the source is closed once its reader has seen its end

    ended = threading.Event()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with os.fdopen(read_end, "rb") as answered, os.fdopen(write_end, "wb", buffering=0) as told:
        told.write(b"START 9\n")
        assert answered.readline() == b"OK\n"
        told.write(b"BEGIN\nSTOP\n")
        assert answered.readline().startswith(b"MESSAGE wins with")
        assert place(answered.readline().decode())
        told.write(b"RESTART\nBEGIN\nEND\n")
        assert answered.readline() == b"OK\n"
        assert ended.wait(200)
    thread.join(200)
    assert not thread.is_alive()


COMMANDS = st.sampled_from(
    ["START 9", "RESTART", "BEGIN", "BOARD", "DONE", "SWAP2BOARD", "TAKEBACK 4,4", "INFO timeout_turn 1", "ABOUT",
     "PLAY 0,0", "INFO rule 0", "INFO rule 1", "STOP"]
)  # fmt: skip
PLACES = st.builds(
    "{}{},{}".format, st.sampled_from(["TURN ", "TAKEBACK ", ""]), st.integers(-1, 9), st.integers(-1, 9)
)
STONES = st.builds("{},{},{}".format, st.integers(0, 8), st.integers(0, 8), st.integers(0, 3))
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(COMMANDS | PLACES | STONES | ANY, max_size=20))
def test_any_lines_are_answered_and_leave_a_game_that_can_be(lines: list[Any]) -> None:
    manager = Manager(chance=True)
    manager.tell("START 9")
    for line in lines:
        if line.strip().upper().startswith("END"):
            continue
        answers = manager.tell(line)
        assert len(answers) <= 1
        for answer in answers:
            assert answer.split(" ")[0] in ("OK", "ERROR", "UNKNOWN", "SWAP") or answer[0] in "n0123456789", answer
        game, moves = manager.engine._game, manager.engine._moves
        assert game is not None
        assert game.play(moves).winner[0] >= ONGOING
