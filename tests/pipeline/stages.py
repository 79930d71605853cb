"""What tests of growing boards share."""

from __future__ import annotations

import inspect

import pytest

from hexpipe.replay.archive import ReplayArchive

STAGES = [[3, 3], [4, 3], [5, 4]]

takes_stages = pytest.mark.skipif(
    "games" not in inspect.signature(ReplayArchive).parameters, reason="the archive and the buffer take one game only"
)
