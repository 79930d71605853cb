"""The memory benchmark runs the real command."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.bench import memory


@pytest.mark.slow
def test_a_short_look_at_a_run() -> None:
    figures = memory.run(minutes=0.1, workers=2, full_queue=True)
    assert figures["memory_mb_first"] > 100
    assert figures["open_files_first"] > 50
    assert figures["times_full"] >= 1
    assert 1 <= figures["share_ratio"] < 10
    assert figures["games"] > 600


def test_a_line_is_fitted_with_its_error() -> None:
    hours = np.linspace(0, 0.5, 300)
    first, last, slope, error = memory.fitted(hours, 100 + 4 * hours)
    assert (first, last, slope) == pytest.approx((100, 102, 4))
    assert error < 1e-9
    rng = np.random.default_rng(0)
    slopes, errors = [], []
    for _ in range(200):
        _, _, slope, error = memory.fitted(hours, 100 + rng.normal(0, 1, 300))
        slopes.append(slope)
        errors.append(error)
    assert np.std(slopes) == pytest.approx(np.mean(errors), rel=0.15)
