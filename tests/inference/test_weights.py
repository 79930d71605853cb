"""WeightsBoard: whole versions only, whatever the writer is doing."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from hexpipe.errors import InferenceError
from hexpipe.inference import weights as weights_module
from hexpipe.inference.weights import WeightsBoard
from hexpipe.shm import spawn_context
from tests.refusals import refused

TEMPLATE = [("conv.weight", (8, 4, 3, 3)), ("bias", (5,)), ("scale", ())]


def _tensors(version: int, template: list[tuple[str, tuple[int, ...]]] = TEMPLATE) -> dict[str, np.ndarray]:
    return {name: np.full(shape, version + k, np.float32) for k, (name, shape) in enumerate(template)}


def _publish_for_ever(board: WeightsBoard) -> None:
    version = board.latest_version
    while True:
        version += 1
        board.publish(version, _tensors(version, board.template))


def test_readers_get_the_newest_version_once() -> None:
    board = WeightsBoard.create(TEMPLATE, private=True)
    assert board.read_if_newer(0) is None
    for version in (1, 2, 7):
        board.publish(version, _tensors(version))
        newer = board.read_if_newer(0)
        assert newer is not None
        assert newer[0] == version == board.latest_version
        for name, expected in _tensors(version).items():
            np.testing.assert_array_equal(newer[1][name], expected)
        assert board.read_if_newer(version) is None
    with refused(InferenceError, "7", kind="conflict"):
        board.publish(7, _tensors(7))


def test_what_was_read_is_a_copy() -> None:
    board = WeightsBoard.create(TEMPLATE, private=True)
    board.publish(1, _tensors(1))
    first = board.read_if_newer(0)
    board.publish(2, _tensors(2))
    board.publish(3, _tensors(3))
    assert first is not None
    assert (first[1]["bias"] == 2).all()


def test_wrong_tensors_are_named_and_change_nothing() -> None:
    board = WeightsBoard.create(TEMPLATE, private=True)
    board.publish(1, _tensors(1))
    with refused(InferenceError, "'bias'", "(6,)", kind="foreign"):
        board.publish(2, _tensors(2) | {"bias": np.zeros(6, np.float32)})
    with refused(InferenceError, "missing", kind="foreign"):
        board.publish(2, {"conv.weight": np.zeros((8, 4, 3, 3), np.float32)})
    assert board.latest_version == 1
    assert board.read_if_newer(0) is not None
    board.publish(2, _tensors(2))
    newer = board.read_if_newer(1)
    assert newer is not None
    assert (newer[1]["bias"] == 3).all()


def test_damage_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "_PAUSE", 0.0)
    board = WeightsBoard.create(TEMPLATE, private=True)
    board.publish(1, _tensors(1))
    board.segment.arrays["data"][:, 3] += 1
    with refused(InferenceError, kind="damaged"):
        board.read_if_newer(0)


def test_a_writer_killed_anywhere_leaves_a_whole_version() -> None:
    template = [("big", (300, 1000)), ("other", (700, 100))]
    board = WeightsBoard.create(template)
    seen = 0
    rng = np.random.default_rng(0)
    for _round in range(4):
        writer = spawn_context().Process(target=_publish_for_ever, args=(board,))
        writer.start()
        deadline = time.monotonic() + 60
        while board.latest_version < seen + 20 and time.monotonic() < deadline:
            newer = board.read_if_newer(seen)
            if newer is not None:
                _assert_whole(newer, template)
        time.sleep(float(rng.uniform(0, 0.01)))
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        newer = board.read_if_newer(seen)
        assert newer is not None
        assert newer[0] == board.latest_version >= seen + 20
        _assert_whole(newer, template)
        seen = newer[0]
    board.close()


def _assert_whole(newer: tuple[int, dict[str, np.ndarray]], template: list[tuple[str, tuple[int, ...]]]) -> None:
    for name, expected in _tensors(newer[0], template).items():
        assert np.array_equal(newer[1][name], expected)
