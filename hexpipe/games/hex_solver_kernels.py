"""Depth-first proof-number search of small Hex positions, with proof carriers.

A position is the cells of black's stones and of white's (`hex_bits_kernels`) and the colour to move. The search (df-pn:
Nagai 2002; Kishimoto, Winands, Müller and Saito, "Game-tree search using proof numbers: the first twenty years", ICGA
Journal 35, 2012) returns, with the winner, its *carrier*: a set of empty cells such that the winner wins whatever
happens outside it. A move that loses to a carrier loses wherever else it is played too, so only the common cells of all
carriers found so far need trying: the must-play region (Hayward et al., "Solving 7x7 Hex with domination, virtual
connections, and proof carriers", Theoretical Computer Science 349, 2005, section 3).

A proof number estimates the work that is left to show that the colour to move wins, a disproof number that it loses; of
these one is 0 and the other `SOLVED` once that is known. They are sums in a tree, but many moves here lead to the same
positions: a disproof number is therefore the largest of its moves', and a little for the others (Ueda, Hashimoto,
Hashimoto and Iida, "Weak proof-number search", CG 2008). A new position's disproof number is the number of moves that
must be tried.
"""

from __future__ import annotations

from typing import NamedTuple

from numba import njit

from hexpipe.games.hex_bits_kernels import (
    NONE,
    Geometry,
    Int64Array,
    bridge_win,
    bridged,
    connects,
    count,
    rank,
    threats,
)

SOLVED = 1 << 40
_PLACES = 4  # of the table where a position may stand
_OTHERS = 4  # other moves that count one in a disproof number; of 1, 4 and 16 this solved 6x6 soonest


class Table(NamedTuple):
    """A transposition table: the whole position, so that no entry is ever mistaken for another; ``turn`` is 0 where an
    entry is free, else 1 + the colour to move. ``moves`` are those that may still win, ``carrier`` is the winner's, or
    of the proofs found so far that the others lose; ``work`` is how many positions were judged for it."""

    black: Int64Array
    white: Int64Array
    turn: Int64Array
    proof: Int64Array
    disproof: Int64Array
    moves: Int64Array
    carrier: Int64Array
    work: Int64Array


class Levels(NamedTuple):
    """The path from the root to the position at hand, a row for each level: the compiled kernels that call themselves
    cannot be kept on disk. ``order`` int64 [n * n + 1, n * n] are the ``number`` of moves, the likeliest first."""

    black: Int64Array
    white: Int64Array
    moves: Int64Array
    carrier: Int64Array
    most_proof: Int64Array
    most_disproof: Int64Array
    begun: Int64Array
    number: Int64Array
    order: Int64Array
    scores: Int64Array


@njit(cache=True, nogil=True, _nrt=False)
def _first_place(black: int, white: int, colour: int, table: Table) -> int:
    """The first of the `_PLACES` places of a position."""
    mixed = (black * 0x1E3779B97F4A7C15) ^ ((white + colour) * 0x3F58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> 31)) * 0x14D049BB133111EB
    return ((mixed >> 20) & (table.turn.shape[0] - 1)) & -_PLACES


@njit(cache=True, nogil=True, _nrt=False)
def _find(black: int, white: int, colour: int, table: Table) -> int:
    """Where the table has the position, or -1."""
    first = _first_place(black, white, colour, table)
    for place in range(first, first + _PLACES):
        if table.black[place] == black and table.white[place] == white and table.turn[place] == 1 + colour:
            return place
    return -1


@njit(cache=True, nogil=True, _nrt=False)
def _keep(
    black: int,
    white: int,
    colour: int,
    proof: int,
    disproof: int,
    moves: int,
    carrier: int,
    work: int,
    table: Table,
) -> int:
    """Enter what is known of a position in place of what took the least work; where it stands."""
    place = _find(black, white, colour, table)
    if place < 0:
        first = place = _first_place(black, white, colour, table)
        for other in range(first, first + _PLACES):
            if table.turn[other] == 0:
                place = other
                break
            if table.work[other] < table.work[place]:
                place = other
        table.black[place], table.white[place], table.turn[place] = black, white, 1 + colour
        table.work[place] = 0
    table.proof[place], table.disproof[place] = proof, disproof
    table.moves[place], table.carrier[place] = moves, carrier
    table.work[place] += work
    return place


@njit(cache=True, nogil=True, _nrt=False)
def _judge(black: int, white: int, colour: int, threatened: bool, g: Geometry, table: Table) -> int:
    """Enter what bridges tell of a position; where it stands. Not ``threatened``: ``colour`` wins with no one stone."""
    own, other = (white, black) if colour else (black, white)
    empty = g.board & ~(black | white)
    chain: int = bridged(other, empty, 1 - colour, g)
    if chain != NONE:
        return _keep(black, white, colour, SOLVED, 0, 0, chain, 1, table)
    if threatened:
        chain = bridge_win(own, empty, colour, g)
        if chain != NONE:
            return _keep(black, white, colour, 0, SOLVED, 0, chain, 1, table)
    moves, carrier = threats(other, empty, 1 - colour, g)
    if moves == 0:
        return _keep(black, white, colour, SOLVED, 0, 0, carrier, 1, table)
    return _keep(black, white, colour, 1, count(moves), moves, carrier, 1, table)


@njit(cache=True, nogil=True, _nrt=False)
def _enter(
    level: int, black: int, white: int, place: int, judged: int, g: Geometry, table: Table, path: Levels
) -> None:
    """Put the position at ``place`` on the path."""
    path.black[level], path.white[level], path.begun[level] = black, white, judged
    path.moves[level], path.carrier[level] = table.moves[place], table.carrier[place]
    order, scores = path.order[level], path.scores
    rank(black, white, g, scores)
    number = 0
    for move in range(g.n * g.n):
        if path.moves[level] >> move & 1:
            place = number
            while place and scores[order[place - 1]] > scores[move]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = move
            number += 1
    path.number[level] = number


@njit(cache=True, nogil=True, _nrt=False)
def solve(black: int, white: int, colour: int, most: int, g: Geometry, table: Table, path: Levels) -> tuple[int, int]:
    """Solve a position that nobody has won yet, judging about ``most`` positions at the most: with 1 it alone, by the
    bridges on the board.

    Returns 1 if ``colour``, which is to move, wins, -1 if it loses, 0 if it is not known, and the winner's carrier.
    """
    place = _find(black, white, colour, table)
    if place < 0:
        place = _judge(black, white, colour, True, g, table)
    if table.proof[place] != 0 and table.disproof[place] != 0 and most > 1:
        _search(black, white, colour, place, most, g, table, path)
        place = _find(black, white, colour, table)
    if table.proof[place] == 0:
        return 1, table.carrier[place]
    return (-1, table.carrier[place]) if table.disproof[place] == 0 else (0, 0)


@njit(cache=True, nogil=True, _nrt=False)
def _search(
    black: int, white: int, colour: int, place: int, most: int, g: Geometry, table: Table, path: Levels
) -> None:
    """Search a position, which stands at ``place``, until it is solved or ``most`` positions were judged."""
    judged = level = 0
    path.most_proof[0] = path.most_disproof[0] = SOLVED
    _enter(0, black, white, place, 0, g, table, path)
    while True:
        black, white, mover = path.black[level], path.white[level], (colour + level) % 2
        moves, carrier, order = path.moves[level], path.carrier[level], path.order[level]
        won = 0  # the cells with which the mover wins
        best = others = -1
        best_disproof = second = SOLVED
        most_of_proofs = 0
        fewer = True
        while fewer and not won:  # until no move was found to lose, which takes others away too
            fewer = False
            best, others = -1, -1
            best_disproof = second = SOLVED
            most_of_proofs = 0
            for k in range(path.number[level]):
                cell = 1 << order[k]
                if moves & cell == 0:
                    continue
                after_black, after_white = (black, white | cell) if mover else (black | cell, white)
                place = _find(after_black, after_white, 1 - mover, table)
                if place < 0:
                    place = _judge(after_black, after_white, 1 - mover, carrier != 0, g, table)
                    judged += 1
                proof, disproof = table.proof[place], table.disproof[place]
                if disproof == 0:
                    won = cell | table.carrier[place]
                    break
                if proof == 0:
                    moves &= table.carrier[place]
                    carrier |= table.carrier[place]
                    fewer = True
                    continue
                others += 1
                most_of_proofs = max(most_of_proofs, proof)
                if disproof < best_disproof:
                    second, best_disproof, best = best_disproof, disproof, order[k]
                elif disproof < second:
                    second = disproof
        path.moves[level], path.carrier[level] = moves, carrier
        proof, disproof = best_disproof, most_of_proofs + others // _OTHERS
        if won:
            proof, disproof, carrier = 0, SOLVED, won
        elif moves == 0:
            proof, disproof = SOLVED, 0
        if proof < path.most_proof[level] and disproof < path.most_disproof[level] and judged < most:
            cell = 1 << best
            after_black, after_white = (black, white | cell) if mover else (black | cell, white)
            place = _find(after_black, after_white, 1 - mover, table)
            if place < 0:  # another move has taken its place
                place = _judge(after_black, after_white, 1 - mover, True, g, table)
            # the numbers of a child are its parent's, exchanged
            path.most_proof[level + 1] = path.most_disproof[level] - others // _OTHERS
            path.most_disproof[level + 1] = min(path.most_proof[level], second + second // 4 + 1)
            level += 1
            _enter(level, after_black, after_white, place, judged, g, table, path)
            continue
        _keep(black, white, mover, proof, disproof, moves, carrier, judged - path.begun[level], table)
        level -= 1
        if level < 0:
            return


@njit(cache=True, nogil=True, _nrt=False)
def winning_moves(
    black: int, white: int, colour: int, most: int, g: Geometry, table: Table, path: Levels
) -> tuple[int, bool]:
    """The cells where ``colour``, which is to move in a position that nobody has won yet, wins, and whether these are
    all: not where ``most`` judged positions are too few for a move, which ends it."""
    moves = g.board & ~(black | white)
    winning = 0
    rest = moves
    while rest:
        cell = rest & -rest
        rest &= rest - 1
        after_black, after_white = (black, white | cell) if colour else (black | cell, white)
        if connects(after_white if colour else after_black, colour, g):
            winning |= cell
            continue
        reply, carrier = solve(after_black, after_white, 1 - colour, most, g, table, path)
        if reply == 1:
            moves &= carrier
            rest &= carrier
        elif reply == -1:
            winning |= cell
        else:
            return 0, False
    return winning & moves, True
