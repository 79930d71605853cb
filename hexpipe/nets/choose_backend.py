"""Choice of the fastest backend for a net on a device: build the candidates, time them, take the best."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from hexpipe.answers import Answers
from hexpipe.config import NUMBERS, InferenceSettings, NetSettings, Shapes
from hexpipe.cpu import has_bfloat16
from hexpipe.errors import SettingsError, install_command
from hexpipe.nets.agreement import POSITIONS, AgreedBackend, AgreedOverlappingBackend
from hexpipe.nets.backends import Backend, BySize, overlaps
from hexpipe.random_streams import Stream, generator

log = logging.getLogger(__name__)

Kind = tuple[str, str]  # backend name and dtype
Speeds = dict[tuple[Kind, int], float]  # positions a second, by kind and batch
SLICE_SECONDS = 0.03  # timing of one backend at one batch in one round
ROUNDS = 3
NEAR_BEST = 0.97  # a smaller batch within 3% of the best one is taken: it answers sooner


class Measurement(NamedTuple):
    """One measurement: positions a second of one backend at one batch size."""

    backend: str
    dtype: str
    batch: int
    evals_per_s: float


class Choice(NamedTuple):
    """The fastest backend, the batch it is fastest at, and all measurements, fastest first."""

    backend: Backend
    batch: int
    table: list[Measurement]


def choose_backend(
    net: NetSettings,
    shapes: Shapes,
    inference: InferenceSettings,
    device: str = "cpu",
    batch_sizes: Sequence[int] = (16, 32, 64, 128, 256),
    budget_seconds: float = 3.0,
    lone: bool = False,
    recheck_seconds: float = 0.0,
    apart: bool = False,
) -> Choice:
    """Time the backends that ``inference`` allows on ``device`` ("cpu", "cuda:0") and take the fastest.

    Weights are fresh; timing runs with the threads the process has. Candidates come in the usual order of speed; once
    half of ``budget_seconds`` is spent only the first two are built, once all of it is, only the smallest batch is
    timed. SettingsError if there is no candidate: it says how to install one. ``lone``: lone boards will come too, and
    another candidate runs those where it is faster for one. ``apart``: OpenVINO is timed in another process, so that
    this one, if it needs it not, has it not in memory: 40 MB. A net with learned dynamics has one backend, which then
    evaluates its roots.

    With an automatic dtype, one other than float32 is used only while it agrees with float32 (`agreement`), as measured
    whenever weights are loaded, but not again within ``recheck_seconds``.
    """
    start = time.perf_counter()
    sizes = sorted({min(size, inference.max_batch) for size in batch_sizes}) or [inference.max_batch]
    if net.dynamics_blocks:
        return Choice(_learned(net, shapes, inference, device), sizes[-1], [])
    make = partial(build_backend, net=net, shapes=shapes, device=device, max_batch=inference.max_batch)
    candidates = _candidates(net, inference, device)
    elsewhere = [kind for kind in candidates if apart and kind[0] == "openvino"]
    if len(elsewhere) == len(candidates):  # one of them is needed in any case
        elsewhere = []
    built: dict[Kind, Backend] = {}

    def backend_of(kind: Kind) -> Backend:
        if kind not in built:
            built[kind] = make(kind)
        return built[kind]

    for kind in candidates:
        if len(built) >= 2 and time.perf_counter() - start > budget_seconds / 2:
            log.info("%s %s was not timed: the time for choosing a backend is spent", *kind)
        elif kind not in elsewhere:
            warm_up(backend_of(kind), shapes, sizes[0])
    left = max(start + budget_seconds - time.perf_counter(), budget_seconds / 3)  # some is left after a slow start
    speeds = time_backends(built, shapes, sizes, device, left)
    if elsewhere:
        from hexpipe.nets.timing_apart import timed_apart

        speeds |= timed_apart(elsewhere, net, shapes, inference.max_batch, sizes, budget_seconds / 3)
    best, _ = max(speeds, key=lambda key: speeds[key])
    top = max(speeds.values())
    batch = min(size for (kind, size), speed in speeds.items() if kind == best and speed >= NEAR_BEST * top)
    table = [Measurement(*kind, size, speed) for (kind, size), speed in speeds.items()]
    chosen = {best: backend_of(best)}
    for_one = _fastest_for_one(built, best, shapes, device) if lone else best
    chosen[for_one] = backend_of(for_one)
    if inference.dtype == "auto" and any(backend.dtype != "float32" for backend in chosen.values()):
        in_float32 = {key: speed for key, speed in speeds.items() if key[0][1] == "float32"}
        exact = backend_of(max(in_float32, key=lambda key: in_float32[key])[0]) if in_float32 else None
        chosen = {kind: _checked(backend, exact, make, shapes, recheck_seconds) for kind, backend in chosen.items()}
    backend = chosen[best] if for_one == best else BySize(chosen[for_one], chosen[best])
    return Choice(backend, batch, sorted(table, key=lambda row: -row.evals_per_s))


def time_backends(
    built: Mapping[Kind, Backend], shapes: Shapes, sizes: Sequence[int], device: str, seconds: float
) -> Speeds:
    """Return the speeds of ``built`` at batches of ``sizes``, which rise; after ``seconds`` no more is timed, but the
    first size of each in any case."""
    speeds: Speeds = {}
    deadline = time.perf_counter() + seconds
    for turn in range(ROUNDS):  # rounds, because the speed of a virtual core drifts: the best one of each counts
        for size in sizes:
            for kind, backend in built.items():
                if (turn or size > sizes[0]) and time.perf_counter() > deadline:
                    continue
                speed = _time_batch(backend, shapes, size, SLICE_SECONDS, device == "cpu")
                speeds[kind, size] = max(speed, speeds.get((kind, size), 0.0))
    return speeds


def warm_up(backend: Backend, shapes: Shapes, batch: int) -> None:
    """Run ``backend`` once, as some compile only then."""
    _time_batch(backend, shapes, batch, 0.0, True)


def _checked(
    backend: Backend, exact: Backend | None, make: Callable[[Kind], Backend], shapes: Shapes, recheck_seconds: float
) -> Backend:
    """Return ``backend``, with a check of agreement with ``exact`` if its dtype is not float32.

    Without ``exact`` (a GPU's candidates are all of another dtype) it is compared with plain torch, and falls back on
    its own float32.
    """
    if backend.dtype == "float32":
        return backend
    twin = partial(make, (backend.name, "float32"))
    kind = AgreedOverlappingBackend if overlaps(backend) else AgreedBackend
    fallback = twin if exact is None else lambda: exact
    codes = random_codes(shapes, POSITIONS)
    return kind(backend, exact or make(("eager", "float32")), fallback, codes, shapes, recheck_seconds)


def _fastest_for_one(built: Mapping[Kind, Backend], best: Kind, shapes: Shapes, device: str) -> Kind:
    """Return the kind with the lowest latency for one board; ``best`` on a tie."""
    speeds = dict.fromkeys(built, 0.0)
    for _ in range(ROUNDS):
        for kind, backend in built.items():
            speeds[kind] = max(speeds[kind], _time_batch(backend, shapes, 1, SLICE_SECONDS, device == "cpu"))
    fastest = max(speeds, key=lambda kind: speeds[kind])
    return best if speeds[best] >= NEAR_BEST * speeds[fastest] else fastest


def _learned(net: NetSettings, shapes: Shapes, inference: InferenceSettings, device: str) -> Backend:
    from hexpipe.nets.backend_latent import LatentBackend

    return LatentBackend(net, shapes, 1, "float32" if inference.dtype == "auto" else inference.dtype, device)


def _time_batch(backend: Backend, shapes: Shapes, batch: int, seconds: float, on_cpu: bool) -> float:
    """Return positions a second in the fastest pass of ``batch`` random boards within ``seconds``, after a warm-up."""
    codes, out = random_codes(shapes, batch), Answers.allocate(batch, shapes)
    backend.infer(codes, out)
    # one thread on a CPU: its CPU time equals wall time on an idle machine, and stays correct on a busy one
    clock = time.process_time if on_cpu and _has_one_thread() else time.perf_counter
    quickest = float("inf")
    end = time.perf_counter() + seconds
    while True:
        begin = clock()
        backend.infer(codes, out)
        quickest = min(quickest, clock() - begin)
        if time.perf_counter() >= end:
            return batch / quickest


def _has_one_thread() -> bool:
    """Return whether this process computes on one thread: torch's setting where it is there, else the environment's."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() == 1 if torch is not None else os.environ.get("OMP_NUM_THREADS") == "1"


def random_codes(shapes: Shapes, batch: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
    """Return codes int8 [batch, C] of random boards like a game's: as many stones of the mover as of the opponent, or
    one fewer; of planes that a game declares, any of the codes that they show."""
    rng = generator(Stream.BOARDS, seed)
    if shapes.declared:
        shown = np.array([0, *(plane.code for plane in shapes.declared if plane.code != NUMBERS)], np.int8)
        codes = rng.choice(shown, (batch, shapes.code_length))
        for own in (plane.codes(shapes.view_cells) for plane in shapes.declared if plane.code == NUMBERS):
            numbers = rng.standard_normal((batch, (own.stop - own.start) // 2)).astype(np.float16)
            codes[:, own] = numbers.view(np.int8)
        legal = rng.random((batch, shapes.num_actions)) < 0.5
        legal[np.arange(batch), rng.integers(0, shapes.num_actions, batch)] = True
        codes[:, shapes.code_length - shapes.num_actions :] = legal
        return codes
    order = rng.permuted(np.tile(np.arange(shapes.view_cells), (batch, 1)), axis=1)
    plies = rng.integers(0, shapes.view_cells, (batch, 1))
    # the mover has fewer stones if they differ: of the first ``plies`` stones, the newest is the opponent's
    stones = np.where((plies - 1 - order) % 2 == 0, 2, 1)
    codes = np.zeros((batch, shapes.code_length), np.int8)
    codes[:, : shapes.view_cells] = np.where(order < plies, stones, 0)
    codes[:, shapes.view_cells : shapes.num_actions] = plies == 1
    return codes


def needs_torch(net: NetSettings, inference: InferenceSettings, device: str) -> bool:
    """Return whether a process that runs the net on ``device`` imports torch; SettingsError where nothing runs it."""
    return (
        bool(net.dynamics_blocks)
        or device != "cpu"
        or any(name not in ("winograd", "openvino") for name, _ in _candidates(net, inference, device))
    )


def _candidates(net: NetSettings, inference: InferenceSettings, device: str) -> list[Kind]:
    """Return the kinds that ``inference`` allows, this machine has and the net supports; SettingsError if there is
    none."""
    kinds = [kind for kind in _allowed(inference, device) if kind[0] != "winograd" or net.backbone == "resnet"]
    if not kinds:
        words = (
            f"inference.backend=winograd runs residual nets only, not net.backbone={net.backbone}; set "
            "inference.backend to auto"
        )
        raise SettingsError(words, kind="conflict", setting="inference.backend")
    return kinds


def _allowed(inference: InferenceSettings, device: str) -> list[Kind]:
    """Return the kinds that ``inference`` allows and this machine has, for any net; SettingsError if there is none."""
    on_gpu = device.startswith("cuda")
    automatic = _gpu_kinds(device) if on_gpu else _cpu_kinds()
    if inference.backend == "auto" and inference.dtype == "auto":
        # beside OpenVINO frozen torch is not timed: to import torch would cost a server seconds and 200 MB
        beside = "frozen" if _has_openvino() and any(kind[0] == "openvino" for kind in automatic) else "openvino"
        return [kind for kind in automatic if kind[0] != beside]
    wanted = [
        kind
        for kind in [*automatic, *(_ALL_GPU if on_gpu else _ALL_CPU)]
        if inference.backend in ("auto", kind[0]) and inference.dtype in ("auto", kind[1])
    ]
    wanted = list(dict.fromkeys(wanted))
    if inference.backend != "auto" and inference.dtype == "auto":
        # a dtype without hardware support is used only on request
        wanted = [kind for kind in wanted if kind in automatic] or wanted[:1]
    if not wanted:
        words = (
            f"inference.backend={inference.backend} with inference.dtype={inference.dtype} cannot run on {device}; "
            "set one of them to auto"
        )
        raise SettingsError(words, kind="conflict", setting="inference.backend")
    if all(kind[0] == "openvino" for kind in wanted) and not _has_openvino():
        words = f"inference.backend=openvino needs OpenVINO: {install_command('openvino')}"
        raise SettingsError(words, kind="missing", setting="inference.backend")
    return [kind for kind in wanted if kind[0] != "openvino" or _has_openvino()]


_ALL_CPU: list[Kind] = [
    ("winograd", "float32"),
    ("openvino", "float32"),
    ("frozen", "float32"),
    ("eager", "float32"),
    ("openvino", "bfloat16"),
    ("frozen", "bfloat16"),
    ("eager", "bfloat16"),
]
_ALL_GPU: list[Kind] = [
    (backend, dtype) for backend in ("cuda_graphs", "eager") for dtype in ("bfloat16", "float16", "float32")
]


def _cpu_kinds() -> list[Kind]:
    """Return the kinds to time on this CPU: bfloat16 only with hardware support, eager never (frozen is not slower)."""
    if has_bfloat16():
        return [("openvino", "bfloat16"), ("frozen", "bfloat16"), ("openvino", "float32"), ("winograd", "float32")]
    return [("winograd", "float32"), ("openvino", "float32"), ("frozen", "float32")]


def _gpu_kinds(device: str) -> list[Kind]:
    """Return the kinds to time on a GPU; SettingsError where torch sees none."""
    import torch

    if not torch.cuda.is_available():
        words = f"there is no {device}: torch sees no CUDA device; set devices=0 or install CUDA torch"
        raise SettingsError(words, kind="missing")
    dtype = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return [("cuda_graphs", dtype), ("eager", dtype)]


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def build_backend(kind: Kind, net: NetSettings, shapes: Shapes, device: str, max_batch: int) -> Backend:
    """Import and build one backend; each import is late because it is slow, or optional."""
    name, dtype = kind
    if name == "cuda_graphs":
        from hexpipe.nets.backend_cuda_graphs import CudaGraphsBackend

        return CudaGraphsBackend(net, shapes, dtype, device, max_batch)
    if name == "openvino":
        from hexpipe.nets.backend_openvino import OpenVinoBackend

        return OpenVinoBackend(net, shapes, dtype, device)
    if name == "winograd":
        from hexpipe.nets.backend_winograd import WinogradBackend

        return WinogradBackend(net, shapes, dtype, device)
    from hexpipe.nets.backend_torch import EagerBackend, FrozenBackend

    return (FrozenBackend if name == "frozen" else EagerBackend)(net, shapes, dtype, device)
