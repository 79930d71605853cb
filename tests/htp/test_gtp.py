"""GTP for Go and Othello: the commands, what is not by the rules, and the real program over pipes."""

from __future__ import annotations

import subprocess
from io import BytesIO
from pathlib import Path

import pytest

from hexpipe.arena.thinker import RandomThinker
from hexpipe.cli.gtp import _game
from hexpipe.cli.main import run
from hexpipe.config import load_settings
from hexpipe.errors import UsageError
from hexpipe.htp.gtp_engine import GtpEngine
from hexpipe.htp.protocol import serve
from tests.arena.checkpoints import small_checkpoint
from tests.games.test_go_elsewhere import gnugo
from tests.htp.controller import split_replies
from tests.htp.gtp_programs import HEXPIPE, Program, play
from tests.refusals import refused


def engine(game: str = "go", size: int | None = 5, **rules: float) -> GtpEngine:
    board = {} if size is None else {"game.board_size": size}
    settings = load_settings(overrides={"game.name": game, **board, **{f"game.{k}": v for k, v in rules.items()}})
    return GtpEngine(RandomThinker(1, make_game=lambda *about, **more: _game(settings, *about, **more)), settings)


def answers(lines: str, **about: object) -> list[str]:
    """The replies to ``lines``, as they are written."""
    sink = BytesIO()
    serve(BytesIO(lines.encode()), sink, engine(**about).handle)  # type: ignore[arg-type]
    return split_replies(sink.getvalue())


def last(lines: str, **about: object) -> str:
    return answers(lines, **about)[-1]


def test_a_session_has_a_reply_for_every_command() -> None:
    """With numbers, comments and blanks, and lines that are wrong."""
    assert answers(
        "1 protocol_version\nname\n\n# nothing\nknown_command komi # here\n2 known_command fly\n3 fly\nplay b\n"
        "4 boardsize 5\n5 play B A1\nplay w Z9\n6 play w a1\nplay w i1\nundo\nundo\n7 quit\nname\n"
    ) == [
        "=1 2",
        "= hexpipe",
        "= true",
        "=2 false",
        "?3 unknown command",
        "? syntax error: play takes 2 arguments, not 1",
        "=4 ",
        "=5 ",
        "? syntax error: 'Z9' is no vertex of this board, which goes from A1 to E5",
        "?6 illegal move: A1: the point is taken",
        "? syntax error: 'i1' is no vertex of this board, which goes from A1 to E5",
        "= ",
        "? cannot undo: nothing has been played",
        "=7 ",
    ]
    listed = last("list_commands\n").removeprefix("= ").split("\n")
    assert {"genmove", "final_score", "time_left", "kgs-genmove_cleanup", "komi"} <= set(listed)
    assert {"komi", "kgs-genmove_cleanup"} & set(last("list_commands\n", game="othello", size=8).split()) == set()


def test_a_picture_has_the_names_of_gtp() -> None:
    assert last("boardsize 9\nplay b J9\nplay w A1\nshowboard\n").splitlines()[1:] == [
        "   A B C D E F G H J",
        " 9 . . . . . . . . X 9",
        *(f" {row} . . . . . . . . . {row}" for row in range(8, 1, -1)),
        " 1 O . . . . . . . . 1",
        "   A B C D E F G H J",
        "X black, O white; black to move",
    ]


@pytest.mark.parametrize("size", ["2", "20", "5.5", "wide", "-1"])
def test_boards_that_there_are_none_of_are_unacceptable(size: str) -> None:
    *_, refusal, board = answers(f"boardsize {size}\nshowboard\n")
    assert refusal.startswith("? ")
    assert "A B C D E\n" in board, "the board is the one before"


def test_the_komi_is_set_and_counts_at_once() -> None:
    passes = "play b c3\nplay w pass\nplay b pass\n"
    assert last(f"{passes}final_score\n") == "= B+17.5"
    assert last(f"komi 6\n{passes}final_score\n") == "= B+19"
    assert last(f"{passes}komi 25\nfinal_score\n") == "= 0"
    assert last(f"{passes}komi 30.5\nclear_board\n{passes}final_score\n") == "= W+5.5"
    assert last("komi 0.3\n").startswith("? game.komi")
    assert last("komi much\n") == "? syntax error: 'much' is no number"


def test_moves_out_of_turn_have_a_pass_between() -> None:
    lines = "play b a1\nplay b b1\nplay b pass\nplay w pass\nplay w c3\nplay w d3\nplay b e3\n"
    assert [reply[0] for reply in answers(lines)] == ["="] * 7
    assert "X X . . ." in last(lines + "showboard\n")
    assert " 3 . . O O X 3" in last(lines + "showboard\n")


def test_a_game_goes_on_after_two_passes_if_stones_follow() -> None:
    lines = "play b c3\nplay w pass\nplay b pass\n"
    assert last(f"{lines}genmove w\n") == "= pass"
    assert last(f"{lines}genmove w\nfinal_score\n") == "= B+17.5"
    assert last(f"{lines}play w a1\nfinal_score\n") == "? cannot score: the game goes on"
    assert last(f"{lines}play b a1\nfinal_score\n") == "? cannot score: the game goes on"
    assert last(f"{lines}play w a1\nundo\nfinal_score\n") == "= B+17.5"
    assert last(f"{lines}kgs-genmove_cleanup w\n")[2:] != ""
    assert last("final_score\n") == "? cannot score: the game goes on"
    assert last("play w resign\nfinal_score\n") == "= B+R"


def test_a_repetition_and_suicide_are_illegal_moves() -> None:
    stones = ["b b5", "w c5", "b a4", "w d4", "b b3", "w c3", "b e1", "w b4", "b c4", "w b4"]
    ko = "".join(f"play {stone}\n" for stone in stones)
    assert last(ko) == "? illegal move: B4: it would repeat an earlier position"
    corner = "play b b1\nplay w e5\nplay b a2\nplay w a1\n"
    assert last(corner) == "? illegal move: A1: its chain would have no liberty"


def test_othello_has_the_names_that_it_has_everywhere() -> None:
    """Black's four first moves; who can move has no pass; a whole game to its score."""
    for first in ("d3", "c4", "f5", "e6"):
        assert last(f"play b {first}\n", game="othello", size=8) == "= "
    why = "it is white's turn, who can move and so must not pass"
    assert last("play b d3\nplay b c5\n", game="othello", size=8) == f"? illegal move: {why}"
    for refused_move, why in (("a1", "A1: it turns no disc over"), ("d4", "D4: the point is taken"), ("pass", "pass:")):
        assert last(f"play b {refused_move}\n", game="othello", size=8).startswith(f"? illegal move: {why}")
    moves = "".join(f"genmove {'bw'[k % 2]}\n" for k in range(130))
    *words, score = answers(f"{moves}final_score\n", game="othello", size=8)
    assert words[-1] == "= pass"
    assert score[2:4] in ("B+", "W+", "0")


def test_a_clock_is_kept() -> None:
    assert last("time_settings 60 10 5\ntime_left b 30 0\ngenmove b\n")[0] == "="
    assert last("time_settings 1 2\n") == "? syntax error: time_settings takes 3 arguments, not 2"
    assert last("time_settings -1 0 0\n").startswith("? ")


def test_other_games_have_no_gtp() -> None:
    settings = load_settings(overrides={"game.name": "connect4"})
    with refused(UsageError, "Connect Four"):
        GtpEngine(RandomThinker(1), settings)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    options = {"game__name": "go", "game__board_size": 5, "inference__backend": "eager", "search__num_simulations": 12}
    return small_checkpoint(folder, **options)


def test_the_program_plays_on_boards_of_other_sizes(run_dir: Path) -> None:
    with Program([*HEXPIPE, str(run_dir), "--simulations", "8"]) as program:
        assert "A B C D E\n" in program.send("showboard") + "\n"
        for command in ("genmove b", "boardsize 7", "komi 0.5", "play b G7", "genmove w", "undo", "reg_genmove w"):
            program.send(command)
        assert program.send("genmove w")[0] in "ABCDEFGp"
        assert program.ask("genmove w")[0], "black is taken to have passed"
        program.send("quit")
        assert program.process.wait(timeout=200) == 0


def test_bad_input_is_one_line_and_exit_code_2(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hexes = small_checkpoint(tmp_path / "hex")
    for arguments, words in (
        ([], "name a checkpoint or a run folder of Go or Othello, or give --random SEED"),
        ([str(run_dir), "--random", "1"], "one of them"),
        ([str(run_dir), "--game", "othello"], "--game is for --random"),
        ([str(hexes)], "GTP is for go and othello"),
        (["--random", "1", "--game", "hex"], "GTP is for go and othello"),
        ([str(run_dir), "--size", "20"], "19"),
        (["--random", "1", "--komi", "0.3"], "game.komi"),
        (["--random", "1", "--game", "othello", "--komi", "1"], "game.komi is for game.name=go"),
    ):
        assert run(["gtp", *arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert words in lines[0]


def test_bytes_that_are_no_commands() -> None:
    rubbish = bytes(range(256)).replace(b"\n", b"").replace(b"#", b"")
    lines = rubbish + b"\n" + rubbish * 900 + b"\nboardsize 5\n\xff\xfe\n12 quit\n"
    done = subprocess.run([*HEXPIPE, "--random", "1"], input=lines, capture_output=True, timeout=280, check=True)
    assert [reply[:2] for reply in split_replies(done.stdout)] == ["? ", "? ", "= ", "? ", "=1"]


@pytest.mark.parametrize("most", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_a_game_against_gnugo(run_dir: Path, most: int) -> None:
    """Each takes the other's moves, whoever begins, until both pass."""
    with Program([*HEXPIPE, str(run_dir), "--simulations", "8"]) as ours:
        for begins in (True, False):
            with Program(gnugo()) as theirs:
                words, _ = play(*((ours, theirs) if begins else (theirs, ours)), 5, 7.5, most)
            assert len(words) == most or words[-1].lower() in ("pass", "resign")
