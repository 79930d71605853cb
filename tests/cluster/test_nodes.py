"""What the run's own machine does about a cluster's nodes, and a pod, without Ray."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from rich.console import Console

import hexpipe
from hexpipe.cli import main
from hexpipe.cluster import nodes
from hexpipe.cluster.nodes import Node, Report
from hexpipe.cluster.pod import FOLDER_PREFIX, Pod
from hexpipe.cluster.private_folder import private_folder, remove_if_dead
from hexpipe.config import Settings, dump_settings, load_settings
from hexpipe.errors import HexpipeError, SettingsError
from hexpipe.games.factory import make_game
from hexpipe.nets.net_template import net_template
from hexpipe.processes.stall_watch import StallWatch
from hexpipe.processes.stats import Waiting
from hexpipe.records import GameRecord
from hexpipe.roles import cluster
from hexpipe.roles.every_role import ROLES
from hexpipe.roles.plan import plan_processes
from hexpipe.roles.segments import process_names
from hexpipe.watch.progress import ProgressMeter, as_metrics
from hexpipe.watch.view import plain_line, render
from tests.boards import Board, make_board
from tests.pipeline.runs import all_gone
from tests.processes.forked import forked
from tests.refusals import refused

HERE = Node("a1", "here", "192.0.2.1", cores=8, gpus=0)
TINY = {
    "game.board_size": 3, "search.num_simulations": 8, "net.blocks": 1, "net.channels": 8, "net.value_hidden": 8,
    "inference.backend": "eager", "selfplay.workers": 1, "inference.servers": 1, "devices": 0,
    "selfplay.game_queue": 8,
}  # fmt: skip


def report(evals: float) -> Report:
    counters = dict.fromkeys(cluster.POD_COUNTERS, 0.0) | {"evals": evals, "positions": 2 * evals}
    return Report(
        games=[], counters=counters, restarts=0, generators=2, servers=3, ready=evals > 0,
        waiting=int(Waiting.WORKING), note="eager float32 on cpu", failure="", usage=False,
    )  # fmt: skip


@pytest.fixture
def board() -> Iterator[Board]:
    settings = load_settings("quick", {"cluster.address": "local", "cluster.max_nodes": 2})
    names = process_names(ROLES, settings, plan_processes(settings, 4, 0))
    assert names == ["cluster-0", "learner-0", "replay-0", "rating-0", "node-0", "node-1"]
    board = make_board(names)
    for name in names[:4]:
        board.row(name).beat()
    yield board
    board.stats.segment.close()


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ({"cluster.address": "head"}, "type"),
        ({"cluster.address": "ray://head:10001"}, "type"),
        ({"cluster.address": "local", "selfplay.workers": 0}, "conflict"),
        ({"cluster.address": "local", "reanalyze.ratio": 1.0}, "conflict"),
        ({"cluster.address": "local", "league.share": 0.5}, "conflict"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(overrides: dict[str, object], kind: str) -> None:
    with refused(SettingsError, kind=kind, setting="cluster.address"):
        load_settings("quick", overrides)


def test_an_address_where_nothing_listens_ends_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["run", "--ray", "127.0.0.1:1", "--run-dir", str(tmp_path / "run")]) == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_missing_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with refused(SettingsError, "-m pip install ray", kind="missing", setting="cluster.address"):
        cluster.check_cluster("local")


def test_every_pod_plays_games_of_its_own() -> None:
    settings = load_settings("quick", {"cluster.address": "local"})
    identities = [(session, restarts, pod) for session in range(2) for restarts in range(2) for pod in range(3)]
    seeds = {nodes.node_settings(settings, HERE, identity, shared=True).seed for identity in identities}
    assert len(seeds) == len(identities)
    again = nodes.node_settings(settings, HERE, identities[0], shared=True)
    assert again == nodes.node_settings(settings, HERE, identities[0], shared=True)
    assert again.cluster.address is None


def test_a_node_without_the_learner_has_every_core_for_its_servers() -> None:
    settings = load_settings("quick", {"cluster.address": "local", "selfplay.workers": 8})

    def servers(settings: Settings, shared: bool) -> int:
        return len(plan_processes(nodes.node_settings(settings, HERE, (0,), shared), HERE.cores, 0).server_devices)

    assert (servers(settings, shared=True), servers(settings, shared=False)) == (6, 8)
    told = load_settings("quick", {"cluster.address": "local", "inference.servers": 2})
    assert servers(told, shared=False) == 2


def test_rows_of_lost_nodes_are_used_again_and_count_on(board: Board) -> None:
    first = nodes.take_row(*board, HERE)
    assert first is not None
    first.update(report(100.0), games=3)
    assert first.ready
    assert board.row("node-0").note == "here plays: eager float32 on cpu"
    second = nodes.take_row(*board, Node("b2", "there", "192.0.2.2", 4, 0))
    assert second is not None
    assert nodes.take_row(*board, HERE) is None, "max_nodes is 2"
    first.lose("it is gone")
    assert board.row("node-0").note == "here was lost: it is gone"
    third = nodes.take_row(*board, HERE)
    assert third is not None
    third.update(report(50.0), games=1)
    row = board.row("node-0")
    assert (row["games"], row["evals"], row["generators"], board.of("node-0").done) == (4, 150, 2, 0)
    nodes.release_rows(*board)
    assert [board.of(name).done for name in ("node-0", "node-1")] == [1, 1]


def test_nodes_are_in_the_figures_and_in_every_view(board: Board) -> None:
    meter = ProgressMeter(*board, load_settings("quick", {"cluster.address": "local"}), gpus=0)
    assert meter.read().nodes == [], "no node has come"
    row = nodes.take_row(*board, HERE)
    assert row is not None
    time.sleep(0.6)
    row.update(report(1000.0), games=7)
    figures = meter.read()
    node = figures.nodes[0]
    assert (node.name, node.generators, node.servers, node.games, node.waiting) == ("node-0", 2, 3, 7, "working")
    assert node.evals_per_s == pytest.approx(figures.values["evals_per_s"])
    assert node.positions_per_s == pytest.approx(2 * node.evals_per_s)
    assert "node-0" not in {process.name for process in figures.processes}
    assert as_metrics(figures)["games/node-0"] == 7
    live = io.StringIO()
    Console(file=live, width=160).print(render(figures))
    for part in ("node-0", "here plays: eager float32 on cpu", f"{node.evals_per_s:,.0f}"):
        assert part in live.getvalue()
    assert f"node-0 {node.evals_per_s:,.0f} evals/s" in plain_line(figures)
    row.lose("it is gone")
    assert "node-0" not in plain_line(meter.read())
    assert meter.read().nodes[0].waiting == "lost"


def test_a_silent_node_is_no_stall(board: Board) -> None:
    watch = StallWatch(*board, ROLES, 20.0, lambda pid: "")
    assert watch.check() == []
    row = nodes.take_row(*board, HERE)
    assert row is not None
    board.row("node-0")["beat"] -= 100.0
    assert watch.check() == []
    assert "node-0 starting (no sign of life for 100 s)" in watch.explain()
    assert "node-1" not in watch.explain()
    board.row("cluster-0")["beat"] -= 100.0
    with pytest.raises(HexpipeError, match="nothing has gone on for 100 s"):
        watch.check()


def test_private_folders_of_the_dead_are_removed(tmp_path: Path) -> None:
    with private_folder("pod-", tmp_path) as mine:
        assert mine.stat().st_mode & 0o777 == 0o700
        (mine / "file").write_text("content")
        assert not remove_if_dead(mine), "its process lives"
        dead, young, other = (tmp_path / name for name in ("pod-dead", "pod-young", "other"))
        for folder in (dead, young, other):
            folder.mkdir()
        os.utime(dead, (0, 0))
        os.utime(other, (0, 0))
        with private_folder("pod-", tmp_path):
            assert [folder.exists() for folder in (mine, dead, young, other)] == [True, False, True, True]
    assert not mine.exists()


def test_a_pod_plays_and_gives_every_game_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexpipe.cluster.pod.tempfile.gettempdir", lambda: str(tmp_path))
    settings = load_settings("quick", TINY)
    template = net_template(settings.net, make_game(settings.game).shapes)
    weights = {name: np.zeros(shape, np.float32) for name, shape in template}
    pod = Pod(dump_settings(settings), hexpipe.__version__, 2, 0)
    children: list[int] = []
    try:
        told, deadline = pod.exchange((1.0, 0.0), (5, weights)), time.monotonic() + 120
        games = list(told["games"])
        while len(games) < 40 or not told["counters"]["positions"]:
            assert time.monotonic() < deadline, "it took too long"
            told = pod.exchange((1.0, 0.0), (5, weights))
            assert not told["failure"]
            games += told["games"]
        children = [child.pid for child in forked(psutil.Process())]
        assert len(children) == 2
        assert (told["generators"], told["servers"], told["ready"]) == (1, 1, True)
        assert "eager" in told["note"]
        assert [path.name[: len(FOLDER_PREFIX)] for path in tmp_path.iterdir()] == [FOLDER_PREFIX]
        assert pod._playing is not None
        generator = pod._playing.segments.stats.row("generator-0")
        header = pod._playing.segments.outboxes.segment.arrays["header"]
        acknowledged = pod._playing.segments.outboxes.segment.arrays["acked"]
        slots = header.shape[1]
        # nobody asks: what may wait is bounded (the generator's word alone may be from before the last question)
        while header[0, :, 0].max() - acknowledged[0] < slots or generator.waiting is not Waiting.OUTBOX:
            assert time.monotonic() < deadline, "it took too long"
            time.sleep(0.02)
        waiting = len(told["games"])  # they keep their places until the next question
        told = pod.exchange((1.0, 0.0))
        # that question frees the places of these, and the generator may fill them before the others are taken
        assert slots - waiting <= len(told["games"]) <= slots
        games += told["games"]
        games += pod.exchange((1.0, 0.0))["games"]
    finally:
        last = pod.stop()
    games += last["games"]
    assert header[0, :, 0].max() == len(games), "as many as were ever put into the outbox"
    assert all_gone(children)
    assert list(tmp_path.iterdir()) == []
    records = [GameRecord.from_bytes(data) for data in games]
    assert {record.weights_version for record in records} == {5}


def test_a_pod_that_cannot_begin_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexpipe.cluster.pod.tempfile.gettempdir", lambda: str(tmp_path))
    told = Pod(dump_settings(load_settings("quick", TINY)), "0.0.1", 2, 0).exchange((1.0, 0.0))
    assert told["usage"]
    assert "the run 0.0.1: install the same on every node" in told["failure"]
    missing = load_settings("quick", {**TINY, "inference.backend": "cuda_graphs"})
    pod = Pod(dump_settings(missing), hexpipe.__version__, 2, 0)
    deadline = time.monotonic() + 120
    while not (told := pod.exchange((1.0, 0.0)))["failure"]:
        assert time.monotonic() < deadline, "it took too long"
    assert told["usage"]
    assert "cuda_graphs" in told["failure"]
    assert pod.stop()["games"] == []
    assert list(tmp_path.iterdir()) == []
