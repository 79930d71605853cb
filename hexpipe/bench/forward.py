"""`hexpipe bench forward`: the bare net on random boards, the ceiling of everything that plays.

One-thread processes, as many as the pipeline has cores (or GPUs) to give, each with the fastest backend and batch
found, and nothing else running.
"""

from __future__ import annotations

import time
import traceback
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Literal

from hexpipe.answers import Answers
from hexpipe.bench.bare_batch import BATCHES, TUNING_SECONDS, fastest_batch
from hexpipe.config import Settings, Shapes, load_settings
from hexpipe.errors import ProcessDiedError, SettingsError
from hexpipe.games.factory import make_game
from hexpipe.processes.machine import available_cores, exported, thread_environment, visible_gpus
from hexpipe.roles.plan import plan_processes
from hexpipe.shm import set_parent_death_signal, spawn_context

OPTIONS = {
    "seconds": "length of the measured window",
    "backbone": "the trunk",
    "blocks": "blocks of the trunk",
    "channels": "channels of the trunk",
    "engram": "entries of the net's memory",
    "size": "board size",
    "processes": "one-thread processes; unset: one a GPU, else one a core",
    "backend": "how the net is run; auto times what is there and takes the fastest",
    "dtype": "arithmetic of the forward pass",
    "batch": "positions in a pass; unset: the fastest of 16 to 256",
    "devices": "GPUs to use; unset: all there are",
}
CHOOSING_SECONDS = 8.0  # more than a run gives itself: here the choice is the result
START_SECONDS = 240.0  # kernels may have to be compiled first


def run(
    *,
    seconds: float = 10.0,
    backbone: Literal["resnet", "transformer"] = "resnet",
    blocks: int = 6,
    channels: int = 64,
    engram: int = 0,
    size: int = 11,
    processes: int | None = None,
    backend: Literal["auto", "eager", "frozen", "winograd", "openvino", "cuda_graphs"] = "auto",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    batch: int | None = None,
    devices: int | None = None,
) -> dict[str, float | int | str]:
    """Keys: evals_per_s (positions a second of all processes), evals_per_s_per_core (of one of them), backend, dtype,
    batch, processes, and NAME_DTYPE_BATCH_evals_per_s for each candidate that one process timed.
    """
    settings = load_settings(
        "standard",
        {
            "game.board_size": size,
            "net.backbone": backbone,
            "net.blocks": blocks,
            "net.channels": channels,
            "net.engram": engram,
            "inference.backend": backend,
            "inference.dtype": dtype,
            "inference.max_batch": 256 if batch is None else batch,
            "devices": devices,
        },
    )
    plan = plan_processes(settings, available_cores(), visible_gpus())
    on_gpu = plan.server_devices[0] != "cpu"
    count = processes or (len(plan.server_devices) if on_gpu else plan.cores)
    shapes = make_game(settings.game).shapes
    runners: list[_Runner] = []
    try:
        with exported(thread_environment(1)):
            for number in range(count):
                device = plan.server_devices[number % len(plan.server_devices)]
                runners.append(_Runner(number, settings, shapes, device))
        # the first one chooses, alone, as a server does; then the others build the same
        batches = BATCHES if batch is None else (batch,)
        choice = runners[0].ask(("choose", batches))
        for runner in runners:
            runner.ask(("build", choice["backend"], choice["dtype"]))
        best = fastest_batch(batches, lambda rows: sum(_measure_all(runners, rows, TUNING_SECONDS)))
        measured = _measure_all(runners, best, seconds)
    finally:
        for runner in runners:
            runner.stop()
    timed = {f"{name}_{kind}_{rows}_evals_per_s": speed for name, kind, rows, speed in choice["table"]}
    return {
        "evals_per_s": sum(measured),
        "evals_per_s_per_core": sum(measured) / count,
        **{key: choice[key] for key in ("backend", "dtype")},
        "batch": best,
        "processes": count,
        **timed,
    }


def _measure_all(runners: list[_Runner], batch: int, seconds: float) -> list[float]:
    """Positions a second of each, all at work together."""
    for runner in runners:
        runner.send(("measure", batch, seconds))
    return [float(runner.answer(seconds + START_SECONDS)) for runner in runners]


class _Runner:
    """One process and the pipe to it."""

    def __init__(self, number: int, settings: Settings, shapes: Shapes, device: str) -> None:
        context = spawn_context()
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=_main, args=(theirs, settings, shapes, device), name=f"forward-{number}", daemon=True
        )
        self._process.start()
        theirs.close()

    def send(self, request: tuple[Any, ...]) -> None:
        self._pipe.send(request)

    def answer(self, seconds: float) -> Any:
        """The answer to the last request; SettingsError if it cannot be met, ProcessDiedError if the process failed."""
        try:
            if not self._pipe.poll(seconds):
                raise ProcessDiedError(self._process.name, f"no answer within {seconds:.0f} s")
            outcome, answer = self._pipe.recv()
        except EOFError as error:
            self._process.join(5.0)
            raise ProcessDiedError(self._process.name, f"ended with code {self._process.exitcode}") from error
        if outcome == "refused":
            raise answer
        if outcome == "failed":
            raise ProcessDiedError(self._process.name, answer)
        return answer

    def ask(self, request: tuple[Any, ...]) -> Any:
        self.send(request)
        return self.answer(START_SECONDS)

    def stop(self) -> None:
        """End the process: it owns nothing that must be put in order."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _main(pipe: Connection, settings: Settings, shapes: Shapes, device: str) -> None:
    set_parent_death_signal()
    try:
        state: dict[str, Any] = {}
        while True:
            request = pipe.recv()
            answer: Any = None
            if request[0] == "choose":
                answer = _choose(state, settings, shapes, device, request[1])
            elif request[0] == "build":
                _build(state, settings, shapes, device, *request[1:])
            else:
                answer = _measure(state, shapes, *request[1:])
            pipe.send(("done", answer))
    except EOFError:
        return  # the parent is done
    except SettingsError as error:
        pipe.send(("refused", error))
    except Exception:  # noqa: BLE001  (told to the parent, which raises it)
        pipe.send(("failed", traceback.format_exc()))


def _choose(
    state: dict[str, Any], settings: Settings, shapes: Shapes, device: str, batches: tuple[int, ...]
) -> dict[str, Any]:
    from hexpipe.nets.choose_backend import choose_backend

    choice = choose_backend(settings.net, shapes, settings.inference, device, batches, CHOOSING_SECONDS)
    state["backend"] = choice.backend
    table = [tuple(row) for row in choice.table]
    return {"backend": choice.backend.name, "dtype": choice.backend.dtype, "table": table}


def _build(state: dict[str, Any], settings: Settings, shapes: Shapes, device: str, name: str, dtype: str) -> None:
    from hexpipe.nets.choose_backend import choose_backend

    if "backend" not in state:
        inference = settings.inference.model_copy(update={"backend": name, "dtype": dtype})
        state["backend"] = choose_backend(settings.net, shapes, inference, device, BATCHES[:1], 0.0).backend


def _measure(state: dict[str, Any], shapes: Shapes, batch: int, seconds: float) -> float:
    """Positions a second over ``seconds``, into float16 priors as a server writes them."""
    from hexpipe.nets.choose_backend import random_codes

    backend, codes = state["backend"], random_codes(shapes, batch)
    out = Answers.allocate(batch, shapes, sent=True)
    backend.infer(codes, out)  # what compiles for a new batch does it here
    passes, begin = 0, time.perf_counter()
    while passes == 0 or time.perf_counter() < begin + seconds:
        backend.infer(codes, out)
        passes += 1
    return float(passes * len(codes) / (time.perf_counter() - begin))
