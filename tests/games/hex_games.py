"""Games of Hex for hypothesis: move lists, and games with results."""

from __future__ import annotations

from hypothesis import strategies as st

from hexpipe.notation.format_conversion import HexGame
from hexpipe.notation.game_texts import ENDINGS


@st.composite
def move_lists(draw: st.DrawFn, swap: bool = True) -> tuple[int, list[int]]:
    """(board size, moves), perhaps with a swap; stones are on different cells."""
    n = draw(st.integers(3, 27))
    moves = draw(st.lists(st.integers(0, n * n - 1), unique=True, max_size=20))
    if swap and moves and draw(st.booleans()):
        moves.insert(1, n * n)
    return n, moves


@st.composite
def hex_games(draw: st.DrawFn, swap: bool = True) -> HexGame:
    """Games with and without swaps, winners and endings."""
    n, moves = draw(move_lists(swap))
    winner = draw(st.sampled_from((None, 0, 1)))
    return HexGame(n, tuple(moves), winner, "" if winner is None else draw(st.sampled_from(ENDINGS)))
