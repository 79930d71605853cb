"""The game on the board against plain lists of stones, and what a search is asked of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import HexpipeError, IllegalMoveError
from hexpipe.games.coordinates import cell_name
from hexpipe.games.hex import Hex
from hexpipe.games.set_up import SetUp, checked_position
from hexpipe.htp.game import HtpGame, Play
from hexpipe.notation.sgf_positions import read_position
from tests.refusals import refused

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
    """Whatever the counts: these stones, with this colour to move and this right to swap."""
    game = HtpGame(N, allow_swap)
    stones = put_up(game, given_plays)
    if game.winner is not None:
        return
    rules = Hex(N, allow_swap)
    states = checked_position(rules, game.question(colour))
    cells = states.cells[0]
    assert {int(cell): int(cells[cell]) - 1 for cell in cells.nonzero()[0]} == stones
    assert int(states.view[0]) == colour
    legal = np.zeros((1, rules.num_actions), np.bool_)
    rules.legal_mask(states, np.zeros(1, np.int32), legal)
    expected = {cell for cell in range(N * N) if cell not in stones} | ({N * N} if game.may_swap(colour) else set())
    assert set(np.flatnonzero(legal[0]).tolist()) == expected


def test_a_swap_of_sides() -> None:
    game = HtpGame(5, allow_swap=True)
    game.play(0, "a2")
    assert game.to_move == 1
    game.play(1, "swap-pieces")
    assert game.to_move == 1  # the players have exchanged colours, and white goes on
    assert game.legal_moves(1)[:5] == ["a1", "b1", "c1", "d1", "e1"]
    game.play(1, "c3")
    assert game.question(0) == SetUp((5,), (12,), 0, may_swap=False)
    with refused(IllegalMoveError, "swap", kind="rule"):
        game.play(1, "swap-sides")


@pytest.mark.parametrize("word", ["swap", "swap-sides", "swap-pieces", "SWAP-Pieces"])
def test_every_word_for_it(word: str) -> None:
    game = HtpGame(5, allow_swap=True)
    with pytest.raises(IllegalMoveError):
        game.play(1, word)
    game.play(0, "a1")
    with refused(IllegalMoveError, "swap", kind="rule"):
        game.play(0, word)
    game.play(1, word)
    assert game.plays[-1] == Play(1, -1, "swap-pieces")
    without = HtpGame(5, allow_swap=False)  # the controller knows what was played
    without.play(0, "a1")
    assert "swap-pieces" not in without.legal_moves(1)
    without.play(1, word)
    assert without.plays == game.plays
    assert without.to_move == 1
    assert without.question(1) == SetUp((0,), (), 1, may_swap=False)


@settings(deadline=None)
@given(st.text(max_size=6), st.integers(0, 1))
def test_any_word_is_a_move_or_an_error(word: str, colour: int) -> None:
    game = HtpGame(5, allow_swap=True)
    try:
        game.play(colour, word)
    except HexpipeError:
        assert game.plays == []
    else:
        assert len(game.plays) == (game.resigned is None)


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
    assert game.question(1) == SetUp((0,), (), 1)
    changes = {
        "play": lambda: game.play(1, "b2"), "swap": lambda: game.play(1, "swap-pieces"), "undo": game.undo,
        "load": lambda: game.load(SetUp(moves=(0,))),
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
    _, position = read_position("(;GM[11]SZ[5];B[b1];W[swap-sides];W[c1];B[e4];W[resign])")
    game.load(position)
    assert [(play.colour, play.cell, play.word) for play in game.plays] == [
        (0, 1, ""), (1, -1, "swap-pieces"), (1, 2, ""), (0, 19, "")
    ]  # fmt: skip
    game.load(SetUp(moves=position.moves[:2]))
    assert game.to_move == 1
    game.load(SetUp())
    assert game.plays == []


def test_loading_a_position() -> None:
    """Its stones stay, its moves can be taken back; a lone black stone may be swapped, whichever way it came."""
    game = HtpGame(5, allow_swap=True)
    game.load(SetUp((0, 1), (7,), 1, (12, 13)))
    assert [(play.colour, play.cell) for play in game.plays] == [(1, 12), (0, 13)]
    assert game.question(0) == SetUp((0, 1, 13), (7, 12), 0, may_swap=False)
    game.undo()
    game.undo()
    assert (game.to_move, game.question(1).black) == (1, (0, 1))
    with refused(IllegalMoveError, kind="moves"):
        game.undo()
    game.load(SetUp((12,), (), 1))
    assert "swap-pieces" in game.legal_moves(1)
    game.play(1, "swap-pieces")
    assert not game.question(1).may_swap
    game.undo()
    assert game.question(1).may_swap
