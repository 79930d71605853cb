"""The rules of Hex for a single game in plain Python, so that reading game files needs no compiled kernels.

They are those of `hex_kernels`: whoever changes the one changes the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from hexpipe.errors import IllegalMoveError, Kind
from hexpipe.games.coordinates import action_name
from hexpipe.games.player_utils import COLOURS


def is_won(moves: Sequence[int], board_size: int, swap: bool) -> bool:
    """Return whether the last stone of ``moves`` connects its colour's edges; ``board_size`` ** 2 is the swap.

    IllegalMoveError, in the words of `Hex.play`, names the first illegal move.
    """
    area, won = board_size**2, False
    stones: list[int | None] = [None] * area  # the colour of each
    parents = list(range(area + 4))  # of a union-find over cells, then black's edges and white's
    placed = 0
    for number, move in enumerate(moves, start=1):
        why = _why_illegal(move, stones, placed, number, swap, won)
        if why:
            known = 0 <= move < area + swap
            name = action_name(move, board_size) if known else str(move)
            raise IllegalMoveError(f"move {number} ({name}) is illegal: {why[1]}", kind=why[0], move=number)
        if move == area:
            continue
        colour = placed % 2
        stones[move] = colour
        placed += 1
        for neighbour in _neighbours(move, board_size, colour):
            if neighbour >= area or stones[neighbour] == colour:
                parents[_root(parents, neighbour)] = _root(parents, move)
        won = _root(parents, area + 2 * colour) == _root(parents, area + 2 * colour + 1)
    return won


def _why_illegal(
    move: int, stones: Sequence[int | None], placed: int, number: int, swap: bool, won: bool
) -> tuple[Kind, str] | None:  # fmt: skip
    area = len(stones)
    if won:
        return "over", f"{COLOURS[1 - placed % 2]} has already won"
    if move == area:
        if not swap:
            return "rule", "the swap rule is off"
        return None if number == 2 else ("rule", "swap can only answer the first stone")
    if not 0 <= move < area:
        return "coordinate", f"actions of this game are 0 to {area + swap - 1}"
    return None if stones[move] is None else ("occupied", "the cell is taken")


def _neighbours(cell: int, size: int, colour: int) -> list[int]:
    """Return the cells beside ``cell``, and the edges of ``colour`` that it touches, numbered after the cells."""
    row, column = divmod(cell, size)
    around = [(row, column - 1), (row, column + 1), (row - 1, column), (row + 1, column)]
    around += [(row - 1, column + 1), (row + 1, column - 1)]
    found = [r * size + c for r, c in around if 0 <= r < size and 0 <= c < size]
    along = (row, column)[colour]
    return found + [size * size + 2 * colour + end for end, place in enumerate((0, size - 1)) if along == place]


def _root(parents: list[int], node: int) -> int:
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node
