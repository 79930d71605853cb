"""Games that are searched together: a group on one board, and groups whose requests are joined."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.config import Settings
from hexpipe.games.game_env import Game
from hexpipe.search.mcts import Mcts
from hexpipe.selfplay.requests import Request, join_requests
from hexpipe.selfplay.revisits import Revisits


@dataclass
class Played:
    """The record of a running game so far."""

    weights_version: int = -1
    opening_plies: int = 0
    actions: list[int] = field(default_factory=list)
    seats: list[int] = field(default_factory=list)
    views: list[int] = field(default_factory=list)
    origins: list[NDArray[np.int16]] = field(default_factory=list)
    root_values: list[NDArray[np.float32]] = field(default_factory=list)
    policies: list[NDArray[np.float32]] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)


class Group:
    """Games on one board that are searched together."""

    def __init__(self, game: Game, settings: Settings, num_games: int, rng: np.random.Generator) -> None:
        self.game = game
        self.mcts = Mcts(game, num_games, settings.search, rng, settings.algorithm == "muzero")
        self.games = [Played() for _ in range(num_games)]
        self.under_way = np.zeros(num_games, np.bool_)
        self.opponents = np.zeros(num_games, np.int32)  # bit mask of the league opponent's seats in each game
        self.stops = np.zeros(num_games, np.bool_)  # whether the game ends once proven (`selfplay.stop_when_proven`)
        self.fast = np.zeros(num_games, np.bool_)  # whether the search under way is a fast one (`selfplay.fast_share`)
        self.theirs = np.zeros(num_games, np.bool_)  # whether the opponent's net is searching the game
        self.revisits = Revisits(rng)

    def finished(self) -> NDArray[np.int32]:
        """Return the running games int32[k] whose searches have ended."""
        games = self.mcts.finished()
        return games[self.under_way[games]]


class Turn:
    """The games of one turn, which share an evaluation batch: a group, or one for each board that has running games.

    While a curriculum begins its next stage the games of the last one are played to their ends. A game has the same
    number in all groups and runs in one of them; their requests are joined, so that every search is in each request.
    """

    def __init__(self) -> None:
        self.groups: dict[int, Group] = {}  # by stage
        self.waiting = False
        self._asking: list[Group] = []
        self._places: list[NDArray[np.intp]] = []

    def select(self) -> bool:
        """Select leaves in all groups; return whether there are any."""
        self._asking = [group for group in self.groups.values() if group.mcts.select()]
        return bool(self._asking)

    def request(self) -> Request:
        """Return the request for the leaves of the last `select`."""
        requests = [group.mcts.request for group in self._asking]
        if len(requests) == 1:
            return requests[0]
        request, self._places = join_requests(requests)
        return request

    def theirs(self) -> NDArray[np.bool_]:
        """Return which rows bool[L] of the `request` just made are the opponent's."""
        parts = [group.theirs[group.mcts.leaf_games] for group in self._asking]
        if len(parts) == 1:
            return parts[0]
        theirs = np.zeros(sum(map(len, parts)), np.bool_)
        for part, places in zip(parts, self._places, strict=True):
            theirs[places] = part
        return theirs

    def update(self, answers: Answers) -> None:
        """Pass each group its part of the ``answers``."""
        for i, group in enumerate(self._asking):
            group.mcts.update(answers if len(self._asking) == 1 else answers.at(self._places[i]))
