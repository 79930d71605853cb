"""Hold a net, alone and with a search, against solved positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.arena.solved_positions import SolvedPosition
from hexpipe.config import SearchSettings
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.inference.latents import PoolShape
from hexpipe.search.evaluator import Evaluator
from hexpipe.search.mcts import nodes_per_game, search_positions

MOST_AT_ONCE = 128
"""Positions searched at once: batches this large lose nothing, with one leaf of each and so the strongest search."""
_TREE_BYTES = 512 * 10**6
_BYTES_PER_EDGE = 8  # of a tree: an action of a node, with its share of the state


class Share(NamedTuple):
    """``right`` of ``total``, with the bounds of a 95% Wilson interval; the share is None of none."""

    right: int
    total: int
    share: float | None
    low: float
    high: float


class Score(NamedTuple):
    """Shares of solved positions got right.

    Values: of all positions, those whose value (the net's own; that of the move that the search chose) has the right
    sign, a value of exactly 0 being wrong. Moves: of the positions with winning moves, those where the move chosen (the
    largest prior; the search's) is one.
    """

    net_value_share: Share
    search_value_share: Share
    net_move_share: Share
    search_move_share: Share


def wilson_interval(right: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's score interval of a share (Wilson 1927; Brown, Cai and DasGupta 2001, equation 4); (0, 1) of
    none."""
    if total == 0:
        return 0.0, 1.0
    share, square = right / total, z * z
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    # the bounds of a share of 0 or 1 are exactly that; rounding would leave a hair
    return (0.0 if right == 0 else centre - half), (1.0 if right == total else centre + half)


def make_share(right: int, total: int) -> Share:
    """Return a share with its interval."""
    return Share(right, total, right / total if total else None, *wilson_interval(right, total))


def score_positions(
    positions: Sequence[SolvedPosition],
    evaluator_for: Callable[[Game, PoolShape], Evaluator],
    settings: SearchSettings,
    seed: int = 0,
    learned: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Score:
    """Search every position without noise and count what is right.

    ``evaluator_for(game, pool)`` gives the net on a board size (one group), with that pool of latents where the search
    runs on ``learned`` dynamics. ``settings`` are made deterministic and each
    search starts from nothing; of moves that are equally good the first is taken. ``on_progress`` hears how many
    positions are done. Errors of the search and the evaluator go through.
    """
    exact = settings.model_copy(
        update={"leaves_per_game": 1, "reuse_tree": False, "early_stop": False, "gumbel_scale": 0.0}
    )
    counts = np.zeros(4, np.int64)
    with_moves = done = 0
    for size, group in groupby(sorted(positions, key=lambda position: position.board_size), lambda p: p.board_size):
        game = Hex(size)
        nodes = nodes_per_game(exact, learned)
        # as many positions as have trees that fit into memory together
        most = max(1, min(MOST_AT_ONCE, _TREE_BYTES // (_BYTES_PER_EDGE * game.num_actions * nodes)))
        here = list(group)
        evaluator = evaluator_for(game, PoolShape(min(most, len(here)), nodes))
        for start in range(0, len(here), most):
            part = here[start : start + most]
            counts += _count_right(game, part, evaluator, exact, seed, learned)
            with_moves += sum(bool(position.winning_moves) for position in part)
            done += len(part)
            on_progress(done)
    totals = (len(positions), len(positions), with_moves, with_moves)
    return Score(*(make_share(int(right), total) for right, total in zip(counts, totals, strict=True)))


def _count_right(
    game: Game,
    positions: list[SolvedPosition],
    evaluator: Evaluator,
    settings: SearchSettings,
    seed: int,
    learned: bool,
) -> NDArray[np.int64]:
    """Return how many are right by each measure of `Score`: int64 [4]."""
    moves = [list(position.moves) for position in positions]
    results = search_positions(game, moves, evaluator, settings, seed, learned)
    right = np.zeros(4, np.int64)
    for i, position in enumerate(positions):
        seat = len(position.moves) % 2
        action, net_action = int(results.actions[i]), int(results.net_priors[i].argmax())
        right += (
            results.net_values[i, seat] * position.value > 0,
            results.q_values[i, action] * position.value > 0,
            net_action in position.winning_moves,
            action in position.winning_moves,
        )
    return right
