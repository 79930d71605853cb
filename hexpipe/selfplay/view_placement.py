"""Placement of the local views of self-play games, on boards larger than a view; elsewhere nothing is done."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.game_env import LocalViewGame, moves_view
from hexpipe.games.local_view import LocalView
from hexpipe.selfplay.turns import Group, Played

OWN_SHARE = 0.75
"""Share of views at a stone of the mover's own among those that do not go where the net looks."""


class ViewPlacement:
    """Placement of the views of a generator's games, given by their numbers in a group.

    Most go where the net looks. It learns from what it sees, and an untrained one would never see its own stones again
    where others play elsewhere: so with probability 1 - ``focus_share`` a view goes to a random stone of the mover's
    own, or (1 - `OWN_SHARE` of these) to the last stone.
    """

    def __init__(self, focus_share: float, rng: np.random.Generator) -> None:
        self._focus_share, self._rng = focus_share, rng

    def anywhere(self, group: Group, games: NDArray[np.int32]) -> None:
        """Look at a random cell.

        Otherwise all games would be about the board's middle, and the net would never have to choose between two
        places.
        """
        if moves_view(group.game):
            cells = self._rng.integers(0, group.game.board_size**2, len(games), dtype=np.int32)
            group.mcts.place_views(games, cells)

    def at_last_stones(self, group: Group, games: NDArray[np.int32]) -> None:
        """Look at the last stone, if there is one: after a random opening no net has looked yet."""
        group.mcts.place_views(games, np.full(len(games), -1, np.int32))

    def after(self, group: Group, games: NDArray[np.int32], moves: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the cells int32 [k] that the net looks at after ``moves`` in ``games`` int32 [k], -1 for none.

        It must be called before the moves are played.
        """
        if not moves_view(group.game):
            return np.full(len(games), -1, np.int32)
        buckets = group.mcts.focus_after(games, moves)
        return np.where(buckets >= 0, group.game.bucket_cells[buckets], np.int32(-1))

    def at(self, group: Group, games: NDArray[np.int32], cells: NDArray[np.int32]) -> None:
        """Look at ``cells`` int32 [k] of `after`, or in some of ``games`` elsewhere (see the class)."""
        game = group.game
        if not moves_view(game):
            return
        looks = cells.copy()
        own = self._rng.random(len(cells)) < OWN_SHARE
        seats = group.mcts.states.to_move[group.mcts.root_rows(games)]
        for i in np.flatnonzero(self._rng.random(len(cells)) >= self._focus_share).tolist():
            looks[i] = self._own_cell(game, group.games[games[i]], int(seats[i])) if own[i] else -1
        group.mcts.place_views(games, looks)

    def _own_cell(self, game: LocalViewGame, played: Played, seat: int) -> int:
        """Draw the cell of one of ``seat``'s stones; -1 where it has none."""
        if seat not in played.seats:
            return -1
        ply = int(self._rng.integers(len(played.seats)))
        while played.seats[ply] != seat:  # a few draws, however long the game is
            ply = int(self._rng.integers(len(played.seats)))
        return LocalView.of(game).cell_of_action(played.actions[ply], played.origins[ply])
