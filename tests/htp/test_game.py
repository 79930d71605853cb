"""The game on the board against plain lists of stones, and what a search is asked of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import HexpipeError, IllegalMoveError
from hexpipe.games import symmetry
from hexpipe.games.coordinates import cell_name
from hexpipe.games.format_conversion import read_game
from hexpipe.games.hex import Hex
from hexpipe.htp.game import HtpGame, Play

N = 4
plays = st.lists(st.tuples(st.integers(0, 1), st.integers(0, N * N - 1) | st.sampled_from(["swap", "resign", "pass"])))


def put_up(game: HtpGame, given_plays: list[tuple[int, int | str]]) -> dict[int, int]:
    """Play what can be played; the stones that are then there, by cell."""
    stones: dict[int, int] = {}
    for colour, what in given_plays:
        word = what if isinstance(what, str) else cell_name(what, game.size)
        before = list(game.plays)
        try:
            game.play(colour, word)
        except IllegalMoveError:
            assert game.plays == before
            continue
        if isinstance(what, int):
            assert what not in stones
            stones[what] = colour
    return stones


def connected(stones: dict[int, int], colour: int) -> bool:
    """Whether ``colour``'s stones connect its edges, by walking."""
    own = {divmod(cell, N) for cell, owner in stones.items() if owner == colour}
    seen = {cell for cell in own if cell[colour] == 0}
    todo = list(seen)
    while todo:
        row, column = todo.pop()
        for step in ((-1, 0), (-1, 1), (0, 1), (1, 0), (1, -1), (0, -1)):
            cell = (row + step[0], column + step[1])
            if cell in own and cell not in seen:
                seen.add(cell)
                todo.append(cell)
    return any(cell[colour] == N - 1 for cell in seen)


@settings(deadline=None)
@given(plays, st.booleans())
def test_stones_winners_and_taking_back(given_plays: list[tuple[int, int | str]], allow_swap: bool) -> None:
    game = HtpGame(N, allow_swap)
    stones = put_up(game, given_plays)
    while True:
        assert game.winner == next((colour for colour in (0, 1) if connected(stones, colour)), None)
        resigned = None if game.resigned is None else 1 - game.resigned
        assert game.result == (resigned if game.winner is None else game.winner)
        empty = [cell_name(cell, N) for cell in range(N * N) if cell not in stones]
        for colour in (0, 1):
            swap = ["swap-pieces"] if game.may_swap(colour) else []
            assert game.legal_moves(colour) == ([] if game.winner is not None else empty + swap)
            may = allow_swap and colour == 1 and [(play.colour, play.cell >= 0) for play in game.plays] == [(0, True)]
            assert game.may_swap(colour) == may
        if not game.plays:
            break
        stones.pop(game.plays[-1].cell, None)
        game.undo()
    with pytest.raises(IllegalMoveError):
        game.undo()


@settings(deadline=None)
@given(plays, st.booleans(), st.integers(0, 1))
def test_a_search_is_asked_of_this_position(
    given_plays: list[tuple[int, int | str]], allow_swap: bool, colour: int
) -> None:
    """By the rules of Hex the moves lead to these stones, with this colour to move and this right to swap."""
    game = HtpGame(N, allow_swap)
    stones = put_up(game, given_plays)
    counts = [list(stones.values()).count(owner) for owner in (0, 1)]
    if game.winner is not None:
        return
    if counts[1 - colour] - counts[colour] not in (0, 1):
        with pytest.raises(IllegalMoveError, match="turn with"):
            game.question(colour)
        return
    question = game.question(colour)
    rules = Hex(N, allow_swap)
    states = rules.play(question.moves)
    cells, view = states.cells[0], int(states.view[0])
    if question.turned:
        cells, view = symmetry.transpose_cells(cells, N), 1 - view
    assert {int(cell): int(cells[cell]) - 1 for cell in cells.nonzero()[0]} == stones
    assert view == colour
    legal = np.zeros((1, rules.num_actions), np.bool_)
    rules.legal_mask(states, np.zeros(1, np.int32), legal)
    names = [game.real_cell(question, action) for action in np.flatnonzero(legal[0]).tolist()]
    expected = {cell for cell in range(N * N) if cell not in stones} | ({-1} if game.may_swap(colour) else set())
    assert set(names) == expected


def test_a_swap_of_sides() -> None:
    game = HtpGame(5, allow_swap=True)
    game.play(0, "a2")
    assert game.to_move == 1
    game.play(1, "swap-pieces")
    assert game.to_move == 1  # the players have exchanged colours, and white goes on
    assert game.legal_moves(1)[:5] == ["a1", "b1", "c1", "d1", "e1"]
    game.play(1, "c3")
    assert game.question(0).moves == (5, 25, 12)
    with pytest.raises(IllegalMoveError, match="only answers the first stone"):
        game.play(1, "swap-sides")


@pytest.mark.parametrize("word", ["swap", "swap-sides", "swap-pieces", "SWAP-Pieces"])
def test_every_word_for_it(word: str) -> None:
    game = HtpGame(5, allow_swap=True)
    with pytest.raises(IllegalMoveError):
        game.play(1, word)
    game.play(0, "a1")
    with pytest.raises(IllegalMoveError, match="white's"):
        game.play(0, word)
    game.play(1, word)
    assert game.plays[-1] == Play(1, -1, "swap-pieces")
    without = HtpGame(5, allow_swap=False)  # the controller knows what was played
    without.play(0, "a1")
    assert "swap-pieces" not in without.legal_moves(1)
    without.play(1, word)
    assert without.plays == game.plays
    assert without.to_move == 1
    assert without.question(1).moves == (0,)


@settings(deadline=None)
@given(st.text(max_size=6), st.integers(0, 1))
def test_any_word_is_a_move_or_an_error(word: str, colour: int) -> None:
    game = HtpGame(5, allow_swap=True)
    try:
        game.play(colour, word)
    except HexpipeError:
        assert game.plays == []
    else:
        assert len(game.plays) == 1


@pytest.mark.parametrize("what", ["play", "swap", "undo", "load"])
def test_a_resignation_is_no_move_and_lasts_until_the_board_changes(what: str) -> None:
    """GUIs keep no node for it and send no undo."""
    game = HtpGame(5, allow_swap=True)
    game.play(0, "a1")
    before = list(game.plays)
    game.play(1, "resign")
    assert (game.plays, game.winner, game.result) == (before, None, 0)
    assert "black has won" in game.picture()
    assert len(game.legal_moves(0)) == 24
    assert game.question(1).moves == (0,)
    changes = {
        "play": lambda: game.play(1, "b2"), "swap": lambda: game.play(1, "swap-pieces"), "undo": game.undo,
        "load": lambda: game.load(read_game("#5,a1"), 1),
    }  # fmt: skip
    changes[what]()
    assert game.result is None
    assert len(game.plays) == {"play": 2, "swap": 2, "undo": 0, "load": 1}[what]


def test_stones_decide_before_a_resignation() -> None:
    game = HtpGame(3, allow_swap=False)
    for colour, cell in ((0, "a1"), (0, "a2"), (0, "a3")):
        game.play(colour, cell)
    game.play(0, "resign")
    assert game.result == 0


def test_loading_a_game() -> None:
    game = HtpGame(5, allow_swap=False)
    record = read_game("#5c1,b1:sa3d5:rw")
    game.load(record, 100)
    assert [(play.colour, play.cell, play.word) for play in game.plays] == [
        (0, 1, ""), (1, -1, "swap-pieces"), (1, 2, ""), (0, 19, "")
    ]  # fmt: skip
    game.load(record, 2)
    assert game.to_move == 1
    game.load(record, 0)
    assert game.plays == []
