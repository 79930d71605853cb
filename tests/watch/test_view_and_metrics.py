"""The view, the metrics, the progress figures and the process plan."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from hexpipe.config import load_settings
from hexpipe.pipeline.preparation import RunRequest, announcement
from hexpipe.processes import machine
from hexpipe.roles.every_role import ROLES
from hexpipe.roles.plan import plan_processes
from hexpipe.roles.segments import process_names
from hexpipe.watch.metrics import MetricsWriter
from hexpipe.watch.progress import Figures, ProgressMeter, as_metrics
from hexpipe.watch.view import LiveView, PlainView, clock, plain_line, render
from tests.boards import Board, make_board
from tests.clock import TestClock

NAMES = ["generator-0", "generator-1", "inference-0", "replay-0", "learner-0"]


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds pass where a test sleeps, and only there."""
    TestClock(monkeypatch)


@pytest.fixture
def stats() -> Board:
    board = make_board(NAMES)
    for row in board.rows().values():
        row.begin(os.getpid())
    return board


def play(stats: Board) -> None:
    for number in range(2):
        row = stats.row(f"generator-{number}")
        row.add("positions", 50)
        row.add("leaves", 400)
        row.add("cache_hits", 100)
    stats.row("inference-0").add("evals", 600)
    stats.row("inference-0").add("batches", 10)
    replay = stats.row("replay-0")
    for name, amount in (("session_games", 4), ("total_games", 4), ("lag_sum", 80), ("plies_sum", 40)):
        replay.add(name, amount)
    replay["replay_bytes"], replay["replay_budget"] = 250, 1000
    learner = stats.row("learner-0")
    learner["steps"], learner["learning_rate"] = 30, 1e-3
    learner["policy_loss"], learner["solver_score"] = 1.5, 0.75


def figures_of(stats: Board, *overrides: tuple[str, object]) -> Figures:
    meter = ProgressMeter(*stats, load_settings("quick", dict(overrides)), gpus=0)
    meter.read()
    time.sleep(0.6)
    play(stats)
    return meter.read()


def test_figures_are_sums_rates_and_shares(stats: Board) -> None:
    figures = figures_of(stats, ("limits.minutes", 2), ("limits.games", 0))
    values = figures.values
    assert values["games"] == 4
    assert values["mean_batch"] == 60
    assert values["cache_hit_rate"] == 0.25
    assert values["policy_lag"] == 20
    assert values["mean_plies"] == 10
    assert values["replay_fill"] == 0.25
    assert values["evals_per_s"] == pytest.approx(6 * (values["positions_per_s"] or 0))
    assert values["seconds_left"] == pytest.approx(120 - 0.6)
    assert values["games_per_s"] == pytest.approx(4 / 0.6)
    assert [p.name for p in figures.processes] == NAMES
    assert all(p.own_bytes > 1_000_000 for p in figures.processes)


def test_a_league_is_told_of_once_it_has_played() -> None:
    stats = make_board([*NAMES, "league-0"])
    assert "league" not in plain_line(figures_of(stats))
    stats.row("replay-0")["league_share"], stats.row("replay-0")["league_window"] = 0.574, 37
    stats.row("generator-0")["league_games"], stats.row("generator-1")["league_games"] = 300, 200
    stats.row("league-0").add("evals", 0)
    figures = figures_of(stats)
    assert "league 0.57 of last 37" in plain_line(figures)
    assert as_metrics(figures)["league_share"] == 0.574
    assert as_metrics(figures)["league_games"] == 500
    assert "league-0" in {process.name for process in figures.processes}


def test_a_rating_is_told_with_its_error_and_its_checkpoint() -> None:
    stats = make_board([*NAMES, "rating-0"])
    before = figures_of(stats)
    assert "rating" not in plain_line(before)
    assert "rating_elo" not in as_metrics(before)
    row = stats.row("rating-0")
    row["rating_elo"], row["rating_elo_error"], row["rating_step"], row["rated"] = -12.4, 10.0, 1234, 1
    figures = figures_of(stats)
    assert "rating -12 +/- 20 at step 1,234" in plain_line(figures)
    told = as_metrics(figures)
    assert (told["rating_elo"], told["rating_elo_error"], told["rating_step"]) == (-12.4, 10.0, 1234)


@pytest.mark.parametrize(
    ("overrides", "gpus", "device"),
    [
        ({}, 0, "cpu"),
        ({}, 2, "cuda:1"),
        ({"rating.share": 0.0}, 0, None),
        ({"game.name": "inarow", "game.players": 2}, 0, "cpu"),
        ({"game.name": "inarow", "game.players": 3}, 0, None),
    ],
)
def test_two_players_are_rated_where_they_play(overrides: dict[str, object], gpus: int, device: str | None) -> None:
    settings = load_settings("quick", overrides)
    plan = plan_processes(settings, 4, gpus)
    assert plan.rating_device == device
    assert ("rating-0" in process_names(ROLES, settings, plan)) == (device is not None)
    request = RunRequest(settings, Path("runs/one"))
    words = "\n".join(announcement(request, plan, None, {}))
    assert ("1 rating process" in words) == (device is not None)
    assert ("ratings are for games of two players" in words) == (settings.game.players == 3)


def test_the_stage_of_a_curriculum_is_told(stats: Board) -> None:
    assert figures_of(stats).stage == ""
    options = (("game.name", "inarow"), ("curriculum.stages", [[15, 5], [30, 6], [50, 7], [100, 8]]))
    assert figures_of(stats, *options).stage == "", "it is not known before replay has asked the archive"
    row = stats.row("replay-0")
    stats.state.stage, row["stage_games"], stats.state.mastered_after = 2, 1234, 512
    figures = figures_of(stats, *options)
    live = io.StringIO()
    Console(file=live, width=120).print(render(figures, "a run"))
    assert "stage 2 of 4: 6 in a row 30x30 (ended stage 1 after 512 games)" in live.getvalue()
    assert "stage 2, 1,234 games" in plain_line(figures)
    assert as_metrics(figures)["stage"] == 2


def test_a_resumed_total_is_no_rate(stats: Board) -> None:
    meter = ProgressMeter(*stats, load_settings(), gpus=0)
    meter.read()
    time.sleep(0.6)
    stats.row("replay-0")["total_games"] = 100_000
    assert meter.read().values["games_per_s"] == 0


def test_losses_are_not_told_before_there_are_some(stats: Board) -> None:
    """A resumed learner knows its steps seconds before it has a loss: a curve must not fall to 0 there."""
    stats.row("learner-0")["steps"] = 1000
    meter = ProgressMeter(*stats, load_settings(), gpus=0)
    line = as_metrics(meter.read())
    assert line["steps"] == 1000
    assert not [name for name in line if "loss" in name or name == "learning_rate"]


def test_every_view_shows_what_a_person_asks(stats: Board) -> None:
    figures = figures_of(stats)
    plain, live = io.StringIO(), io.StringIO()
    PlainView(plain).update(figures)
    console = Console(file=live, width=120)
    console.print(render(figures, "a run"))
    for text in (plain.getvalue(), live.getvalue()):
        for part in (
            "games",
            "positions/s",
            "evals/s",
            "mean batch",
            "cache hits",
            "25%",
            "policy loss",
            "1.500",
            "75%",
        ):
            assert part in text, part
    assert plain.getvalue().count("\n") == 1
    assert all(name in live.getvalue() for name in NAMES)


def test_losses_that_a_game_has_not_are_not_shown(stats: Board) -> None:
    without = figures_of(stats)
    stats.row("learner-0")["focus_loss"] = 2.25
    with_focus = figures_of(stats)
    assert "focus loss" not in plain_line(without)
    assert "focus_loss" not in as_metrics(without)
    assert "focus loss 2.250" in plain_line(with_focus)
    assert "threat loss" not in plain_line(with_focus)
    assert as_metrics(with_focus)["focus_loss"] == 2.25


def test_plain_view_is_not_too_chatty(stats: Board) -> None:
    stream = io.StringIO()
    view = PlainView(stream, seconds=60.0)
    figures = figures_of(stats)
    for _ in range(5):
        view.update(figures)
    view.say("hello")
    view.close(figures)
    assert stream.getvalue().splitlines() == [plain_line(figures), "hello", plain_line(figures)]


def test_live_view_keeps_messages(stats: Board) -> None:
    stream = io.StringIO()
    view = LiveView(stream, "title")
    view.update(figures_of(stats))
    view.say("[generator-0] was replaced")
    view.close()
    assert "[generator-0] was replaced" in stream.getvalue()
    assert "[dim]" not in stream.getvalue()


def test_metrics_go_to_json_lines_and_tensorboard(stats: Board, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    figures = figures_of(stats)
    writer = MetricsWriter(tmp_path, load_settings())
    writer.write(as_metrics(figures))
    writer.write({"time": time.time(), "steps": 40, "policy_loss": 1.25})
    writer.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["mean_batch"] == 60
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("run/policy_loss")] == [(30, 1.5), (40, 1.25)]


def test_clock() -> None:
    assert clock(3 * 3600 + 62.9) == "3:01:02"


@pytest.mark.parametrize(
    ("cores", "gpus", "overrides", "workers", "servers", "learner"),
    [
        (1, 0, {}, 1, ("cpu",), "cpu"),
        (2, 0, {}, 1, ("cpu", "cpu"), "cpu"),
        (8, 0, {}, 2, ("cpu",) * 4, "cpu"),
        (64, 0, {}, 8, ("cpu",) * 16, "cpu"),
        (8, 0, {"selfplay.workers": 1}, 1, ("cpu",) * 2, "cpu"),
        (16, 2, {}, 4, ("cuda:0", "cuda:1"), "cuda:1"),
        (16, 2, {"devices": 0}, 4, ("cpu",) * 8, "cpu"),
        (8, 0, {"selfplay.workers": 0}, 0, (), "cpu"),
        (16, 2, {"selfplay.workers": 0}, 0, (), "cuda:1"),
        (16, 2, {"devices": 1, "inference.servers": 2}, 4, ("cuda:0", "cuda:0"), "cuda:0"),
    ],
)
def test_plan(
    cores: int, gpus: int, overrides: dict[str, int], workers: int, servers: tuple[str, ...], learner: str
) -> None:
    plan = plan_processes(load_settings("quick", overrides), cores, gpus)
    assert (plan.workers, plan.server_devices, plan.learner_devices) == (workers, servers, (learner,))


@pytest.mark.parametrize(
    ("cores", "gpus", "overrides", "league"),
    [
        (2, 0, {}, ("cpu",)),
        (64, 0, {"league.share": 0.5}, ("cpu",) * 4),  # of 16 servers
        (64, 0, {"league.share": 1.0, "selfplay.workers": 3}, ("cpu",) * 3),  # of 6
        (64, 0, {"league.share": 1.0, "inference.servers": 16, "selfplay.workers": 5}, ("cpu",) * 5),  # one a generator
        (16, 2, {}, ("cuda:1",)),
        (2, 0, {"league.share": 0.0}, ()),
    ],
)
def test_plan_of_a_league(cores: int, gpus: int, overrides: dict[str, float], league: tuple[str, ...]) -> None:
    settings = load_settings("quick", {"league.share": 0.1, **overrides})
    plan = plan_processes(settings, cores, gpus)
    assert plan.league_devices == league
    assert plan.server_devices == plan_processes(load_settings("quick", {
        name: value for name, value in overrides.items() if name != "league.share"
    }), cores, gpus).server_devices  # fmt: skip


def test_cores_respect_a_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine._cgroup_quota(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    for text, cores in (("250000\n", 2.5), ("-1\n", None)):  # control groups of version 1
        (tmp_path / "cpu/cpu.cfs_quota_us").write_text(text)
        assert machine._cgroup_quota(tmp_path) == cores
    for text, cores in (("150000 100000\n", 1.5), ("max 100000\n", None)):
        (tmp_path / "cpu.max").write_text(text)
        assert machine._cgroup_quota(tmp_path) == cores


def test_gpus_are_those_that_cuda_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    for visible, count in (("0,1", 2), ("", 0), ("-1", 0), ("MIG-aa,MIG-bb", 1)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert machine.visible_gpus() == count
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    listed = ["GPU 0: NVIDIA H100 (UUID: GPU-1)", "GPU 1: NVIDIA H100 (UUID: GPU-2)"]
    monkeypatch.setattr(machine, "_smi", lambda *arguments: listed)
    assert machine.visible_gpus() == 2
    listed.insert(1, "  MIG 3g.40gb     Device  0: (UUID: MIG-3)")
    assert machine.visible_gpus() == 1
