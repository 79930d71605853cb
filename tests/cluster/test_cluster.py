"""A run whose games come from the nodes of a real Ray cluster: several nodes on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from hexpipe.games.factory import make_game
from hexpipe.replay.archive import ReplayArchive
from hexpipe.run_folder import ARCHIVE_NAME, live_run, read_settings
from hexpipe.watch.live_stats import live_board
from tests.cluster.ray_nodes import RayCluster, ray_cluster
from tests.pipeline.runs import TinyRun, all_gone, tiny_run

pytest.importorskip("ray", reason="several machines need hexpipe[ray]")


def node_column(run: TinyRun, column: str) -> dict[str, float]:
    """A column of the rows of nodes, by the names of the rows; empty while there is no run."""
    board = live_board(live_run(run.run_dir) or {})
    return {name: row[column] for name, row in board[0].rows("node").items()} if board else {}


def lost_nodes(run: TinyRun) -> dict[str, bool]:
    """Whether the node of each row is gone, by the names of the rows; empty while there is no run."""
    board = live_board(live_run(run.run_dir) or {})
    return {name: bool(board[1].of(name).done) for name in board[0].rows("node")} if board else {}


def archived(run_dir: Path) -> int:
    settings = read_settings(run_dir)
    with ReplayArchive(run_dir / ARCHIVE_NAME, make_game(settings.game), read_only=True) as archive:
        return archive.total_games


@pytest.mark.timeout(900)
def test_nodes_come_and_go_and_every_game_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ray_cluster() as cluster:
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)
        cluster.start("first")
        cluster.wait_for_head()
        cluster.start("second")
        path = tmp_path / "run"
        options = (f"--ray={cluster.address}", "--workers=1", "--servers=1", "--set=cluster.max_nodes=2")
        with tiny_run(path, f"--run-dir={path}", *options) as run:
            run.until(lambda: min(node_column(run, "games").values(), default=0) > 0)
            cluster.start("third")
            lose_the_second(run, cluster)
            before = node_column(run, "games")
            run.until(lambda: all(games > before[name] for name, games in node_column(run, "games").items()))
            run.interrupt()
            code, output = run.wait()
        assert code == 0, output
        figures = json.loads((path / "metrics.jsonl").read_text().splitlines()[-1])
        assert archived(path) == figures["games/node-0"] + figures["games/node-1"], "every game that has come, once"
        for words in ("first plays: eager", "second was lost: ", "third plays: eager"):
            assert words in output, output


def lose_the_second(run: TinyRun, cluster: RayCluster) -> None:
    """Kill the second node in the middle: its pod's processes die with it, and the other node goes on."""
    spawned = cluster.kill("second")
    assert len(spawned) >= 2, "a generator and a server at least"
    assert all_gone(spawned, timeout=30.0)
    run.until(lambda: any(lost_nodes(run).values()))
    lost = next(name for name, done in lost_nodes(run).items() if done)
    left = next(name for name in lost_nodes(run) if name != lost)
    before = node_column(run, "games")[left]
    run.until(lambda: node_column(run, "games")[left] > before + 10)


@pytest.mark.slow
def test_a_dead_cluster_process_is_replaced_and_takes_its_cluster_with_it(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with tiny_run(path, f"--run-dir={path}", "--ray=local", "--workers=1", "--servers=1") as run:
        run.until(lambda: node_column(run, "games").get("node-0", 0) > 0)
        leader = psutil.Process(run.pids()["cluster-0"])
        tree = [process.pid for process in leader.children(recursive=True)]
        assert len(tree) > 4, "Ray's own processes, and the pod's"
        leader.kill()
        run.until(lambda: node_column(run, "games").get("node-1", 0) > 0)
        assert all_gone(tree)
        assert lost_nodes(run)["node-0"]
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output
    figures = json.loads((path / "metrics.jsonl").read_text().splitlines()[-1])
    assert archived(path) >= figures["games/node-0"] + figures["games/node-1"]
