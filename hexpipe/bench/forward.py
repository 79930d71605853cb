"""`hexpipe bench forward`: the bare net on random boards, the ceiling of everything that plays.

One-thread processes, as many as the pipeline has cores (or GPUs) to give, each with the fastest backend and batch
found, and nothing else running.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from typing import Annotated, Any, Literal

from hexpipe.answers import Answers
from hexpipe.bench.measuring import BATCHES, TUNING_SECONDS, calls_per_second, fastest_batch
from hexpipe.bench.options import Backbone, Blocks, Channels, Engram, Figures, Size, settings_of
from hexpipe.config import Settings
from hexpipe.errors import ProcessDiedError, SettingsError
from hexpipe.games.factory import make_game
from hexpipe.processes.machine import available_cores, exported, thread_environment, visible_gpus
from hexpipe.roles.plan import plan_processes
from hexpipe.shm import set_parent_death_signal, spawn_context

Pool = tuple[str, ProcessPoolExecutor]
CHOOSING_SECONDS = 8.0  # more than a run gives itself: here the choice is the result
START_SECONDS = 240.0  # kernels may have to be compiled first


def run(
    *,
    seconds: Annotated[float, "length of the measured window"] = 10.0,
    backbone: Backbone = "resnet",
    blocks: Blocks = 6,
    channels: Channels = 64,
    engram: Engram = 0,
    size: Size = 11,
    processes: Annotated[int | None, "one-thread processes; unset: one a GPU, else one a core"] = None,
    backend: Annotated[
        Literal["auto", "eager", "frozen", "winograd", "openvino", "cuda_graphs"],
        "how the net is run; auto times what is there and takes the fastest",
    ] = "auto",
    dtype: Annotated[Literal["auto", "float32", "bfloat16", "float16"], "arithmetic of the forward pass"] = "auto",
    batch: Annotated[int | None, "positions in a pass; unset: the fastest of 16 to 256"] = None,
    devices: Annotated[int | None, "GPUs to use; unset: all there are"] = None,
) -> Figures:
    """Run forward passes alone. Keys: evals_per_s (positions a second of all processes), evals_per_s_per_core (of one
    of them), backend, dtype, batch, processes, and NAME_DTYPE_BATCH_evals_per_s for each candidate that one process
    timed.
    """
    net = {"size": size, "backbone": backbone, "blocks": blocks, "channels": channels, "engram": engram}
    how = {"backend": backend, "dtype": dtype, "max_batch": 256 if batch is None else batch, "devices": devices}
    settings = settings_of("standard", **net, **how)
    plan = plan_processes(settings, available_cores(), visible_gpus())
    on_gpu = plan.server_devices[0] != "cpu"
    count = processes or (len(plan.server_devices) if on_gpu else plan.cores)
    batches = BATCHES if batch is None else (batch,)
    with exported(thread_environment(1)), ExitStack() as stack:
        pools: list[Pool] = []
        for number, device in enumerate(islice(cycle(plan.server_devices), count)):
            pool = ProcessPoolExecutor(1, spawn_context(), _prepare, (settings, device))
            pools.append((f"forward-{number}", stack.enter_context(pool)))
        # the first one chooses, alone, as a server does; then the others build the same
        choice, table = _ask(pools[:1], START_SECONDS, _choose, {}, batches, CHOOSING_SECONDS)[0]
        _ask(pools[1:], START_SECONDS, _choose, choice, BATCHES[:1], 0.0)

        def measured(rows: int, seconds: float) -> list[float]:
            return _ask(pools, seconds + START_SECONDS, _measure, rows, seconds)

        best = fastest_batch(batches, lambda rows: sum(measured(rows, TUNING_SECONDS)))
        rates = measured(best, seconds)
    return {
        "evals_per_s": sum(rates),
        "evals_per_s_per_core": sum(rates) / count,
        **choice,
        "batch": best,
        "processes": count,
        **{f"{name}_{kind}_{rows}_evals_per_s": speed for name, kind, rows, speed in table},
    }


def _ask(pools: Sequence[Pool], timeout: float, work: Callable[..., Any], *given: Any) -> list[Any]:
    """Have every process do ``work`` at once, and return what each answers; SettingsError if it cannot be met,
    ProcessDiedError if a process failed."""
    answers = []
    for name, future in [(name, pool.submit(work, *given)) for name, pool in pools]:
        try:
            answers.append(future.result(timeout))
        except SettingsError:
            raise
        except Exception as error:
            raise ProcessDiedError(name, "".join(traceback.format_exception(error))) from error
    return answers


_here: dict[str, Any] = {}
"""Everything that one of the processes has."""


def _prepare(settings: Settings, device: str) -> None:
    set_parent_death_signal()
    _here.update(settings=settings, shapes=make_game(settings.game).shapes, device=device)


def _choose(
    named: dict[str, str], batches: tuple[int, ...], seconds: float
) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """Build the fastest backend, or the one that is ``named``; return its name and arithmetic, and the times of all."""
    from hexpipe.nets.choose_backend import choose_backend

    settings = _here["settings"]
    inference = settings.inference.model_copy(update=named)
    choice = choose_backend(settings.net, _here["shapes"], inference, _here["device"], batches, seconds)
    _here["backend"] = backend = choice.backend
    return {"backend": backend.name, "dtype": backend.dtype}, [tuple(row) for row in choice.table]


def _measure(batch: int, seconds: float) -> float:
    """Return positions a second over ``seconds``, into float16 priors as a server writes them."""
    from hexpipe.nets.choose_backend import random_codes

    backend, shapes = _here["backend"], _here["shapes"]
    codes, out = random_codes(shapes, batch), Answers.allocate(batch, shapes, sent=True)
    # what compiles for a new batch does it in the first call
    return batch * calls_per_second(lambda: backend.infer(codes, out), seconds, time.perf_counter)
