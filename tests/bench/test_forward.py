"""The forward benchmark, short: its keys, and that it runs what it was told to."""

from __future__ import annotations

import pytest

from hexpipe.bench import forward
from hexpipe.bench.measuring import BATCHES
from hexpipe.errors import ProcessDiedError, SettingsError
from tests.refusals import refused

TINY = {"seconds": 0.1, "blocks": 1, "channels": 8, "size": 5, "devices": 0}


def test_forward_benchmark_finds_a_backend() -> None:
    result = forward.run(**TINY, processes=1)
    assert float(result["evals_per_s"]) > 0
    assert result["processes"] == 1
    # the backend is the fastest of the table; its batch is chosen afterwards, with every process at work
    speeds = {key: float(value) for key, value in result.items() if key.endswith("_evals_per_s")}
    chosen = f"{result['backend']}_{result['dtype']}_"
    assert max(speed for key, speed in speeds.items() if key.startswith(chosen)) >= 0.97 * max(speeds.values())
    assert result["batch"] in BATCHES


def test_processes_add_up() -> None:
    result = forward.run(**TINY, processes=2, backend="eager", batch=4)
    assert (result["backend"], result["dtype"], result["batch"], result["processes"]) == ("eager", "float32", 4, 2)
    assert float(result["evals_per_s_per_core"]) == pytest.approx(float(result["evals_per_s"]) / 2)


def test_a_backend_that_is_not_there_is_refused() -> None:
    with refused(SettingsError, "on cpu", kind="conflict", setting="inference.backend"):
        forward.run(**TINY, processes=1, backend="cuda_graphs")


def test_an_error_in_a_process_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "BATCHES", ("no number",))
    with pytest.raises(ProcessDiedError, match=r"forward-0.*\n(.*\n)*.*TypeError"):
        forward.run(**TINY, processes=1, batch=None)


def test_a_transformer_runs_without_winograd() -> None:
    tiny = {**TINY, "backbone": "transformer", "channels": 16}
    result = forward.run(**tiny, processes=1, batch=4)
    assert result["backend"] in ("openvino", "frozen")
    with refused(SettingsError, "transformer", kind="conflict", setting="inference.backend"):
        forward.run(**tiny, processes=1, backend="winograd")
