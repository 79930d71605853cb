"""Conformance tests of the game protocol by random play, for user-defined games and for hexpipe's.

`check` compares all arrays with each other. It cannot know the rules: test those against a second implementation, slow
and obvious.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hexpipe.errors import ConformanceError, IllegalMoveError, NotationError
from hexpipe.games.board_moves import move_name, moves_of_actions, parse_move
from hexpipe.games.game_env import (
    ONGOING,
    Float32Array,
    Game,
    Int8Array,
    Int16Array,
    Int32Array,
    States,
    moves_pieces,
    moves_view,
    places_stones,
    snapshot_bits,
    tells_threats,
)
from hexpipe.games.local_view import LocalView
from hexpipe.random_streams import Stream, generator

OFF_OR_CLOSED = 4
OF_ALL_STATES = ("cells", "to_move", "view", "winner", "ply", "origin")
"""Arrays that the states of every game have."""


def check(game: Game) -> None:
    """Run all `CHECKS` of ``game``; ConformanceError says what is wrong first, where, and after which moves.

    Takes seconds on a board of 4x4, and longer on a larger one: check a small one. Needs only numpy.
    """
    for one in CHECKS:
        one(game)


class Line:
    """A running game in row 0 of ``states``; ``moves`` are the actions played, ``words`` their names."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.states = game.new_states(1)
        self.moves: list[int] = []
        self.words: list[str] = []

    @property
    def over(self) -> bool:
        """Whether the game is won or drawn."""
        return bool(self.states.winner[0] != ONGOING)

    def legal(self) -> Int32Array:
        """Return the legal actions, in rising order."""
        out = np.ones((1, self.game.num_actions), np.bool_)
        self.game.legal_mask(self.states, rows(0), out)
        return np.flatnonzero(out[0]).astype(np.int32)

    def codes(self) -> Int8Array:
        """Return the codes int8 [C]."""
        out = np.full((1, self.game.shapes.code_length), 99, np.int8)
        self.game.codes(self.states, rows(0), out)
        codes: Int8Array = out[0]
        return codes

    def outcome(self) -> Float32Array:
        """Return the terminal values float32 [S]."""
        out = np.full((1, self.game.num_seats), 99, np.float32)
        self.game.terminal_values(self.states, rows(0), out)
        values: Float32Array = out[0]
        return values

    def cells(self) -> Int32Array:
        """Return the board's cell of each action of the view, -1 if off the board."""
        actions = np.arange(self.game.shapes.view_cells, dtype=np.int32)
        return moves_of_actions(self.game, actions, self.states.origin)

    def play(self, action: int) -> None:
        """Play ``action``, which must be legal."""
        played = np.array([action], np.int16)
        move = int(moves_of_actions(self.game, played, self.states.origin)[0])
        self.words.append(move_name(self.game, move, int(self.states.to_move[0])))
        self.moves.append(action)
        self.game.step(self.states, rows(0), played, rows(0))
        _equal(self.states.ply[0], len(self.moves), "states.ply", self)

    def look(self, cell: int) -> None:
        """Put a movable view around ``cell``, -1 for the last stone."""
        if moves_view(self.game):
            self.game.place_views(self.states, rows(0), rows(cell))


def random_line(game: Game, seed: int) -> Line:
    """Play a whole game of uniformly random legal moves."""
    rng, line = generator(Stream.CONFORMANCE, seed), Line(game)
    while not line.over:
        legal = line.legal()
        _require(legal.size > 0, "no action is legal, and the game is not over", line)
        _require(len(line.moves) < game.max_plies, f"a game goes on after max_plies={game.max_plies} moves", line)
        line.play(int(rng.choice(legal)))
    return line


def rows(*numbers: int) -> Int32Array:
    """Return row numbers as an array."""
    return np.array(numbers, np.int32)


def shapes_agree(game: Game) -> None:
    """Check that tables, states and ``shapes`` have the required sizes and types."""
    shapes, states = game.shapes, game.new_states(3)
    for name in ("num_actions", "num_seats", "board_size"):
        _equal(getattr(shapes, name), getattr(game, name), f"shapes.{name}")
    _require(shapes.num_others >= 0, f"{game.num_actions} actions are fewer than the cells of the view have")
    if shapes.declared:
        _check_declared(game)
    else:
        thumbnail = (game.num_seats + 1) * shapes.view_cells if shapes.thumbnail else 0
        _equal(shapes.code_length, game.num_actions + thumbnail, "shapes.code_length")
        _require(shapes.cell_actions == 1, "several actions a cell need declared planes (shapes.declared)")
    for name, wanted in (
        ("action_view", (game.num_views, game.num_actions)),
        ("next_view", (game.num_views, game.num_actions)),
        ("symmetries", (len(game.symmetries), game.num_actions)),
        ("code_symmetries", (len(game.symmetries), shapes.code_length)),
    ):
        _equal(getattr(game, name).shape, wanted, f"the shape of {name}")
    _equal(states.cells.shape, (3, shapes.board_cells), "the shape of states.cells for 3 rows")
    _equal(states.origin.shape, (3, 2), "the shape of states.origin for 3 rows")
    told = dict(zip(States._fields, (1, 2, 1, 1, 1, 4, 4, 2, 2, 2), strict=True))
    for name in States._fields if places_stones(game) else OF_ALL_STATES:
        _require(hasattr(states, name), f"states have no array {name}")
    for name, array in states._asdict().items():
        size = told.get(name, array.dtype.itemsize)
        kind = "i" if name in told else array.dtype.kind
        _require(array.dtype == np.dtype(f"{kind}{size}"), f"states.{name} is {array.dtype}, not int{8 * size}")
        _require(array.flags.c_contiguous and len(array) == 3, f"states.{name} is no C-contiguous array of 3 rows")
    for name, bits in {} if places_stones(game) else snapshot_bits(game).items():
        _require(hasattr(states, name), f"snapshot_bits names an array {name}, which states do not have")
        _require(bits in (1, 2, 4, 8, 16, 32, 64), f"snapshot_bits gives {name} {bits} bits: 1, 2, 4, 8, 16, 32 or 64")


def _check_declared(game: Game) -> None:
    """Check that declared planes are within the codes, and that the last codes can say what is legal."""
    shapes = game.shapes
    for plane in shapes.declared:
        end = plane.codes(shapes.view_cells).stop
        _require(plane.at >= 0 and end <= shapes.code_length, f"{plane} is outside the {shapes.code_length} codes")
    _require(shapes.code_length >= game.num_actions, "the codes are fewer than the actions, which the last ones tell")
    _require(not places_stones(game), "a game that declares planes must say places_stones = False")
    _require(not (shapes.thumbnail or shapes.turns_frame or shapes.threats), "declared planes are all that a net sees")


def tables_are_permutations(game: Game) -> None:
    """Check that ``action_view`` and the symmetries are permutations, and the first symmetry the identity."""
    for name in ("action_view", "symmetries", "code_symmetries"):
        table = getattr(game, name)
        _require(table.dtype == np.int16, f"{name} is {table.dtype}, not int16")
        for number, row in enumerate(table):
            _equal(np.sort(row), np.arange(len(row)), f"{name}[{number}], sorted,")
    _require(game.next_view.dtype == np.int8, f"next_view is {game.next_view.dtype}, not int8")
    _equal(game.symmetries[0], np.arange(game.num_actions), "symmetries[0]")
    _equal(game.code_symmetries[0], np.arange(game.shapes.code_length), "code_symmetries[0]")


def games_start_alike(game: Game) -> None:
    """Check that new rows are alike, empty boards if moves only place stones, seat 0 to move, values of 0."""
    states, values = game.new_states(2), np.full((2, game.num_seats), 99, np.float32)
    _equal(states.cells[1], states.cells[0], "states.cells of a second row at the start")
    if places_stones(game):
        _equal(states.cells, np.zeros_like(states.cells), "states.cells at the start")
    for name, wanted in (("to_move", 0), ("view", 0), ("winner", ONGOING), ("ply", 0)):
        _equal(getattr(states, name), np.full(2, wanted), f"states.{name} at the start")
    _equal(states.origin, np.tile(LocalView.of(game).start, (2, 1)), "states.origin at the start")
    game.terminal_values(states, rows(0, 1), values)
    _equal(values, np.zeros_like(values), "terminal_values at the start")
    shown = min(game.shapes.view_cells, game.shapes.board_cells)
    _equal(np.count_nonzero(Line(game).cells() >= 0), shown, "the number of cells that the first view shows")


def random_games_keep_the_contract(game: Game) -> None:
    """Check that codes, legal moves, turns, stones and values are consistent in every position of some games."""
    for seed in range(5):
        moves, line = random_line(game, seed).moves, Line(game)
        states = line.states
        for move in moves:
            _equal(line.outcome(), np.zeros(game.num_seats), "terminal_values", line)
            _check_codes(line)
            cells, seat, view = states.cells[0].copy(), int(states.to_move[0]), int(states.view[0])
            cell = int(moves_of_actions(game, rows(move), states.origin)[0])
            line.play(move)
            _equal(states.to_move[0], (seat + 1) % game.num_seats, "states.to_move", line)
            _equal(states.view[0], game.next_view[view, move], "states.view, which next_view tells,", line)
            _require(states.view[0] < game.num_views, f"there is no view {states.view[0]}", line)
            if places_stones(game):  # replay keeps only the actions, and rebuilds a board by placing stones
                if cell < len(cells):
                    cells[cell] = 1 + view
                _equal(states.cells[0], cells, "states.cells, where the move places 1 + view and nothing else,", line)
        _check_end(line)


def _check_codes(line: Line) -> None:
    """Check that codes show the stones and legal moves in the net frame, and follow from the cells alone."""
    game, states, seen, area = line.game, line.states, line.codes(), line.game.shapes.view_cells
    allowed = np.zeros(game.num_actions, np.bool_)
    allowed[game.action_view[states.view[0], line.legal()]] = True
    if game.shapes.declared:  # what else they tell only the game knows
        _equal(
            seen[len(seen) - game.num_actions :], allowed, "the last codes, beside legal_mask, in the net frame,", line
        )
        return
    places, cells = game.action_view[states.view[0], :area], line.cells()
    stones = np.where(cells >= 0, states.cells[0, cells], 0)
    wanted = np.where(stones > 0, 1 + (stones - 1 - states.view[0]) % game.num_views, seen[places])
    wanted[cells < 0] = OFF_OR_CLOSED
    _equal(seen[places], wanted, "the code of a cell, counted by absolute actions,", line)
    # a net with Hex's planes has no closed cells
    empty = [0] if game.shapes.turns_frame else [0, OFF_OR_CLOSED]
    odd = (stones == 0) & (cells >= 0) & ~np.isin(seen[places], empty)
    _require(not odd.any(), f"codes of empty cells are {sorted({*seen[places][odd].tolist()})}, not of {empty}", line)
    free = np.concatenate([seen[:area] == 0, seen[area : game.num_actions] == 1])
    _equal(free, allowed, "what is legal by codes, beside legal_mask, in the net frame,", line)
    if not places_stones(game):
        return
    rebuilt = np.full((1, game.shapes.code_length), 99, np.int8)
    game.codes_from_cells(states.cells, states.view, states.ply, states.origin, rebuilt)
    _equal(rebuilt[0], seen, "codes_from_cells, beside codes,", line)


def _check_end(line: Line) -> None:
    game, winner, values = line.game, int(line.states.winner[0]), line.outcome()
    _require(0 <= winner <= game.num_seats, f"states.winner is {winner}", line)
    _require(line.legal().size == 0, "legal_mask allows a move when the game is over", line)
    _require(bool((np.abs(values) <= 1).all()), f"terminal_values {values.tolist()} are not in [-1, 1]", line)
    if winner < game.num_seats:
        _equal(values[winner], 1, "terminal_values of the winner", line)
        others = np.delete(values, winner)
        _require(bool((others < 1).all()), f"terminal_values {values.tolist()} have more than one winner", line)
    if game.num_seats == 2:
        _equal(values.sum(), 0, "the sum of two seats' terminal_values", line)


def snapshots_tell_positions(game: Game) -> None:
    """Check that ``snapshot_bits``, ply, seat and view determine a position, if the replay keeps these as snapshots."""
    if places_stones(game):
        return
    _require(not moves_view(game), "a game with places_stones = False must be seen whole")
    if not snapshot_bits(game):
        return  # it is played anew from its start
    line, again = random_line(game, 8), Line(game)
    for move in line.moves:
        states, fresh = again.states, game.new_states(1)
        for name, bits in snapshot_bits(game).items():
            array = getattr(states, name)[0]
            low, high = (0, 2**bits - 1) if bits < 8 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            if array.dtype.kind != "u" or bits < 8 * array.dtype.itemsize:
                fits = array.size == 0 or (low <= array.min() and array.max() <= high)
                _require(fits, f"states.{name} has numbers that {bits} bits do not hold", again)
            getattr(fresh, name)[0] = array
        for name in ("ply", "to_move", "view"):
            getattr(fresh, name)[0] = getattr(states, name)[0]
        codes = np.full((1, game.shapes.code_length), 99, np.int8)
        game.codes(fresh, rows(0), codes)
        _equal(codes[0], again.codes(), "codes of a state made from a snapshot", again)
        again.play(move)
        game.step(fresh, rows(0), rows(move), rows(0))
        _same_rows(fresh, 0, states, 0, "after a move from a snapshot")


def pieces_go_where_they_are_told(game: Game) -> None:
    """Check that legal moves of pieces are from an own piece's cell to another, and have names of their own."""
    if not moves_pieces(game):
        return
    for seed in range(3):
        moves, line = random_line(game, seed).moves, Line(game)
        for move in moves:
            seat, mine = int(line.states.to_move[0]), 1 + line.states.view[0]
            for action in line.legal().tolist():
                cells, name = game.move_cells(action, seat), game.move_name(action, seat)
                own = cells is not None and line.states.cells[0, cells[0]] == mine
                _require(own, f"move_cells({action}, {seat}) is {cells}, which begins at no piece of the mover", line)
                _equal(parse_move(game, name, seat), action, f"parse_move({name!r}, {seat})", line)
            source, target = game.move_cells(move, seat) or (-1, -1)
            line.play(move)
            _equal(line.states.cells[0, source], 0, "states.cells where the piece has gone from", line)
            _equal(line.states.cells[0, target], mine, "states.cells where the piece has gone to", line)


def step_leaves_others_alone(game: Game) -> None:
    """Check that `step` writes only to the child, with the same result where the parent is its own child."""
    *before, last = random_line(game, 1).moves
    states = game.new_states(4)
    for move in before:
        game.step(states, rows(1), rows(move), rows(1))
    copies = _copy(states)
    game.step(states, rows(1), rows(last), rows(3))
    for name in states._fields:
        _equal(getattr(states, name)[:3], getattr(copies, name)[:3], f"states.{name} of a row that is not the child")
    game.step(states, rows(1), rows(last), rows(1))
    _same_rows(states, 1, states, 3, "of a row that is its own child, beside one that is not,")


def batches_are_played_in_order(game: Game) -> None:
    """Check that a child may be the parent of a later one in one call, and that rows may be in any order."""
    line = random_line(game, 2)
    states, count = game.new_states(len(line.moves) + 1), len(line.moves)
    here = np.arange(count, dtype=np.int32)
    game.step(states, here, rows(*line.moves), here + 1)
    _same_rows(states, count, game.play(line.moves), 0, "of a game played in one call of step, beside play,")
    everyone = np.arange(count + 1, dtype=np.int32)[::-1].copy()
    masks = np.ones((count + 1, game.num_actions), np.bool_)
    game.legal_mask(states, everyone, masks)
    for k, row in enumerate(everyone):
        alone = np.ones((1, game.num_actions), np.bool_)
        game.legal_mask(states, rows(row), alone)
        _equal(masks[k], alone[0], "legal_mask of many rows, beside that of one,")


def reset_forgets_everything(game: Game) -> None:
    """Check that a reset row is a new one, and that others stay as they are."""
    states, fresh = game.new_states(2), game.new_states(1)
    for move in random_line(game, 3).moves:
        game.step(states, rows(0, 1), rows(move, move), rows(0, 1))
    game.reset(states, rows(1))
    _same_rows(states, 1, fresh, 0, "after reset, beside the start's,")
    _require(states.winner[0] != ONGOING, "reset changes a row that it was not given")
    for move in random_line(game, 4).moves:
        for played, row in ((states, 1), (fresh, 0)):
            game.step(played, rows(row), rows(move), rows(row))
        _same_rows(states, 1, fresh, 0, "of a game after reset, beside a new one,")


def symmetric_games_are_the_same(game: Game) -> None:
    """Check that a game transformed by a symmetry has transformed codes and the same winner, move by move."""
    for seed in range(3):
        moves = random_line(game, seed).moves
        for number, (symmetry, code_symmetry) in enumerate(zip(game.symmetries, game.code_symmetries, strict=True)):
            line, turned = Line(game), Line(game)
            for move in moves:
                view = game.action_view[line.states.view[0]]
                place = int(np.flatnonzero(symmetry == view[move])[0])
                turned.states.origin[0] = turned_origin(line.states.origin[0], symmetry, game)
                line.play(move)
                turned.play(int(np.flatnonzero(view == place)[0]))
                # of two equally near places a full view moves to the first in reading order, transformed or not
                turned.states.origin[0] = turned_origin(line.states.origin[0], symmetry, game)
                _equal(turned.codes(), line.codes()[code_symmetry], f"codes of the game turned by {number}", turned)
                _equal(turned.states.winner[0], line.states.winner[0], f"winner of the game turned by {number}", turned)


def turned_origin(origin: Int16Array, symmetry: Int16Array, game: Game) -> list[int]:
    """Return where the view at ``origin`` int16 [2] goes when the board is transformed as ``symmetry`` int16 [A] does
    the view."""
    top, left = origin.tolist()
    if not moves_view(game):
        return [top, left]
    n, v = game.board_size, game.shapes.view_size
    view, board = np.arange(v * v).reshape(v, v), np.zeros((n, n), np.int8)
    board[top : top + v, left : left + v] = 1
    for mirrored in (False, True):
        for turns in range(4):
            turned, shown = (np.rot90(square[:, ::-1] if mirrored else square, turns) for square in (view, board))
            if np.array_equal(turned.ravel(), symmetry[: v * v]):
                return [int(at) for at in np.argwhere(shown)[0]]
    raise ConformanceError(f"{game.name}: a symmetry turns the view as no square can be turned")


def views_go_anywhere(game: Game) -> None:
    """Check that moving a view changes only what is seen, wherever it is put."""
    line, rng = Line(game), generator(Stream.CONFORMANCE, 6)
    while not line.over:
        before = _copy(line.states)
        line.look(int(rng.integers(-1, game.shapes.board_cells)))
        _same_rows(before._replace(origin=line.states.origin), 0, line.states, 0, "where the view was put elsewhere")
        _check_codes(line)
        line.play(int(rng.choice(line.legal())))


def threats_are_told_again(game: Game) -> None:
    """Check that `replay_threats` gives the `threat_levels` of the game, for any views."""
    if not tells_threats(game):
        return
    line, rng = Line(game), generator(Stream.CONFORMANCE, 7)
    origins, told, level = [], [], np.full(1, 99, np.uint8)
    while not line.over:
        line.look(int(rng.integers(-1, game.shapes.board_cells)))
        game.threat_levels(line.states, rows(0), level)
        told.append(int(level[0]))
        origins.append(line.states.origin[0].copy())
        line.play(int(rng.choice(line.legal())))
    places = np.array(origins if moves_view(game) else [], np.int16).reshape(-1, 2)
    again = np.full(len(told), 99, np.uint8)
    game.replay_threats(np.array(line.moves, np.int16), places, again)
    _equal(again, np.array(told), "replay_threats, beside threat_levels,", line)
    _require(any(told), "threat_levels knows no threat in a whole game", line)


def names_can_be_read(game: Game) -> None:
    """Check that the names of actions and cells parse to what they name, and that other texts are refused."""
    cells = Line(game).cells()
    for action in range(game.num_actions):
        named = game.move_cells(action, 0) is not None if moves_pieces(game) else True
        if named and (action >= len(cells) or cells[action] >= 0):
            name = game.action_name(action)
            _equal(game.parse_action(name), action, f"parse_action({name!r})")
    for cell in range(game.shapes.board_cells):
        name = game.cell_name(cell)
        _equal(game.parse_cell(name), cell, f"parse_cell({name!r})")
    for text in ("", "a", "1", "a0", "a99", "zz1", "a1 b2", "nowhere"):
        _refusal(NotationError, game.parse_action, text)


def illegal_moves_are_named(game: Game) -> None:
    """Check that `play` reports which move is not legal, and why."""
    begun = Line(game)
    first = int(begun.legal()[1])
    begun.play(first)
    forbidden = sorted({*range(game.num_actions)} - {*begun.legal().tolist()})
    _require(bool(forbidden), "every action is legal", begun)
    again = first if places_stones(game) else forbidden[0]
    over = random_line(game, 4)
    why = ".*taken" if places_stones(game) else ""
    name = game.move_name(again, 1) if moves_pieces(game) else game.action_name(again)
    cases = [
        ([first, again], rf"move 2 \({re.escape(name)}\) {why}"),
        ([game.num_actions], "move 1"),
        ([-1], "move 1"),
    ]
    cells = over.cells()
    free = np.flatnonzero((cells >= 0) & (over.states.cells[0, cells] == 0))
    if len(free):
        cases.append(([*over.moves, int(free[0])], f"move {len(over.moves) + 1} .*(won|draw)"))
    for moves, pattern in cases:
        words = _refusal(IllegalMoveError, game.play, moves)
        _require(re.search(pattern, words), f"play({moves}) says {words!r}, which lacks {pattern!r}")


def pictures_show_every_stone(game: Game) -> None:
    """Check that a picture differs from that of an empty board in one letter for each stone."""
    line = random_line(game, 5)
    empty = game.render(np.zeros(game.shapes.board_cells, np.int8))
    picture = game.render(line.states.cells[0])
    _equal(len(picture), len(empty), "the length of a picture, beside an empty board's,", line)
    shown = sum(a != b for a, b in zip(empty, picture, strict=True))
    _equal(shown, np.count_nonzero(line.states.cells[0]), "the number of stones in a picture", line)


def nothing_can_be_asked(game: Game) -> None:
    """Check that calls without rows do nothing: a turn of the search may have no leaf to step or to describe."""
    states, nobody = game.new_states(1), rows()
    before = _copy(states)
    game.step(states, nobody, nobody, nobody)
    game.legal_mask(states, nobody, np.zeros((0, game.num_actions), np.bool_))
    game.codes(states, nobody, np.zeros((0, game.shapes.code_length), np.int8))
    game.terminal_values(states, nobody, np.zeros((0, game.num_seats), np.float32))
    if moves_view(game):
        game.place_views(states, nobody, nobody)
    game.reset(states, nobody)
    _same_rows(before, 0, states, 0, "after calls about no rows")


def terms_are_json(game: Game) -> None:
    """Check that ``terms`` survive JSON unchanged, as an archive keeps them."""
    _require(json.loads(json.dumps(game.terms)) == game.terms, f"terms are other ones as JSON: {game.terms}")


CHECKS: tuple[Callable[[Game], None], ...] = (
    shapes_agree,
    tables_are_permutations,
    games_start_alike,
    random_games_keep_the_contract,
    snapshots_tell_positions,
    pieces_go_where_they_are_told,
    step_leaves_others_alone,
    batches_are_played_in_order,
    reset_forgets_everything,
    symmetric_games_are_the_same,
    views_go_anywhere,
    threats_are_told_again,
    names_can_be_read,
    illegal_moves_are_named,
    pictures_show_every_stone,
    nothing_can_be_asked,
    terms_are_json,
)
"""Every check, in the order in which `check` runs them: each takes a game and raises ConformanceError."""


def _require(holds: object, what: str, line: Line | None = None) -> None:
    """Raise ConformanceError with ``what``, with the moves of ``line``, unless it ``holds``."""
    if not holds:
        moves = "" if line is None else f" after {' '.join(line.words)}" if line.words else " at the start"
        raise ConformanceError(f"{what}{moves}")


def _equal(found: npt.ArrayLike, wanted: npt.ArrayLike, what: str, line: Line | None = None) -> None:
    """Raise ConformanceError unless ``found`` is ``wanted``, and name the first entry that differs."""
    a, b = np.asarray(found), np.asarray(wanted)
    if a.shape != b.shape:
        _require(False, f"{what} is of {a.shape}, not {b.shape}: {a.tolist()}, not {b.tolist()}", line)
    for at in np.argwhere(a != b)[:1].tolist():
        place = f" at {at[0] if len(at) == 1 else tuple(at)}" if at else ""
        _require(False, f"{what} is {a[tuple(at)]}, not {b[tuple(at)]}{place}", line)


def _same_rows(one: States, row: int, other: States, other_row: int, where: str) -> None:
    """Raise ConformanceError unless two rows are the same position; a game's own numbers, such as union-find parents,
    may differ."""
    for name in one._fields:
        if name in States._fields and name != "parents":
            _equal(getattr(one, name)[row], getattr(other, name)[other_row], f"states.{name} {where}")


def _copy(states: States) -> States:
    return states._replace(**{name: array.copy() for name, array in states._asdict().items()})


def _refusal(kind: type[Exception], method: Callable[..., object], argument: object) -> str:
    """Return the message by which ``method`` refuses ``argument``, which must be an error of ``kind``."""
    try:
        method(argument)
    except kind as error:
        return str(error)
    raise ConformanceError(f"{method.__name__}({argument!r}) raises no {kind.__name__}")
