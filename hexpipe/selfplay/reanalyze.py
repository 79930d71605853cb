"""Reanalysis of old games: MuZero Reanalyze (arXiv:1911.08265, appendix H; arXiv:2104.06294), over either search model.

What was played stays: moves, seats, views and the outcome. Every ply after the opening is searched from its own
position, like in self-play but without root noise, and gets a new policy and a new root value: with n-step targets
(``replay.td_steps``) also new bootstrap values.

Plies of several games are searched together, in groups that take turns, as in `self_play`. A group takes games,
searches all their plies, and only then takes others. Its last searches leave some trees idle; but then the group is
idle, and an inference server whose learned dynamics keep the weights of every search can release them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import Settings
from hexpipe.errors import SearchesLostError
from hexpipe.games.game_env import Game
from hexpipe.records import GameRecord, pack_policies
from hexpipe.search.evaluator import Evaluator
from hexpipe.search.mcts import Mcts
from hexpipe.selfplay.schedule import Schedule

_LEAST_GAMES = 8


class OldGame(NamedTuple):
    """A game from the archive, and its number there."""

    number: int
    record: GameRecord


class _Game:
    """An old game in reanalysis; ``row`` int32 [1] of its group's states is at ``next_ply``."""

    def __init__(self, old: OldGame, row: int) -> None:
        self.old = old
        self.row = np.array([row], np.int32)
        record = old.record
        self.next_ply = 0
        self.unsearched = record.num_positions
        self.versions: list[int] = []
        self.root_values = record.root_values.copy()
        self.policies = np.zeros((record.num_plies, record.num_actions), np.float32)
        opening = np.arange(record.opening_plies)
        self.policies[opening, record.actions[opening]] = 1


class _Group:
    """Positions searched together, one evaluation batch at a time."""

    def __init__(self, game: Game, settings: Settings, trees: int, games: int) -> None:
        # no noise, so the generator is never used
        self.mcts = Mcts(game, trees, settings.search, np.random.default_rng(0), settings.algorithm == "muzero")
        self.positions = game.new_states(games)
        self.games: deque[_Game] = deque()  # with plies that are not assigned yet
        self.searched: dict[int, tuple[_Game, int]] = {}  # game and ply, by tree
        self.waiting = False


class Reanalysis:
    """Reanalysis of old games. Call `step` in a loop: it runs one turn of one group and returns.

    ``take`` returns a game, or None if there is none for now; ``on_game`` gets its number and its new record.
    ``evaluator`` must take ``groups`` groups of as many positions as `SelfPlay`'s; ``on_idle`` gets a group whose
    searches have all ended. Deterministic for a deterministic evaluator. Errors of the evaluator propagate.
    """

    def __init__(
        self,
        game: Game,
        settings: Settings,
        evaluator: Evaluator,
        take: Callable[[], OldGame | None],
        on_game: Callable[[int, GameRecord], None],
        on_idle: Callable[[int], None] = lambda group: None,
        groups: int = 2,
    ) -> None:
        self.game = game
        self.evaluator = evaluator
        self.take, self.on_game, self.on_idle = take, on_game, on_idle
        trees = max(1, settings.selfplay.games_per_worker // groups)
        games = max(_LEAST_GAMES, settings.selfplay.games_per_worker // 4)  # each tree needs many plies
        self._games_per_group = games // groups
        self._groups = [_Group(game, settings, trees, self._games_per_group) for _ in range(groups)]
        self._schedule = Schedule(settings)
        self._turn = 0
        self._weights_version = -1

    def step(self) -> bool:
        """Take one turn of the next group; return False if no group has anything to search."""
        turn = self._turn
        group = self._groups[turn]
        self._turn = (turn + 1) % len(self._groups)
        mcts = group.mcts
        if group.waiting:
            group.waiting = False
            try:
                evaluation = self.evaluator.collect(turn)
            except SearchesLostError:
                self._search_again(group)
            else:
                self._weights_version = evaluation.version
                mcts.update(evaluation.answers)
            self._note(turn)
        while not group.waiting:
            if not group.searched and not group.games:
                self._take_games(group)
            self._hand_out(group)
            if mcts.select():
                self.evaluator.submit(turn, *mcts.request)
                group.waiting = True
            elif group.searched:
                self._note(turn)
            else:
                break
        return any(group.waiting for group in self._groups)

    def _take_games(self, group: _Group) -> None:
        """Take as many games as the group has room for, each set to its first ply after the opening."""
        while len(group.games) < self._games_per_group and (old := self.take()) is not None:
            game = _Game(old, len(group.games))
            self.game.reset(group.positions, game.row)
            self._place_view(group, game)
            while game.next_ply < old.record.opening_plies:
                self._play(group, game)
            group.games.append(game)

    def _hand_out(self, group: _Group) -> None:
        """Begin searches of the next plies in the free trees."""
        free = [tree for tree in group.mcts.finished().tolist() if tree not in group.searched]
        left = sum(game.old.record.num_plies - game.next_ply for game in group.games)
        trees = np.array(free[:left], np.int32)
        if not len(trees):
            return
        mcts, plies = group.mcts, np.zeros(len(trees), np.int32)
        mcts.reset(trees)
        for i, (tree, row) in enumerate(zip(trees.tolist(), mcts.root_rows(trees).tolist(), strict=True)):
            game = group.games[0]
            for name in group.positions._fields:  # a game's states may have arrays of their own
                getattr(mcts.states, name)[row : row + 1] = getattr(group.positions, name)[game.row]
            plies[i] = game.next_ply
            group.searched[tree] = game, game.next_ply
            self._play(group, game)
            if game.next_ply == game.old.record.num_plies:
                group.games.popleft()
        self._begin(group, trees, plies)

    def _begin(self, group: _Group, trees: NDArray[np.int32], plies: NDArray[np.int32]) -> None:
        schedule = self._schedule
        may_stop, simulations = schedule.may_stop(plies), schedule.simulations(plies, np.zeros(len(plies), np.bool_))
        group.mcts.begin(trees, noise=False, may_stop=may_stop, simulations=simulations)

    def _search_again(self, group: _Group) -> None:
        """Restart all searches of a group: the inference server has lost them."""
        trees = np.array(list(group.searched), np.int32)
        plies = np.array([ply for _, ply in group.searched.values()], np.int32)
        group.mcts.forget(trees)
        self._begin(group, trees, plies)

    def _play(self, group: _Group, game: _Game) -> None:
        """Play the next move of the record."""
        action = game.old.record.actions[game.next_ply : game.next_ply + 1].astype(np.int32)
        self.game.step(group.positions, game.row, action, game.row)
        game.next_ply += 1
        self._place_view(group, game)

    def _place_view(self, group: _Group, game: _Game) -> None:
        """Place the local view where it was when the next move was played."""
        origins = game.old.record.origins
        if game.next_ply < len(origins):
            group.positions.origin[game.row] = origins[game.next_ply]

    def _note(self, turn: int) -> None:
        """Store the results of the group's ended searches; a game all of whose plies are searched is finished."""
        group = self._groups[turn]
        trees = np.array([tree for tree in group.mcts.finished().tolist() if tree in group.searched], np.int32)
        if not len(trees):
            return
        results = group.mcts.results(trees)
        policies = self._schedule.targets(results.policy)
        for i, tree in enumerate(trees.tolist()):
            game, ply = group.searched.pop(tree)
            game.policies[ply] = policies[i]
            game.root_values[ply] = results.root_values[i]
            game.versions.append(self._weights_version)
            game.unsearched -= 1
            if not game.unsearched:
                self._finish(game)
        if not group.searched and not group.games:
            self.on_idle(turn)

    def _finish(self, game: _Game) -> None:
        offsets, packed = pack_policies(game.policies)
        record = replace(
            game.old.record,
            root_values=game.root_values,
            policy_offsets=offsets,
            policy_bytes=packed,
            weights_version=min(game.versions),
            simulations=self._schedule.most_simulations,
        )
        self.on_game(game.old.number, record)
