"""Set-up positions of Hex: any stones of either colour, the side to move, and moves from there.

Positions are either the moves from the start or a `SetUp`. In a set-up seats are colours: seat 0 is black, until a
swap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hexpipe.errors import IllegalMoveError, NotationError
from hexpipe.games.board_moves import checked_moves
from hexpipe.games.checked_play import checked_play
from hexpipe.games.coordinates import cell_name
from hexpipe.games.game_env import ONGOING, Game, States
from hexpipe.games.hex import Hex
from hexpipe.games.player_utils import COLOURS, parse_side


@dataclass(frozen=True)
class SetUp:
    """Cells of ``black`` and ``white`` stones, the colour ``to_move`` (0 black, 1 white), and the ``moves`` since.

    ``may_swap``: with the rule on, a lone stone with the other colour to move may be swapped, as may the first stone on
    an empty board; no swap is possible otherwise.
    """

    black: tuple[int, ...] = ()
    white: tuple[int, ...] = ()
    to_move: int = 0
    moves: tuple[int, ...] = ()
    may_swap: bool = True


Position = Sequence[int] | SetUp
"""Moves from the start (`board_moves`), or a `SetUp`."""


def moves_of(position: Position) -> Sequence[int]:
    """Return the moves of ``position``, from its start or set-up."""
    return position.moves if isinstance(position, SetUp) else position


def place_stones(game: Game, states: States, row: int, start: SetUp) -> None:
    """Set ``row`` to the position of ``start`` before its moves; stones must be on different cells of the board.

    A row where a colour connects its edges is won. ``game`` must be Hex.
    """
    rows = np.array([row], np.int32)
    game.reset(states, rows)
    for colour, cells in enumerate((start.black, start.white)):
        for cell in cells:
            states.to_move[row] = states.view[row] = colour
            game.step(states, rows, np.array([cell], np.int32), rows)
    states.to_move[row] = states.view[row] = start.to_move
    counts = len(start.black), len(start.white)
    begins = start.may_swap and (counts == (0, 0) or counts == ((1, 0), (0, 1))[1 - start.to_move])
    states.ply[row] = sum(counts) if begins else max(2, sum(counts))


def checked_position(game: Game, position: Position) -> States:
    """Return one row after ``position``, which may then be over.

    NotationError for two stones on a cell, for one off the board and for stones of a game other than Hex;
    IllegalMoveError for stones by which a colour has already won, and for a move that is not legal.
    """
    if not isinstance(position, SetUp):
        return checked_moves(game, position)
    seen: set[int] = set()
    for cell in position.black + position.white:
        if not 0 <= cell < game.board_size**2:
            raise NotationError(
                f"there is no cell {cell} on a {game.board_size}x{game.board_size} board", kind="coordinate"
            )
        if cell in seen:
            raise NotationError(f"two stones stand on {cell_name(cell, game.board_size)}", kind="occupied")
        seen.add(cell)
    if not isinstance(game, Hex):
        raise NotationError(
            f"stones that are set up are known of Hex alone, not of {game.name}: give moves", kind="foreign"
        )
    states = game.new_states(1)
    place_stones(game, states, 0, position)
    if states.winner[0] != ONGOING:
        raise IllegalMoveError(
            f"{COLOURS[int(states.winner[0])]}'s stones connect: the position is already won", kind="over"
        )
    return checked_play(game, position.moves, game.why_illegal, states)


def stones_of(states: States, to_move: int) -> SetUp:
    """Return the stones of row 0 of ``states`` of Hex with the colour ``to_move`` to move."""
    black, white = (tuple(np.flatnonzero(states.cells[0] == 1 + colour).tolist()) for colour in (0, 1))
    return SetUp(black, white, to_move)


def parse_colour(word: object) -> int:
    """Parse a colour, 0 black or 1 white, from a word ("black", "b", "white", "w", in any case)."""
    if not isinstance(word, str):
        raise NotationError(f"{word!r} is no colour; write black or white", kind="unknown")
    return parse_side(word)


def parse_stones(stones: Any) -> tuple[list[str], list[str]]:
    """Return the names of black's and white's cells, from {"black": ["a1"], "white": ["b2"]} or KataGo's pairs.

    Those are [["B", "a1"], ["W", "b2"]].
    """
    named: tuple[list[str], list[str]] = ([], [])
    pairs = stones
    if isinstance(stones, Mapping):
        pairs = [(colour, cell) for colour, cells in stones.items() if isinstance(cells, list) for cell in cells]
        pairs += [(colour, cells) for colour, cells in stones.items() if not isinstance(cells, list)]  # rejected below
    for pair in pairs if isinstance(pairs, list) else [None]:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[1], str):
            raise NotationError(
                'stones look like {"black": ["a1"], "white": ["b2"]} or [["B", "a1"], ["W", "b2"]]', kind="type"
            )
        named[parse_colour(pair[0])].append(pair[1])
    return named


def first_moves(position: Position, count: int) -> Position:
    """Return ``position`` after the first ``count`` of its moves."""
    if isinstance(position, SetUp):
        return replace(position, moves=position.moves[:count])
    return tuple(position[:count])


def read_set_up(
    game: Game,
    black: Sequence[str],
    white: Sequence[str],
    moves: Sequence[int] = (),
    to_move: int | None = None,
    first: int | None = None,
) -> tuple[Position, Position]:
    """Read the position of stones on the cells named by ``black`` and ``white``, and of ``moves`` from there; checked.

    ``to_move`` is the colour to move after the moves, ``first`` the one that plays the first of them; a missing one
    follows from the other, as colours take turns, or from the numbers of stones, as in a game. Without stones black
    plays first. Returned twice: with its moves in turn; and with ``to_move`` to move, even if it moved last.
    NotationError and IllegalMoveError as `checked_position`, also if the side to move is undetermined.
    """
    if not black and not white and to_move is None and first is None:
        checked_position(game, moves)
        return moves, moves
    start = SetUp(tuple(map(game.parse_cell, black)), tuple(map(game.parse_cell, white)))
    if first is None and not (black or white):
        first = 0
    elif first is None and to_move is not None:
        first = (to_move + sum(move < game.board_size**2 for move in moves)) % 2
    elif first is None:
        first = len(black) - len(white)
        if first not in (0, 1):
            counts = f"{len(black)} black and {len(white)} white stones"
            raise NotationError(f"{counts} do not tell whose turn it is: say to_move", kind="turn")
    position = replace(start, to_move=first, moves=tuple(moves))
    states = checked_position(game, position)
    if to_move is None or to_move == states.view[0] or states.winner[0] != ONGOING:
        return position, position
    return position, stones_of(states, to_move)
