"""The startup benchmark runs the real command."""

from __future__ import annotations

import pytest

from hexpipe.bench import startup
from hexpipe.errors import HexpipeError


@pytest.mark.slow
def test_first_game_comes_soon() -> None:
    figures = startup.run(repeats=1)
    assert float(figures["seconds"]) > 0.5


def test_a_run_that_cannot_start_is_explained() -> None:
    with pytest.raises(HexpipeError, match="no preset"):  # in what the command has said
        startup.run(preset="no-such", repeats=1, timeout=60)
