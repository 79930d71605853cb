"""Batched Hex rules in numba.

Black (view 0, stones 1) connects top to bottom, white (view 1, stones 2) left to right. Cell ``row * n + column`` has
the neighbours N, NE, E, S, SW, W, in this order around it; two that follow one another here touch each other too.

Union-find: ``parents[row]`` has one node a cell and then the edges top, bottom, left, right. The root of a set is
always its largest node, so an edge is the root of its set unless the opposite edge is in it; hence "top joined to
bottom" is the one comparison ``parents[top] == bottom``. Finds halve their paths.

`States` is unpacked where a kernel needs views: numba takes every attribute called ``view`` for the method of arrays.
The kernels that play hand its first fields on, those that Hex uses: a call costs by the array that it is given.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from hexpipe.games.draw_kernels import GAMMA, drawn
from hexpipe.games.game_env import (
    BoolArray,
    Float32Array,
    Int8Array,
    Int16Array,
    IntArray,
    States,
)

_USED = 6


@njit(cache=True, nogil=True, _nrt=False)
def _find(parents: Int16Array, row: int, node: int) -> int:
    while True:
        parent = parents[row, node]
        if parent == node:
            return node
        parents[row, node] = parents[row, parent]  # path halving
        node = parents[row, node]


@njit(cache=True, nogil=True, _nrt=False)
def _join(parents: Int16Array, row: int, root: int, node: int) -> int:
    """Join the set of ``node`` to the one whose root is ``root``; the root of both."""
    other: int = _find(parents, row, node)
    if other > root:
        parents[row, root] = other
        return other
    parents[row, other] = root
    return root


@njit(cache=True, nogil=True, _nrt=False)
def _play(fields, row: int, action: int, n: int) -> None:
    """Play ``action`` in ``row``: place the stone, join its neighbours, find the winner, pass the turn."""
    cells, parents, to_move, views, winner, ply = fields
    area = n * n
    ply[row] += 1
    seat = to_move[row]
    to_move[row] = 1 - seat
    if action == area:  # swap: seats change colours, the colour to move stays
        return
    view = views[row]
    views[row] = 1 - view
    stone = np.int8(1 + view)
    cells[row, action] = stone
    i = action // n
    j = action - i * n
    root = np.intp(action)
    # A neighbour is joined only where a run of own neighbours starts: the rest of the run already belongs to it.
    north = i > 0 and cells[row, action - n] == stone
    north_east = i > 0 and j < n - 1 and cells[row, action - n + 1] == stone
    east = j < n - 1 and cells[row, action + 1] == stone
    south = i < n - 1 and cells[row, action + n] == stone
    south_west = i < n - 1 and j > 0 and cells[row, action + n - 1] == stone
    west = j > 0 and cells[row, action - 1] == stone
    if north and not west:
        root = _join(parents, row, root, action - n)
    if north_east and not north:
        root = _join(parents, row, root, action - n + 1)
    if east and not north_east:
        root = _join(parents, row, root, action + 1)
    if south and not east:
        root = _join(parents, row, root, action + n)
    if south_west and not south:
        root = _join(parents, row, root, action + n - 1)
    if west and not south_west:
        root = _join(parents, row, root, action - 1)
    along = i if view == 0 else j
    low = area + 2 * view
    if along == 0:
        root = _join(parents, row, root, low)
    elif along == n - 1:
        root = _join(parents, row, root, low + 1)
    if parents[row, low] == low + 1:
        winner[row] = seat


@njit(cache=True, nogil=True, _nrt=False)
def _copy(fields, source: int, target: int) -> None:
    cells, parents, to_move, views, winner, ply = fields
    from_cells, to_cells = cells[source], cells[target]
    for k in range(from_cells.shape[0]):
        to_cells[k] = from_cells[k]
    from_nodes, to_nodes = parents[source], parents[target]
    for k in range(from_nodes.shape[0]):
        to_nodes[k] = from_nodes[k]
    to_move[target] = to_move[source]
    views[target] = views[source]
    winner[target] = winner[source]
    ply[target] = ply[source]


@njit(cache=True, nogil=True, _nrt=False)
def reset(states: States, rows: IntArray) -> None:
    """Put ``rows`` [L] back to the empty board."""
    cells, parents, to_move, views, winner, ply = states[:_USED]
    for k in range(rows.shape[0]):
        row = rows[k]
        for cell in range(cells.shape[1]):
            cells[row, cell] = 0
        for node in range(parents.shape[1]):
            parents[row, node] = node
        to_move[row] = 0
        views[row] = 0
        winner[row] = -1
        ply[row] = 0


@njit(cache=True, nogil=True, _nrt=False)
def step(states: States, parents: IntArray, actions: IntArray, children: IntArray, n: int) -> None:
    """Copy row parents[k] to children[k] and play actions[k] there, one k after the other."""
    fields = states[:_USED]
    for k in range(parents.shape[0]):
        source = np.intp(parents[k])
        target = np.intp(children[k])
        if source != target:
            _copy(fields, source, target)
        _play(fields, target, np.intp(actions[k]), n)


@njit(cache=True, nogil=True, _nrt=False)
def legal_mask(states: States, rows: IntArray, out: BoolArray) -> None:
    """out bool [L, A]: empty cells, and swap after the first stone; nothing once there is a winner."""
    area = states.cells.shape[1]
    for k in range(rows.shape[0]):
        row = rows[k]
        ongoing = states.winner[row] < 0
        for cell in range(area):
            out[k, cell] = ongoing and states.cells[row, cell] == 0
        for action in range(area, out.shape[1]):
            out[k, action] = ongoing and states.ply[row] == 1


@njit(cache=True, nogil=True, _nrt=False)
def _write_codes(cells: Int8Array, row: int, view: int, flag: bool, n: int, out: Int8Array, k: int) -> None:
    if view == 0:
        for cell in range(n * n):
            out[k, cell] = cells[row, cell]
    else:  # transposed, so that white too connects top to bottom; (3 - stone) % 3 exchanges 1 and 2
        for i in range(n):
            for j in range(n):
                stone = cells[row, j * n + i]
                out[k, i * n + j] = 3 - stone if stone else 0
    if out.shape[1] > n * n:
        out[k, n * n] = 1 if flag else 0


@njit(cache=True, nogil=True, _nrt=False)
def codes(states: States, rows: IntArray, n: int, out: Int8Array) -> None:
    """out int8 [L, C]: the board as its mover sees it, then the swap flag where the rules have it."""
    cells, _, _, views, winner, ply = states[:_USED]
    for k in range(rows.shape[0]):
        row = np.intp(rows[k])
        _write_codes(cells, row, views[row], ply[row] == 1 and winner[row] < 0, n, out, k)


@njit(cache=True, nogil=True, _nrt=False)
def codes_from_cells(cells: Int8Array, views: Int8Array, plies: IntArray, n: int, out: Int8Array) -> None:
    """`codes` from absolute cells int8 [B, n * n], views [B] and plies [B] of games that go on."""
    for k in range(cells.shape[0]):
        _write_codes(cells, k, views[k], plies[k] == 1, n, out, k)


@njit(cache=True, nogil=True, _nrt=False)
def terminal_values(states: States, rows: IntArray, out: Float32Array) -> None:
    """out float32 [L, 2]: 1 for the winner's seat and -1 for the other, 0 for both while a game goes on."""
    for k in range(rows.shape[0]):
        winner = states.winner[rows[k]]
        for seat in range(2):
            out[k, seat] = 0.0 if winner < 0 else (1.0 if winner == seat else -1.0)


@njit(cache=True, nogil=True)
def random_playouts(states: States, seed: int, repeats: int, n: int, order: Int16Array) -> npt.NDArray[np.int64]:
    """Play uniformly random games to their end, ``repeats`` in each row but the last; the stones and black's wins.

    The last row of ``states`` is the position that every game starts from (its empty cells are played); ``order``
    int16 [n * n] is room for the cells. Each move is drawn as it is played (Fisher-Yates, as far as the game goes).
    Returns int64 [2]: moves played, games that seat 0 won.
    """
    start = states.cells.shape[0] - 1
    fields = states[:_USED]
    moves = 0
    wins = 0
    random = np.uint64(seed)
    for _ in range(repeats):
        for row in range(start):
            _copy(fields, start, row)
            free = 0
            for cell in range(n * n):
                order[free] = cell
                free += states.cells[row, cell] == 0
            while states.winner[row] < 0:
                random += GAMMA
                pick = drawn(random, free)
                action = np.intp(order[pick])
                free -= 1
                order[pick] = order[free]
                _play(fields, row, action, n)
                moves += 1
            wins += states.winner[row] == 0
    return np.array([moves, wins])
