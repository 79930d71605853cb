"""Positions of Hex in SGF: stones that were set up (AB, AW, AE, PL), and moves from there; games are positions too."""

from __future__ import annotations

from hexpipe.errors import NotationError
from hexpipe.games.coordinates import cell_name
from hexpipe.games.set_up import Position, SetUp
from hexpipe.notation.game_texts import read_game
from hexpipe.notation.hex_sgf import SgfLine, SgfStep, from_sgf, read_line
from hexpipe.notation.sgf import find_tree


def read_position(text: str, most_moves: int | None = None) -> tuple[int, SetUp]:
    """Parse an SGF position: the size of the board and the position after the first ``most_moves`` moves, or all.

    A set-up may be anywhere between moves, and moves may be out of turn; the stones before are then part of the
    `SetUp`. If neither PL nor a move gives the side to move, it is white if black has more stones. NotationError if the
    text is no such game, and for two stones on a cell.
    """
    line = read_line(text)
    if all(step.cells != (line.size**2,) for step in line.steps):
        return line.size, _walk(line, most_moves)
    if line.setup:
        raise NotationError(
            "a swap beside set-up stones cannot be read: set up the stones as they lie after it", kind="syntax"
        )
    moves = from_sgf(text).moves
    return line.size, SetUp(moves=moves if most_moves is None else moves[:most_moves])


def read_any(text: str) -> tuple[int, Position]:
    """Parse a game of Hex in any notation, or an SGF position: return the board size, and its moves or its `SetUp`.

    NotationError if it is neither.
    """
    if find_tree(text) < 0:
        game = read_game(text)
        return game.size, game.moves
    size, found = read_position(text.strip())
    return size, found.moves if found == SetUp(moves=found.moves) else found


def position_to_sgf(size: int, position: SetUp) -> str:
    """Write ``position`` in SGF; a swap among its moves is "swap-sides"."""
    nodes = [f"{name}{''.join(f'[{cell_name(cell, size)}]' for cell in cells)}"
             for name, cells in (("AB", position.black), ("AW", position.white)) if cells]  # fmt: skip
    nodes.append(f"PL[{'BW'[position.to_move]}]")
    colour = position.to_move
    for move in position.moves:
        nodes.append(f";{'BW'[colour]}[{'swap-sides' if move == size**2 else cell_name(move, size)}]")
        colour = colour if move == size**2 else 1 - colour
    return f"(;FF[4]GM[11]SZ[{size}]" + "".join(nodes) + ")"


def _walk(line: SgfLine, most_moves: int | None) -> SetUp:
    stones: dict[int, int] = {}  # colours by cell
    start, turn, told = SetUp(), 0, False
    moves: list[int] = []

    def begin(colour: int) -> None:
        nonlocal start, turn
        black, white = (tuple(sorted(cell for cell in stones if stones[cell] == one)) for one in (0, 1))
        start, turn = SetUp(black, white, colour), colour
        moves.clear()

    played = 0
    for step in line.steps:
        if step.kind not in ("B", "W"):
            _set_up(stones, step, line.size)
            told = step.kind == "PL"
            counts = [list(stones.values()).count(colour) for colour in (0, 1)]
            begin(step.colour if told else int(counts[0] > counts[1]))
            continue
        if played == most_moves:
            if not told and not moves:
                begin(step.colour)
            break
        if step.colour != turn:
            begin(step.colour)
        (cell,) = step.cells
        if cell in stones:
            raise NotationError(
                f"{step.kind}[{cell_name(cell, line.size)}] is on a cell that is taken", kind="occupied"
            )
        stones[cell] = step.colour
        moves.append(cell)
        turn, played = 1 - turn, played + 1
    return SetUp(start.black, start.white, start.to_move, tuple(moves))


def _set_up(stones: dict[int, int], step: SgfStep, size: int) -> None:
    for cell in step.cells:
        if step.kind == "AE":
            stones.pop(cell, None)
        elif cell in stones:
            raise NotationError(
                f"{step.kind}[{cell_name(cell, size)}]: two stones stand on {cell_name(cell, size)}", kind="occupied"
            )
        else:
            stones[cell] = step.colour
