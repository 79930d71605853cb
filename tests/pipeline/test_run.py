"""Whole runs through the real command, on a 3x3 board."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest

from hexpipe.arena.checkpoint_ratings import rate_checkpoints, rated_steps
from hexpipe.arena.results import Results
from hexpipe.cli.main import run as command_line
from hexpipe.games.factory import make_game, make_stages
from hexpipe.nets.checkpoints import latest_checkpoint, list_checkpoints, load_checkpoint
from hexpipe.pipeline.memory_report import live_report
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.run_folder import ARCHIVE_NAME, live_run, read_settings
from hexpipe.selfplay.league import win_share
from tests.pipeline.runs import TINY, all_gone, sequences_by_outbox, tiny_run
from tests.pipeline.stages import STAGES

pytestmark = pytest.mark.timeout(1200)  # whole runs, also on a machine that is ten times slower or busy


def archived_games(run_dir: Path) -> int:
    with sqlite3.connect(run_dir / "archive.sqlite") as db:
        games = int(db.execute("SELECT count(*) FROM games").fetchone()[0])
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    db.close()
    return games


def games_of_size(run_dir: Path, size: int) -> int:
    """Archived games on boards of ``size``, also of a run at work, whose archive may be a moment old and empty."""
    with closing(sqlite3.connect(f"file:{run_dir / 'archive.sqlite'}?mode=ro", uri=True, timeout=60)) as db:
        if not db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'games'").fetchone()[0]:
            return 0
        return int(db.execute("SELECT count(*) FROM games WHERE board_size = ?", (size,)).fetchone()[0])


def assert_each_game_once(run_dir: Path) -> None:
    """Games are numbered in their outbox: a gap is a lost one."""
    for sequences in sequences_by_outbox(run_dir / ARCHIVE_NAME).values():
        assert sequences == list(range(len(sequences)))


def shared_files(pid: int) -> list[Path]:
    """Files in /dev/shm that a process has mapped (semaphores are mapped under another name than they keep)."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    inodes = {int(line.split()[4]) for line in lines if "/dev/shm/" in line}
    with os.scandir("/dev/shm") as entries:
        return [Path(entry.path) for entry in entries if entry.inode() in inodes]


def test_a_run_without_play_learns_from_imported_games_and_passes_over_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    assert command_line(["import", "#3,b2a1b1a3b3 b", "#3,a1b2 r", f"--run-dir={run_dir}", *TINY]) == 0
    with tiny_run(run_dir, "--resume", str(run_dir), "--workers=0", "--steps=10") as run:
        code, output = run.wait()
    assert code == 0, output
    assert "nothing is played: 1 learner on" in output
    step = load_checkpoint(run_dir).step
    assert step >= 10
    assert archived_games(run_dir) == 2

    whole = latest_checkpoint(run_dir)
    assert whole is not None
    damaged = shutil.copytree(whole, whole.with_name("step-99999999"))
    os.truncate(damaged / "optimizer.safetensors", 1000)
    with tiny_run(run_dir, "--resume", str(run_dir), "--workers=0", f"--steps={step + 10}") as run:
        code, output = run.wait()
    assert code == 0, output
    assert f"passed over {damaged.name}, which is kept as damaged-{damaged.name}: " in output
    assert f"goes on from {whole.name}" in output
    assert load_checkpoint(run_dir).step >= step + 10
    steps = [json.loads(line)["steps"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)

    for folder in list_checkpoints(run_dir):
        (folder / "checkpoint.json").write_text("")
    capsys.readouterr()
    assert command_line(["run", "--resume", str(run_dir), "--workers=0", "--steps=100"]) == 2
    message = capsys.readouterr().err
    assert "is whole" in message
    assert message.count("\n") == 1


def test_run_with_a_killed_generator_an_interrupt_and_a_resume(tmp_path: Path) -> None:
    """The short form of all below: one start-up is most of the time."""
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}") as run:
        run.until(lambda: run.games() > 20)
        pids = run.pids()
        generator = pids["generator-0"]
        assert "torch" not in Path(f"/proc/{generator}/maps").read_text()
        own = {p["name"]: p["own_bytes"] for p in live_report(run_dir)["processes"]}
        assert own["generator-0"] <= 60_000_000 < own["generator-0"] + own["nursery"]
        os.kill(generator, signal.SIGKILL)
        run.until(lambda: "generator-0 was replaced" in run.log() and run.pids().get("generator-0") != generator)
        before = run.games()
        run.until(lambda: run.games() > before + 20)
        run.interrupt()
        code, output = run.wait()
        assert code == 0, output
        assert "generator-0 died and was replaced: it was killed by signal SIGKILL" in output
        assert all_gone(list(pids.values()))
    games = archived_games(run_dir)
    newest = latest_checkpoint(run_dir)
    assert newest is not None
    step = load_checkpoint(newest).step
    assert f"{games:,} games" in output
    assert live_run(run_dir) is None
    assert [entry for entry in (run_dir, *run_dir.rglob("*")) if entry.stat().st_mode & 0o077] == []
    assert not (run_dir / "errors").exists()
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["games"] == games
    assert lines[-1]["steps"] == step
    assert any((run_dir / "tensorboard").iterdir())

    target = games + 30
    with tiny_run(run_dir, "--resume", str(run_dir), "--games", str(target), "--set=search.c_puct_init=1.5") as run:
        code, output = run.wait()
    assert code == 0, output
    assert f"goes on from {newest.name}" in output
    assert "changed: search.c_puct_init is 1.5, was 1.25" in output
    assert archived_games(run_dir) >= target
    resumed = latest_checkpoint(run_dir)
    assert resumed is not None
    assert load_checkpoint(resumed).step >= step
    assert read_settings(run_dir).search.c_puct_init == 1.5
    both = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert len(both) > len(lines)
    for name in ("time", "games", "positions", "steps"):
        told = [line[name] for line in both]
        assert told == sorted(told), f"{name} falls, here: {told[len(lines) - 2 : len(lines) + 2]}"
    assert all(line[name] > 0 for line in both for name in ("loss", "policy_loss", "learning_rate") if name in line)


LEAGUE = ("--set=league.share=0.5", "--set=league.minutes=0.01", "--set=learner.checkpoint_minutes=0.02")


def league_games(run_dir: Path) -> list[GameRecord]:
    with ReplayArchive(run_dir / "archive.sqlite", make_game(read_settings(run_dir).game)) as archive:
        games = [game for _, game in archive.newest(10**6, 10**9, lambda plies, size: 1)]
    return [game for game in games if game.opponents]


def test_a_league_plays_past_checkpoints_and_a_killed_generator_comes_back(tmp_path: Path) -> None:
    """Two generators and the league's server; the short form of the two below."""
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}", "--workers=2", *LEAGUE) as run:
        run.until(lambda: run.log().count(" plays step-") > 1)
        generator = run.pids()["generator-1"]
        assert "torch" not in Path(f"/proc/{generator}/maps").read_text()
        os.kill(generator, signal.SIGKILL)
        run.until(lambda: "generator-1 was replaced" in run.log() and run.pids().get("generator-1") != generator)
        pids = list(run.pids().values())
        before = run.games()
        run.until(lambda: run.games() > before + 200)  # many enough to tell the share by
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output
    assert "1 league server" in output
    assert all_gone(pids)
    assert "plays the first weights" in run.log()
    games = league_games(run_dir)
    assert {game.opponents for game in games} == {1, 2}
    assert 0.3 * archived_games(run_dir) < len(games) < 0.7 * archived_games(run_dir)
    metrics = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()][-1]
    shares = [win_share(game.outcome, game.opponents) for game in games]
    assert metrics["league_window"] == min(100, len(games))
    assert metrics["league_share"] == pytest.approx(np.mean(shares[-100:]))
    assert " of last " in output
    assert not (run_dir / "errors").exists()


def test_boards_grow_without_a_restart_and_the_stage_survives_a_resume(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    stages = ("--game=inarow", "--set=game.board_size=5", f"--set=curriculum.stages={STAGES}")
    with tiny_run(run_dir, f"--run-dir={run_dir}", *stages, "--set=curriculum.stage_games=40") as run:
        run.until(lambda: "stage 2 of 3: 3 in a row 4x4 (ended stage 1 after" in run.log())
        pids = run.pids()
        before = run.games()
        run.until(lambda: run.games() > before + 5)
        assert run.pids() == pids
        run.process.kill()
        run.process.communicate()
        assert all_gone(list(pids.values()))
    with ReplayArchive(run_dir / "archive.sqlite", make_stages(read_settings(run_dir))) as archive:
        reached = archive.stage.number  # from 0; a fast machine may have got farther before it was killed
    with tiny_run(run_dir, "--resume", str(run_dir)) as run:
        run.until(lambda: "stage 3 of 3: 4 in a row 5x5 (ended stage 2 after" in run.log())
        run.until(lambda: games_of_size(run_dir, 5) > 0)  # those of stage 2 that were under way end before
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output
    assert f"stage {reached + 1} of 3: " in output, "where it goes on"
    assert "stage 3 of 3: 4 in a row 5x5 (ended stage 2 after" in output
    with ReplayArchive(run_dir / "archive.sqlite", make_stages(read_settings(run_dir))) as archive:
        sizes = [game.board_size for game in archive.games_after(0)][::-1]
        assert archive.stage.number == 2
    counts = [sizes.count(size) for size, _ in STAGES]
    assert min(counts[0], counts[1]) >= 40
    assert sizes[:40] == [3] * 40
    assert sizes.index(5) > max(40, sizes.index(4) + 39)
    metrics = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    told = [line["stage"] for line in metrics if "stage" in line]
    assert told == sorted(told), "a resume is no fall"
    assert told[-1] == 3


def test_boards_of_hex_grow_leg_by_leg_and_a_killed_run_goes_on_with_its_own(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    stages = ("--size=5", "--set=curriculum.stages=[3,4,5]", "--set=curriculum.stage_games=30")
    stages += ("--set=curriculum.solved=0", "--set=learner.checkpoint_steps=5")
    with tiny_run(run_dir, f"--run-dir={run_dir}", *stages) as run:
        run.until((run_dir / ARCHIVE_NAME).exists)
        run.until(lambda: games_of_size(run_dir, 4) > 0)
        pids = run.pids()
        run.process.kill()
        run.process.communicate()
        assert all_gone(list(pids.values()))
    assert load_checkpoint(run_dir).settings.game.board_size in (3, 4)
    with ReplayArchive(run_dir / "archive.sqlite", make_stages(read_settings(run_dir)), read_only=True) as archive:
        reached = archive.stage.number  # from 0; a fast machine may have got farther before it was killed
    with tiny_run(run_dir, "--resume", str(run_dir)) as run:
        run.until(lambda: load_checkpoint(run_dir, groups=()).settings.game.board_size == 5)
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output
    assert f"stage {reached + 1} of 3: Hex {3 + reached}x{3 + reached}" in output, "where it goes on"
    assert "stage 3 of 3: Hex 5x5 (ended stage 2 after" in output
    assert output.count("go on with: ") == 1
    with ReplayArchive(run_dir / "archive.sqlite", make_stages(read_settings(run_dir)), read_only=True) as archive:
        sizes = [game.board_size for game in archive.games_after(0)][::-1]
        assert archive.stage.number == 2
    assert sizes == sorted(sizes)
    assert min(sizes.count(3), sizes.count(4)) >= 30
    assert_each_game_once(run_dir)
    assert read_settings(run_dir).game.board_size == 5
    metrics = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    for name in ("stage", "games", "steps"):
        told = [line[name] for line in metrics if name in line]
        assert told == sorted(told), f"{name}: neither a leg nor a resume is a fall"
    assert not (run_dir / "errors").exists()


@pytest.mark.slow
def test_a_league_of_learned_dynamics_changes_its_opponents(tmp_path: Path) -> None:
    """And goes on with them at once when the run is resumed."""
    run_dir = tmp_path / "run"
    learned = ("--algorithm=muzero", "--game=inarow", "--set=net.dynamics_blocks=1", "--set=inference.backend=auto")
    with tiny_run(run_dir, f"--run-dir={run_dir}", *LEAGUE, *learned) as run:
        run.until(lambda: run.log().count(" plays step-") > 2)
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output
    assert league_games(run_dir)
    with tiny_run(run_dir, "--resume", str(run_dir), "--games", str(archived_games(run_dir) + 50)) as run:
        code, output = run.wait()
    assert code == 0, output
    assert run.log().count("plays the first weights") == 1


def archived_records(run_dir: Path) -> list[bytes]:
    with sqlite3.connect(run_dir / "archive.sqlite") as db:
        records = [bytes(row[0]) for row in db.execute("SELECT record FROM games ORDER BY id")]
    db.close()
    return records


@pytest.mark.parametrize("algorithm", ["alphazero", pytest.param("muzero", marks=pytest.mark.slow)])
def test_old_games_are_searched_anew_beside_play_and_through_a_kill(tmp_path: Path, algorithm: str) -> None:
    run_dir = tmp_path / "run"
    learned = ("--algorithm=muzero", "--set=inference.backend=auto") if algorithm == "muzero" else ()
    with tiny_run(run_dir, f"--run-dir={run_dir}", "--set=reanalyze.ratio=0.5", *learned) as run:

        def refreshed() -> float:
            path = run_dir / "metrics.jsonl"
            lines = path.read_text().splitlines() if path.exists() else []
            return float(json.loads(lines[-1])["refreshed"]) if lines else 0.0

        run.until(lambda: refreshed() > 0)
        pids = run.pids()
        assert "torch" not in Path(f"/proc/{pids['reanalyze-0']}/maps").read_text()
        own = {p["name"]: p["own_bytes"] for p in live_report(run_dir)["processes"]}
        assert own["reanalyze-0"] <= 100_000_000
        before, searched = archived_records(run_dir), refreshed()
        os.kill(pids["reanalyze-0"], signal.SIGKILL)
        run.until(lambda: "reanalyze-0 was replaced" in run.log())
        run.until(lambda: refreshed() > searched + 100)
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output
    assert "reanalyze-0 died and was replaced: it was killed by signal SIGKILL" in output
    assert all_gone(list(pids.values()))
    last = json.loads((run_dir / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < last["refreshed"] <= 0.5 * last["positions"]
    records = archived_records(run_dir)
    assert records[: len(before)] == before, "what was played stays as it was"
    assert len(records) == last["games"], "a game that was searched anew is no new game"


@pytest.mark.parametrize("algorithm", ["alphazero", pytest.param("muzero", marks=pytest.mark.slow)])
def test_a_killed_process_of_any_role_is_replaced(tmp_path: Path, algorithm: str) -> None:
    run_dir = tmp_path / "run"
    victims = ["inference-0", "replay-0", "learner-0"]
    backend = "--set=inference.backend=auto" if algorithm == "muzero" else "--set=inference.backend=eager"
    options = (f"--algorithm={algorithm}", f"--run-dir={run_dir}", "--set=learner.checkpoint_minutes=0.03", backend)
    with tiny_run(run_dir, *options) as run:
        dead = []
        for victim in victims:
            games, steps = run.games(), run.steps()
            run.until(lambda games=games, steps=steps: run.games() > games + 40 and run.steps() > steps + 10)
            run.until(lambda: latest_checkpoint(run_dir) is not None)
            dead.append(run.pids()[victim])
            if victim == "learner-0":
                run.until(lambda: len(list_checkpoints(run_dir)) > 1)
                os.kill(dead[-1], signal.SIGSTOP)  # so that none is newer than the one that is damaged
                run.until(lambda: psutil.Process(dead[-1]).status() == psutil.STATUS_STOPPED)
                older, newest = list_checkpoints(run_dir)[-2:]
                os.truncate(newest / "ema.safetensors", 1000)
            os.kill(dead[-1], signal.SIGKILL)
            run.until(lambda victim=victim: run.pids().get(victim, dead[-1]) != dead[-1])
        games, steps = run.games(), run.steps()
        run.until(lambda: run.games() > games + 40 and run.steps() > steps + 10)
        pids = run.pids()
        run.interrupt()
        code, output = run.wait()
    assert code == 0
    for victim in set(victims):
        assert output.count(f"{victim} died and was replaced: it was killed by signal SIGKILL") == victims.count(victim)
    assert f"passed over {newest.name}, which is kept as damaged-{newest.name}: " in run.log()
    assert f"goes on from {older}" in run.log()
    assert all_gone([*dead, *pids.values()])
    last = json.loads((run_dir / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["restarts"] == len(victims)
    assert archived_games(run_dir) == last["games"]
    assert_each_game_once(run_dir)


RATED = (
    "--set=rating.share=1", "--set=rating.pairs=2", "--set=rating.simulations=4", "--set=rating.opponents=2",
    "--set=learner.checkpoint_minutes=0.05", "--set=learner.keep_checkpoints=2",
)  # fmt: skip


def ratings(run_dir: Path) -> list[tuple[float, ...]]:
    """(step, Elo, standard error) in the order in which the metrics first have them."""
    path = run_dir / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    told = [
        (line["rating_step"], line["rating_elo"], line["rating_elo_error"]) for line in lines if "rating_elo" in line
    ]
    return list(dict.fromkeys(told))


def test_a_run_rates_its_checkpoints_and_goes_on_when_that_process_is_killed(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}", *RATED) as run:
        run.until(lambda: len(ratings(run_dir)) > 1)
        pids = run.pids()
        assert os.getpriority(os.PRIO_PROCESS, pids["rating-0"]) >= 10
        os.kill(pids["rating-0"], signal.SIGKILL)
        run.until(lambda: "rating-0" not in run.pids())
        before = run.games()
        run.until(lambda: run.games() > before + 20)
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output
    assert "1 rating process" in output
    assert "rating-0 died and the run goes on without it: it was killed by signal SIGKILL" in output
    assert all_gone(list(pids.values()))
    step, elo, error = next(told for told in ratings(run_dir) if told[0])
    assert np.isfinite([elo, error]).all()
    with Results(run_dir / "ratings.sqlite") as results:
        steps = rated_steps(results, "Hex 3x3", 4)
        assert {0, step} <= {*steps}, "what the run began with is rated first, however shortly the view says so"
        assert rate_checkpoints(results, "Hex 3x3", 4, 0)[0].elo == 0


@pytest.mark.slow
@pytest.mark.parametrize("game", ["hex", "inarow"])
def test_ratings_go_on_with_a_resumed_run(tmp_path: Path, game: str) -> None:
    run_dir = tmp_path / "run"
    learned = ("--algorithm=muzero", "--set=inference.backend=auto", f"--game={game}")
    with tiny_run(run_dir, f"--run-dir={run_dir}", *RATED, *learned) as run:
        run.until(lambda: len(ratings(run_dir)) > 1)
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output
    assert "was killed" not in output, "the rating hears a stop"
    last = ratings(run_dir)[-1]
    with tiny_run(run_dir, "--resume", str(run_dir)) as run:
        run.until(lambda: ratings(run_dir)[-1][0] > last[0])
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output
    assert not (run_dir / "errors").exists()


@pytest.mark.slow
def test_nothing_outlives_a_killed_supervisor_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}") as run:
        run.until(lambda: run.games() > 20)
        pids = run.pids()
        named = shared_files(run.process.pid)
        assert named, "semaphores have names while a run is alive"
        run.process.kill()
        run.process.communicate()
        assert all_gone(list(pids.values()))
    deadline = time.monotonic() + 100.0
    while any(path.exists() for path in named) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [path for path in named if path.exists()]
    games = archived_games(run_dir)
    assert live_run(run_dir) is None
    with tiny_run(run_dir, "--resume", str(run_dir), "--games", str(games + 10)) as run:
        code, output = run.wait()
    assert code == 0, output
    assert archived_games(run_dir) >= games + 10


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["alphazero", "muzero"])
def test_a_memory_is_written_published_and_counted(tmp_path: Path, algorithm: str) -> None:
    run_dir, more = tmp_path / "run", ("--engram", f"--algorithm={algorithm}", "--set=inference.backend=auto")
    with tiny_run(run_dir, f"--run-dir={run_dir}", "--steps=30", *more) as run:
        run.until(lambda: "MB of engram" in run.log())
        assert live_report(run_dir)["engram_bytes"] > 4096 * 4 * 35
        code, output = run.wait()
    assert code == 0, output
    assert "engram of 4,096 entries" in output
    checkpoint = load_checkpoint(run_dir)
    assert checkpoint.step >= 30
    assert (checkpoint.play_weights["engram.priorities"] > 0).sum() == checkpoint.step * 32


@pytest.mark.slow
def test_many_memory_reports_do_a_run_no_harm(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}") as run:
        run.until(lambda: run.games() > 5)
        counts = []
        for _ in range(200):
            report = live_report(run_dir)
            assert report["replay"]["total_bytes"] <= report["replay"]["budget_bytes"]
            counts.append(report["replay"]["total_games"])
        assert counts == sorted(counts)
        before = run.games()
        run.until(lambda: run.games() > before + 20)
        run.interrupt()
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output


def test_a_second_interrupt_waits_for_no_process_that_has_not_begun_its_work(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}") as run:
        run.until(lambda: len(run.pids()) >= 5)
        pids = run.pids()
        for name, pid in pids.items():  # as those that import on a busy machine: they would look at nothing for minutes
            if name != "replay-0":  # which begins its work at once
                os.kill(pid, signal.SIGSTOP)
        assert not run.learned()
        began = time.monotonic()
        run.interrupt()
        run.until_said("stopping: asked to")
        run.interrupt()
        code, output = run.wait()
        assert time.monotonic() - began < 50, "replay and the learner have 60 and 120 s where they work"
        assert code == 0, output
        assert "did not end in time" not in output
        assert all_gone(list(pids.values()))


def test_a_hangup_of_the_group_ends_the_run_in_order(tmp_path: Path) -> None:
    run_dir = tmp_path / "run it's"
    with tiny_run(run_dir, f"--run-dir={run_dir}") as run:
        run.until(lambda: run.games() > 20 and run.learned())
        os.killpg(run.process.pid, signal.SIGHUP)  # as the kernel does where a terminal goes away
        code, output = run.wait()
    assert code == 0, output
    assert "Traceback" not in output
    assert "resource_tracker" not in output
    assert latest_checkpoint(run_dir) is not None
    assert output.splitlines()[-1] == f"go on with: hexpipe run --resume {shlex.quote(str(run_dir))}"
    assert archived_games(run_dir) > 20
    assert_each_game_once(run_dir)


@pytest.mark.slow
def test_interrupts_while_starting_end_the_run_in_order(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}") as run:
        run.until(lambda: bool(run.pids()))
        run.interrupt()
        code, output = run.wait()
    assert code == 0, output


@pytest.mark.slow
def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with tiny_run(run_dir, f"--run-dir={run_dir}") as run:
        run.until(lambda: bool(run.pids()))
        for arguments in ((f"--run-dir={run_dir}",), ("--resume", str(run_dir))):
            with tiny_run(run_dir, *arguments) as second:
                code, output = second.wait()
            assert code == 2
            assert "is at work in" in output
            assert len(output.splitlines()) == 1
        assert run.pids(), "the first run goes on"
