"""A dtype that nobody named runs a net only while it agrees with float32, with the weights that were loaded last."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.config import InferenceSettings, NetSettings, Shapes
from hexpipe.errors import InferenceError
from hexpipe.nets import choose_backend as chooser
from hexpipe.nets.agreement import (
    POLICY_MEAN,
    POSITIONS,
    VALUE_MEAN,
    VALUE_MOST,
    AgreedBackend,
    AgreedOverlappingBackend,
    agreement_of,
    measure,
)
from hexpipe.nets.backends import BySize, overlaps
from hexpipe.nets.choose_backend import choose_backend, random_codes
from hexpipe.nets.factory import build_net, net_weights

SHAPES = Shapes(board_size=3, num_actions=9, num_seats=2, code_length=9)
CODES = random_codes(SHAPES, POSITIONS)
NET = NetSettings(blocks=1, channels=8)


class Fake:
    """Even policies and values of 0, off by what its weights say; the one farthest off by ``most``."""

    def __init__(self, dtype: str = "bfloat16") -> None:
        self.name, self.dtype = "fake", dtype
        self.value = self.policy = self.most = 0.0
        self.loads = 0

    def load(self, weights: Mapping[str, Any]) -> None:
        self.loads += 1
        if self.dtype != "float32":
            self.value, self.policy, self.most = (float(weights.get(k, 0)) for k in ("value", "policy", "most"))

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        if not np.isfinite(self.value):
            raise InferenceError("a number that is not finite")
        out.priors[...] = 1 / 9
        out.priors[:, 0] += self.policy
        out.priors[:, 1] -= self.policy
        out.values[:, 0], out.values[:, 1] = self.value, -self.value
        out.values[0, 0] += self.most

    def start(self, codes: NDArray[np.int8]) -> int:
        return len(codes)

    def finish(self, ticket: int, out: Answers) -> None:
        out.values[...] = ticket if self.dtype == "float32" else -ticket


def weights(**off: float) -> dict[str, Any]:
    return off


@pytest.mark.parametrize(
    ("off", "near"),
    [
        ({}, True),
        ({"value": 0.9 * VALUE_MEAN, "policy": 0.9 * POLICY_MEAN}, True),
        ({"value": 1.1 * VALUE_MEAN}, False),
        ({"policy": 1.1 * POLICY_MEAN}, False),
        ({"most": 0.9 * VALUE_MOST}, True),
        ({"most": 1.1 * VALUE_MOST}, False),
        ({"value": np.inf}, False),
    ],
)
def test_what_is_near_enough_is_taken(off: dict[str, float], near: bool, caplog: pytest.LogCaptureFixture) -> None:
    fast, exact = Fake(), Fake("float32")
    backend = AgreedBackend(fast, exact, lambda: exact, CODES, SHAPES)
    assert agreement_of(backend) is None
    with caplog.at_level(logging.INFO):
        backend.load(weights(**off))
    found = agreement_of(backend)
    assert found is not None
    assert found.holds == near
    assert backend.dtype == ("bfloat16" if near else "float32")
    assert ("bfloat16 is taken" if near else "bfloat16 is refused, float32 taken") in caplog.text
    out = Answers.allocate(4, SHAPES)
    backend.infer(CODES[:4], out)
    assert out.values[1, 0] == pytest.approx(fast.value if near else 0.0)


def test_each_load_is_looked_at_or_the_first_within_a_time() -> None:
    for recheck, holds in ((0.0, False), (3600.0, True)):
        fast, exact = Fake(), Fake("float32")
        backend = AgreedBackend(fast, exact, lambda exact=exact: exact, CODES, SHAPES, recheck)
        backend.load(weights())
        backend.load(weights(value=0.5))
        assert (backend.dtype == "bfloat16") == holds
        assert fast.loads == 2
        assert exact.loads == 1 + (not holds)


def test_what_was_started_is_finished_where_it_was_started() -> None:
    """Also after other weights have brought another backend; and no comparison gets between two batches."""
    fast, fallback, made = Fake(), Fake("float32"), []
    backend = AgreedOverlappingBackend(fast, Fake("float32"), lambda: made.append(1) or fallback, CODES, SHAPES)
    assert overlaps(backend)
    backend.load(weights())
    assert made == [], "it is made when it is needed"
    first = backend.start(CODES[:3])
    backend.load(weights(value=0.5))
    assert (backend.dtype, made, fallback.loads) == ("float32", [1], 1)
    second = backend.start(CODES[:3])
    backend.load(weights())
    assert backend.dtype == "float32", "two batches are under way: not now"
    for ticket, wanted in ((second, 3), (first, -3)):
        out = Answers.allocate(3, SHAPES)
        backend.finish(ticket, out)
        assert (out.values == wanted).all()
    backend.load(weights())
    assert backend.dtype == "bfloat16"


def test_distances_are_what_they_are_called() -> None:
    fast, exact = Fake(), Fake("float32")
    fast.load(weights(value=0.01, policy=0.02, most=0.5))
    found = measure(fast, exact, CODES, SHAPES)
    assert found.value_mean == pytest.approx(0.01 + 0.5 / (2 * POSITIONS), abs=1e-6)
    assert (found.value_most, found.policy_mean) == pytest.approx((0.51, 0.02), abs=1e-6)


def test_real_nets_that_are_chosen_are_held_to_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh net agrees; one of large weights does not, and plays on in float32. A dtype that is named is not held."""
    monkeypatch.setattr(chooser, "_cpu_kinds", lambda: [("frozen", "bfloat16"), ("frozen", "float32")])
    monkeypatch.setattr(chooser, "_time_batch", lambda backend, *_: 2.0 if backend.dtype == "bfloat16" else 1.0)
    torch.manual_seed(0)
    fresh = net_weights(build_net(NET, SHAPES))
    rng = np.random.default_rng(0)
    wild = {name: array + rng.normal(0, 4, array.shape).astype(np.float32) for name, array in fresh.items()}
    for lone in (False, True):
        backend = choose_backend(NET, SHAPES, InferenceSettings(), "cpu", (4,), lone=lone).backend
        assert not isinstance(backend, BySize)
        backend.load(fresh)
        assert backend.dtype == "bfloat16"
        assert str(agreement_of(backend)).startswith("bfloat16 is taken: on 256 positions")
        backend.load(wild)
        assert backend.dtype == "float32"
        wanted = choose_backend(NET, SHAPES, InferenceSettings(backend="frozen", dtype="float32"), "cpu", (4,)).backend
        wanted.load(wild)
        assert measure(backend, wanted, CODES, SHAPES)[1:] == (0, 0, 0)
    named = choose_backend(NET, SHAPES, InferenceSettings(dtype="bfloat16", backend="frozen"), "cpu", (4,)).backend
    named.load(wild)
    assert (named.dtype, agreement_of(named)) == ("bfloat16", None)
