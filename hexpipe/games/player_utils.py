"""The side to move on a Hex board, derived from its stones."""

from __future__ import annotations

import numpy as np

from hexpipe.errors import NotationError
from hexpipe.games.game_env import Int8Array

COLOURS = ("black", "white")


def side_to_move(cells: Int8Array, mirrored_swap: bool = False) -> int:
    """Return the colour to move, 0 black or 1 white, on absolute cells int8 [n * n] or [n, n].

    Black places the first stone and colours alternate, with the swap rule too (seats change colours, stones stay).
    ``mirrored_swap``: white has swapped pieces: black's stone was mirrored and became white's; then white has the first
    stone, so that with one stone each it is white's turn. The board alone does not tell. NotationError if the numbers
    of stones fit neither side.
    """
    black = int(np.count_nonzero(cells == 1))
    white = int(np.count_nonzero(cells == 2))
    ahead = white - black if mirrored_swap else black - white
    if ahead not in (0, 1):
        rule = "black moves first, so it has as many as white or one more"
        if mirrored_swap:
            rule = "a mirrored swap made the first stone white's, so white has as many as black or one more"
        raise NotationError(f"{black} black and {white} white stones: {rule}", kind="turn")
    return 1 - ahead if mirrored_swap else ahead


def sides_to_move(cells: Int8Array, mirrored_swap: bool = False) -> Int8Array | None:
    """Return `side_to_move` of each of B boards, int8 [B]; None if any board's stones fit neither side.

    ``cells`` is int8 [B, n * n] of 0, 1 and 2.
    """
    stones, weights = (cells != 0).sum(axis=1, dtype=np.int16), cells.sum(axis=1, dtype=np.int16)
    ahead = 3 * stones - 2 * weights  # a black stone weighs 1 and is one ahead, a white one weighs 2
    if mirrored_swap:
        ahead = -ahead
    if ahead.size and not (ahead.min() >= 0 and ahead.max() <= 1):
        return None
    movers: Int8Array = (1 - ahead if mirrored_swap else ahead).astype(np.int8)
    return movers


def parse_side(side: object) -> int:
    """Parse a colour, 0 black or 1 white: 0, 1, "black", "b", "white", "w", in any case."""
    if isinstance(side, int | np.integer) and not isinstance(side, bool) and side in (0, 1):
        return int(side)
    for colour, name in enumerate(COLOURS):
        if isinstance(side, str) and side.lower() in (name, name[0]):
            return colour
    raise NotationError(f"{side!r} is no colour; write black or white", kind="unknown")


def check_side_to_move(cells: Int8Array, to_move: int, mirrored_swap: bool = False) -> None:
    """Raise NotationError unless ``to_move``, 0 black or 1 white, is `side_to_move`."""
    told = side_to_move(cells, mirrored_swap)
    if told != to_move:
        hint = "" if mirrored_swap else " (or say that a swap was mirrored)"
        raise NotationError(
            f"{COLOURS[to_move]} is said to move, but by the stones it is {COLOURS[told]}'s turn{hint}", kind="turn"
        )
