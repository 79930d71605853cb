"""Old games for tests: random play with random views, and an evaluator that a hash stands for."""

from __future__ import annotations

import zlib

import numpy as np

from hexpipe.answers import Answers
from hexpipe.bench.hash_kernels import hash_children, hash_evaluate, hash_roots
from hexpipe.games.game_env import Game, moves_view, places_stones
from hexpipe.games.game_records import recorded_rules
from hexpipe.nets.plain_net import legal_codes
from hexpipe.records import GameRecord, pack_policies
from hexpipe.search.evaluator import Evaluation, Moves


class HashEvaluator:
    """Priors and values from a hash of the position, with learned dynamics of what was imagined from it.

    ``batches`` has the rows of each request; its weights get newer with each.
    """

    def __init__(self, game: Game, latents: int = 0) -> None:
        self.game = game
        self.batches: list[int] = []
        self._pools = [np.zeros(latents, np.uint64) for _ in range(2)]
        self._answers: dict[int, Evaluation] = {}

    def submit(self, group: int, codes: np.ndarray, moves: Moves | None = None) -> None:
        assert group not in self._answers
        roots, count = len(codes), len(codes) if moves is None else len(moves.rows)
        assert count
        priors = np.zeros((count, self.game.num_actions), np.float32)
        values = np.zeros((count, self.game.num_seats), np.float32)
        if places_stones(self.game):
            hash_evaluate(codes, priors[:roots], values[:roots])
        else:
            self._evaluate(codes, priors[:roots], values[:roots])
        if moves is not None:
            pool = self._pools[group]
            hash_roots(codes, moves.rows[:roots], pool)
            hash_children(moves.parents, moves.actions, moves.rows[roots:], pool, priors[roots:], values[roots:])
        self.batches.append(count)
        rewards = None if moves is None else np.zeros_like(values)
        self._answers[group] = Evaluation(Answers(priors, values, rewards), len(self.batches))

    def _evaluate(self, codes: np.ndarray, priors: np.ndarray, values: np.ndarray) -> None:
        """As `hash_evaluate`, of any codes."""
        legal = legal_codes(codes, self.game.shapes)
        for row, seen in enumerate(codes):
            rng = np.random.default_rng(zlib.crc32(seen.tobytes()))
            weights = rng.random(len(priors[row])) * legal[row]
            priors[row], values[row] = weights / weights.sum(), np.array([1, -1]) * rng.uniform(-1, 1)

    def collect(self, group: int) -> Evaluation:
        return self._answers.pop(group)


def random_old_game(game: Game, seed: int, opening_plies: int = 0) -> GameRecord:
    """A whole game of random legal moves, each in a view at a random place, with random policies and values."""
    rng = np.random.default_rng(seed)
    states, row = game.new_states(1), np.zeros(1, np.int32)
    legal = np.zeros((1, game.num_actions), np.bool_)
    actions, seats, views, origins = [], [], [], []
    while states.winner[0] < 0:
        where = rng.integers(-1, game.board_size**2, 1).astype(np.int32)
        if moves_view(game):
            game.place_views(states, row, where)
        game.legal_mask(states, row, legal)
        action = int(rng.choice(np.flatnonzero(legal[0])))
        actions.append(action)
        seats.append(int(states.to_move[0]))
        views.append(int(states.view[0]))
        origins.append(states.origin[0].copy())
        game.step(states, row, np.array([action], np.int32), row)
    plies = len(actions)
    opening_plies = min(opening_plies, plies - 1)
    weights = rng.random((plies, game.num_actions), np.float32)
    weights[:opening_plies] = np.eye(game.num_actions, dtype=np.float32)[actions[:opening_plies]]
    offsets, packed = pack_policies(weights)
    values = rng.uniform(-1, 1, (plies, game.num_seats)).astype(np.float32)
    values[:, -1] = -values[:, :-1].sum(1) / 2 if game.num_seats == 3 else -values[:, 0]
    values[:opening_plies] = 0
    outcome = np.zeros((1, game.num_seats), np.float32)
    game.terminal_values(states, row, outcome)
    return GameRecord(
        **recorded_rules(game),
        actions=np.array(actions, np.int16),
        seats=np.array(seats, np.int8),
        views=np.array(views, np.int8),
        root_values=values,
        policy_offsets=offsets,
        policy_bytes=packed,
        outcome=outcome[0],
        weights_version=0,
        simulations=3,
        opening_plies=opening_plies,
        origins=np.array(origins if moves_view(game) else np.zeros((0, 2)), np.int16),
    )
