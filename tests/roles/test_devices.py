"""Where servers and learners run: what the settings name, what auto takes, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hexpipe.cli.main import run
from hexpipe.cluster.nodes import Node, node_settings
from hexpipe.config import AUTO, dump_settings, load_settings, settings_from_json
from hexpipe.errors import SettingsError
from hexpipe.roles.plan import plan_processes
from tests.refusals import refused


@pytest.mark.parametrize(
    ("gpus", "overrides", "servers", "learners"),
    [
        (4, {}, "cuda:0 cuda:1 cuda:2 cuda:3", "cuda:3"),
        (1, {}, "cuda:0", "cuda:0"),
        (4, {"devices": 2}, "cuda:0 cuda:1", "cuda:1"),
        (4, {"inference.servers": 2}, "cuda:0 cuda:1", "cuda:3"),
        (2, {"inference.servers": 3}, "cuda:0 cuda:1 cuda:0", "cuda:1"),
        (4, {"inference.devices": "cuda:2,cuda:3"}, "cuda:2 cuda:3", "cuda:1"),
        (4, {"inference.devices": "cuda:1,cpu", "devices": 0}, "cuda:1 cpu", "cpu"),
        (4, {"learner.devices": "cuda:3,cuda:2"}, "cuda:0 cuda:1 cuda:2 cuda:3", "cuda:3 cuda:2"),
        (0, {"inference.devices": "cpu,cpu,cpu", "learner.devices": "cpu,cpu"}, "cpu cpu cpu", "cpu cpu"),
        (0, {"learner.devices": "cpu,cpu", "selfplay.workers": 0}, "", "cpu cpu"),
    ],
)
def test_named_devices_and_auto(gpus: int, overrides: dict[str, object], servers: str, learners: str) -> None:
    settings = load_settings("quick", overrides)
    plan = plan_processes(settings, cores=16, gpus=gpus)
    assert (plan.server_devices, plan.learner_devices) == (tuple(servers.split()), tuple(learners.split()))
    assert len(plan.learner_devices) == settings.learner.ranks
    on_cpu = plan.learner_devices.count("cpu")
    assert plan.learner_threads == ((16 if not plan.workers else 4) // on_cpu if on_cpu else 1)


def test_learners_on_the_cpu_leave_the_other_cores_to_servers() -> None:
    settings = load_settings("quick", {"learner.devices": "cpu,cpu", "selfplay.workers": 8})
    plan = plan_processes(settings, cores=16, gpus=0)
    assert plan.learner_threads == 2
    assert len(plan.server_devices) == 12
    on_gpu = load_settings("quick", {"learner.devices": "cuda:0", "devices": 0, "selfplay.workers": 8})
    assert len(plan_processes(on_gpu, cores=16, gpus=1).server_devices) == 16


@pytest.mark.parametrize("name", ["inference.devices", "learner.devices"])
def test_a_gpu_that_is_not_there_is_refused(name: str) -> None:
    settings = load_settings("quick", {name: "cuda:0,cuda:3"})
    with refused(SettingsError, "cuda:3", "cuda:0 to cuda:1", kind="missing", setting=name):
        plan_processes(settings, 8, 2)
    with refused(SettingsError, "cuda:0", "no GPU", kind="missing", setting=name):
        plan_processes(settings, 8, 0)
    plan_processes(settings, 8, 4)


@pytest.mark.parametrize(
    ("overrides", "kind", "setting"),
    [
        ({"inference.devices": "gpu0"}, "type", "inference.devices"),
        ({"learner.devices": "cuda:0,,cuda:1"}, "type", "learner.devices"),
        ({"learner.devices": "auto,cpu"}, "type", "learner.devices"),
        ({"learner.devices": ""}, "type", "learner.devices"),
        ({"inference.devices": "cpu,cpu", "inference.servers": 2}, "conflict", "inference.servers"),
        ({"learner.devices": "cpu,cuda:0"}, "conflict", "learner.devices"),
        ({"learner.devices": "cuda:1,cuda:1"}, "conflict", "learner.devices"),
        ({"learner.devices": "cpu,cpu,cpu"}, "conflict", "learner.batch_size"),
    ],
)
def test_lists_that_cannot_be_are_refused(overrides: dict[str, object], kind: str, setting: str) -> None:
    with refused(SettingsError, kind=kind, setting=setting):
        load_settings("quick", overrides)


@pytest.mark.parametrize("command", ["run", "train"])
def test_the_command_refuses_before_it_starts_anything(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    folder = tmp_path / "run"
    assert run([command, f"--run-dir={folder}", "--inference-devices=cuda:0", "--learner-devices=cuda:2"]) == 2
    assert "learner.devices names cuda:2" in capsys.readouterr().err
    assert not folder.exists()


def test_files_from_before_the_list_are_read() -> None:
    text = re.sub(r'"version": \d+,', "", dump_settings(load_settings("quick")))
    older = text.replace(f'"devices": "{AUTO}",\n    "dtype"', '"processes": 2,\n    "dtype"')
    assert older != text
    assert settings_from_json(older) == load_settings("quick")


def test_lists_of_devices_are_for_the_machines_that_have_what_they_name() -> None:
    """A cluster's nodes have the servers, the run's own machine has the learners."""
    lists = {"inference.devices": "cuda:0,cuda:1", "learner.devices": "cuda:0,cuda:2", "cluster.address": "local"}
    settings = load_settings("quick", lists)
    head = plan_processes(settings, 8, 3)
    assert (head.workers, head.server_devices, head.learner_devices) == (0, (), ("cuda:0", "cuda:2"))
    with refused(SettingsError, "cuda:2", kind="missing", setting="learner.devices"):
        plan_processes(settings, 8, 2)
    node = Node("id", "other", "192.0.2.2", cores=8, gpus=2)
    plan = plan_processes(node_settings(settings, node, (1,), shared=False), node.cores, node.gpus)
    assert plan.server_devices == ("cuda:0", "cuda:1")
    cpus = load_settings("quick", {"inference.devices": "cpu,cpu", "cluster.address": "local"})
    bare = Node("id", "another", "192.0.2.3", cores=8, gpus=0)
    assert plan_processes(node_settings(cpus, bare, (1,), shared=False), 8, 0).server_devices == ("cpu", "cpu")
