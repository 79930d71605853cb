"""Shared by all tests: spawned children import the functions that tests give them as tests.FOLDER.MODULE."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
