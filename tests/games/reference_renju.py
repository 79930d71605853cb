"""What renju forbids its first player, in the words of its rules, as slow and obvious as it gets.

The International Rules of Renju, sections 3 and 9. A board is a dict of seats by (row, column), on n rows and columns.
"""

from __future__ import annotations

from collections.abc import Iterator

Place = tuple[int, int]
Board = dict[Place, int]
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
BLACK = 0


def along(place: Place, direction: Place, n: int) -> list[Place]:
    """All places of the line through ``place``, in order."""
    places = [(place[0] + k * direction[0], place[1] + k * direction[1]) for k in range(-n, n + 1)]
    return [one for one in places if min(one) >= 0 and max(one) < n]


def row_through(board: Board, place: Place, direction: Place, n: int) -> list[Place]:
    """The unbroken row of black stones that the one on ``place`` is in."""
    row: list[Place] = []
    for one in along(place, direction, n):
        if board.get(one) == BLACK:
            row.append(one)
        elif place in row:
            break
        else:
            row = []
    return row


def with_stone(board: Board, place: Place) -> Board:
    return {**board, place: BLACK}


def completions(board: Board, place: Place, direction: Place, n: int) -> Iterator[tuple[Place, frozenset[Place]]]:
    """Places of the line where one more stone makes exactly five in a row with ``place``, and the four others of it."""
    for one in along(place, direction, n):
        if one not in board:
            row = row_through(with_stone(board, one), one, direction, n)
            if len(row) == 5 and place in row:
                yield one, frozenset(row) - {one}


def fours(board: Board, place: Place, n: int) -> set[frozenset[Place]]:
    return {four for direction in DIRECTIONS for _, four in completions(board, place, direction, n)}


def makes_straight_four(board: Board, place: Place, direction: Place, n: int) -> bool:
    """Whether the stone on ``place`` is one of an unbroken four to which five is made in two ways."""
    row = row_through(board, place, direction, n)
    return len(row) == 4 and len(list(completions(board, place, direction, n))) == 2


def threes(board: Board, place: Place, n: int) -> set[frozenset[Place]]:
    """Threes with the stone on ``place``: those that become a straight four by a stone that is no foul itself."""
    found = set()
    for direction in DIRECTIONS:
        for one in along(place, direction, n):
            if one in board:
                continue
            grown = with_stone(board, one)
            row = row_through(grown, one, direction, n)
            straight = place in row and makes_straight_four(grown, one, direction, n)
            if straight and not makes_five(grown, one, n) and not is_forbidden(board, n, one):
                found.add(frozenset(row) - {one})
    return found


def makes_five(board: Board, place: Place, n: int) -> bool:
    return any(len(row_through(board, place, direction, n)) == 5 for direction in DIRECTIONS)


def judged(board: Board, n: int, place: Place) -> str:
    """What black's stone on the empty ``place`` would be."""
    lines = [one for direction in DIRECTIONS for one in along(place, direction, n)]
    if sum(board.get(one) == BLACK for one in lines) < 4:
        return "allowed"  # five, four and another four, three and another three: each has four stones beside this one
    after = with_stone(board, place)
    if makes_five(after, place, n):
        return "five"
    if any(len(row_through(after, place, direction, n)) > 5 for direction in DIRECTIONS):
        return "overline"
    if len(fours(after, place, n)) > 1:
        return "double four"
    return "double three" if len(threes(after, place, n)) > 1 else "allowed"


def is_forbidden(board: Board, n: int, place: Place) -> bool:
    return judged(board, n, place) not in ("allowed", "five")
