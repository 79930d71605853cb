"""The learner benchmark, short: its keys, and figures that must hold whatever the speed."""

from __future__ import annotations

import torch

from hexpipe.bench import learner


def test_learner_benchmark() -> None:
    threads = torch.get_num_threads()
    result = learner.run(seconds=1.0, slices=2, size=3, blocks=1, channels=8, batch_size=32, games=20)
    assert {"sync_steps_per_s", "async_steps_per_s", "data_wait_fraction"} <= result.keys()
    assert float(result["sync_steps_per_s"]) > 0
    assert float(result["async_steps_per_s"]) > 0
    assert 0 <= float(result["data_wait_fraction"]) < 1
    assert 0 < float(result["sync_data_fraction"]) < 1
    assert int(result["steps"]) >= 4
    assert torch.get_num_threads() == threads


def test_a_transformer_is_trained_too() -> None:
    result = learner.run(
        seconds=0.2, slices=1, size=3, backbone="transformer", blocks=1, channels=16, batch_size=8, games=4
    )
    assert float(result["sync_steps_per_s"]) > 0
