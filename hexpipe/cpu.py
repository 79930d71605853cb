"""What Linux says of this machine's processor."""

from __future__ import annotations

from pathlib import Path


def cpuinfo(key: str) -> str:
    """Return the first value under ``key`` in /proc/cpuinfo, "" where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""  # not Linux
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == key), "")


def cpu_flags() -> frozenset[str]:
    """Return the names of what the processor can do: "avx2", "amx_bf16", ..."""
    return frozenset(cpuinfo("flags").split())


def has_bfloat16() -> bool:
    """Return whether the processor has instructions for products of bfloat16."""
    return not cpu_flags().isdisjoint({"amx_bf16", "avx512_bf16"})
