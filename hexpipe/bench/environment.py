"""Facts that a figure depends on beside the code: versions, cores, devices and the settings of the benchmark."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import psutil

from hexpipe import __version__
from hexpipe.cpu import cpu_flags, cpuinfo
from hexpipe.processes.machine import available_cores

PACKAGES = ("numba", "numpy", "openvino", "torch")


def describe() -> dict[str, int | float | str]:
    """Return flat facts to print beside a figure; ``*_version`` is "none" for a package that is not installed."""
    return {
        "hexpipe_version": __version__,
        "python_version": platform.python_version(),
        **{f"{name}_version": _version(name) for name in PACKAGES},
        "cores": available_cores(),
        "cpu": cpuinfo("model name") or platform.processor() or "unknown",
        "cpu_features": " ".join(_cpu_features()),
        "gpus": _gpus(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "platform": f"{sys.platform} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _cpu_features() -> list[str]:
    """Return the vector units that decide how fast a net runs here."""
    flags = cpu_flags()
    return [name for name in ("avx2", "avx512f", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8") if name in flags]


def _gpus() -> str:
    """Return the names of the NVIDIA GPUs that the driver shows, without loading torch; "none" where there is none."""
    names = []
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = information.read_text(encoding="utf-8").splitlines()
        names += [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:")]
    return ", ".join(names) or "none"
