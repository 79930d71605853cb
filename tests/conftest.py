"""Shared by all tests: spawned children import the functions that tests give them as tests.FOLDER.MODULE."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--game", metavar="PACKAGE.MODULE:CLASS", help="the conformance tests, of this game alone")
    parser.addoption("--size", type=int, default=4, metavar="N", help="cells along a side of that game's board")
