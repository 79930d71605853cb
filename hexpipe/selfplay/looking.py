"""Where the local views of games of self-play go, on boards that are larger than a view; elsewhere nothing is done."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.game_env import LocalViewGame, moves_view
from hexpipe.games.local_view import LocalView
from hexpipe.selfplay.turns import Group, Played

OWN_SHARE = 0.75
"""Of the moves whose view does not go where the net looks: share of those that go to a stone of the mover's own."""


class Looking:
    """Puts the views of a generator's games, given by their numbers in a group.

    Most go where the net looks. It learns to look at what it sees, and one that has not learned to would never see its
    own stones again where others play elsewhere: so with the probability of 1 - ``focus_share`` a view goes to a stone
    of the mover's own, any of them, or (1 - `OWN_SHARE` of these) to the last stone of all.
    """

    def __init__(self, focus_share: float, rng: np.random.Generator) -> None:
        self._focus_share, self._rng = focus_share, rng

    def anywhere(self, group: Group, games: NDArray[np.int32]) -> None:
        """Look at a cell that chance draws: else all games would be about the board's middle, and the net would never
        have to choose between two places."""
        if moves_view(group.game):
            cells = self._rng.integers(0, group.game.board_size**2, len(games), dtype=np.int32)
            group.mcts.place_views(games, cells)

    def at_last_stones(self, group: Group, games: NDArray[np.int32]) -> None:
        """Look at the last stone, if there is one: no net has looked at what chance left."""
        group.mcts.place_views(games, np.full(len(games), -1, np.int32))

    def after(self, group: Group, games: NDArray[np.int32], moves: NDArray[np.int32]) -> NDArray[np.int32]:
        """The cells int32 [k] that the net looks at after ``moves`` in ``games`` int32 [k], -1 for none; to be asked
        before the moves are played."""
        if not moves_view(group.game):
            return np.full(len(games), -1, np.int32)
        buckets = group.mcts.focus_after(games, moves)
        return np.where(buckets >= 0, group.game.bucket_cells[buckets], np.int32(-1))

    def at(self, group: Group, games: NDArray[np.int32], cells: NDArray[np.int32]) -> None:
        """Look at ``cells`` int32 [k] as `after` gave them, or in some of ``games`` elsewhere (see above)."""
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
        """The cell of one of ``seat``'s stones, drawn; -1 where it has none."""
        if seat not in played.seats:
            return -1
        ply = int(self._rng.integers(len(played.seats)))
        while played.seats[ply] != seat:  # a few draws, however long the game is
            ply = int(self._rng.integers(len(played.seats)))
        return LocalView.of(game).cell_of_action(played.actions[ply], played.origins[ply])
