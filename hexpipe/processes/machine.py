"""Cores and GPUs of the machine, and the environment variables of processes."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

_SMI_TIMEOUT = 10.0


def available_cores() -> int:
    """Count the cores this process may use: its affinity, or the cgroup's CPU quota if smaller; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = _cgroup_quota(Path("/sys/fs/cgroup"))
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


def visible_gpus() -> int:
    """Count the NVIDIA GPUs that CUDA programs started here will see, without importing torch; 0 without a driver."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        found = [part.strip() for part in hidden.split(",") if part.strip() not in ("", "-1")]
    else:
        found = [line.strip() for line in _smi("--list-gpus")]  # MIG slices of a GPU are listed below it
    return 1 if any(name.startswith("MIG") for name in found) else len(found)  # CUDA shows only the first slice


def gpu_use() -> list[tuple[int, int, int]]:
    """Return (busy percent, memory used in MB, memory in MB) of each GPU; empty if nvidia-smi is missing or fails."""
    lines = _smi("--query-gpu=utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits")
    use = []
    for line in lines:
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 3 and all(part.isdigit() for part in parts):
            use.append((int(parts[0]), int(parts[1]), int(parts[2])))
    return use


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment of a role with ``threads`` threads; it must be set before torch is imported, and before
    numpy where its products are to have as many.

    Waiting is passive: OpenMP threads that spin on shared cores slow a run up to fifty times.
    """
    count = str(threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {
        **dict.fromkeys(names, count),
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
    }


@contextlib.contextmanager
def exported(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the children that are spawned within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cgroup_quota(root: Path) -> float | None:
    """Return the CPU quota in cores of a control group, of version 2 or 1; None if unlimited."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((root / name).read_text() for name in names).split()
            return int(quota) / int(period) if quota not in ("max", "-1") else None
        except (OSError, ValueError):
            continue
    return None


def _smi(*arguments: str) -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        answer = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=_SMI_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in answer.stdout.splitlines() if line.strip()] if answer.returncode == 0 else []
