"""The name that documents of 0.1.0 have for `hexpipe.notation.format_conversion`."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("hexpipe.notation.format_conversion"), name)
