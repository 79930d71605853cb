"""`hexpipe chaos`: its short form, and that it would find what it looks for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hexpipe.chaos.chaos import RUN, chaos, check, count_faults
from hexpipe.chaos.faults import Faults
from hexpipe.chaos.run_under_test import RunUnderTest
from hexpipe.cli.main import run
from hexpipe.errors import HexpipeError
from hexpipe.games.factory import make_stages
from hexpipe.replay.archive import ReplayArchive, Sender
from hexpipe.run_folder import ARCHIVE_NAME, read_settings


@pytest.mark.timeout(1800)
def test_half_a_minute_of_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chaos", "--minutes", "0.5", "--every", "1", "--run-dir", str(tmp_path / "run"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["passed"]
    assert report["faults"]["kill"] >= 1
    assert report["games_committed"] == report["games_found"] > 100
    assert (report["games_lost"], report["games_doubled"], report["left_processes"]) == (0, 0, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def _has_archive(tested: RunUnderTest) -> bool:
    replay = tested.processes().get("replay-0")
    return replay is not None and replay.state.ready > 0


@pytest.mark.timeout(1800)
def test_output_that_goes_away_and_an_archive_and_a_folder_that_are_taken(tmp_path: Path) -> None:
    """The faults of which each is a start of its own, on the smallest run; they look for themselves."""
    tested = RunUnderTest(tmp_path / "run", [*RUN, "--workers=1", "--set=rating.share=0", "--set=reanalyze.ratio=0"])
    faults = Faults(tested, np.random.default_rng(0))
    try:
        tested.start()
        tested.until(lambda: _has_archive(tested), "the archive")
        assert "closed the pipe" in faults.give("pipe")
        tested.until_it_works()
        assert "moved the archive aside with" in faults.give("archive")
        said = "there is no archive.sqlite beside the checkpoints"
        tested.until(lambda: said in tested.log(), said)
        assert "closed the run's terminal" in faults.give("terminal")
        tested.until(lambda: _has_archive(tested), "the archive")
        moved = tested.run_dir.rename(tmp_path / "elsewhere")
        assert tested.wait() == 1
        end = tested.output().splitlines()
        assert end[-1].startswith(f"hexpipe: {tested.run_dir} is gone: it was deleted or moved away")
        assert not [line for line in end[-3:] if "go on with:" in line]
        assert not tested.run_dir.exists(), "nothing of it is made anew"
        senders: list[Sender] = []
        for path in (moved / "aside-1" / ARCHIVE_NAME, moved / ARCHIVE_NAME):
            with ReplayArchive(path, make_stages(read_settings(moved)), read_only=True) as archive:
                assert archive.total_games >= 20
                senders += archive.senders()
        assert count_faults(senders) == {"games_lost": 0, "games_doubled": 0}
        assert faults.games_aside >= 20
    finally:
        tested.end()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("algorithm", ["alphazero", "muzero"])
def test_five_minutes_of_faults(tmp_path: Path, algorithm: str) -> None:
    check(chaos(tmp_path / "run", 5, 3, 1, [f"--algorithm={algorithm}", "--set=inference.backend=auto"], print))


def test_lost_and_doubled_games_are_counted() -> None:
    whole = [Sender(session, worker, number) for session in (0, 1) for worker in (0, 4) for number in range(10)]
    assert count_faults(whole) == {"games_lost": 0, "games_doubled": 0}
    assert count_faults([*whole[:7], *whole[8:]]) == {"games_lost": 1, "games_doubled": 0}
    assert count_faults([*whole, whole[3], whole[3], whole[12]]) == {"games_lost": 0, "games_doubled": 3}
    assert count_faults([]) == {"games_lost": 0, "games_doubled": 0}


def test_a_run_that_has_not_come_through_is_an_error() -> None:
    with pytest.raises(HexpipeError, match="not come through"):
        check({"passed": False, "games_lost": 1})


def test_a_run_that_ends_of_its_own_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HexpipeError, match=r"(?s)has ended of its own.*No such option"):
        chaos(tmp_path / "run", 1, 1, 0, ["--no-such-option"], print)
    assert run(["chaos", "--run-dir", str(tmp_path)]) == 2


def test_a_run_under_test_knows_its_processes_whoever_started_them(tmp_path: Path) -> None:
    tested = RunUnderTest(tmp_path / "run", [])
    assert tested.survivors() == []
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    environment = {**os.environ, "HEXPIPE_UNDER_TEST": tested._mark}
    subprocess.run([sys.executable, "-c", child], env=environment, check=True, start_new_session=True)
    assert len(tested.survivors()) == 1
    tested.end()
    deadline = time.monotonic() + 20
    while tested.survivors():
        assert time.monotonic() < deadline


def test_semaphores_of_a_run_killed_at_one_moment_go_with_its_resume(tmp_path: Path) -> None:
    tested = RunUnderTest(tmp_path / "run", [*RUN, "--workers=1", "--set=rating.share=0", "--set=reanalyze.ratio=0"])
    try:
        tested.start()
        tested.until(lambda: tested.counter("replay-0", "total_games") > 0, "a game")
        tested.signal_all(signal.SIGKILL)
        tested.wait()
        left = tested.left_semaphores()
        assert left, "the kernel removes none"
        assert run(["clean", str(tmp_path)]) == 0
        assert tested.left_semaphores() == []
    finally:
        tested.end()
