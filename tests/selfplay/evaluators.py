"""Evaluators for self-play's tests, which answer from hashes."""

from __future__ import annotations

import zlib

import numpy as np

from hexpipe.answers import Answers
from hexpipe.errors import SearchesLostError
from hexpipe.games.game_env import Game
from hexpipe.search.evaluator import Evaluation, Moves


class HashLatents:
    """Learned dynamics whose latents are checksums: of the codes, or of the parent's latent and the action.

    A child of a latent that this evaluator has never made is an error.
    """

    def __init__(self, game: Game, seed: int) -> None:
        self.game, self.seed = game, seed
        self.latents: dict[tuple[int, int], int] = {}
        self.waiting: dict[int, Evaluation] = {}
        self.roots = self.children = 0

    def submit(self, group: int, codes: np.ndarray, moves: Moves | None = None) -> None:
        assert group not in self.waiting
        assert moves is not None
        assert len(moves.rows) == len(codes) + len(moves.parents) > 0
        roots = len(codes)
        for row, code in zip(moves.rows[:roots].tolist(), codes, strict=True):
            self.latents[group, row] = zlib.crc32(code.tobytes())
        for row, parent, action in zip(moves.rows[roots:].tolist(), moves.parents, moves.actions, strict=True):
            self.latents[group, row] = zlib.crc32(f"{self.latents[group, int(parent)]} {action}".encode())
        self.roots += roots
        self.children += len(moves.parents)
        self.waiting[group] = self.answer([self.latents[group, row] for row in moves.rows.tolist()], roots)

    def answer(self, latents: list[int], roots: int) -> Evaluation:
        """Priors over all actions; rewards of children are small, so that no sum of them leaves [-1, 1]."""
        actions, seats = self.game.num_actions, self.game.num_seats
        priors, values = np.zeros((len(latents), actions), np.float32), np.zeros((len(latents), seats), np.float32)
        rewards = np.zeros_like(values)
        for i, latent in enumerate(latents):
            rng = np.random.default_rng([latent, self.seed])
            weights = np.exp(rng.normal(size=actions))
            priors[i] = weights / weights.sum()
            values[i] = rng.uniform(-0.9, 0.9, seats)
            rewards[i] = rng.uniform(-0.05, 0.05, seats) * (i >= roots)
        return Evaluation(Answers(priors, values, rewards), self.seed)

    def collect(self, group: int) -> Evaluation:
        return self.waiting.pop(group)


class LosingLatents(HashLatents):
    """Every ``every``-th answer is lost, and with it all latents of the group, as when a server is replaced."""

    def __init__(self, game: Game, seed: int, every: int) -> None:
        super().__init__(game, seed)
        self.every = every
        self.collected = self.lost = 0

    def collect(self, group: int) -> Evaluation:
        answer = super().collect(group)
        self.collected += 1
        if self.collected % self.every:
            return answer
        self.lost += 1
        self.latents = {key: latent for key, latent in self.latents.items() if key[0] != group}
        raise SearchesLostError("lost")
