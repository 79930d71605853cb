"""`hexpipe bench library`: `SimpleModelInference` on one thread against bare forward passes of the same net.

Two nets of 13x13: one that costs what a ResNet-18 does, and the 6x64 of the preset standard. A ResNet-18 of two planes
on 13x13 (strides as for images: 13, 7, 4 and 2 cells a side) takes 118 million multiply-adds a board for its 11.2
million weights, most of which work on few cells. Of the nets here, which keep the board's size, 8 blocks of 72 channels
come nearest to those multiply-adds. Slices of the library and of the bare net take turns. Beside them stand the forward
passes of a ResNet-18 itself as plain torch runs it, on one thread too.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.bench.fresh_checkpoint import fresh_checkpoint
from hexpipe.bench.measuring import calls_per_second, one_thread
from hexpipe.bench.options import Figures, Size, settings_of
from hexpipe.bench.plain_resnet18 import PlainResNet18
from hexpipe.config import NetSettings, Shapes
from hexpipe.inference.simple_model_inference import SimpleModelInference
from hexpipe.nets.factory import folded_net

NETS = {"resnet18_cost": (8, 72), "resnet_6x64": (6, 64)}  # blocks, channels
BATCHES = (1, 16, 64, 256)
_BOARDS = 4096  # different ones, asked in turn


def run(
    *,
    size: Size = 13,
    seconds: Annotated[float, "CPU seconds of a slice"] = 0.4,
    rounds: Annotated[int, "slices of each figure, in turns; a figure is their median"] = 3,
    backend: Annotated[
        Literal["auto", "eager", "frozen", "winograd", "openvino"],
        "how the nets are run; auto times what is there and takes the fastest",
    ] = "auto",
    repeats: Annotated[int, "of 100 boards asked of the cache, those that were asked before"] = 39,
) -> Figures:
    """Measure both nets. Keys, each after the net's name: BATCH_boards_per_s without a cache (1: `simple_infer`, else
    `batch_infer`), BATCH_bare_boards_per_s of forward passes alone, BATCH_efficiency (median ratio of the two), all in
    float32, the library's default; auto_BATCH_boards_per_s with dtype="auto", and auto_dtype, which that is;
    cached_boards_per_s and cache_hit_rate of batches of 64 with the cache on, weights, multiply_adds of a board,
    backend, dtype, lone_backend (of 1). read_us_per_board: microseconds to read one of a stack of 256.
    plain_resnet18_BATCH_boards_per_s are those of a ResNet-18's forward passes in plain torch.

    One thread, here and in the nets: a second is one of CPU time, which is the clock's on a quiet machine and still
    means something on a busy one.
    """
    with one_thread():
        result: Figures = {}
        for name, (blocks, channels) in NETS.items():
            figures = _figures(size, blocks, channels, backend, seconds, rounds, repeats / 100)
            result |= {f"{name}_{key}": value for key, value in figures.items()}
        result["read_us_per_board"] = _read_microseconds(size, seconds)
        for batch in BATCHES:
            call = _plain_resnet18(size, batch)
            rates = [_rate(call, batch, seconds) for _ in range(rounds)]
            result[f"plain_resnet18_{batch}_boards_per_s"] = statistics.median(rates)
        return result


def _figures(
    size: int, blocks: int, channels: int, backend: str, seconds: float, rounds: int, repeats: float
) -> Figures:
    settings = settings_of("standard", size=size, blocks=blocks, channels=channels, backend=backend)
    with tempfile.TemporaryDirectory(prefix="hexpipe-bench-") as folder:
        path = fresh_checkpoint(Path(folder), settings)
        plain = SimpleModelInference(path, cache_entries=0, inference=settings.inference)
        auto = SimpleModelInference(path, cache_entries=0, inference=settings.inference, dtype="auto")
        named = settings.inference.model_copy(update={"backend": plain.backend.name, "dtype": plain.backend.dtype})
        cached = SimpleModelInference(path, cache_entries=_BOARDS, inference=named, batch_size=plain.batch_size)
    boards = random_boards(size, _BOARDS)
    figures: Figures = {}
    for batch in BATCHES:
        asked = (_asking(plain, boards, batch), _bare(plain, boards, batch), _asking(auto, boards, batch))
        turns = [[_rate(call, batch, seconds) for call in asked] for _ in range(rounds)]
        figures[f"{batch}_boards_per_s"] = statistics.median(rate for rate, _, _ in turns)
        figures[f"{batch}_bare_boards_per_s"] = statistics.median(rate for _, rate, _ in turns)
        figures[f"{batch}_efficiency"] = statistics.median(rate / bare for rate, bare, _ in turns)
        figures[f"auto_{batch}_boards_per_s"] = statistics.median(rate for _, _, rate in turns)
    again = _asking(cached, _with_repeats(boards, repeats), 64)
    figures["cached_boards_per_s"] = statistics.median(_rate(again, 64, seconds) for _ in range(rounds))
    said = cached.statistics()
    return {
        **figures,
        "cache_hit_rate": said["cache_hit_rate"],
        **_cost(settings.net, plain.shapes),
        **{key: plain.statistics()[key] for key in ("backend", "dtype", "lone_backend")},
        **{f"auto_{key}": auto.statistics()[key] for key in ("backend", "dtype", "dtype_note")},
    }


def _read_microseconds(size: int, seconds: float) -> float:
    """Return the time to read one board of a stack, until codes, in the quickest of many calls of a net so small that
    nothing else takes long."""
    settings = settings_of("standard", size=size, blocks=1, channels=8, backend="eager")
    with tempfile.TemporaryDirectory(prefix="hexpipe-bench-") as folder:
        path = fresh_checkpoint(Path(folder), settings)
        model = SimpleModelInference(path, cache_entries=_BOARDS, inference=settings.inference)
    boards = random_boards(size, BATCHES[-1])
    model.batch_infer(boards)
    spent = [float(model.statistics()["convert_seconds"])]
    end = time.process_time() + seconds
    while len(spent) < 2 or time.process_time() < end:
        model.batch_infer(boards)
        spent.append(float(model.statistics()["convert_seconds"]))
    return 1e6 * float(np.diff(spent).min()) / len(boards)


def _asking(model: SimpleModelInference, boards: NDArray[np.int8], batch: int) -> Callable[[], object]:
    """Return a function that asks ``model`` about the next ``batch`` of ``boards``, round and round."""
    turns = cycle(range(0, len(boards) - batch + 1, batch))
    if batch == 1:
        return lambda: model.simple_infer(boards[next(turns)])
    return lambda: model.batch_infer(list(boards[(first := next(turns)) : first + batch]))


def _bare(model: SimpleModelInference, boards: NDArray[np.int8], batch: int) -> Callable[[], None]:
    """Return forward passes of the very net that ``model`` runs, in its batches, on boards that are codes already."""
    shapes = model.shapes
    codes = np.zeros((batch, shapes.code_length), np.int8)
    codes[:, : shapes.view_cells] = boards[:batch].reshape(batch, -1)
    out = Answers.allocate(batch, shapes)

    def passes() -> None:
        for first in range(0, batch, model.batch_size):
            part = slice(first, first + model.batch_size)
            model.backend.infer(codes[part], out.at(part))

    return passes


def _plain_resnet18(size: int, batch: int) -> Callable[[], object]:
    """Return forward passes of a ResNet-18 in plain torch."""
    net, planes = PlainResNet18(size).eval(), torch.zeros(batch, 2, size, size)
    return torch.no_grad()(lambda: net(planes))


def _rate(call: Callable[[], object], batch: int, seconds: float) -> float:
    """Return boards a CPU second of calls of ``batch`` boards each, for CPU ``seconds``, after a first call."""
    return batch * calls_per_second(call, seconds, time.process_time)


def random_boards(size: int, count: int) -> NDArray[np.int8]:
    """Return boards int8 [count, size, size] of random play, of any number of stones: 0 empty, 1 black, 2 white."""
    rng = np.random.default_rng(0)
    order = rng.permuted(np.tile(np.arange(size * size), (count, 1)), axis=1)
    stones = np.where(order < rng.integers(0, size * size, (count, 1)), order % 2 + 1, 0)
    return stones.astype(np.int8).reshape(count, size, size)


def _with_repeats(boards: NDArray[np.int8], share: float) -> NDArray[np.int8]:
    """Return as many boards, of which ``share`` have been there before."""
    rng = np.random.default_rng(1)
    new = rng.random(len(boards)) >= share
    new[0] = True
    known = np.cumsum(new)  # boards that have been there, with the one at hand
    return boards[np.where(new, known - 1, rng.integers(0, known))]


def _cost(net: NetSettings, shapes: Shapes) -> dict[str, int]:
    """Return the weights of the net as it plays, and multiply-adds of its forward pass on one board."""
    from torch.utils.flop_counter import FlopCounterMode

    plain = folded_net(net, shapes)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        plain(torch.zeros(1, shapes.code_length, dtype=torch.int8))
    weights = sum(parameter.numel() for parameter in plain.parameters())
    return {"weights": weights, "multiply_adds": counter.get_total_flops() // 2}
