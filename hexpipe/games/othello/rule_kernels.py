"""Batched rules of Othello in numba, on bits: cell ``row * n + column`` is that bit of a uint64.

Moves are found for all cells at once, as in the chess programs' fills: from the mover's discs along each of the eight
directions over the other's, whatever empty cell comes next is a move. A shift by one column loses what would come in at
the other side of the board. States are unpacked in each kernel: numba takes an attribute called ``view`` for the method
of arrays, and a function without reference counts (``_nrt=False``) must not return arrays to one that has them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from hexpipe.games.draw_kernels import GAMMA, drawn
from hexpipe.games.game_env import BoolArray, Int8Array, Int16Array, Int32Array, IntArray

CLOSED = np.int8(4)
ONE = np.uint64(1)
NOTHING = np.uint64(0)


class OthelloStates(NamedTuple):
    """R states: `game_env.States` without what Othello does not need, and ``open`` uint64 [R], the mover's moves."""

    cells: Int8Array
    to_move: Int8Array
    view: Int8Array
    winner: Int8Array
    ply: Int32Array
    origin: Int16Array
    open: npt.NDArray[np.uint64]


class Board(NamedTuple):
    """The board of ``size``: its cells as bits, and those of them that are not in the first or the last column."""

    size: int
    cells: np.uint64
    not_first: np.uint64
    not_last: np.uint64


@njit(cache=True, nogil=True, _nrt=False)
def _shifted(discs: np.uint64, direction: int, board: Board) -> np.uint64:
    """All discs one cell further in ``direction``, 0 to 7."""
    n = np.uint64(board.size)
    if direction == 0:
        moved = (discs << ONE) & board.not_first
    elif direction == 1:
        moved = (discs >> ONE) & board.not_last
    elif direction == 2:
        moved = (discs << n) & board.cells
    elif direction == 3:
        moved = discs >> n
    elif direction == 4:
        moved = (discs << (n + ONE)) & board.not_first
    elif direction == 5:
        moved = (discs << (n - ONE)) & board.not_last
    elif direction == 6:
        moved = (discs >> (n - ONE)) & board.not_first
    else:
        moved = (discs >> (n + ONE)) & board.not_last
    return moved


@njit(cache=True, nogil=True, _nrt=False)
def moves(own: np.uint64, other: np.uint64, board: Board) -> np.uint64:
    """The cells where who has ``own`` may put a disc."""
    empty = board.cells & ~(own | other)
    found = NOTHING
    for direction in range(8):
        reached = _shifted(own, direction, board) & other
        for _ in range(board.size - 3):
            reached |= _shifted(reached, direction, board) & other
        found |= _shifted(reached, direction, board) & empty
    return found


@njit(cache=True, nogil=True, _nrt=False)
def _turned(disc: np.uint64, own: np.uint64, other: np.uint64, board: Board) -> np.uint64:
    """The other's discs that ``disc`` turns over."""
    found = NOTHING
    for direction in range(8):
        line = NOTHING
        at = _shifted(disc, direction, board)
        while at & other:
            line |= at
            at = _shifted(at, direction, board)
        if at & own:
            found |= line
    return found


@njit(cache=True, nogil=True, _nrt=False)
def _count(discs: np.uint64) -> int:
    count = 0
    while discs:
        discs &= discs - ONE
        count += 1
    return count


@njit(cache=True, nogil=True, _nrt=False)
def _play(fields, row: int, action: int, board: Board) -> None:
    """Play ``action`` in ``row``; find the mover's next moves and, where nobody has any, the winner."""
    cells, to_move, views, winner, ply, opens = fields
    seat = to_move[row]
    mine = np.int8(1 + seat)
    to_move[row] = 1 - seat
    views[row] = 1 - seat
    ply[row] += 1
    own = NOTHING
    other = NOTHING
    for cell in range(cells.shape[1]):
        disc = cells[row, cell]
        bit = ONE << np.uint64(cell)
        own |= bit if disc == mine else NOTHING
        other |= bit if disc == 3 - mine else NOTHING
    if action < cells.shape[1]:
        disc = ONE << np.uint64(action)
        turned = _turned(disc, own, other, board)
        own |= disc | turned
        other &= ~turned
        changed = disc | turned
        for cell in range(cells.shape[1]):
            if changed >> np.uint64(cell) & ONE:
                cells[row, cell] = mine
    opens[row] = moves(other, own, board)
    if opens[row] == NOTHING and moves(own, other, board) == NOTHING:
        ahead = _count(own) - _count(other)
        winner[row] = 2 if ahead == 0 else seat if ahead > 0 else 1 - seat


@njit(cache=True, nogil=True, _nrt=False)
def _copy(fields, source: int, target: int) -> None:
    cells, to_move, views, winner, ply, opens = fields
    for cell in range(cells.shape[1]):
        cells[target, cell] = cells[source, cell]
    to_move[target] = to_move[source]
    views[target] = views[source]
    winner[target] = winner[source]
    ply[target] = ply[source]
    opens[target] = opens[source]


@njit(cache=True, nogil=True, _nrt=False)
def step(states: OthelloStates, parents: IntArray, actions: IntArray, children: IntArray, board: Board) -> None:
    """Copy row parents[k] to children[k] and play actions[k] there, one k after the other."""
    cells, to_move, views, winner, ply, _, opens = states
    fields = cells, to_move, views, winner, ply, opens
    for k in range(parents.shape[0]):
        source, target = np.intp(parents[k]), np.intp(children[k])
        if source != target:
            _copy(fields, source, target)
        _play(fields, target, np.intp(actions[k]), board)


@njit(cache=True, nogil=True, _nrt=False)
def legal_mask(states: OthelloStates, rows: IntArray, out: BoolArray) -> None:
    """Write what is legal in ``rows`` [L] into bool [L, cells + 1]; to pass where there is no move."""
    cells, _, _, winner, _, _, opens = states
    area = cells.shape[1]
    for k in range(rows.shape[0]):
        row = rows[k]
        going = winner[row] < 0
        for cell in range(area):
            out[k, cell] = going and (opens[row] >> np.uint64(cell) & ONE) != NOTHING
        out[k, area] = going and opens[row] == NOTHING


@njit(cache=True, nogil=True, _nrt=False)
def codes(states: OthelloStates, rows: IntArray, out: Int8Array) -> None:
    """Write what the movers of ``rows`` [L] see into int8 [L, cells + 1]."""
    cells, _, views, winner, _, _, opens = states
    area = cells.shape[1]
    for k in range(rows.shape[0]):
        row = rows[k]
        mine = 1 + views[row]
        for cell in range(area):
            disc = cells[row, cell]
            open_code = np.int8(0) if opens[row] >> np.uint64(cell) & ONE else CLOSED
            own_code = np.int8(1) if disc == mine else np.int8(2)
            out[k, cell] = own_code if disc else open_code
        out[k, area] = opens[row] == NOTHING and winner[row] < 0


@njit(cache=True, nogil=True)
def random_playouts(states: OthelloStates, seed: int, repeats: int, board: Board) -> npt.NDArray[np.int64]:
    """Play uniformly random games to their end, ``repeats`` in each row but the last, which is the position that every
    game starts from; return int64 [2]: moves played, passes too, and games that seat 0 won."""
    cells, to_move, views, winner, ply, _, opens = states
    fields = cells, to_move, views, winner, ply, opens
    start = cells.shape[0] - 1
    played = 0
    wins = 0
    random = np.uint64(seed)
    for _ in range(repeats):
        for row in range(start):
            _copy(fields, start, row)
            while winner[row] < 0:
                action = cells.shape[1]
                left = opens[row]
                if left != NOTHING:
                    random += GAMMA
                    for _ in range(drawn(random, _count(left))):
                        left &= left - ONE
                    action = _count((left & (~left + ONE)) - ONE)  # the lowest bit's number
                _play(fields, row, action, board)
                played += 1
            wins += winner[row] == 0
    return np.array([played, wins])
