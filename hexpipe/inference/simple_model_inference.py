"""SimpleModelInference: a trained net as a library object, with caching, batching and statistics.

    model = SimpleModelInference("runs/first")                # a run folder, or one of its checkpoints
    policy_logits, value_logit = model.simple_infer(board)
    policies, values = model.batch_infer([board1, board2, board3])

A board is whatever `format_conversion` reads: an array of cells, a move list, a TRMPH string and so on. Whose turn it
is follows from its stones (`player_utils`). With the swap rule on, a board of one black stone counts as one that may
still be swapped.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import InferenceSettings, load_settings
from hexpipe.errors import CheckpointError, NotationError
from hexpipe.games import format_conversion, player_utils
from hexpipe.games.factory import plays_hex
from hexpipe.inference.client import CachedEvaluator
from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.nets.choose_backend import choose_backend
from hexpipe.search.evaluator import Evaluator

ILLEGAL_LOGIT = -1e9
_SMALLEST_PRIOR = 2.0**-25  # priors pass through float16, whose least step is 2**-24: less than that is not told apart
_LARGEST_VALUE = 1.0 - 2.0**-20  # keeps the value's logit finite
_BATCH_SIZES = (16, 64, 128)


class SimpleModelInference:
    """Evaluates Hex positions with a checkpoint's averaged weights.

    ``checkpoint_path``: a run folder (its newest checkpoint) or a checkpoint folder; CheckpointError otherwise, and for
    one of another game.
    ``device``: "cpu", "cuda:0"; the fastest backend there is chosen by timing, unless ``inference`` names one, and with
    it the batch size, unless ``batch_size`` is given. ``cache_entries`` positions are remembered, 0 for none. Not
    thread-safe.
    """

    def __init__(
        self,
        checkpoint_path: str | Path,
        *,
        device: str = "cpu",
        cache_entries: int = 16384,
        batch_size: int | None = None,
        inference: InferenceSettings | None = None,
    ) -> None:
        checkpoint = load_checkpoint(Path(checkpoint_path), ["model", "ema"])
        if not plays_hex(checkpoint.settings.game):
            raise CheckpointError(
                f"{checkpoint.path} plays {checkpoint.settings.game.title}, of which no notation is known here: name a "
                "checkpoint of Hex"
            )
        self.checkpoint_path = checkpoint.path
        self.shapes = shapes = checkpoint.shapes
        self.swap = shapes.num_actions > shapes.view_cells
        inference = inference or load_settings().inference
        chosen = choose_backend(checkpoint.settings.net, shapes, inference, device, _BATCH_SIZES)
        self._backend = chosen.backend
        self.batch_size = batch_size or chosen.batch
        self._local = LocalEvaluator(self._backend, shapes, groups=1, max_batch=self.batch_size)
        self._local.load(checkpoint.step, checkpoint.play_weights)
        self._cache = LRUCache(cache_entries, shapes) if cache_entries else None
        self._evaluator: Evaluator = self._local
        if self._cache is not None:
            self._evaluator = CachedEvaluator(self._local, self._cache, shapes)
        self._boards = 0
        self._seconds = 0.0

    def simple_infer(self, board: Any) -> tuple[NDArray[np.float32], float]:
        """Policy logits float32 [A] and the value's logit of one position.

        ``policy_logits[a]`` is the log-probability of absolute action a (cell row * n + column; last of all swap, where
        the rule is on), ILLEGAL_LOGIT if it is illegal. ``value_logit`` is for the side to move: its win probability is
        1 / (1 + exp(-value_logit)).
        """
        policies, values, legal = self._infer([board])
        logits = np.where(legal[0], np.log(np.maximum(policies[0], _SMALLEST_PRIOR)), ILLEGAL_LOGIT)
        value = float(np.clip(values[0], -_LARGEST_VALUE, _LARGEST_VALUE))
        return logits.astype(np.float32), float(np.log1p(value) - np.log1p(-value))

    def batch_infer(self, boards: Sequence[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Policies float32 [B, A] (probabilities of absolute actions) and values float32 [B] for B positions.

        A value is for the side to move, in [-1, 1]: twice its win probability, less 1. Cached and repeated positions
        cost no forward pass, the others go in batches of ``batch_size``. NotationError names the board it cannot read.
        """
        if not len(boards):
            return np.zeros((0, self.shapes.num_actions), np.float32), np.zeros(0, np.float32)
        policies, values, _legal = self._infer(boards)
        return policies, values

    def statistics(self) -> dict[str, float | int | str]:
        """Counts since the object was made.

        boards, boards_per_s (over the time inside inference calls), cache_hit_rate (boards answered without a forward
        pass of their own), cache_size, batches, mean_batch, batch_size, backend, dtype.
        """
        evals, batches = self._local.evals, self._local.batches
        return {
            "boards": self._boards,
            "boards_per_s": self._boards / self._seconds if self._seconds else 0.0,
            "cache_hit_rate": 1.0 - evals / self._boards if self._boards else 0.0,
            "cache_size": 0 if self._cache is None else len(self._cache),
            "batches": batches,
            "mean_batch": evals / max(1, batches),
            "batch_size": self.batch_size,
            "backend": self._backend.name,
            "dtype": self._backend.dtype,
        }

    def clear_cache(self) -> None:
        """Forgets all cached positions; the statistics stay."""
        if self._cache is not None:
            self._cache.clear()

    def _infer(self, boards: Sequence[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Policies [B, A] and legality bool [B, A] in absolute actions, values [B] for the mover."""
        began = time.perf_counter()
        codes, white = self._codes(boards)
        self._evaluator.submit(0, codes)
        answer = self._evaluator.collect(0)
        legal = codes == 0
        legal[:, self.shapes.view_cells :] = codes[:, self.shapes.view_cells :] == 1
        policies = self._absolute(answer.priors, white)
        self._boards += len(boards)
        self._seconds += time.perf_counter() - began
        return policies, answer.values[:, 0].copy(), self._absolute(legal, white)

    def _absolute(self, actions: NDArray[Any], white: NDArray[np.bool_]) -> NDArray[Any]:
        """A copy of ``actions`` [B, A] from the mover's frame in absolute actions: white sees the board transposed."""
        n, num_cells = self.shapes.board_size, self.shapes.view_cells
        turned = actions.copy()
        turned[white, :num_cells] = (
            actions[white, :num_cells].reshape(-1, n, n).transpose(0, 2, 1).reshape(-1, num_cells)
        )
        return turned

    def _codes(self, boards: Sequence[Any]) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
        """Codes int8 [B, C] in the mover's frame, and where white is the mover, bool [B]."""
        n, num_cells = self.shapes.board_size, self.shapes.view_cells
        cells = np.zeros((len(boards), num_cells), np.int8)
        white = np.zeros(len(boards), np.bool_)
        for number, board in enumerate(boards):
            try:
                cells[number] = format_conversion.to_cells(board, n)
                white[number] = player_utils.side_to_move(cells[number]) == 1
            except NotationError as error:
                raise NotationError(f"board {number}: {error}" if len(boards) > 1 else str(error)) from error
        codes = np.zeros((len(boards), self.shapes.code_length), np.int8)
        codes[:, :num_cells] = cells
        turned = cells[white].reshape(-1, n, n).transpose(0, 2, 1).reshape(-1, num_cells)
        codes[white, :num_cells] = np.where(turned == 0, 0, 3 - turned)
        if self.swap:
            codes[:, num_cells] = np.count_nonzero(cells, axis=1) == 1
        return codes, white
