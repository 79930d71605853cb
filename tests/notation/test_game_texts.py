"""Games as text: every form into every other and back, what programs really write, and what cannot be read."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from itertools import product
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hexpipe.errors import NotationError
from hexpipe.games.coordinates import format_moves, parse_moves
from hexpipe.games.hex import Hex, checked_game
from hexpipe.games.player_utils import COLOURS
from hexpipe.notation import game_sources, game_texts
from hexpipe.notation.conventions import CONVENTIONS, Convention
from hexpipe.notation.game_texts import HexGame, read_game
from tests.games.hex_games import hex_games
from tests.refusals import refused

Writer = Callable[[HexGame], str]
WRITERS: dict[str, Writer] = {
    "moves": game_texts.to_moves,
    "trmph": game_texts.to_trmph,
    "sgf": game_texts.to_sgf,
    "hexworld": game_texts.to_hexworld,
    "json": game_texts.to_json,
}


def kept(game: HexGame, form: str) -> HexGame:
    """What of ``game`` a form has words for."""
    if form == "moves":
        return HexGame(game.size, game.moves)
    if form == "trmph":
        return HexGame(game.size, game.moves, game.winner)
    if form == "hexworld":
        if not game.ending:
            return HexGame(game.size, game.moves)
        return dataclasses.replace(game, ending="forfeit" if game.ending == "time" else game.ending)
    return game


@pytest.mark.parametrize(("first", "second"), [*product(WRITERS, WRITERS)])
@settings(deadline=None)
@given(data=st.data())
def test_every_form_into_every_other_and_back(first: str, second: str, data: st.DataObject) -> None:
    game = data.draw(hex_games(swap="trmph" not in (first, second)))
    text = WRITERS[first](game)
    there = read_game(text, game.size)
    assert there == kept(game, first)
    assert WRITERS[first](there) == text
    other = WRITERS[second](there)
    again = read_game(other, game.size)
    assert again == kept(there, second)
    assert WRITERS[second](again) == other
    assert again.notes == ()


@settings(deadline=None)
@given(hex_games(swap=False), st.sampled_from(["https://trmph.com/hex/board", "http://www.trmph.com/hex/board", "  "]))
def test_addresses_of_trmph(game: HexGame, address: str) -> None:
    assert read_game(address + game_texts.to_trmph(game)) == kept(game, "trmph")


@settings(deadline=None)
@given(hex_games(), st.sampled_from(["r9", "n", "m", "r1mnc1", ""]), st.integers(0, 20))
def test_links_of_hexworld(game: HexGame, shown: str, cursor: int) -> None:
    """The page's settings mean nothing here; a comma is where the page stands."""
    size, _, words = game_texts.to_hexworld(game).partition("c1,")
    parts = game_texts._HEXWORLD_WORD.findall(words)
    line = "".join(parts[:cursor]) + "," + "".join(parts[cursor:])
    link = f"https://hexworld.org/board/{size}{shown},{line}"
    assert read_game(link) == kept(game, "hexworld")
    before = game_texts.from_hexworld(link, whole=False)
    assert before.moves == game.moves[:cursor]


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.program)
def test_the_table_of_conventions(convention: Convention) -> None:
    """Each sample, as that program writes it, is the game that its row says."""
    game = read_game(convention.sample, swap_means=convention.swap_means)
    assert game_texts.to_moves(game) == convention.moves
    assert COLOURS[game.winner or 0] == convention.winner
    # the cell of the first stone is b1, the second from the left in the uppermost row
    assert game.moves[0] == 1
    assert convention.cell in convention.sample
    if convention.swap == "none":
        assert not game.swapped
    else:
        # a stone that is turned over leaves its cell, so that the next ones are written transposed
        written = convention.sample.lower()
        assert ("c1" in written.replace("c1,", "")) == (convention.swap == "sides")
        assert game.winning_seat == 0


def test_the_rows_of_one_game_agree() -> None:
    """Four stones told by twelve programs are one position."""
    rows = [row for row in CONVENTIONS if row.swap != "none"]
    games = [game_texts.to_moves(read_game(row.sample, swap_means=row.swap_means)) for row in rows]
    assert len(rows) == 12
    assert {" ".join(game.split()[:4]) for game in games} == {"b1 swap c1 e4"}
    states = Hex(5, swap=True).play(parse_moves("b1 swap c1 e4", 5, swap=True))
    assert states.cells[0].nonzero()[0].tolist() == [1, 2, 19]
    assert states.cells[0][[1, 2, 19]].tolist() == [1, 2, 1]


def test_examples() -> None:
    assert game_texts.to_trmph(HexGame(11, (0, 12, 24))) == "#11,a1b2c3"
    assert game_texts.to_trmph(HexGame(11, (0,), 1)) == "#11,a1 r"
    assert game_texts.to_hexworld(HexGame(5, (1, 25, 2))) == "#5c1,b1:sa3"
    assert game_texts.to_hexworld(HexGame(5, (1, 25, 2), 0, "resign")) == "#5c1,b1:sa3:rb"
    assert game_texts.to_sgf(HexGame(5, (1, 25, 2))) == "(;FF[4]GM[11]SZ[5];B[b1];W[swap-sides];W[c1])"
    assert game_texts.to_sgf(HexGame(5, (1,), 0, "resign")) == "(;FF[4]GM[11]SZ[5]RE[B+R];B[b1];W[resign])"
    assert game_texts.to_sgf(HexGame(5, (1,), 1, "time")) == "(;FF[4]GM[11]SZ[5]RE[W+T];B[b1])"


# In the hand of the programs: the shapes of their files, other games.
LITTLE_GOLEM = (
    "(;FF[4]EV[hex.mc.2010.oct.1.11]PB[Someone Else]PW[another;]]SZ[13]RE[B]GC[ game #1254911]"
    "SO[http://www.littlegolem.com];W[mf];B[gg];W[de];B[df];W[ji];B[resign])"
)
HEXGUI = """(;AP[HexGui:1.0.]FF[4]GM[11]SZ[11];B[a4];W[f6];B[d7]C[a comment
with ; and \\] in it];W[e5]
(;B[c6];W[c7])(;B[c7];W[c6](;B[a1])(;B[a2])))
"""
BENZENE = """(;AP[Hex-benzene:0.1]FF[4]GM[11]PB[player1]PW[player2]SZ[11]
;B[a3];W[f6];B[c7];W[c9];B[d8])
"""


def test_little_golem() -> None:
    """W moves first and is PB; cells are two letters; a bracket in a name is not escaped; RE names PB or PW."""
    game = read_game(LITTLE_GOLEM)
    assert (game.size, game_texts.to_moves(game)) == (13, "m6 g7 d5 d6 j9")
    assert (game.winner, game.ending, game.notes) == (0, "resign", ())
    empty = read_game("(;FF[4]EV[hex.ld.DEFAULT]PB[a]PW[b]SZ[13]RE[W]SO[https://www.littlegolem.net];W[resign])")
    assert (empty.moves, empty.winner, empty.ending) == ((), 1, "resign")


def test_a_tree_of_hexgui_gives_its_main_line_and_says_so() -> None:
    game = read_game(HEXGUI)
    assert game_texts.to_moves(game) == "a4 f6 d7 e5 c6 c7"
    assert game.notes == ("2 variations left out", "1 comment left out")
    assert game_texts.to_moves(read_game(BENZENE)) == "a3 f6 c7 c9 d8"


@pytest.mark.parametrize(("text", "moves", "winner", "ending"), [
    ("(;SZ[5]RE[B+];B[a1])", "a1", 0, ""),
    ("(;SZ[5]RE[W+Time];B[a1])", "a1", 1, "time"),
    ("(;SZ[5]RE[B+F];B[a1];W[forfeit])", "a1", 0, "forfeit"),
    ("(;SZ[5]RE[?];B[a1])", "a1", None, ""),
    ("(;SZ[5:5];B[A1];W[pass])", None, None, ""),
    ("(;B[k11])", "k11", None, ""),
    ("( ; FF [4] GM[11]\nSZ[5] ; B [a1]\n; W [b2] )", "a1 b2", None, ""),
    ("(;SZ[5];B[a1];W[swap])", "a1 swap", None, ""),
    ("(;SZ[5]RE[B+R];B[a1];W[swap-pieces];W[resign])", "a1 swap", 1, "resign"),
    ("(;SZ[5]RE[B+R]AP[HexGui:0.9];B[a1];W[swap-pieces];W[resign])", "a1 swap", 0, "resign"),
    ("(;GaMe[11]SiZe[5];B[a1])", "a1", None, ""),
    ("(;SZ[5];B[b1];W[swap-pieces];B[b1])", "b1 swap a2", None, ""),
])  # fmt: skip
def test_what_sgf_says_of_the_end(text: str, moves: str | None, winner: int | None, ending: str) -> None:
    if moves is None:
        with pytest.raises(NotationError):
            read_game(text)
        return
    game = read_game(text)
    assert (game_texts.to_moves(game), game.winner, game.ending) == (moves, winner, ending)


def test_results_that_do_not_fit_are_told() -> None:
    game = read_game("(;SZ[5]RE[W+R];B[a1];W[resign])")
    assert game.winner == 0
    assert "RE[W+R] is not what the resign says" in game.notes[0]
    assert "no result that is understood" in read_game("(;SZ[5]RE[who knows];B[a1])").notes[0]


def test_a_game_by_the_rules() -> None:
    won = HexGame(3, (0, 1, 3, 4, 6))
    assert checked_game(won).winner == 0
    assert checked_game(dataclasses.replace(won, winner=0, ending="resign")).ending == "resign"
    contradicted = checked_game(dataclasses.replace(won, winner=1, ending="time"))
    assert (contradicted.winner, contradicted.ending) == (0, "")
    assert contradicted.notes == ("white is said to have won, but black's stones connect",)
    assert checked_game(HexGame(3, (0, 9, 1))) == HexGame(3, (0, 9, 1))
    with refused(NotationError, kind="rule", move=3):
        checked_game(read_game("#3c1,a1:s:s"))
    with refused(NotationError, "black", kind="over", move=6):
        checked_game(HexGame(3, (0, 1, 3, 4, 6, 7)))
    swapped = HexGame(3, (0, 9, 1, 3, 4, 6))  # the second player, black since the swap, connects a1 a2 a3
    assert (checked_game(swapped).winner, checked_game(swapped).winning_seat) == (0, 1)


@pytest.mark.parametrize(("text", "kind", "named"), [
    ("#2,a1", "board", "'2'"),
    ("#28,a1", "board", "'28'"),
    ("#5,a6", "coordinate", "'a6'"),
    ("#5,a1x", "moves", "'a1x'"),
    ("#5,a1a1", "occupied", "a1"),
    ("#5,a1 x", "syntax", "no TRMPH"),
    ("#x", "syntax", "TRMPH nor HexWorld"),
    ("#5x6c1,a1", "board", "5 by 6"),
    ("#5c1,a1:p", "rule", "pass"),
    ("#5c1,:sa1", "rule", "move 1"),
    ("#5c1,a1b1:s", "rule", "move 3"),
    ("#5c1,a1:rb:rw", "over", ":rb"),
    ("#5c1,a1:rbb2", "over", ":rb"),
    ("#5c1,a1:x", "syntax", "of HexWorld"),
    ("a1 b2", "board", "'a1 b2'"),
    ('{"size": 5}', "type", "moves"),
    ('{"size": "5", "moves": []}', "type", "size"),
    ('{"size": 5, "moves": ["a1", null]}', "type", "moves"),
    ('{"size": 99, "moves": []}', "board", "'99'"),
    ('{"size": 5, "moves": [], "winner": "red"}', "type", "'red'"),
    ('{"size": 5, "moves": [], "ending": "resign"}', "over", "resign"),
    ('{"size": 5, "moves": [], "winner": "black", "ending": "sleep"}', "type", "'sleep'"),
    ('{"size": 5, "moves": []', "syntax", "JSON"),
    ("{" * 5000, "syntax", "JSON"),
    ("(;GM[1]SZ[5];B[aa])", "foreign", "GM[1]"),
    ("(;GM[11]SZ[5]AB[a1])", "syntax", "AB: "),
    ("(;GM[11]SZ[5];B[a1];AE[a1])", "syntax", "AE: "),
    ("(;GM[11]SZ[5];B[a1];B[b1])", "turn", "b1"),
    ("(;GM[11]SZ[5];W[a1])", "turn", "a1"),
    ("(;GM[11]SZ[5];B[a1];W[swap-sides];B[c1])", "turn", "c1"),
    ("(;GM[11]SZ[5];B[])", "rule", "pass"),
    ("(;GM[11]SZ[5];B[a1]W[b1])", "syntax", "one move"),
    ("(;GM[11]SZ[5];B[a1][b1])", "syntax", "one move"),
    ("(;GM[11]SZ[5:6];B[a1])", "board", "5 by 6"),
    ("(;GM[11]SZ[5];B[a1];W[b1];B[swap-sides])", "turn", "swap-sides"),
    ("(;GM[11]SZ[5];B[a1];W[resign];B[b1])", "over", "resign"),
    ("(;GM[11]SZ[5];B[a1])(;GM[11]SZ[5];B[a1])", "syntax", "2 games"),
    ("(;GM[11]SZ[5];B[a1]", "syntax", "cut off"),
    ("(GM[11]SZ[5];B[a1])", "syntax", "GM[11]SZ[5]"),
    ("()", "syntax", "no node"),
    ("no game", "syntax", "'no game'"),
])  # fmt: skip
def test_what_cannot_be_read(text: str, kind: str, named: str) -> None:
    with refused(NotationError, named, kind=kind) as caught:
        read_game(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "kind", "named"), [
    ("(;FF[4]SZ[5]KM[6.5]RE[B+R];B[b2];W[d4])", "foreign", "KM[6.5]"),
    ("(;FF[4]SZ[5]RU[Japanese];B[b2];W[d4])", "foreign", "RU[Japanese]"),
    ("(;FF[4]SZ[5]HA[0];B[b2])", "foreign", "HA[0]"),
    ("(;FF[4]SZ[5];B[b2];W[d4]TB[a1][a2])", "foreign", "TB[a1]"),
    ("(;FF[4]SZ[5];B[b2];W[d4]TW[a1])", "foreign", "TW[a1]"),
    ("(;FF[4]SZ[15];B[hh];W[ii];B[hi])", "foreign", "cells of two letters, black first"),
    ("(;GM[4]SZ[15];B[hh])", "foreign", "GM[4]"),
])  # fmt: skip
def test_records_of_other_games_are_no_games_of_hex(text: str, kind: str, named: str) -> None:
    with refused(NotationError, named, kind=kind):
        read_game(text)


def test_what_says_that_it_is_hex_is() -> None:
    """Also with properties or cells that others have, and Little Golem's, which say nothing but have white first."""
    for text in ("(;GM[11]SZ[5]KM[0];B[b2])", "(;GM[11]SZ[5];B[bb])", "(;SZ[5];W[bb])", "(;SZ[5];B[b2])"):
        assert game_texts.to_moves(read_game(text)) == "b2"


@pytest.mark.parametrize(("text", "moves"), [
    ("1. a1 2. swap 3. b2", "a1 swap b2"),
    ("1.a1 2.b2 3.c3", "a1 b2 c3"),
    ("1) a1 2) b2, 3) c3", "a1 b2 c3"),
    ("1 a1 2 b2\n3 c3", "a1 b2 c3"),
    ("1. a1 b2 2. c3 d4 3. e5", "a1 b2 c3 d4 e5"),
    ("a1 b2 3. c3", "a1 b2 c3"),
    ("b1 swap-pieces a3 d5", "b1 swap c1 e4"),
    ("b1swap-piecesa3d5", "b1 swap c1 e4"),
    ("b1 swap-sides c1 e4", "b1 swap c1 e4"),
    ("1. b1 2. Swap-Pieces 3. a3", "b1 swap c1"),
])  # fmt: skip
def test_lists_of_moves(text: str, moves: str) -> None:
    assert game_texts.to_moves(read_game(text, 5)) == moves


@pytest.mark.parametrize(("text", "move"), [("1. a1 3. b2", 2), ("1. a1 2. b2 2. c3", 3), ("2. a1 3. b2", 1)])
def test_numbers_that_do_not_count_the_moves(text: str, move: int) -> None:
    with refused(NotationError, kind="moves", move=move):
        read_game(text, 5)


@settings(deadline=None)
@given(hex_games(), st.sampled_from(("sides", "pieces")))
def test_a_swap_is_what_is_said(game: HexGame, means: str) -> None:
    """A program's own moves, its swap called by that word alone, are read right where its meaning is told."""
    turned = game_texts.mirror_after_swap(game.moves, game.size) if means == "pieces" else game.moves
    words = format_moves(turned, game.size)
    assert read_game(words, game.size, swap_means=means).moves == game.moves
    told = words.replace("swap", f"swap-{means}")
    for other in ("sides", "pieces"):  # what a text says itself is not asked
        assert read_game(told, game.size, swap_means=other).moves == game.moves
        document = json.dumps({"size": game.size, "moves": words.split(), "swap_means": means})
        assert read_game(document, swap_means=other).moves == game.moves
    numbers = json.dumps({"size": game.size, "moves": turned})
    assert read_game(numbers, swap_means=means).moves == game.moves


@settings(deadline=None)
@given(hex_games(), st.sampled_from(("", ":,", "#:,/")))
def test_links_may_be_percent_encoded(game: HexGame, safe: str) -> None:
    link = "https://hexworld.org/board/" + game_texts.to_hexworld(game)
    assert read_game(quote(link, safe="/" + safe)) == read_game(link)
    assert read_game(quote(link, safe="/:#")) == read_game(link)


def test_links_of_other_pages() -> None:
    assert game_texts.to_moves(read_game("#13c1%2Ca10b2")) == "a10 b2"
    assert game_texts.to_moves(read_game("#13c1%2ca10%3Asb2")) == "a10 swap b2"
    assert game_texts.to_moves(read_game("https://trmph.com/hex/board%2313%2Ca10b2")) == "a10 b2"


@pytest.mark.parametrize(("text", "kind", "named"), [
    ("#5,a1 x", "syntax", "no TRMPH"),
    ("https://trmph.com/hex/board#5a1", "syntax", "no TRMPH"),
    ("#5,a1:", "syntax", "of HexWorld"),
    ("#5c1,a1 b2", "syntax", "no HexWorld"),
    ("#5r9c1 a1", "syntax", "no HexWorld"),
    ("https://hexworld.org/board/#a1b2", "syntax", "no HexWorld"),
    ("#5,swap", "syntax", "swap"),
    ('[Event "?"]', "syntax", "PGN"),
    ("1. e4 e5 2. Nf3 Nc6", "syntax", "PGN"),
    ("play b a1", "syntax", "HTP"),
    (". . . X O\n . . . . .", "syntax", "picture"),
    ('["a1", "b2"]', "syntax", "list in JSON"),
    ("https://littlegolem.net/game/1", "syntax", "a link"),
    ("a1 b2 c", "moves", "'c'"),
    ("a1 b2", "board", "'a1 b2'"),
    ("hello", "syntax", "'hello'"),
    ("a1 " * 400_000, "range", "1,000,000"),
    ("(;SZ[27]" + ";B[a1];W[b1]" * 400 + ")", "moves", "800"),
    ("#27,a1" + "b1" * 800, "moves", "801"),
    ("#27c1," + "b1" * 800, "moves", "800"),
    ('{"size": 27, "moves": [' + "1," * 800 + "1]}", "moves", "801"),
    ('{"size": 5, "moves": [26]}', "coordinate", "26"),
    ('{"size": 5, "moves": [{"q": 5, "r": 0}]}', "coordinate", "5x5"),
    ('{"size": 5, "moves": [], "swap_means": "both"}', "unknown", "'both'"),
])  # fmt: skip
def test_a_wrong_notation_is_named_as_what_it_looks_like(text: str, kind: str, named: str) -> None:
    with refused(NotationError, named, kind=kind) as caught:
        read_game(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_game_of_all_moves_that_there_can_be() -> None:
    """Each cell of the largest board, a swap and a resignation are 731."""
    nodes = ";B[a1];W[swap-sides]"
    for stone in range(1, 27 * 27):
        nodes += f";{'BW'[stone % 2]}[{format_moves([stone], 27)}]"
    game = read_game(f"(;GM[11]SZ[27]{nodes};W[resign])")
    assert len(game.moves) == 730
    assert game.ending == "resign"
    assert read_game(game_texts.to_moves(game), 27).moves == game.moves


@pytest.mark.parametrize(("text", "kind", "move", "named"), [
    ("#5c1,b4:sb3c3d2", "occupied", 5, ("move 5 (d2)", "b4 over to d2")),
    ("#5c1,b4:sb3c3b3", "occupied", 5, ("b3 ",)),
    ("(;GM[11]SZ[5];B[b4];W[swap-pieces];B[d2])", "occupied", 3, ("move 3 (d2)",)),
    ("(;SZ[5];W[bd];B[swap];W[ac];B[db])", "occupied", 4, ("move 4 (db)", "bd over to db")),
    ("(;SZ[5];W[bd];B[de];W[bd])", "occupied", 3, ("bd ",)),
    ("b4 swap-pieces d2", "occupied", 3, ("move 3 (d2)",)),
    ('{"size": 5, "moves": [16, 25, 8], "swap_means": "pieces"}', "occupied", 3, ("move 3 (8)",)),
    ("#3c1,a1:sb1c1b2c2b3a2", "over", 8, ("move 8 (a2)",)),
])  # fmt: skip
def test_messages_name_moves_as_they_are_written(text: str, kind: str, move: int, named: tuple[str, ...]) -> None:
    with refused(NotationError, *named, kind=kind, move=move):
        checked_game(read_game(text, 5))


@settings(deadline=None)
@given(hex_games())
def test_the_dialect_of_hexgui(game: HexGame) -> None:
    """HexGui to 0.9 knows swap-pieces alone, moves no stone for it, and no forfeit; each game comes back from it."""
    if game.size > 19:
        with refused(NotationError, kind="board", high=19):
            game_texts.to_sgf(game, dialect="hexgui-0.9")
        return
    text = game_texts.to_sgf(game, dialect="hexgui-0.9")
    assert text.startswith("(;AP[HexGui:0.9]FF[4]GM[11]")
    assert "swap-sides" not in text
    assert "[forfeit]" not in text
    assert ("W[swap-pieces]" in text) == game.swapped
    assert read_game(text) == game


def test_what_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="no dialect"):
        game_texts.to_sgf(HexGame(5), dialect="hexgui")
    with refused(NotationError, kind="syntax"):
        game_texts.to_trmph(HexGame(5, (0, 25)))


def test_games_of_a_file() -> None:
    lines = "# Format: trmph_string winner\n\n#5,a1 b\n  #5,b1\n#\n"
    assert [(piece.line, piece.text) for piece in game_sources.split_games(lines)] == [(3, "#5,a1 b"), (4, "#5,b1")]
    trees = "\n(;SZ[5]\n;B[a1])\n(;SZ[6];B[a1])"
    assert [piece.line for piece in game_sources.split_games(trees)] == [2, 4]


HEXWORLD_PARTS = ["a1", "b2", "e5", "z9", ":s", ":S", ":rb", ":fw", ":p", ",", ":"]
SGF_PARTS = ["SZ[5]", "GM[11]", "RE[B+R]", ";B[a1]", ";W[b2]", ";B[c3]", ";W[swap-pieces]", ";B[swap]"]
SGF_PARTS += [";W[swap-sides]", ";W[bc]", ";B[cb]", ";W[resign]", "C[x\\]y]", "AB[a1]", "(", ")", "[", "]", "W[]"]
TEXTS = (
    st.text("#(){};:,.[]\\\n abmnrsSpBW0159+", max_size=60)
    | st.text(max_size=40)
    | st.lists(st.sampled_from(HEXWORLD_PARTS), max_size=8).map(lambda parts: "#5c1," + "".join(parts))
    | st.lists(st.sampled_from(SGF_PARTS), max_size=10).map(lambda parts: f"(;{''.join(parts)})")
)


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.sampled_from((None, 5)))
@example("#5c1,a1:s:s", None)
def test_any_text_is_a_game_or_a_notation_error(text: str, size: int | None) -> None:
    for read in (
        lambda: read_game(text, size),
        lambda: game_texts.from_trmph(text),
        lambda: game_texts.from_hexworld(text),
        lambda: game_texts.from_sgf(text),
        lambda: game_texts.from_json(text),
        lambda: [read_game(piece.text, size) for piece in game_sources.split_games(text)],
    ):
        with contextlib.suppress(NotationError):
            read()
