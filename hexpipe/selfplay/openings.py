"""Openings: the moves at a game's start, played without a search, so that one net's games differ.

An opening is a tuple of legal moves of the whole board (`games.board_moves`) that do not end the game.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hexpipe.errors import IllegalMoveError, NotationError, UsageError
from hexpipe.games.board_moves import moves_of_actions
from hexpipe.games.game_env import ONGOING, Game, States, moves_view
from hexpipe.games.hex import Hex
from hexpipe.notation.game_sources import games_of
from hexpipe.notation.game_texts import read_game
from hexpipe.search.evaluator import Evaluator
from hexpipe.selfplay.moves import sample_rows

CANDIDATES = 16
"""Number of random openings of which a balanced one is the best."""

Opening = tuple[int, ...]


def random_openings(game: Game, most_plies: int, rng: np.random.Generator, at_once: int = 64) -> Iterator[Opening]:
    """Yield endless openings of 1 to ``most_plies`` uniformly random plies, as many of each length, ``at_once`` at a
    time."""
    while True:
        yield from _draw(game, most_plies, rng, at_once)[0]


def balanced_openings(
    game: Game, most_plies: int, rng: np.random.Generator, evaluator: Evaluator, group: int, at_once: int
) -> Iterator[Opening]:
    """Yield endless openings that leave every seat about the same chances, as the pie rule asks.

    Each is the one of `CANDIDATES` random ones whose `imbalance` by ``evaluator``'s values is least. The requests,
    of about ``at_once`` positions, go to ``group``, which no search may be using.
    """
    while True:
        best: list[Opening] = [()] * at_once
        least = np.full(at_once, np.inf)
        for _ in range(CANDIDATES):
            openings, states = _draw(game, most_plies, rng, at_once)
            imbalances = imbalance(_values(game, states, evaluator, group))
            for i in np.flatnonzero(imbalances < least).tolist():
                best[i], least[i] = openings[i], imbalances[i]
        yield from best


def imbalance(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the spread of the seats' chances, float32 [L] in [0, 1], for values float32 [L, S].

    It is half the distance of the best seat's value from the worst's; for two seats, the value's distance from 0.
    """
    imbalances: NDArray[np.float32] = (values.max(axis=1) - values.min(axis=1)) / 2
    return imbalances


def _values(game: Game, states: States, evaluator: Evaluator, group: int) -> NDArray[np.float32]:
    """Evaluate all rows of ``states``: values float32 [L, S], the first is the mover's."""
    codes = np.zeros((len(states.ply), game.shapes.code_length), np.int8)
    game.codes(states, np.arange(len(codes), dtype=np.int32), codes)
    evaluator.submit(group, codes)
    return evaluator.collect(group).answers.values


def _draw(game: Game, most_plies: int, rng: np.random.Generator, count: int) -> tuple[list[Opening], States]:
    """Draw ``count`` random openings; return them and the states after them.

    Where views move, the first is around a random cell and the others are around the last stone: an opening is in one
    part of the board.
    """
    states, rows = game.new_states(count), np.arange(count, dtype=np.int32)
    moves: list[list[int]] = [[] for _ in range(count)]
    wanted = rng.integers(1, most_plies + 1, count)
    legal = np.zeros((count, game.num_actions), np.bool_)
    plies = np.zeros(count, np.int64)
    while len(going := rows[plies < wanted]):
        cells = rng.integers(0, game.board_size**2, len(going), dtype=np.int32)
        if moves_view(game):
            game.place_views(states, going, np.where(plies[going] == 0, cells, np.int32(-1)))
        game.legal_mask(states, going, legal[: len(going)])
        actions = sample_rows(legal[: len(going)].astype(np.float32), rng)
        for row, move in zip(going.tolist(), moves_of_actions(game, actions, states.origin[going]), strict=True):
            moves[row].append(int(move))
        game.step(states, going, actions, going)
        plies[going] += 1
        over = going[states.winner[going] != ONGOING]  # a game that is over starts anew
        game.reset(states, over)
        wanted[over] = rng.integers(1, most_plies + 1, len(over))
        plies[over] = 0
        for row in over.tolist():
            moves[row] = []
    if moves_view(game):
        game.place_views(states, rows, np.full(count, -1, np.int32))
    return [tuple(played) for played in moves], states


def read_openings(path: Path, game: Game) -> tuple[Opening, ...]:
    """Return the games in the file ``path`` (a line a game, or a collection of SGF; `games.game_texts`), as openings.

    UsageError where ``game`` is not Hex and, with the line, where one cannot be read, is illegal by its rules, or over.
    """
    if game.name != Hex.name:
        words = f"openings in a file are of Hex, and this is {game.name}: leave the file out"
        raise UsageError(words, kind="conflict", setting="--openings", path=path)
    try:
        pieces = games_of(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}); name a file of openings", kind="access", path=path
        ) from error
    except NotationError as error:
        raise UsageError(f"{path}: {error}", kind=error.kind, path=path) from error
    if not pieces:
        words = f"there is no opening in {path}: give one a line, such as #{game.board_size},a1b2"
        raise UsageError(words, kind="missing", path=path)
    openings = []
    for piece in pieces:
        place = f"{path}, line {piece.line}"
        try:
            read = read_game(piece.text, game.board_size)
            if read.size != game.board_size:
                words = f"{place}: an opening of {read.size}x{read.size}, but the board is {game.board_size}"
                raise UsageError(words, kind="board", path=path)
            states = game.play(read.moves)
        except (NotationError, IllegalMoveError) as error:
            raise UsageError(f"{place}: {error}", kind=error.kind, path=path, move=error.move) from error
        if states.winner[0] != ONGOING:
            raise UsageError(
                f"{place}: the game is over after these moves; leave the last of them out", kind="over", path=path
            )
        openings.append(read.moves)
    return tuple(openings)
