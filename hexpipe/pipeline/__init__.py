"""`hexpipe run` and `hexpipe train`: the assembly of the roles."""

from __future__ import annotations

import importlib
from types import ModuleType

_MOVED = {
    "cluster": "hexpipe.cluster.ray_bridge",
    "cluster_main": "hexpipe.cluster.cluster_main",
    "pace": "hexpipe.roles.throttle",
    "pod": "hexpipe.cluster.pod",
}
"""New places of modules that documents of 0.1.0 named here."""


def __getattr__(name: str) -> ModuleType:
    if name in _MOVED:
        return importlib.import_module(_MOVED[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
