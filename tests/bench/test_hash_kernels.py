"""The evaluator of the benchmarks must be one: policies over the empty cells, small zero-sum values."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.bench.hash_kernels import hash_evaluate


@pytest.mark.parametrize("cells", [9, 121])
def test_policies_and_values(cells: int) -> None:
    codes = np.random.default_rng(0).integers(0, 3, (300, cells), dtype=np.int8)
    codes[:, 0] = 0
    priors, values = np.full(codes.shape, np.nan, np.float32), np.full((300, 2), np.nan, np.float32)
    hash_evaluate(codes, priors, values)
    assert (priors[codes == 0] > 0).all()
    assert (priors[codes != 0] == 0).all()
    assert priors.sum(1) == pytest.approx(np.ones(300), abs=1e-5)
    assert len(np.unique(priors.argmax(1))) > min(cells, 30) / 2
    assert np.abs(values).max() <= 0.5
    assert values[:, 0].std() > 0.2
    assert np.array_equal(values[:, 1], -values[:, 0])
    again = np.zeros_like(priors)
    hash_evaluate(codes, again, values)
    assert np.array_equal(priors, again)
