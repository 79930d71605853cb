"""`hexpipe bench learner`: a training loop that samples each batch itself against one that has them prefetched.

Both train the same net on the same batches in turn, slice by slice in one process with one torch thread, so that a
core that changes its speed changes both. Only the ratio of the two means much.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Annotated, Any, Literal

import numpy as np
import torch

from hexpipe.bench.measuring import one_thread
from hexpipe.bench.options import Backbone, Blocks, Channels, Engram, Figures, Size, settings_of
from hexpipe.bench.replay import HashEvaluator
from hexpipe.config import Settings
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.learner.batches import training_batch
from hexpipe.learner.learner import Learner
from hexpipe.learner.prefetch import Prefetcher, Sample, batch_rng, default_threads, prepare_batch
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.self_play import SelfPlay

_WARMUP_STEPS = 3
_SYNC_EVERY = 8  # steps that may be under way on an accelerator


def run(
    seconds: Annotated[float, "seconds of measuring, half for each loop"] = 30.0,
    slices: Annotated[int, "slices of each loop, in turn"] = 6,
    size: Size = 5,
    backbone: Backbone = "resnet",
    blocks: Blocks = 4,
    channels: Channels = 32,
    engram: Engram = 0,
    batch_size: Annotated[int, "positions in a step"] = 256,
    prefetch_threads: Annotated[int | None, "threads that sample ahead; unset: as in a run"] = None,
    games: Annotated[int, "games in the replay buffer"] = 500,
    dtype: Annotated[Literal["auto", "float32", "bfloat16"], "arithmetic of the net in training"] = "auto",
    device: Annotated[str, "cpu or cuda"] = "cpu",
) -> Figures:
    """Measure steps a second of both loops, and the share of the second one's wall time that it waits for data.

    Keys: sync_steps_per_s, async_steps_per_s, data_wait_fraction, async_over_sync (median over pairs of slices),
    sync_data_fraction (the share of the first loop's time that goes into sampling), steps, dtype, threads.
    """
    net = {"backbone": backbone, "blocks": blocks, "channels": channels, "engram": engram}
    short = {"simulations": 16, "min_games": 1, "batch_size": batch_size, "learner.dtype": dtype}
    settings = settings_of("quick", size=size, **short, **net)
    target = torch.device(device)
    threads = prefetch_threads or default_threads(target)
    game = make_game(settings.game)
    sample = sampler(settings, game, games)
    learner = Learner(settings, game.shapes, target)
    sync: list[tuple[int, float, float]] = []
    ahead: list[tuple[int, float, float]] = []
    with one_thread():
        for index in range(_WARMUP_STEPS):
            learner.step(prepare_batch(sample(batch_rng(0, index)), target))
        each = seconds / slices / 2
        for pair in range(slices):
            # each loop is first in every second pair, so that a steady drift of the core favours neither
            if pair % 2 == 0:
                sync.append(_sync_slice(learner, sample, each))
            ahead.append(_async_slice(learner, sample, each, threads))
            if pair % 2 == 1:
                sync.append(_sync_slice(learner, sample, each))
    ratios = [(a[0] / a[1]) / (s[0] / s[1]) for s, a in zip(sync, ahead, strict=True)]
    return {
        "sync_steps_per_s": sum(s[0] for s in sync) / sum(s[1] for s in sync),
        "async_steps_per_s": sum(a[0] for a in ahead) / sum(a[1] for a in ahead),
        "data_wait_fraction": sum(a[2] for a in ahead) / sum(a[1] for a in ahead),
        "async_over_sync": median(ratios),
        "sync_data_fraction": sum(s[2] for s in sync) / sum(s[1] for s in sync),
        "steps": learner.steps - _WARMUP_STEPS,
        "dtype": str(learner.dtype).removeprefix("torch."),
        "threads": threads,
    }


def _sync_slice(learner: Learner, sample: Sample, seconds: float) -> tuple[int, float, float]:
    """Return (steps, seconds, seconds spent on data) of a loop that samples each batch when it needs it."""
    data = 0.0
    indices = itertools.count()

    def next_batch() -> Mapping[str, Any]:
        nonlocal data
        began = time.perf_counter()
        batch = prepare_batch(sample(batch_rng(0, next(indices))), learner.device)
        data += time.perf_counter() - began
        return batch

    steps, elapsed = _timed_steps(learner, next_batch, seconds)
    return steps, elapsed, data


def _async_slice(learner: Learner, sample: Sample, seconds: float, threads: int) -> tuple[int, float, float]:
    """Return the same of a prefetcher that starts with the slice: its first batch is waited for, and counted."""
    with Prefetcher(sample, threads, learner.device, seed=0) as batches:
        steps, elapsed = _timed_steps(learner, batches.next, seconds)
        return steps, elapsed, batches.wait_seconds


def _timed_steps(learner: Learner, next_batch: Callable[[], Mapping[str, Any]], seconds: float) -> tuple[int, float]:
    steps, start = 0, time.perf_counter()
    while True:
        losses = learner.step(next_batch())
        steps += 1
        if learner.device.type == "cpu" or steps % _SYNC_EVERY == 0:
            losses.tensor.tolist()  # waits for the device
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                return steps, elapsed


def sampler(settings: Settings, game: Game, games: int) -> Sample:
    """Return a source of batches from a replay buffer of games that a short search played with an evaluator that costs
    nothing."""
    buffer = ReplayBuffer.create(settings.replay, game, private=True)
    selfplay = SelfPlay(game, settings, HashEvaluator(game, 2), 0, buffer.add_game)
    while buffer.num_games < games:
        selfplay.step()

    def sample(rng: np.random.Generator) -> Mapping[str, Any]:
        return training_batch(buffer, game, settings, settings.learner.batch_size, rng)

    return sample
