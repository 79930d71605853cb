"""Positions of a batch between the store's bytes and the net's codes: by placed stones, or by the game's own step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.game_env import Game, Int8Array, States, places_stones
from hexpipe.replay.sample_kernels import Samples, play_moves
from hexpipe.replay.state_snapshots import unpack_states


class Positions(Protocol):
    """Positions of B samples, all at the start of their unroll."""

    def play(self, step: int) -> None:
        """Play each row's move of ``step``, unless its unroll is over by then."""
        ...

    def write_codes(self, step: int, out: Int8Array) -> None:
        """Write the codes of the positions as they are, those of ``step``, into ``out`` int8 [B, C]."""
        ...


def positions_of(games: Sequence[Game], samples: Samples) -> Positions:
    """Return the positions of ``samples``, which `read_samples` has filled, each of the stage of ``games`` that it
    names."""
    return PlacedStones(games, samples) if places_stones(games[0]) else SteppedStates(games, samples)


class PlacedStones:
    """Boards that the kernels have rebuilt by placing stones, a stone a step."""

    def __init__(self, games: Sequence[Game], samples: Samples) -> None:
        self._games, self._samples = games, samples

    def play(self, step: int) -> None:
        """Place each row's stone of ``step``."""
        play_moves(self._samples, step)

    def write_codes(self, step: int, out: Int8Array) -> None:
        """Write codes from the cells, stage by stage."""
        games, samples = self._games, self._samples
        views = samples.views[step]
        if len(games) == 1:
            games[0].codes_from_cells(samples.cells, views, samples.plies, samples.origins, out)
            return
        for stage, rows in _rows_by_stage(samples):
            codes = np.empty((len(rows), out.shape[1]), np.int8)
            cells = samples.cells[rows, : games[stage].shapes.board_cells]
            games[stage].codes_from_cells(cells, views[rows], samples.plies[rows], samples.origins[rows], codes)
            out[rows] = codes


class SteppedStates:
    """States that were played on from the nearest snapshot by the games' own `step`."""

    def __init__(self, games: Sequence[Game], samples: Samples) -> None:
        self._samples = samples
        self._stages = [
            (games[stage], rows, _play_from_snapshots(games[stage], samples, rows))
            for stage, rows in _rows_by_stage(samples)
        ]

    def play(self, step: int) -> None:
        """Play each row's action of ``step``."""
        samples = self._samples
        for game, rows, states in self._stages:
            live = np.flatnonzero(samples.mask[rows, step + 1] > 0).astype(np.int32)
            game.step(states, live, samples.moves[step, rows[live]], live)

    def write_codes(self, step: int, out: Int8Array) -> None:
        """Write codes of the states; of a row whose unroll is over, those of its last position."""
        for game, rows, states in self._stages:
            codes = np.empty((len(rows), out.shape[1]), np.int8)
            game.codes(states, np.arange(len(rows), dtype=np.int32), codes)
            out[rows] = codes


def _play_from_snapshots(game: Game, samples: Samples, rows: NDArray[np.intp]) -> States:
    """Return the states of the samples ``rows`` [L] at their plies."""
    states, beginnings, turns = game.new_states(len(rows)), samples.beginnings[rows], samples.turns[rows]
    later = beginnings >= 0  # the others begin at the start
    known = rows[later]
    unpack_states(game, samples.snapshots[known], states, np.flatnonzero(later))
    states.ply[later] = beginnings[later]
    states.to_move[later], states.view[later] = turns[later] & 15, turns[later] >> 4
    left = samples.plies[rows] - np.maximum(beginnings, 0)
    for k in range(int(left.max(initial=0))):
        live = np.flatnonzero(left > k).astype(np.int32)
        game.step(states, live, samples.replayed[rows[live], k], live)
    return states


def _rows_by_stage(samples: Samples) -> list[tuple[int, NDArray[np.intp]]]:
    """List each stage that has samples, and their rows."""
    return [(stage, np.flatnonzero(samples.stages == stage)) for stage in np.unique(samples.stages).tolist()]
