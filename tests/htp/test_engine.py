"""The engine's commands: golden transcripts, what it does with time and hopeless games, and any lines at all."""

from __future__ import annotations

import io
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.arena.analysis import Analysis, MoveAnalysis
from hexpipe.arena.thinker import RandomThinker, Thinker
from hexpipe.errors import HexpipeError, IllegalMoveError
from hexpipe.games.set_up import Position, SetUp
from hexpipe.htp.engine import HtpEngine
from hexpipe.htp.protocol import serve
from tests.clock import TestClock
from tests.htp.controller import split_replies
from tests.htp.test_protocol import wants_reply
from tests.htp.thinkers import hash_thinker
from tests.refusals import refused

TRANSCRIPTS = Path(__file__).parent / "transcripts"
THINKERS: dict[str, Any] = {"analysis": hash_thinker, "setup": hash_thinker}


def answers(thinker: Thinker, source: bytes, **options: Any) -> bytes:
    sink = io.BytesIO()
    serve(io.BytesIO(source), sink, HtpEngine(thinker, 5, **options).handle)
    return sink.getvalue()


@pytest.mark.parametrize("name", sorted(path.stem for path in TRANSCRIPTS.glob("*.in")))
def test_golden_transcripts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`name.in`, a session, is answered with `name.out` to the byte."""
    monkeypatch.chdir(TRANSCRIPTS)
    thinker = THINKERS.get(name, lambda: RandomThinker(1))()
    output = answers(thinker, (TRANSCRIPTS / f"{name}.in").read_bytes())
    split_replies(output)
    assert output.decode() == (TRANSCRIPTS / f"{name}.out").read_text(encoding="utf-8")


class FixedThinker:
    """Plays the first empty cell, or swaps where it may and is told to; gives the mover ``chance`` to win."""

    def __init__(self, chance: float = 0.5, swaps: bool = False) -> None:
        self.chance, self.swaps = chance, swaps
        self.prepared: list[tuple[int, bool]] = []
        self.asked: list[tuple[SetUp, float | None]] = []

    def prepare(self, board_size: int, swap: bool) -> None:
        self.prepared.append((board_size, swap))

    def think(self, position: Position, seconds: float | None = None) -> Analysis:
        assert isinstance(position, SetUp)
        self.asked.append((position, seconds))
        size, swap = self.prepared[-1]
        stones = position.black + position.white
        free = [cell for cell in range(size**2) if cell not in stones]
        action = size**2 if swap and position.may_swap and len(stones) == 1 and self.swaps else free[0]
        value = 2 * self.chance - 1
        priors = {action: 1.0}
        move = MoveAnalysis(action, 9, 1.0, value, False, (action,))
        values = np.array([value, -value], np.float32)
        return Analysis(0, values, np.zeros(2, np.float32), priors, (move,), 9, False, 0.1)


def test_hexguis_first_words() -> None:
    """What HexGui sends when a program is connected, and a first stone."""
    thinker = FixedThinker()
    engine = HtpEngine(thinker, 11)
    assert engine.handle("name", []) == "hexpipe"
    assert engine.handle("version", []) != ""
    for line in engine.handle("hexgui-analyze_commands", []).splitlines():
        kind, label, command = line.split("/")
        assert kind in ("plist", "pspairs", "gfx", "var", "string", "param")
        assert label
        assert engine.handle("known_command", [command.split()[0]]) == "true"
    assert engine.handle("boardsize", ["13", "13"]) == ""
    assert engine.handle("clear_board", []) == ""
    assert engine.handle("showboard", []).startswith("\n   a b c")
    assert engine.handle("play", ["black", "a2"]) == ""
    assert engine.handle("genmove", ["white"]) == "a1"
    assert thinker.prepared[0] == (11, False)
    assert set(thinker.prepared[1:]) == {(13, False)}


def test_overlays_are_what_hexgui_can_parse() -> None:
    """Pairs and points by StringUtils.java: words apart by blanks, an even number; heat between 0 and 1."""
    engine = HtpEngine(hash_thinker(), 4, allow_swap=True)
    for moves in ([], ["b2"]):
        for number, move in enumerate(moves):
            engine.handle("play", ["bw"[number % 2], move])
        cells = set(engine.handle("all_legal_moves", []).split())
        for name in ("hexpipe-policy", "hexpipe-win-rates"):
            words = engine.handle(name, []).split()
            assert words
            assert len(words) % 2 == 0
            stone = {"b2"} if moves else set()  # which is what a swap would take
            assert set(words[::2]) <= cells - {"swap-pieces"} | stone
            told = {text.partition(":")[0] for cell, text in zip(words[::2], words[1::2], strict=True) if cell in stone}
            assert told == ({"swap"} if moves and name == "hexpipe-policy" else told & {"swap"})
        for name in ("hexpipe-policy-heat", "hexpipe-win-rate-heat"):
            influence, _, text = engine.handle(name, []).partition(" TEXT ")
            words = influence.removeprefix("INFLUENCE ").split()
            assert ("swap" in text) == bool(stone & set(words))
            assert len(words) % 2 == 0
            assert all(0 <= float(word) <= 1 for word in words[1::2])
        assert set(engine.handle("hexpipe-variation", []).split()) <= cells | {"b2"}


def test_any_stones_and_either_colour_are_answered() -> None:
    engine = HtpEngine(hash_thinker(), 4)
    for plays in (["b a1", "b b2"], ["w c3"], ["w b1", "w b3", "w c1"]):
        for play in plays:
            engine.handle("play", play.split())
        for colour in "bw":
            free = set(engine.handle("all_legal_moves", []).split())
            assert engine.handle("reg_genmove", [colour]) in free
            for name in ("policy", "policy-heat", "win-rates", "win-rate-heat", "variation", "evaluation"):
                assert engine.handle(f"hexpipe-{name}", [colour])
    assert engine.handle("genmove", ["b"]) in free
    for play in ("b d1", "b d2", "b d3", "b d4"):
        with suppress(HexpipeError):
            engine.handle("play", play.split())
    for colour in "bw":
        with refused(IllegalMoveError, "black", kind="over"):
            engine.handle("hexpipe-policy", [colour])


def test_loading_positions_and_what_is_none(tmp_path: Path) -> None:
    engine, file = HtpEngine(FixedThinker(), 5), tmp_path / "a.sgf"
    file.write_text("(;FF[4]GM[11]SZ[6];AB[a1][b2][c3]AW[d4]PL[W];W[f6];B[e5])", encoding="utf-8")
    assert engine.handle("loadsgf", [str(file)]) == ""
    board = engine.handle("showboard", [])
    assert board.splitlines()[1].split()[-1] == "f"
    assert board.count("X") - 1 == 4
    assert board.count("O") - 1 == 2
    assert "white to move" in board
    assert engine.handle("loadsgf", [str(file), "0"]) == ""
    assert engine.handle("showboard", []).count("X") - 1 == 3
    assert engine.handle("reg_genmove", ["w"]) == "b1"
    for text in ("(;SZ[4];AB[a1]AW[a1])", "(;SZ[40])", "(;SZ[7];B[a1];W[b1", "(;GM[1])", ""):
        engine.handle("boardsize", ["6"])
        engine.handle("play", ["b", "a1"])
        file.write_text(text, encoding="utf-8")
        with pytest.raises(HexpipeError, match=r"cannot load file: .*; the board is empty now, 6x6"):
            engine.handle("loadsgf", [str(file)])
        assert engine.handle("showboard", []).count("X") == 1, "the legend's"
        assert len(engine.handle("all_legal_moves", []).split()) == 36
    with pytest.raises(HexpipeError, match="is no file; the board is empty now, 6x6"):
        engine.handle("loadsgf", [str(tmp_path)])


def test_one_search_serves_all_overlays_of_a_position() -> None:
    thinker = FixedThinker()
    engine = HtpEngine(thinker, 5)
    for name in ("hexpipe-policy", "hexpipe-win-rates", "hexpipe-evaluation", "reg_genmove"):
        engine.handle(name, ["b"])
    assert len(thinker.asked) == 1
    engine.handle("hexpipe-policy", ["w"])
    assert len(thinker.asked) == 2


def test_swap_pieces_moves_no_stone() -> None:
    engine = HtpEngine(FixedThinker(swaps=True), 5, allow_swap=True)
    assert engine.handle("genmove", ["b"]) == "a1"
    assert engine.handle("genmove", ["w"]) == "swap-pieces"
    board = engine.handle("showboard", [])
    assert board.count("X") == 2  # the stone and the legend
    assert "white to move" in board
    assert engine.handle("genmove", ["w"]) == "b1"


@pytest.mark.parametrize(("chance", "below", "word"), [(0.02, 0.0, "a1"), (0.02, 0.05, "resign"), (0.06, 0.05, "a1")])
def test_it_resigns_only_when_it_was_told_to(chance: float, below: float, word: str) -> None:
    engine = HtpEngine(FixedThinker(chance), 5, resign_below=below)
    assert engine.handle("genmove", ["b"]) == word
    if word == "resign":
        assert engine.handle("final_score", []) == "W+"
        assert engine.handle("genmove", ["w"]) == "resign"  # it holds nothing of white's position either
        assert engine.handle("final_score", []) == "B+"


def test_nothing_is_taken_back_for_a_resignation() -> None:
    """HexGui sends no undo for it: after one, both boards must have the same stones."""
    engine = HtpEngine(FixedThinker(0.01), 5, resign_below=0.05)
    for word in ("b c3", "w d3", "b b4"):
        engine.handle("play", word.split())
    before = engine.handle("all_legal_moves", [])
    assert engine.handle("genmove", ["w"]) == "resign"
    assert engine.handle("all_legal_moves", []) == before
    engine.handle("undo", [])
    assert set(engine.handle("all_legal_moves", []).split()) == {*before.split(), "b4"}
    with pytest.raises(HexpipeError, match="goes on"):
        engine.handle("final_score", [])


def test_what_was_cut_short_is_thought_again() -> None:
    cut = [True]
    thinker = FixedThinker()
    engine = HtpEngine(thinker, 5, interrupted=lambda: cut[0])
    for ended, searches in ((True, 1), (False, 2), (False, 2)):
        cut[0] = ended
        engine.handle("hexpipe-policy", ["b"])
        assert len(thinker.asked) == searches


def test_a_lost_game_is_resigned_since_no_move_is_left() -> None:
    """benzene's twogtp.py plays on until somebody says so."""
    engine = HtpEngine(FixedThinker(), 3)
    for word in ("b a1", "w b1", "b a2", "w b2", "b a3"):
        engine.handle("play", word.split())
    assert engine.handle("final_score", []) == "B+"
    assert engine.handle("genmove", ["w"]) == "resign"
    assert engine.handle("final_score", []) == "B+"


def test_time_is_shared_out_and_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    TestClock(monkeypatch)

    class SlowThinker(FixedThinker):
        def think(self, position: Position, seconds: float | None = None) -> Analysis:
            time.sleep(0.05)
            return super().think(position, seconds)

    thinker = SlowThinker()
    engine = HtpEngine(thinker, 5)
    engine.handle("genmove", ["b"])
    assert thinker.asked[-1][1] is None
    engine.handle("time_settings", ["20", "0", "0"])
    engine.handle("genmove", ["w"])
    assert thinker.asked[-1][1] == pytest.approx((20 - 0.1) / 8)  # 24 empty cells, a third of them its own to come
    assert float(engine.handle("time_left", ["w"])) == pytest.approx(20 - 0.05, abs=0.051)  # told in tenths
    assert engine.handle("time_left", ["b"]) == "20.0"
    engine.handle("time_left", ["b", "7", "2"])
    engine.handle("genmove", ["b"])
    assert thinker.asked[-1][1] == pytest.approx((7 - 0.1) / 2)
    engine.handle("reg_genmove", ["w"])
    assert thinker.asked[-1][1] is None
    engine.handle("clear_board", [])
    assert engine.handle("time_left", []) == "Black: 20.0, White: 20.0"


def test_a_whole_game_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides of 7x7 in four seconds each, a batch of leaves in three milliseconds: nobody's flag drops."""
    clock = TestClock(monkeypatch, tick=0.003)
    engine = HtpEngine(hash_thinker(), 7)
    engine.handle("time_settings", ["4", "0", "0"])
    began, colour = clock.now, 0
    while engine.handle("genmove", ["bw"[colour]]) != "resign":
        colour = 1 - colour
    took = clock.now - began
    left = [float(engine.handle("time_left", [name])) for name in "bw"]
    assert min(left) > 0
    assert took > 3, "the time is used"
    assert sum(left) == pytest.approx(8 - took, abs=0.5)


def test_boards_that_the_thinker_cannot_have_change_nothing() -> None:
    class OnlyFive(FixedThinker):
        def prepare(self, board_size: int, swap: bool) -> None:
            if board_size != 5:
                raise HexpipeError("no net for it")
            super().prepare(board_size, swap)

    engine = HtpEngine(OnlyFive(), 5)
    engine.handle("play", ["b", "c3"])
    with pytest.raises(HexpipeError, match="no net"):
        engine.handle("boardsize", ["6"])
    assert engine.handle("showboard", []).count("X") == 2


COMMANDS = sorted(HtpEngine(FixedThinker(), 3)._commands)
WORDS = ["b", "w", "black", "a1", "c3", "z9", "swap-pieces", "resign", "pass", "3", "5", "-1", "0", "allow_swap", "."]
known = st.tuples(st.sampled_from(COMMANDS), st.lists(st.sampled_from(WORDS), max_size=3)).map(
    lambda parts: " ".join((parts[0], *parts[1])).encode()
)
useful = st.sampled_from(
    [b"boardsize 3", b"boardsize 4 4", b"genmove b", b"genmove w", b"undo", b"param_game allow_swap 1"]
)
placed = st.builds(
    lambda colour, column, row: f"play {colour} {column}{row}".encode(),
    st.sampled_from("bw"),
    st.sampled_from("abcd"),
    st.integers(1, 4),
)
garbled = st.binary(max_size=30) | st.builds(lambda line, dirt: line + dirt, known, st.binary(max_size=5))


@settings(deadline=None)
@given(st.lists(known | useful | placed | garbled, max_size=25))
def test_any_lines_are_answered(lines: list[bytes]) -> None:
    lines = [line.replace(b"\n", b"") for line in lines if not line.startswith(b"quit")]
    replies = split_replies(answers(RandomThinker(0), b"\n".join([*lines, b"showboard"])))
    wanted = [line for line in [*lines, b"showboard"] if wants_reply(line)]
    if not any(b"quit" in line for line in lines):  # which may hide behind control characters
        assert len(replies) == len(wanted)
        assert replies[-1].startswith("= \n")
