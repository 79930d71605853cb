"""SimpleModelInference: a trained net as a library object, with caching, batching and statistics.

    model = SimpleModelInference("runs/first")                # a run folder, or one of its checkpoints
    model = SimpleModelInference()                            # the net in the box
    policy_logits, value_logit = model.simple_infer(board)
    policies, values = model.batch_infer([board1, board2, board3])

A board may have any form that `format_conversion` reads: an array of cells, a move list, a TRMPH string and so on. The
side to move follows from its stones (`player_utils`) or is given, ``to_move="white"``, for any counts of stones; boards
after a mirrored swap need ``mirrored_swap=True``. With the swap rule on, a board of one black stone may still be
swapped. For a search over the net see `hexpipe.arena.engine`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from hexpipe.config import InferenceSettings, NetSettings, Shapes, load_settings, override_settings
from hexpipe.errors import CheckpointError, NotationError
from hexpipe.games import player_utils
from hexpipe.games.factory import make_game, plays_hex
from hexpipe.inference.client import CachedEvaluator
from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.nets.agreement import agreement_of
from hexpipe.nets.backends import BySize
from hexpipe.nets.box import BOX
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.nets.choose_backend import choose_backend
from hexpipe.notation import format_conversion
from hexpipe.search.evaluator import Evaluator

ILLEGAL_LOGIT = -1e9
_SMALLEST_PRIOR = np.float32(2.0**-25)  # keeps the logits of legal moves far from ILLEGAL_LOGIT
_LARGEST_VALUE = 1.0 - 2.0**-20  # keeps the value's logit finite
_BATCH_SIZES = (16, 64, 128, 256)
_MEMORY_SHARE = 0.25  # of free memory, for one batch
_LIVE_TENSORS = 6  # activations of the trunk's size that one pass keeps at once: a block's, its branch's, scratch
STAGES = ("convert", "cache", "forward")


def fitting_batch(net: NetSettings, shapes: Shapes, free_bytes: int) -> int:
    """Return the largest batch whose activations, in float32, take at most a quarter of ``free_bytes``; at least 1."""
    ringed = (shapes.view_size + 2) ** 2
    attention = net.heads * shapes.view_cells**2 if net.backbone == "transformer" else 0
    row = 4 * (_LIVE_TENSORS * net.channels * ringed + shapes.num_planes * ringed + attention)
    return max(1, int(_MEMORY_SHARE * free_bytes) // row)


def free_memory(device: str) -> int:
    """Return the bytes that are free for tensors on ``device`` now."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


class SimpleModelInference:
    """An evaluator of Hex positions with a checkpoint's averaged weights. It is thread-safe: calls are serialized.

    ``checkpoint_path``: a run folder (its newest checkpoint) or a checkpoint folder, by default the net in the box;
    CheckpointError otherwise, and for another game. ``device``: "cpu", "cuda:0"; the fastest ``backend`` on it is
    chosen by timing, for batches and for lone boards, unless ``inference`` names one, and with it the batch size,
    bounded by `fitting_batch`, unless ``batch_size`` is given. ``dtype``: the arithmetic, unless ``inference`` names
    one; "auto" takes the fastest that agrees with float32 (`nets.agreement`). ``cache_entries`` positions are cached,
    exactly, 0 for none; ``symmetric_cache`` treats a board and its half turn, a symmetry of Hex, as one position. That
    also makes their answers equal, which a net's are only nearly.
    """

    def __init__(
        self,
        checkpoint_path: str | Path = BOX,
        *,
        device: str = "cpu",
        cache_entries: int = 16384,
        symmetric_cache: bool = False,
        batch_size: int | None = None,
        inference: InferenceSettings | None = None,
        dtype: str = "float32",
    ) -> None:
        checkpoint = load_checkpoint(Path(checkpoint_path), ["model", "ema"])
        checkpoint.check_fit()
        if not plays_hex(checkpoint.settings.game):
            words = (
                f"{checkpoint.path} plays {checkpoint.settings.game.title}, of which no notation is known here: ask "
                "it through hexpipe.arena.engine.Engine"
            )
            raise CheckpointError(words, kind="foreign", path=checkpoint.path)
        self.checkpoint_path = checkpoint.path
        self.shapes = shapes = checkpoint.shapes
        self._game = make_game(checkpoint.settings.game)
        self.swap = shapes.num_actions > shapes.view_cells
        inference = inference or load_settings().inference
        if inference.dtype == "auto":
            given = load_settings().model_copy(update={"inference": inference})
            inference = override_settings(given, {"inference.dtype": dtype}).inference
        self._net = checkpoint.settings.net
        chosen = choose_backend(self._net, shapes, inference, device, _BATCH_SIZES, lone=True)
        self.backend = chosen.backend
        self.batch_size = batch_size or min(chosen.batch, fitting_batch(self._net, shapes, free_memory(device)))
        self._local = LocalEvaluator(self.backend, shapes, groups=1, max_batch=self.batch_size)
        self._local.load(checkpoint.step, checkpoint.play_weights)
        self._symmetric = symmetric_cache
        self._cache = LRUCache(cache_entries, shapes) if cache_entries else None
        self._evaluator: Evaluator = self._local
        if self._cache is not None:
            self._evaluator = CachedEvaluator(self._local, self._cache, shapes)
        self._lock = threading.Lock()
        self._boards = 0
        self._seconds = dict.fromkeys(STAGES, 0.0)

    def load(self, checkpoint_path: str | Path) -> None:
        """Load the weights of another checkpoint of the same net, and clear the cache.

        CheckpointError, with nothing changed, for another net or another board.
        """
        checkpoint = load_checkpoint(Path(checkpoint_path), ["model", "ema"])
        checkpoint.check_fit()
        if checkpoint.shapes != self.shapes or checkpoint.settings.net != self._net:
            words = f"{checkpoint.path} is of another net or board: make a new object of it"
            raise CheckpointError(words, kind="foreign", path=checkpoint.path)
        with self._lock:
            # counts up, whatever the training step: the cache rejects answers of a version below one it has seen
            self._local.load(self._local.version + 1, checkpoint.play_weights)
            self.checkpoint_path = checkpoint.path
            if self._cache is not None:
                self._cache.clear()

    def simple_infer(
        self, board: Any, mirrored_swap: bool = False, *, logits: bool = True, to_move: str | int | None = None
    ) -> tuple[NDArray[np.float32], float]:
        """Evaluate one position: policy logits float32 [A] and the value's logit; without ``logits`` as `batch_infer`.

        ``policy_logits[a]`` is the log-probability of absolute action a (cell row * n + column; last of all swap, where
        the rule is on), ILLEGAL_LOGIT if it is illegal. ``value_logit`` is for the side to move: its win probability is
        1 / (1 + exp(-value_logit)). ``mirrored_swap``: a swap has turned black's first stone into white's, so that with
        one stone each it is white's turn (`player_utils.side_to_move`). ``to_move``: "black" or "white" (0 or 1) is to
        move, whatever the numbers of stones; by default these decide.
        """
        policies, values = self._infer([board], mirrored_swap, logits, None if to_move is None else [to_move])
        return policies[0], float(values[0])

    def batch_infer(
        self,
        boards: Sequence[Any] | NDArray[Any],
        mirrored_swap: bool = False,
        *,
        logits: bool = False,
        to_move: str | int | Sequence[str | int] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Evaluate B positions: policies float32 [B, A] (probabilities of absolute actions) and values float32 [B].

        With ``logits`` both are as in `simple_infer`. A value is for the side to move, in [-1, 1]: twice its win
        probability, less 1. Cached and repeated positions cost no forward pass, the others go in batches of
        ``batch_size``. ``mirrored_swap`` applies to all of them (see `simple_infer`). ``boards`` that are one array [B,
        n, n], or a list of such, are read fastest. NotationError names the board it cannot read. ``to_move`` is one for
        all boards, or one for each.
        """
        if not len(boards):
            return np.zeros((0, self.shapes.num_actions), np.float32), np.zeros(0, np.float32)
        sides = [to_move] * len(boards) if isinstance(to_move, str | int) else to_move
        return self._infer(boards, mirrored_swap, logits, sides)

    def statistics(self) -> dict[str, float | int | str]:
        """Return counts since the object was made.

        boards, boards_per_s (over the time inside inference calls), cache_hit_rate (boards answered without a forward
        pass of their own), hits (from the cache), repeats (equal to another of their call), misses, cache_size,
        batches, mean_batch, batch_size, seconds by stage (convert_seconds: reading boards; cache_seconds: looking up
        and storing; forward_seconds: the net), backend, dtype, lone_backend (the backend for one board). With
        dtype="auto", the other dtype's difference from float32 with the loaded weights: value_difference on average,
        value_difference_most, policy_difference, and dtype_note, which says whether it was taken; 0 and "" if none was
        tried.
        """
        with self._lock:
            evals, batches = self._local.evals, self._local.batches
            cached = self._evaluator if isinstance(self._evaluator, CachedEvaluator) else None
            total = sum(self._seconds.values())
            held = agreement_of(self.backend)
            return {
                "boards": self._boards,
                "boards_per_s": self._boards / total if total else 0.0,
                "cache_hit_rate": 1.0 - evals / self._boards if self._boards else 0.0,
                "hits": cached.hits if cached else 0,
                "repeats": cached.repeats if cached else 0,
                "misses": evals,
                "cache_size": 0 if self._cache is None else len(self._cache),
                "batches": batches,
                "mean_batch": evals / max(1, batches),
                "batch_size": self.batch_size,
                **{f"{stage}_seconds": seconds for stage, seconds in self._seconds.items()},
                "backend": self.backend.name,
                "dtype": self.backend.dtype,
                "lone_backend": (self.backend.lone if isinstance(self.backend, BySize) else self.backend).name,
                "value_difference": held.value_mean if held else 0.0,
                "value_difference_most": held.value_most if held else 0.0,
                "policy_difference": held.policy_mean if held else 0.0,
                "dtype_note": str(held) if held else "",
            }

    def clear_cache(self) -> None:
        """Drop all cached positions; the statistics stay."""
        with self._lock:
            if self._cache is not None:
                self._cache.clear()

    def _infer(
        self,
        boards: Sequence[Any] | NDArray[Any],
        mirrored_swap: bool,
        logits: bool,
        sides: Sequence[str | int] | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return policies [B, A] in absolute actions and values [B] for the mover, or the ``logits`` of both."""
        with self._lock, self._timed("convert"):
            codes, white = self._codes(boards, mirrored_swap, sides)
            legal = codes == 0
            legal[:, self.shapes.view_cells :] = codes[:, self.shapes.view_cells :] == 1
        turned = self._half_turned(codes) if self._symmetric else np.zeros(len(codes), np.bool_)
        with self._lock, self._timed("cache"):
            forward = self._local.forward_seconds
            self._evaluator.submit(0, codes)
            answers = self._evaluator.collect(0).answers
            priors, values = answers.priors, answers.values[:, 0].copy()
            priors[turned, : self.shapes.view_cells] = priors[turned, : self.shapes.view_cells][:, ::-1]
            policies = self._absolute(priors, white)
            forward = self._local.forward_seconds - forward
            self._seconds["forward"] += forward
            self._seconds["cache"] -= forward
            self._boards += len(boards)
        if not logits:
            return policies, values
        policy_logits = np.log(np.maximum(policies, _SMALLEST_PRIOR))
        policy_logits[~self._absolute(legal, white)] = ILLEGAL_LOGIT
        values = np.clip(values.astype(np.float64), -_LARGEST_VALUE, _LARGEST_VALUE)
        return policy_logits, (np.log1p(values) - np.log1p(-values)).astype(np.float32)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[stage] += time.perf_counter() - began

    def _half_turned(self, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Rotate those boards of ``codes`` [B, C] by a half turn that are then lexicographically smaller, in place.

        Returns which they were, bool [B]. A board and its half turn so become one.
        """
        cells = codes[:, : self.shapes.view_cells]
        other = cells[:, ::-1]
        differs = cells != other
        first = differs.argmax(axis=1)
        rows = np.arange(len(cells))
        turned: NDArray[np.bool_] = differs.any(axis=1) & (other[rows, first] < cells[rows, first])
        cells[turned] = other[turned].copy()
        return turned

    def _absolute(self, actions: NDArray[Any], white: NDArray[np.bool_]) -> NDArray[Any]:
        """Return a copy of ``actions`` [B, A], of the mover's frame, in absolute actions: white sees the board
        transposed."""
        n, num_cells = self.shapes.board_size, self.shapes.view_cells
        turned = actions.copy()
        turned[white, :num_cells] = (
            actions[white, :num_cells].reshape(-1, n, n).transpose(0, 2, 1).reshape(-1, num_cells)
        )
        return turned

    def _codes(
        self, boards: Sequence[Any] | NDArray[Any], mirrored_swap: bool, sides: Sequence[str | int] | None = None
    ) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
        """Return codes int8 [B, C] in the mover's frame, and where white is the mover, bool [B]."""
        cells = format_conversion.stacked_cells(boards, self.shapes.board_size)
        movers = None if cells is None else player_utils.sides_to_move(cells, mirrored_swap)
        if sides is not None:
            if len(sides) != len(boards):
                raise NotationError(
                    f"to_move names {len(sides)} sides for {len(boards)} boards: one each, or one for all", kind="type"
                )
            movers = np.array([player_utils.parse_side(side) for side in sides], np.int8)
        if cells is None or movers is None:
            cells, movers = self._one_by_one(boards, mirrored_swap, movers)
        plies = np.zeros(len(cells), np.int32)
        if self.swap and not mirrored_swap:  # after a swap none can follow
            theirs = cells == 2 - movers[:, None]
            plies[(np.count_nonzero(cells, axis=1) == 1) & theirs.any(axis=1)] = 1  # the first stone was just placed
        codes = np.zeros((len(cells), self.shapes.code_length), np.int8)
        self._game.codes_from_cells(cells, movers, plies, np.zeros((len(cells), 2), np.int16), codes)
        return codes, movers == 1

    def _one_by_one(
        self, boards: Sequence[Any] | NDArray[Any], mirrored_swap: bool, told: NDArray[np.int8] | None = None
    ) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Read boards of any form: cells int8 [B, n * n] and the side to move int8 [B], ``told`` or by the stones.

        NotationError names a bad one.
        """
        cells = np.zeros((len(boards), self.shapes.view_cells), np.int8)
        movers = np.zeros(len(boards), np.int8) if told is None else told
        for number, board in enumerate(boards):
            try:
                cells[number] = format_conversion.to_cells(board, self.shapes.board_size, mirrored_swap)
                if told is None:
                    movers[number] = player_utils.side_to_move(cells[number], mirrored_swap)
            except NotationError as error:
                raise NotationError(
                    f"board {number}: {error}" if len(boards) > 1 else str(error), kind=error.kind, move=error.move
                ) from error
        return cells, movers
