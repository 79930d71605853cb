"""Self-play of many games at once in one process.

The games stand in groups. While one group's leaves are with the evaluator, the other group's trees are searched, so
neither the generator's core nor the device waits for the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import Settings
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.records import GameRecord, pack_policies
from hexpipe.search.evaluator import Evaluator
from hexpipe.search.mcts import Mcts
from hexpipe.selfplay.league import LeagueEvaluator, draw_opponents, win_share
from hexpipe.selfplay.moves import choose_moves, sample_rows
from hexpipe.selfplay.schedule import Schedule


@dataclass
class SelfPlayStats:
    """Running totals of one generator. ``league_wins`` are `league.win_share`s of the ``league_games``, added up."""

    games: int = 0
    league_games: int = 0
    league_wins: float = 0.0
    moves: int = 0
    simulations: int = 0
    evaluations: int = 0


@dataclass
class _Game:
    """What a game under way has gathered for its record."""

    weights_version: int = -1
    opening_plies: int = 0
    actions: list[int] = field(default_factory=list)
    seats: list[int] = field(default_factory=list)
    views: list[int] = field(default_factory=list)
    origins: list[NDArray[np.int16]] = field(default_factory=list)
    root_values: list[NDArray[np.float32]] = field(default_factory=list)
    policies: list[NDArray[np.float32]] = field(default_factory=list)


class _Group:
    """Games searched together, one evaluation batch at a time."""

    def __init__(self, game: Game, settings: Settings, num_games: int, rng: np.random.Generator) -> None:
        self.mcts = Mcts(game, num_games, settings.search, rng, settings.algorithm == "muzero")
        self.games = [_Game() for _ in range(num_games)]
        self.all_games = np.arange(num_games, dtype=np.int32)
        self.opponents = np.zeros(num_games, np.int32)  # seats of each game that the league's net plays, as bits
        self.theirs = np.zeros(num_games, np.bool_)  # whether its net searches the game now
        self.waiting = False


class SelfPlay:
    """Plays games without end; every finished one goes to ``on_game`` as a GameRecord.

    ``evaluator`` must take ``groups`` groups of `max_leaves` positions. Call `step` in a loop: it runs one turn of one
    group and returns. Errors of the evaluator go through to the caller. Where it is a LeagueEvaluator, the opponent's
    net plays in ``league.share`` of the games.
    """

    def __init__(
        self,
        game: Game,
        settings: Settings,
        evaluator: Evaluator,
        seed: int | np.random.SeedSequence,
        on_game: Callable[[GameRecord], None],
        groups: int = 2,
    ) -> None:
        self.game = game
        self.settings = settings
        self.evaluator = evaluator
        self.on_game = on_game
        self.stats = SelfPlayStats()
        # read here, not in the loops below: what a game goes by does not change
        self._schedule = Schedule(settings)
        self._league = evaluator if isinstance(evaluator, LeagueEvaluator) else None
        self._league_share = settings.league.share
        self._most_opening_plies = settings.selfplay.opening_random_plies
        self._most_plies = settings.selfplay.max_game_plies
        self._focus_share = settings.selfplay.focus_share
        self._rng = np.random.default_rng(seed)
        self._weights_version = -1
        per_group = max(1, settings.selfplay.games_per_worker // groups)
        self._groups = [_Group(game, settings, per_group, self._rng) for _ in range(groups)]
        self._turn = 0
        self.max_leaves = self._groups[0].mcts.max_leaves
        for group in self._groups:
            group.mcts.reset(group.all_games)
            self._start_games(group, group.all_games)

    def step(self) -> None:
        """One turn of the next group: take its evaluations, play what is decided, ask for the next leaves."""
        turn = self._turn
        group = self._groups[turn]
        self._turn = (turn + 1) % len(self._groups)
        mcts = group.mcts
        if group.waiting:
            answer = self.evaluator.collect(turn)
            self._weights_version = answer.version
            mcts.update(answer.priors, answer.values, answer.rewards, answer.focus)
            group.waiting = False
        while True:
            finished = mcts.finished()
            if len(finished):
                self._play(group, finished)
            if mcts.select():
                break
        if self._league is not None:
            self._league.divide(turn, group.theirs[mcts.leaf_games])
        self.evaluator.submit(turn, *mcts.request)
        group.waiting = True
        self.stats.simulations = sum(g.mcts.simulations for g in self._groups)
        self.stats.evaluations = sum(g.mcts.evaluations for g in self._groups)

    def _start_games(self, group: _Group, games: NDArray[np.int32]) -> None:
        for g in games.tolist():
            group.games[g] = _Game()
            if self._league is not None:
                group.opponents[g] = draw_opponents(self._league_share, self.game.num_seats, self._rng)
        self._play_openings(group, games)
        if self.game.view_moves:  # no net has looked at what chance left: around the last stone, if there is one
            group.mcts.place_views(games, np.full(len(games), -1, np.int32))
        self._begin(group, games)

    def _begin(self, group: _Group, games: NDArray[np.int32]) -> None:
        """Start the searches of the next moves."""
        if self._league is not None:
            self._change_nets(group, games)
        plies = group.mcts.states.ply[group.mcts.root_rows(games)]
        schedule = self._schedule
        group.mcts.begin(games, may_stop=schedule.may_stop(plies), simulations=schedule.simulations(plies))

    def _change_nets(self, group: _Group, games: NDArray[np.int32]) -> None:
        """Let each of ``games`` be searched by the net of the seat to move; what another net has found is dropped."""
        mcts = group.mcts
        seats = mcts.states.to_move[mcts.root_rows(games)]
        theirs = (group.opponents[games] >> seats) & 1 == 1
        mcts.forget(games[theirs != group.theirs[games]])
        group.theirs[games] = theirs

    def _play_openings(self, group: _Group, games: NDArray[np.int32]) -> None:
        """Play up to ``opening_random_plies`` uniformly random moves in each game, without a search.

        They carry the play to positions that good play would never show the net. A game that they end starts over.
        Where views move, chance also says where it looks, as often as the net does later: a random cell. Else all games
        would be about the board's middle, and the net would never have to choose between two places.
        """
        mcts, num_actions = group.mcts, self.game.num_actions
        most = self._most_opening_plies
        wanted = self._rng.integers(0, most + 1, len(games))
        legal = np.zeros((len(games), num_actions), np.bool_)
        while True:
            played = np.array([len(group.games[g].actions) for g in games.tolist()])
            chosen = played < wanted
            if not chosen.any():
                return
            going = games[chosen]
            if self.game.view_moves:
                cells = self._rng.integers(0, self.game.board_size**2, len(going), dtype=np.int32)
                mcts.place_views(going, self._focused(cells))
            rows = mcts.root_rows(going)
            self.game.legal_mask(mcts.states, rows, legal[: len(going)])
            moves = sample_rows(legal[: len(going)].astype(np.float32), self._rng)
            one_hot = np.eye(num_actions, dtype=np.float32)[moves]
            nothing = np.zeros((len(going), self.game.num_seats), np.float32)
            self._note(group, going, moves, one_hot, nothing)
            for g in going.tolist():
                group.games[g].opening_plies += 1
            mcts.advance(going, moves)
            over = np.zeros(len(games), np.bool_)
            over[chosen] = mcts.states.winner[mcts.root_rows(going)] != ONGOING
            wanted[over] = self._rng.integers(0, most + 1, over.sum())
            mcts.reset(games[over])
            for g in games[over].tolist():
                group.games[g] = _Game()

    def _play(self, group: _Group, games: NDArray[np.int32]) -> None:
        """Move in ``games``, whose searches have ended, and begin the next search, in a new game where one is over."""
        mcts, states = group.mcts, group.mcts.states
        rows = mcts.root_rows(games)
        plies = states.ply[rows]
        results = mcts.results(games)
        moves = choose_moves(results.policy, results.actions, self._schedule.temperatures(plies), self._rng)
        self._note(group, games, moves, self._schedule.targets(results.policy), results.root_values)
        looks = mcts.focus_after(games, moves) if self.game.view_moves else None
        mcts.advance(games, moves)
        self.stats.moves += len(games)

        rows = mcts.root_rows(games)
        winners, plies = states.winner[rows], states.ply[rows]
        over = (winners != ONGOING) | (plies >= self._most_plies)
        if over.any():
            for g in games[over].tolist():
                self._finish(group, g)
            mcts.reset(games[over])
            self._start_games(group, games[over])
        going = games[~over]
        if len(going):
            if looks is not None:
                buckets = looks[~over]
                cells = np.where(buckets >= 0, self.game.bucket_cells[buckets], np.int32(-1))
                mcts.place_views(going, self._focused(cells))
            self._begin(group, going)

    def _focused(self, cells: NDArray[np.int32]) -> NDArray[np.int32]:
        """Where views go: around ``cells`` int32 [k] with the probability of ``focus_share``, else around the last
        stones (-1)."""
        follow = self._rng.random(len(cells)) < self._focus_share
        return np.where(follow, cells, np.int32(-1))

    def _note(
        self,
        group: _Group,
        games: NDArray[np.int32],
        moves: NDArray[np.int32],
        policies: NDArray[np.float32],
        root_values: NDArray[np.float32],
    ) -> None:
        """Remember ``moves``, which are about to be played, with what the search said."""
        states, rows = group.mcts.states, group.mcts.root_rows(games)
        seats, views = states.to_move[rows], states.view[rows]
        origins = states.origin[rows]
        for i, g in enumerate(games.tolist()):
            record = group.games[g]
            if record.weights_version < 0:
                record.weights_version = self._weights_version
            record.actions.append(int(moves[i]))
            record.seats.append(int(seats[i]))
            record.views.append(int(views[i]))
            if self.game.view_moves:
                record.origins.append(origins[i])
            record.root_values.append(root_values[i])
            record.policies.append(policies[i])

    def _finish(self, group: _Group, g: int) -> None:
        played = group.games[g]
        row = group.mcts.root_rows(np.array([g], np.int32))
        outcome = np.zeros((1, self.game.num_seats), np.float32)
        self.game.terminal_values(group.mcts.states, row, outcome)
        offsets, packed = pack_policies(np.stack(played.policies))
        opponents = int(group.opponents[g])
        self.stats.games += 1
        if opponents:
            self.stats.league_games += 1
            self.stats.league_wins += win_share(outcome[0], opponents)
        self.on_game(
            GameRecord(
                game=self.game.name,
                board_size=self.game.board_size,
                swap=self.game.swap,
                num_seats=self.game.num_seats,
                num_actions=self.game.num_actions,
                actions=np.array(played.actions, np.int16),
                seats=np.array(played.seats, np.int8),
                views=np.array(played.views, np.int8),
                root_values=np.stack(played.root_values).astype(np.float32),
                policy_offsets=offsets,
                policy_bytes=packed,
                outcome=outcome[0],
                weights_version=played.weights_version,
                simulations=self._schedule.most_simulations,
                opening_plies=played.opening_plies,
                win_length=self.game.win_length,
                opponents=opponents,
                origins=np.array(played.origins, np.int16).reshape(-1, 2),
            )
        )
