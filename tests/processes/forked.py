"""The processes that a supervisor has started."""

from __future__ import annotations

import psutil


def forked(supervisor: psutil.Process) -> list[psutil.Process]:
    """Those that were forked from the nursery of ``supervisor``."""
    nurseries = [child for child in supervisor.children() if "spawn_main" in " ".join(child.cmdline())]
    return [child for nursery in nurseries for child in nursery.children()]
