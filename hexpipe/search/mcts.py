"""Monte Carlo tree search over many games at once, each with its own tree and its own progress.

One turn of the loop is::

    count = mcts.select()                    # leaves of all searching games; states stepped; codes written
    answers = evaluate(mcts.codes[:count])   # anywhere: the search does not block here
    mcts.update(answers)                     # expand, back up the values

A game whose search has ended is idle until the next `advance` or `begin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe import kernel_cache
from hexpipe.answers import Answers
from hexpipe.config import SearchSettings
from hexpipe.errors import InferenceError
from hexpipe.games.board_moves import moves_of_actions, play_moves
from hexpipe.games.game_env import Game, LocalViewGame, moves_view
from hexpipe.games.set_up import Position, SetUp, moves_of, place_stones
from hexpipe.random_streams import Stream, generator
from hexpipe.search import expand_kernels, root_kernels, select_kernels
from hexpipe.search.evaluator import Evaluator, Moves
from hexpipe.search.halving import HalvingTables
from hexpipe.search.models import LearnedDynamics, Model, TrueRules
from hexpipe.search.swap_by_value import SwapByValue
from hexpipe.search.tree import EXPANDED, SOLVED, Tree, new_leaves, new_tree

DIRICHLET_TOTAL = 10.83
"""Root noise alpha is this over the number of legal moves (KataGo's rule: 0.03 on an empty 19x19 board)."""


class RootResults(NamedTuple):
    """The results of k games' finished searches; actions are absolute."""

    visit_counts: NDArray[np.int32]  # [k, A]
    q_values: NDArray[np.float32]  # [k, A] the mover's; 0 where unvisited
    root_values: NDArray[np.float32]  # [k, S] by absolute seat
    actions: NDArray[np.int32]  # [k] the search's own choice: most visited, or sequential halving's winner
    policy: NDArray[np.float32]  # [k, A] training target: visit shares, or the Gumbel improved policy


def nodes_per_game(settings: SearchSettings, learned: bool = False) -> int:
    """Return the nodes of a game's tree: a kept subtree and a whole new search fit; with learned dynamics none is
    kept."""
    return settings.num_simulations + 2 if learned else 2 * settings.num_simulations + 2


class Mcts:
    """Search trees of ``num_games`` games and the states of their nodes.

    ``states`` holds the games' positions, in `root_rows`. After `select`, `request` is what to evaluate. ``learned``
    puts learned dynamics behind the nodes in place of the rules (see `models`). ``swap_first``: where the rules allow a
    swap it is the first action that is tried, whatever its prior.
    """

    def __init__(
        self,
        game: Game,
        num_games: int,
        settings: SearchSettings,
        rng: np.random.Generator,
        learned: bool = False,
        swap_first: bool = False,
    ) -> None:
        kernel_cache.need("learned" if learned else "search")
        self.game = game
        self._swap_first = swap_first and game.swap
        self.settings = settings
        self.num_games = num_games
        self._rng = rng
        self._gumbel = settings.root == "gumbel"
        self.num_nodes = nodes_per_game(settings, learned)
        self._keep_at_most = self.num_nodes - settings.num_simulations - 1 if settings.reuse_tree else 0
        most = num_games * settings.leaves_per_game
        self.max_leaves = most
        self.model: Model
        if learned:
            self.model = LearnedDynamics(game, num_games, self.num_nodes, most)
        else:
            proofs = settings.leaf_proofs if settings.solver else 0
            self.model = TrueRules(game, num_games, self.num_nodes, most, proofs)
        self.states = self.model.states
        self.tree: Tree = new_tree(
            num_games, self.num_nodes, game.num_actions, game.num_seats, self.model.has_rewards, game.shapes.thumbnail
        )
        self.rules = select_kernels.Rules(
            gumbel=self._gumbel,
            solver=settings.solver,
            c_puct_init=settings.c_puct_init,
            c_puct_base=settings.c_puct_base,
            fpu_reduction=settings.fpu_reduction,
            virtual_loss=settings.virtual_loss,
            c_visit=settings.gumbel_c_visit,
            c_scale=settings.gumbel_c_scale,
        )
        self._halving = HalvingTables(
            min(settings.gumbel_considered, game.num_actions) if self._gumbel else 0, settings.num_simulations
        )
        self._first_row = np.zeros(num_games, np.int32)
        self._schedule = np.zeros(num_games, np.int32)
        self._simulations = np.full(num_games, settings.num_simulations, np.int32)
        self._start = np.ones(num_games, np.int32)
        self._root_score = np.zeros((num_games, game.num_actions), np.float32)
        self._target = np.zeros(num_games, np.int32)
        self._searching = np.zeros(num_games, np.bool_)
        self._may_stop = np.zeros(num_games, np.bool_)
        self._noisy = np.zeros(num_games, np.bool_)
        self._leaves = new_leaves(most)
        self._no_rewards = np.zeros((most, 0), np.float32)
        self._count = 0
        self._roots = 0
        self.simulations = 0
        self.evaluations = 0

    def root_rows(self, games: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the state rows int32[k] of the roots of ``games``."""
        return self.model.root_rows(self.tree, games)

    @property
    def codes(self) -> NDArray[np.int8]:
        """Codes int8[max_leaves, C] of the leaves of the last `select`, or with learned dynamics of the roots in it."""
        return self.model.codes

    @property
    def request(self) -> tuple[NDArray[np.int8], Moves | None]:
        """Arguments of `Evaluator.submit` for the leaves of the last `select`."""
        return self.model.request(self._count)

    @property
    def leaf_games(self) -> NDArray[np.int32]:
        """Games int32[L] of the leaves of the last `select`, in the order of `request`'s rows.

        With learned dynamics every searching game has at least one.
        """
        return self._leaves.game[: self._count]

    def forget(self, games: NDArray[np.int32]) -> None:
        """Drop the subtrees of the roots of ``games`` int32[k], and the roots' evaluations: another net will search
        them."""
        root_kernels.reset_roots(self.tree, games)

    def reset(self, games: NDArray[np.int32]) -> None:
        """Put ``games`` int32[k] back to the initial position."""
        root_kernels.reset_roots(self.tree, games)
        self.game.reset(self.states, self.root_rows(games))

    def begin(
        self,
        games: NDArray[np.int32],
        noise: bool | NDArray[np.bool_] = True,
        may_stop: bool | NDArray[np.bool_] = False,
        simulations: int | NDArray[np.int32] | None = None,
    ) -> None:
        """Start a search of ``games`` int32[k] from their roots.

        ValueError where a game is over, or where a used tree has no room left without an `advance`. Where ``noise``
        (bool or bool[k]) Dirichlet noise (PUCT), or Gumbel noise scaled by ``gumbel_scale``, is added to the root.
        Where ``may_stop`` (bool or bool[k]) a search ends early once the most visited move can't be overtaken.
        ``simulations`` (int or int[k], from 1 to ``num_simulations``) is ``num_simulations`` if not given.
        """
        wanted = self._simulations[: len(games)] if simulations is None else self._checked(simulations, len(games))
        problem = root_kernels.begin_searches(
            self.tree,
            self.states.winner,
            self.root_rows(games),
            games,
            wanted,
            self._gumbel,
            self._start,
            self._target,
            self._searching,
        )
        if problem == root_kernels.GAME_OVER:
            raise ValueError("the game to search is over: call reset before begin")
        if problem == root_kernels.NO_ROOM:
            raise ValueError("the tree has no room for one more search from this root: call advance or reset first")
        if self._gumbel:
            self._first_row[games] = 0 if simulations is None else self._halving.first_rows(wanted)
        self._may_stop[games] = np.logical_and(may_stop, self.settings.early_stop and not self._gumbel)
        self._noisy[games] = noise
        expanded = games[self.tree.status[games, 0] == EXPANDED]
        if len(expanded):
            self._prepare_roots(expanded)

    def _checked(self, simulations: int | NDArray[np.int32], count: int) -> NDArray[np.int32]:
        """Return the numbers of simulations int32[count]; ValueError where the tree has no room for one."""
        wanted = np.ascontiguousarray(np.broadcast_to(np.asarray(simulations, np.int32), count))
        if not ((wanted >= 1) & (wanted <= self.settings.num_simulations)).all():
            raise ValueError(f"a search has 1 to {self.settings.num_simulations} simulations, not {wanted.tolist()}")
        return wanted

    def _prepare_roots(self, games: NDArray[np.int32]) -> None:
        """Prepare roots for the selection of their children: noise, or Gumbel scores. Once a search."""
        if self._gumbel:
            priors = self.root_priors(games)
            scale = np.where(self._noisy[games], self.settings.gumbel_scale, 0.0)[:, None]
            gumbel = scale * self._rng.gumbel(size=priors.shape)
            with np.errstate(divide="ignore"):
                logits = np.log(np.maximum(priors, 1e-30))
            self._root_score[games] = np.where(priors >= 0, gumbel + logits, -np.inf)
            considered = np.minimum((priors >= 0).sum(1), self._halving.max_considered)
            self._schedule[games] = self._first_row[games] + considered
            return
        games = games[self._noisy[games]]
        if len(games) and self.settings.dirichlet_fraction > 0:
            legal_actions = self.root_priors(games) >= 0
            gammas = np.zeros(legal_actions.shape, np.float32)
            for i, legal in enumerate(legal_actions):
                count = np.count_nonzero(legal)
                # one alpha a call: numpy draws several times slower for an array of them
                alpha = self.settings.dirichlet_alpha or DIRICHLET_TOTAL / count
                gammas[i, legal] = self._rng.standard_gamma(alpha, count, np.float32)
            root_kernels.mix_root_noise(self.tree, games, gammas, self.settings.dirichlet_fraction)

    def select(self) -> int:
        """Select leaves of all searching games, step their states, write ``codes``; return how many to evaluate.

        0 means that every search has ended. Visits that end in a finished game need no evaluation and are completed
        here.
        """
        while True:
            roots, count, completed = select_kernels.select_leaves(
                self.tree,
                self.rules,
                self._searching,
                self._target,
                self._may_stop,
                self.settings.leaves_per_game,
                self._root_score,
                self._halving.counts,
                self._halving.rounds,
                self._schedule,
                self._start,
                self._leaves,
            )
            self.simulations += count - roots + completed
            self._end_searches()
            if count == 0 and not self._searching.any():
                self._count = self._roots = 0
                return 0
            self._roots = roots
            self._count = self.model.reach(self.tree, self.rules, self._leaves, roots, count)
            if self._count:
                break
        self.evaluations += self._count
        return self._count

    def update(self, answers: Answers) -> None:
        """Expand the leaves of the last `select` and back up their values.

        ``answers`` are about the leaves, in their order; with learned dynamics they have rewards. InferenceError if one
        is unusable.
        """
        count = self._count
        if answers.focus is not None:
            self.tree.focus[self._leaves.game[:count], self._leaves.node[:count]] = answers.focus
        bad = expand_kernels.expand_and_backward(
            self.tree,
            self._leaves,
            count,
            answers.priors,
            answers.values,
            self._no_rewards if answers.rewards is None else answers.rewards,
            self.model.legal,
            self.model.view,
            self.game.action_view,
        )
        if bad >= 0:
            raise InferenceError(
                f"the net's answer to leaf {bad} is not a policy and a value (sum {float(answers.priors[bad].sum())}, "
                f"values {answers.values[bad].tolist()}): the weights have probably diverged; "
                "lower learner.learning_rate",
                kind="damaged",
            )
        if self._swap_first:
            self._put_swaps_first()
        self._count = 0
        if self._roots:
            self._prepare_roots(self._leaves.game[: self._roots])
        self._end_searches()

    def _put_swaps_first(self) -> None:
        """Put the swap first at the leaves just expanded; learned dynamics know what is legal at roots alone."""
        known = self._roots if self.model.has_rewards else self._count
        swap = self.game.shapes.view_cells
        leaves = np.flatnonzero(self.model.legal[:known, swap])
        games, nodes = self._leaves.game[leaves], self._leaves.node[leaves]
        self.tree.next_action[games, nodes] = swap
        self.tree.next_prior[games, nodes] = self.tree.unvisited_prior[games, nodes, swap]

    def _end_searches(self) -> None:
        """End the searches that have their visits, or whose root is solved."""
        self._searching &= (self.tree.visits[:, 0] < self._target) & (self.tree.status[:, 0] != SOLVED)

    def finished(self) -> NDArray[np.int32]:
        """Return the games int32[k] that are not searching: those whose search has ended and those never begun."""
        return np.flatnonzero(~self._searching).astype(np.int32)

    def proven(self, games: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return whether bool[k] the roots of ``games`` int32[k] are solved: then the values in `results` are exact.

        Always False with learned dynamics, which know no end of a game.
        """
        solved: NDArray[np.bool_] = self.tree.status[games, 0] == SOLVED
        return solved & (not self.model.has_rewards)

    def root_priors(self, games: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return root priors float32[k, A] by absolute action, with noise once added; -1 where illegal."""
        priors = np.empty((len(games), self.game.num_actions), np.float32)
        root_kernels.root_priors(self.tree, games, priors)
        return priors

    def results(self, games: NDArray[np.int32]) -> RootResults:
        """Return the results of the searches of ``games`` int32[k]."""
        shape = (len(games), self.game.num_actions)
        visits, q_values = np.empty(shape, np.int32), np.empty(shape, np.float32)
        values = np.empty((len(games), self.game.num_seats), np.float32)
        root_kernels.root_statistics(self.tree, games, visits, q_values, values)
        if self._gumbel:
            actions, policy = np.empty(len(games), np.int32), np.empty(shape, np.float32)
            root_kernels.gumbel_results(
                self.tree, self.rules, games, self.root_priors(games), self._root_score, actions, policy
            )
        else:
            policy = np.empty(shape, np.float32)
            root_kernels.visit_policy(self.tree, games, policy)
            actions = policy.argmax(1).astype(np.int32)
        return RootResults(visits, q_values, values, actions, policy)

    def advance(self, games: NDArray[np.int32], actions: NDArray[np.int32]) -> None:
        """Play ``actions`` int32[k] (legal, absolute) in ``games``; the chosen subtree is kept if `reuse_tree`."""
        self.model.advance(self.tree, games, actions, self._keep_at_most)
        self._searching[games] = False

    def stop(self, games: NDArray[np.int32]) -> None:
        """End the searches of ``games`` int32[k] early, after an `update`."""
        self._searching[games] = False

    def focus_after(self, games: NDArray[np.int32], actions: NDArray[np.int32]) -> NDArray[np.int16]:
        """Return where the evaluator would look after ``actions`` int32[k] in ``games``: buckets int16[k], -1 if
        unknown.

        To be read before `advance`.
        """
        focus = np.empty(len(games), np.int16)
        root_kernels.focus_after(self.tree, games, actions, focus)
        return focus

    def place_views(self, games: NDArray[np.int32], centres: NDArray[np.int32]) -> None:
        """Centre the roots' views of ``games`` int32[k] on the cells ``centres`` int32[k], -1 for the last stone.

        It goes between an `advance` and a `begin` (`LocalViewGame.place_views`), and does nothing where views are
        fixed. Where a view moves, actions mean other cells than before, and the kept tree is dropped.
        """
        if not moves_view(self.game):
            return
        rows = self.root_rows(games)
        before = self.states.origin[rows]
        self.game.place_views(self.states, rows, centres)
        root_kernels.reset_roots(self.tree, games[(self.states.origin[rows] != before).any(axis=1)])


class PositionResults(NamedTuple):
    """The results of one search of each of k positions; actions are absolute, in the views that were searched."""

    visit_counts: NDArray[np.int32]  # [k, A]
    q_values: NDArray[np.float32]  # [k, A] the mover's; 0 where unvisited
    root_values: NDArray[np.float32]  # [k, S] by absolute seat
    actions: NDArray[np.int32]  # [k] the move chosen
    net_priors: NDArray[np.float32]  # [k, A] of the net alone; -1 where illegal
    net_values: NDArray[np.float32]  # [k, S] of the net alone, by absolute seat
    moves: NDArray[np.int32]  # [k] the actions chosen, as moves of the whole board (`games.board_moves`)


def run_searches(
    mcts: Mcts, games: NDArray[np.int32], evaluator: Evaluator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Search ``games`` int32[k], fresh roots that were begun, to their end, with ``evaluator``'s group 0.

    Returns `root_answers`.
    """
    priors, net_values = np.empty(0, np.float32), np.empty(0, np.float32)
    while search_turn(mcts, evaluator):
        if not len(priors):  # a proof may change them later
            priors, net_values = root_answers(mcts, games)
    return priors, net_values


def search_turn(mcts: Mcts, evaluator: Evaluator) -> int:
    """Run one batch of ``evaluator``'s group 0 for all running searches; return its leaves, 0 at their end."""
    count = mcts.select()
    if count:
        evaluator.submit(0, *mcts.request)
        mcts.update(evaluator.collect(0).answers)
    return count


def root_answers(mcts: Mcts, games: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the evaluator's answers about the roots of ``games`` int32[k], after their first turn, which only
    evaluates roots.

    Priors float32[k, A] by absolute action, -1 where illegal, and values float32[k, S] by absolute seat.
    """
    return mcts.root_priors(games), mcts.tree.net_value[games, 0].copy()


def searches_at(
    game: Game,
    positions: Sequence[Position],
    evaluator: Evaluator,
    settings: SearchSettings,
    seed: int,
    learned: bool = False,
) -> Mcts:
    """Return a search of each of k > 0 positions (`set_up.Position`), not begun yet.

    They must be legal and not over. Where views move, each is put where the evaluator looks (as group 0) in the view
    around the last stone.
    """
    if not positions:
        raise ValueError("there is no position to search")
    games = np.arange(len(positions), dtype=np.int32)
    by_value = isinstance(evaluator, SwapByValue)
    mcts = Mcts(game, len(positions), settings, generator(Stream.SEARCH, seed), learned, swap_first=by_value)
    mcts.reset(games)
    rows = mcts.root_rows(games)
    for row, position in zip(rows.tolist(), positions, strict=True):
        if isinstance(position, SetUp):
            place_stones(game, mcts.states, row, position)
    move_lists = [moves_of(position) for position in positions]
    for ply in range(max(map(len, move_lists))):
        longer = np.array([g for g, moves in enumerate(move_lists) if len(moves) > ply], np.int32)
        moves = np.array([move_lists[g][ply] for g in longer.tolist()], np.int32)
        play_moves(game, mcts.states, rows[longer], moves)
    if moves_view(game):
        mcts.place_views(games, _look(game, mcts, evaluator, games))
    return mcts


def search_positions(
    game: Game,
    positions: Sequence[Position],
    evaluator: Evaluator,
    settings: SearchSettings,
    seed: int,
    learned: bool = False,
) -> PositionResults:
    """Search each of k > 0 positions (`searches_at`) once and without noise, with ``evaluator``'s group 0.

    Deterministic for a deterministic evaluator.
    """
    mcts = searches_at(game, positions, evaluator, settings, seed, learned)
    games = np.arange(len(positions), dtype=np.int32)
    mcts.begin(games, noise=False, may_stop=True)
    priors, net_values = run_searches(mcts, games, evaluator)
    results = mcts.results(games)
    return PositionResults(
        results.visit_counts,
        results.q_values,
        results.root_values,
        results.actions,
        priors,
        net_values,
        moves_of_actions(game, results.actions, mcts.states.origin[mcts.root_rows(games)]),
    )


def _look(game: LocalViewGame, mcts: Mcts, evaluator: Evaluator, games: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the cells int32[k] at which ``evaluator`` looks in the positions of ``games`` int32[k], or -1.

    It is -1 where the evaluator looks nowhere, and before the first stone, where self-play does not ask either.
    """
    rows = mcts.root_rows(games)
    codes, nothing = np.zeros((len(games), game.shapes.code_length), np.int8), np.zeros(0, np.int32)
    game.codes(mcts.states, rows, codes)
    roots = Moves(nothing, nothing, mcts.tree.handle[games, 0]) if mcts.model.has_rewards else None
    evaluator.submit(0, codes, roots)
    focus = evaluator.collect(0).answers.focus
    if focus is None:
        return np.full(len(games), -1, np.int32)
    return np.where((focus >= 0) & (mcts.states.ply[rows] > 0), game.bucket_cells[focus], np.int32(-1))
