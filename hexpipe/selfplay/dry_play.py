"""Self-play without a net: real games in milliseconds, to compile kernels, for benchmarks and tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.config import Settings, Shapes, load_settings
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.inference.client import CachedEvaluator
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.records import GameRecord
from hexpipe.search.evaluator import Evaluation, Evaluator, Moves
from hexpipe.selfplay.self_play import SelfPlay

SIZE = 4
TINY = {
    "game.board_size": SIZE,
    "game.swap": True,
    "search.num_simulations": 8,
    "selfplay.games_per_worker": 4,
    "selfplay.opening_random_plies": 2,
}
"""Settings of short games."""
SHORT = {"search.num_simulations": 4, "selfplay.games_per_worker": 2}
"""Settings of little searching."""
IN_A_ROW = {"game.name": "inarow", "game.board_size": SIZE, "game.view_size": 3, "game.win_length": 3}
"""Those of n in a row through a view that moves."""


class FlatEvaluator:
    """An evaluator without a net, shaped like `inference.client`'s: uniform priors and values of 0, at once."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self._rows: dict[int, int] = {}
        self._learned = False

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Record the number of rows of codes int8 [L, C]."""
        self._rows[group] = len(codes) if moves is None else len(moves.rows)
        self._learned = moves is not None

    def collect(self, group: int) -> Evaluation:
        """Return priors 1 / A and values 0."""
        rows = self._rows.pop(group)
        priors = np.full((rows, self._shapes.num_actions), 1 / self._shapes.num_actions, np.float32)
        values = np.zeros((rows, self._shapes.num_seats), np.float32)
        return Evaluation(Answers(priors, values, np.zeros_like(values) if self._learned else None), 1)


def play_games(game: Game, settings: Settings, count: int = 4) -> list[GameRecord]:
    """Play at least ``count`` games of self-play without a net; with true rules through the evaluation cache."""
    records: list[GameRecord] = []
    evaluator: Evaluator = FlatEvaluator(game.shapes)
    if settings.algorithm == "alphazero":
        evaluator = CachedEvaluator(evaluator, LRUCache(64, game.shapes), game.shapes)
    selfplay = SelfPlay(game, settings, evaluator, settings.seed, records.append)
    while len(records) < count:
        selfplay.step()
    return records


def compile_selfplay() -> list[GameRecord]:
    """Run the kernels of a generator, with both kinds of root and model; return the games it played."""
    return [*play_true_rules(), *play_learned()]


def play_true_rules() -> list[GameRecord]:
    """Play games with both kinds of root over the true rules."""
    game = Hex(SIZE, swap=True)
    return [
        record
        for root in ("puct", "gumbel")
        for record in play_games(game, load_settings("quick", {**TINY, "search.root": root}))
    ]


def play_learned() -> list[GameRecord]:
    """Play games with learned dynamics."""
    game = Hex(SIZE, swap=True)
    return play_games(game, load_settings("quick", {**TINY, "algorithm": "muzero", "search.root": "puct"}))


def play_other(name: str, algorithm: str) -> list[GameRecord]:
    """Play games of another game of hexpipe's, by what a new run's search does, on its own board."""
    settings = load_settings("quick", {"game.name": name, "algorithm": algorithm, **SHORT})
    return play_games(make_game(settings.game), settings, 1)


def play_in_a_row(players: int, algorithm: str) -> list[GameRecord]:
    """Play games of n in a row through a view that moves, with both kinds of root."""
    own = {**TINY, **IN_A_ROW, "game.swap": False, "game.players": players, "algorithm": algorithm}
    games = []
    for root in ("puct", "gumbel"):
        settings = load_settings("quick", {**own, "search.root": root})
        games += play_games(InARow(settings.game), settings)
    return games
