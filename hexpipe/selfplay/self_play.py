"""Self-play of many games at once in one process.

The games are in groups. While one group's leaves are with the evaluator, the other group's trees are searched (double
buffering), so neither the generator's core nor the device waits for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import Settings
from hexpipe.errors import SearchesLostError
from hexpipe.games.board_moves import actions_of_moves, moves_of_actions
from hexpipe.games.game_env import ONGOING, Game, as_stages, moves_view
from hexpipe.games.game_records import recorded_rules
from hexpipe.records import GameRecord, pack_policies
from hexpipe.search.evaluator import Evaluator
from hexpipe.selfplay.league import LeagueEvaluator, draw_opponents, win_share
from hexpipe.selfplay.moves import choose_moves, sample_rows
from hexpipe.selfplay.revisits import regrets_of
from hexpipe.selfplay.schedule import Schedule
from hexpipe.selfplay.turns import Group, Played, Turn
from hexpipe.selfplay.view_placement import ViewPlacement


@dataclass
class SelfPlayStats:
    """Running totals of one generator. ``league_wins`` is the sum of `league.win_share` over the ``league_games``."""

    games: int = 0
    league_games: int = 0
    league_wins: float = 0.0
    moves: int = 0
    simulations: int = 0
    evaluations: int = 0


class SelfPlay:
    """Plays games without end; each finished one is passed to ``on_game`` as a GameRecord.

    ``games`` is one game, or the stages of a curriculum, of which ``stage`` gives the present one (from 0) whenever a
    game begins (not asked of one game); running games are played to their ends. ``evaluator`` must take ``groups``
    groups of `max_leaves` positions; with a LeagueEvaluator the opponent's net plays in ``league.share`` of the games.
    Call `step` in a loop: it runs one turn of one group and returns. Errors of the evaluator propagate.

    ``openings`` gives the moves (`games.board_moves`, legal, not ending the game) that each game begins with in place
    of random ones, played without a search; when it ends no more games begin, and after the last one `done`.
    """

    def __init__(
        self,
        games: Game | Sequence[Game],
        settings: Settings,
        evaluator: Evaluator,
        seed: int | np.random.SeedSequence,
        on_game: Callable[[GameRecord], None],
        groups: int = 2,
        stage: Callable[[], int] = lambda: 0,
        openings: Iterator[Sequence[int]] | None = None,
    ) -> None:
        self.stages = as_stages(games)
        self.settings = settings
        self.evaluator = evaluator
        self.on_game = on_game
        self.stats = SelfPlayStats()
        # read here, not in the loops below: a game's settings do not change
        self._schedule = Schedule(settings)
        self._league = evaluator if isinstance(evaluator, LeagueEvaluator) else None
        self._league_share = settings.league.share
        self._most_opening_plies = settings.selfplay.opening_random_plies
        self._most_plies = settings.selfplay.max_game_plies
        self._stop_when_proven = settings.selfplay.stop_when_proven
        self._revisit_share = settings.selfplay.revisit_share
        self._rng = np.random.default_rng(seed)
        self._view_placement = ViewPlacement(settings.selfplay.focus_share, self._rng)
        self._weights_version = -1
        self._draining = False
        self._stage = stage if len(self.stages) > 1 else lambda: 0
        self._openings = openings
        self._per_group = max(1, settings.selfplay.games_per_worker // groups)
        self.max_leaves = self._per_group * settings.search.leaves_per_game
        self._turns = [Turn() for _ in range(groups)]
        self._turn = 0
        self._ended = SelfPlayStats()  # of groups of past stages
        for turn in self._turns:
            self._start_games(turn, np.arange(self._per_group, dtype=np.int32))

    def step(self) -> None:
        """Take one turn of the next group: collect its evaluations, play decided moves, submit the next leaves."""
        number = self._turn
        turn = self._turns[number]
        self._turn = (number + 1) % len(self._turns)
        if turn.waiting:
            turn.waiting = False
            try:
                evaluation = self.evaluator.collect(number)
            except SearchesLostError:
                self._search_again(turn)
            else:
                self._weights_version = evaluation.version
                turn.update(evaluation.answers)
        while turn.groups and not turn.waiting:
            for group in list(turn.groups.values()):
                finished = group.finished()
                if len(finished):
                    self._play(turn, group, finished)
            turn.waiting = turn.select()
        if turn.waiting:
            request = turn.request()
            if self._league is not None:
                self._league.divide(number, turn.theirs())
            self.evaluator.submit(number, *request)
        self.stats.simulations = self._ended.simulations + sum(g.mcts.simulations for g in self._groups)
        self.stats.evaluations = self._ended.evaluations + sum(g.mcts.evaluations for g in self._groups)

    def drain(self) -> None:
        """Begin no more games; running ones are played to their ends."""
        self._draining = True

    @property
    def done(self) -> bool:
        """Whether all games are over and no more begin; never without ``openings`` or `drain`."""
        return not any(turn.groups for turn in self._turns)

    @property
    def _groups(self) -> list[Group]:
        return [group for turn in self._turns for group in turn.groups.values()]

    def _start_games(self, turn: Turn, games: NDArray[np.int32]) -> None:
        """Begin ``games`` on the board of the present stage; fewer if the given openings end."""
        if self._draining:
            return
        openings = None
        if self._openings is not None:
            openings = list(islice(self._openings, len(games)))
            games = games[: len(openings)]
            if not openings:
                return
        stage = self._stage()
        if stage not in turn.groups:
            turn.groups[stage] = Group(self.stages[stage], self.settings, self._per_group, self._rng)
        group = turn.groups[stage]
        group.mcts.reset(games)
        group.under_way[games] = True
        if self._stop_when_proven:
            group.stops[games] = self._rng.random(len(games)) < self._stop_when_proven
        for g in games.tolist():
            group.games[g] = Played()
            if self._league is not None:
                group.opponents[g] = draw_opponents(self._league_share, group.game.num_seats, self._rng)
        if openings is None:
            revisits = group.revisits.draw(len(games), self._revisit_share)
            again = np.array([start is not None for start in revisits], np.bool_)
            self._play_random_openings(group, games[~again])
            self._play_given_openings(group, games[again], [start for start in revisits if start is not None])
        else:
            self._play_given_openings(group, games, openings)
        self._view_placement.at_last_stones(group, games)
        self._begin(group, games)

    def _begin(self, group: Group, games: NDArray[np.int32]) -> None:
        """Start the searches of the next moves."""
        if self._league is not None:
            self._change_nets(group, games)
        plies = group.mcts.states.ply[group.mcts.root_rows(games)]
        schedule = self._schedule
        fast = group.fast[games] = schedule.fast(len(games), self._rng)
        simulations = schedule.simulations(plies, fast)
        group.mcts.begin(games, noise=~fast, may_stop=schedule.may_stop(plies), simulations=simulations)

    def _search_again(self, turn: Turn) -> None:
        """Restart the searches of all running games: the inference server has lost them."""
        for group in turn.groups.values():
            games = np.flatnonzero(group.under_way).astype(np.int32)
            group.mcts.forget(games)
            self._begin(group, games)

    def _change_nets(self, group: Group, games: NDArray[np.int32]) -> None:
        """Assign each of ``games`` to the net of the seat to move; a change of net drops the tree."""
        mcts = group.mcts
        seats = mcts.states.to_move[mcts.root_rows(games)]
        theirs = (group.opponents[games] >> seats) & 1 == 1
        mcts.forget(games[theirs != group.theirs[games]])
        group.theirs[games] = theirs

    def _play_given_openings(self, group: Group, games: NDArray[np.int32], openings: list[Sequence[int]]) -> None:
        """Play ``openings``, one for each of ``games``, without a search."""
        mcts = group.mcts
        for ply in range(max(map(len, openings), default=0)):
            going = games[[len(opening) > ply for opening in openings]]
            moves = np.array([opening[ply] for opening in openings if len(opening) > ply], np.int32)
            mcts.place_views(going, moves)
            origins = mcts.states.origin[mcts.root_rows(going)]
            self._play_unsearched(group, going, actions_of_moves(group.game, moves, origins))

    def _play_random_openings(self, group: Group, games: NDArray[np.int32]) -> None:
        """Play up to ``opening_random_plies`` uniformly random moves in each game, without a search.

        They lead to positions that good play would never show the net. A game that they end starts over.
        """
        mcts, num_actions = group.mcts, group.game.num_actions
        most = self._most_opening_plies
        wanted = self._rng.integers(0, most + 1, len(games))
        legal = np.zeros((len(games), num_actions), np.bool_)
        while True:
            played = np.array([len(group.games[g].actions) for g in games.tolist()])
            chosen = played < wanted
            if not chosen.any():
                return
            going = games[chosen]
            self._view_placement.anywhere(group, going)
            rows = mcts.root_rows(going)
            group.game.legal_mask(mcts.states, rows, legal[: len(going)])
            self._play_unsearched(group, going, sample_rows(legal[: len(going)].astype(np.float32), self._rng))
            over = np.zeros(len(games), np.bool_)
            over[chosen] = mcts.states.winner[mcts.root_rows(going)] != ONGOING
            wanted[over] = self._rng.integers(0, most + 1, over.sum())
            mcts.reset(games[over])
            for g in games[over].tolist():
                group.games[g] = Played()

    def _play_unsearched(self, group: Group, games: NDArray[np.int32], actions: NDArray[np.int32]) -> None:
        """Play ``actions`` of openings: the policy of each is the action itself, without a value."""
        one_hot = np.eye(group.game.num_actions, dtype=np.float32)[actions]
        values, known = np.zeros((len(games), group.game.num_seats), np.float32), np.ones(len(games), np.bool_)
        self._note(group, games, actions, one_hot, values, known)
        for g in games.tolist():
            group.games[g].opening_plies += 1
        group.mcts.advance(games, actions)

    def _play(self, turn: Turn, group: Group, games: NDArray[np.int32]) -> None:
        """Move in ``games``, whose searches have ended, and begin the next search, in a new game if one is over."""
        mcts, states = group.mcts, group.mcts.states
        rows = mcts.root_rows(games)
        plies = states.ply[rows]
        results = mcts.results(games)
        proven = mcts.proven(games) & group.stops[games] & (group.opponents[games] == 0)
        moves = choose_moves(results.policy, results.actions, self._schedule.temperatures(plies), self._rng)
        policies, fast = self._schedule.targets(results.policy), np.flatnonzero(group.fast[games])
        policies[fast] = 0
        policies[fast, moves[fast]] = 1
        self._note(group, games, moves, policies, results.root_values, ~group.fast[games])
        looks = self._view_placement.after(group, games, moves)
        mcts.advance(games, moves)
        self.stats.moves += len(games)

        rows = mcts.root_rows(games)
        winners, plies = states.winner[rows], states.ply[rows]
        over = (winners != ONGOING) | (plies >= self._most_plies) | proven
        if over.any():
            for i in np.flatnonzero(over).tolist():
                known = proven[i] and winners[i] == ONGOING
                self._finish(group, int(games[i]), results.root_values[i] if known else None)
            group.under_way[games[over]] = False
            self._start_games(turn, games[over])
            self._drop_if_empty(turn, group)
        going = games[~over]
        if len(going):
            self._view_placement.at(group, going, looks[~over])
            self._begin(group, going)

    def _drop_if_empty(self, turn: Turn, group: Group) -> None:
        """Drop the trees of a stage whose last game has ended."""
        if not group.under_way.any():
            self._ended.simulations += group.mcts.simulations
            self._ended.evaluations += group.mcts.evaluations
            turn.groups = {stage: other for stage, other in turn.groups.items() if other is not group}

    def _note(
        self,
        group: Group,
        games: NDArray[np.int32],
        moves: NDArray[np.int32],
        policies: NDArray[np.float32],
        root_values: NDArray[np.float32],
        known: NDArray[np.bool_],
    ) -> None:
        """Record ``moves``, which are about to be played, with the search's results; where not ``known`` no policy."""
        states, rows = group.mcts.states, group.mcts.root_rows(games)
        seats, views = states.to_move[rows], states.view[rows]
        origins, views_move = states.origin[rows], moves_view(group.game)
        for i, g in enumerate(games.tolist()):
            record = group.games[g]
            if record.weights_version < 0:
                record.weights_version = self._weights_version
            record.actions.append(int(moves[i]))
            record.seats.append(int(seats[i]))
            record.views.append(int(views[i]))
            if views_move:
                record.origins.append(origins[i])
            record.root_values.append(root_values[i])
            record.policies.append(policies[i])
            record.known.append(bool(known[i]))

    def _finish(self, group: Group, g: int, proven: NDArray[np.float32] | None = None) -> None:
        """Pass on the record of a game that is over, or whose ``proven`` value float32[S] is its outcome."""
        played, game = group.games[g], group.game
        row = group.mcts.root_rows(np.array([g], np.int32))
        outcome = np.zeros((1, game.num_seats), np.float32)
        winner = group.mcts.states.winner[row[0]]
        if winner == ONGOING and game.num_seats > 2:
            # cut at the step cap: a draw, although more than two seats may be ranked; two would have 0 each
            group.mcts.states.winner[row] = game.num_seats
        game.terminal_values(group.mcts.states, row, outcome)
        if proven is not None:
            outcome[0] = proven
        offsets, packed = pack_policies(np.stack(played.policies), np.array(played.known))
        opponents = int(group.opponents[g])
        self.stats.games += 1
        if opponents:
            self.stats.league_games += 1
            self.stats.league_wins += win_share(outcome[0], opponents)
        record = GameRecord(
            **recorded_rules(game),
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
            opponents=opponents,
            origins=np.array(played.origins, np.int16).reshape(-1, 2),
        )
        decided = proven is not None or winner != ONGOING
        if self._revisit_share and decided and not opponents:
            moves = moves_of_actions(game, record.actions, record.origins)
            group.revisits.note(tuple(moves.tolist()), regrets_of(record, played.known))
        self.on_game(record)
