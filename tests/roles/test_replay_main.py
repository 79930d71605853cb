"""The replay process and the stages of a curriculum: what it says on the stats board, and keeps."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partialmethod
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexpipe.config import Settings, dump_settings, load_settings
from hexpipe.errors import DiskFullError, FileBusyError, GoneError
from hexpipe.games.factory import make_game, make_stages
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.stats import ProcessRow, Waiting
from hexpipe.processes.supervisor import ChildSpec, Supervisor
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.outbox import Outboxes, OutboxSender
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.store import EmptyBufferError
from hexpipe.roles.replay import REPLAY, replay_main
from hexpipe.run_folder import ARCHIVE_NAME
from hexpipe.shm import spawn_context
from tests.boards import Board, make_board
from tests.pipeline.runs import sequences_by_outbox
from tests.pipeline.stages import STAGES
from tests.processes.test_stall_watch import wait_until
from tests.refusals import refused
from tests.replay.games import make_record
from tests.selfplay.test_curriculum import finished


class Replay:
    """The replay process in this one: each `take` is a whole life of it."""

    def __init__(self, run_dir: Path, **options: object) -> None:
        self.settings = load_settings("quick", {
            "game.name": "inarow", "curriculum.stages": STAGES, "curriculum.stage_games": 4, **options,
        })  # fmt: skip
        self.run_dir = run_dir
        self.stats = make_board(["replay-0", "learner-0"])

    def take(self, *games: tuple[Any, ...]) -> tuple[float, ...]:
        outboxes = Outboxes.create(1, 256, 4096, private=True)
        sender = outboxes.sender(0)
        for game in games:
            assert sender.send(finished(*game), lambda: False)
        row = self.stats.row("replay-0")
        state = self.stats.state
        self.stats.of("replay-0").stop, state.stage = 1, 0
        buffer = ReplayBuffer.create(self.settings.replay, make_stages(self.settings), private=True)
        replay_main(ChildContext("replay-0", 0, self.settings, self.run_dir, *self.stats), outboxes, buffer)
        assert buffer.total_games == row["total_games"]
        return state.stage, row["stage_games"], state.mastered_after


def test_a_stage_ends_with_its_games_and_survives(tmp_path: Path) -> None:
    replay = Replay(tmp_path)
    assert replay.take() == (1, 0, 0)
    assert replay.take(*[(3, 3, None, 1)] * 5) == (1, 5, 0), "of weights that nothing has trained"
    assert replay.take() == (1, 5, 0)
    assert replay.take((3, 3, None, 1), (3, 3, None, 9)) == (2, 0, 7)
    assert replay.take((3, 3, None, 9), (4, 3, None, 9)) == (2, 1, 7)  # the first of these was still under way
    assert replay.take(*[(4, 3, None, 9)] * 5) == (2, 6, 7), "of weights that were there when the stage began"
    assert replay.take((4, 3, None, 10)) == (3, 0, 7)
    assert replay.take(*[(5, 4, None, 10)] * 9) == (3, 9, 7)
    with ReplayArchive(tmp_path / ARCHIVE_NAME, make_stages(replay.settings)) as archive:
        assert archive.stage == (2, 15, 7)


def test_with_a_league_a_stage_ends_with_its_wins(tmp_path: Path) -> None:
    replay = Replay(tmp_path, **{"league.share": 0.5, "curriculum.mastery": 0.6})
    assert replay.take(*[(3, 3, 0.5)] * 100) == (1, 100, 0)
    row = replay.stats.row("replay-0")
    assert (row["league_share"], row["league_window"]) == (0.5, 100)
    assert replay.take(*[(3, 3, 1.0)] * 19) == (1, 119, 0)
    assert row["league_share"] == pytest.approx(0.595)
    assert replay.take((3, 3, 1.0)) == (2, 0, 120)
    assert row["league_window"] == 0


SMALL = {"game.board_size": 3, "replay.max_games": 50, "replay.min_games": 1, "replay.max_memory_gb": 0.1}


def keep_sampling(buffer: ReplayBuffer, done: threading.Event, faults: list[BaseException]) -> None:
    """Draw from the buffer as the learner and the search of old games do."""
    rng = np.random.default_rng(0)
    while not done.is_set():
        try:
            batch = buffer.sample_batch(64, rng)
            assert (batch["policy"].sum(-1) > 0.99).all()
            assert buffer.held_game(rng) > 0
        except EmptyBufferError:
            time.sleep(0.001)
        except Exception as error:
            faults.append(error)
            raise


def kill_replay_again_and_again(run_dir: Path, monkeypatch: pytest.MonkeyPatch, kills: int) -> None:
    monkeypatch.setattr("hexpipe.processes.supervisor.STEADY_SECONDS", 0.0)
    settings = load_settings("quick", SMALL)
    rng = np.random.default_rng(kills)
    stats = make_board(["generator-0", "replay-0", "learner-0"], private=False)
    outboxes = Outboxes.create(2, 4, 4096)
    buffer = ReplayBuffer.create(settings.replay, make_game(settings.game), lock=spawn_context().Lock())
    spec = ChildSpec(REPLAY, 0, {"outboxes": outboxes, "buffer": buffer})
    supervisor = Supervisor(
        [spec], settings, run_dir, *stats, lambda role, number: buffer.free_lock_of_the_dead(), session=7
    )
    row, senders, games = stats.row("replay-0"), [outboxes.sender(0), outboxes.sender(1)], count()
    faults: list[BaseException] = []
    done = threading.Event()
    reader = threading.Thread(target=keep_sampling, args=(buffer, done, faults))
    supervisor.start()
    reader.start()
    try:
        deadline = time.monotonic() + 60 + 10 * kills
        for kill in range(kills + 1):
            until = next(games) + int(rng.integers(10, 40))
            while (number := next(games)) < until or not stats.of("replay-0").ready:
                assert senders[number % 2].send(make_record(number), lambda: time.monotonic() < deadline)
                supervisor.watch(0.0)
            if kill < kills:
                time.sleep(float(rng.random()) * 0.02)
                os.kill(supervisor.pids()["replay-0"], signal.SIGKILL)
                while supervisor.pids().get("replay-0") in (None, int(row["pid"])):
                    supervisor.watch(0.01)
                    assert time.monotonic() < deadline
        supervisor.ask("replay")
        assert supervisor.join("replay", 30.0) == []
        assert supervisor.failed("replay") == []
    finally:
        done.set()
        reader.join()
        supervisor.kill("replay")
    assert faults == []
    sent = [sender.next_sequence for sender in senders]
    assert sequences_by_outbox(run_dir / ARCHIVE_NAME) == {(7, worker): list(range(sent[worker])) for worker in (0, 1)}
    assert (row["total_games"], stats.of("replay-0").restarts, buffer.num_games) == (sum(sent), kills, 50)


def test_a_killed_replay_process_loses_and_doubles_no_game(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_replay_again_and_again(tmp_path, monkeypatch, 3)


@pytest.mark.slow
def test_a_replay_process_killed_a_hundred_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_replay_again_and_again(tmp_path, monkeypatch, 100)


class FullDisk:
    """Stands where an archive would be written, and finds no room for it ``times`` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left, self._append = times, ReplayArchive.append
        monkeypatch.setattr(ReplayArchive, "append", partialmethod(FullDisk._try, disk=self))
        monkeypatch.setattr("hexpipe.roles.replay._ROOM_SECONDS", 0.0)

    @staticmethod
    def _try(archive: ReplayArchive, *args: object, disk: FullDisk) -> None:
        disk.left -= 1
        pages = archive._db.execute("PRAGMA page_count").fetchone()[0] if disk.left >= 0 else 2**30
        archive._db.execute(f"PRAGMA max_page_count = {pages}")
        disk._append(archive, *args)


def replay_here(
    run_dir: Path, settings: Settings, games: int, enough: Callable[[OutboxSender], bool], board: Board | None = None
) -> Board:
    """A whole life of the replay process, in this one: it is asked to end once ``enough`` of its only outbox."""
    stats = board or make_board(["replay-0", "learner-0"])
    outboxes = Outboxes.create(1, 256, 4096, private=True)
    sender = outboxes.sender(0)
    for number in range(games):
        assert sender.send(make_record(number), lambda: False)
    buffer = ReplayBuffer.create(settings.replay, make_game(settings.game), private=True)
    context = ChildContext("replay-0", 0, settings, run_dir, *stats)

    def stop() -> None:
        while not enough(sender):
            time.sleep(0.01)
        context.me.stop = 1

    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        replay_main(context, outboxes, buffer)
    finally:
        stopper.join()
    return stats


def test_a_full_disk_holds_games_up_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings("quick", SMALL)
    disk = FullDisk(monkeypatch, 3)
    stats = replay_here(tmp_path, settings, 100, lambda sender: sender.in_flight() == 0)
    assert disk.left == -1  # three tries in vain
    assert "free some room" in caplog.text
    assert caplog.text.count("free some room") == 1
    assert stats.row("replay-0")["total_games"] == 100
    assert sequences_by_outbox(tmp_path / ARCHIVE_NAME) == {(0, 0): list(range(100))}
    with ReplayArchive(tmp_path / ARCHIVE_NAME, make_game(settings.game), read_only=True) as archive:
        (document,) = archive._db.execute("SELECT document FROM settings").fetchone()
    assert document == dump_settings(settings)


def test_a_run_that_ends_on_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch, 2**62)
    with refused(DiskFullError, kind="full", path=tmp_path / ARCHIVE_NAME):
        replay_here(tmp_path, load_settings("quick", SMALL), 100, lambda sender: disk.left < 2**62 - 3)
    with ReplayArchive(tmp_path / ARCHIVE_NAME, make_game(load_settings("quick", SMALL).game)) as archive:
        assert archive.total_games == 0


def test_a_replacement_makes_no_archive_in_the_place_of_one_that_is_gone(tmp_path: Path) -> None:
    replay = Replay(tmp_path)
    replay.stats.of("replay-0").restarts = 1
    with pytest.raises(GoneError):
        replay.take()
    assert not (tmp_path / ARCHIVE_NAME).exists()


def test_games_wait_for_a_program_that_holds_the_archive_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hexpipe.roles.replay._ROOM_SECONDS", 0.01)
    real, refusals = ReplayArchive.append, []

    def append(archive: ReplayArchive, *games: Any) -> None:
        if len(refusals) < 3:
            refusals.append(1)
            raise FileBusyError("locked")
        real(archive, *games)

    monkeypatch.setattr(ReplayArchive, "append", append)
    stats = replay_here(tmp_path, load_settings("quick", SMALL), 20, lambda sender: sender.in_flight() == 0)
    assert len(refusals) == 3
    assert stats.row("replay-0")["total_games"] == 20


def test_a_refill_gives_signs_of_life_and_ends_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings("quick", SMALL)
    replay_here(tmp_path, settings, 100, lambda sender: sender.in_flight() == 0)
    beats: list[float] = []
    real, board = ProcessRow.beat, make_board(["replay-0", "learner-0"])

    def beat(row: ProcessRow, waiting: Waiting = Waiting.WORKING) -> None:
        real(row, waiting)
        if waiting is Waiting.REFILL:
            beats.append(row["resumed_games"])
            if len(beats) == 20:
                wait_until(lambda: board.of("replay-0").stop == 1)

    monkeypatch.setattr(ProcessRow, "beat", beat)
    stats = replay_here(tmp_path, settings, 3, lambda sender: len(beats) >= 20, board)
    assert len(beats) == 20 < 50
    assert sorted(set(beats)) == list(range(len(set(beats))))
    assert stats.row("replay-0")["total_games"] == 103, "what lay in the outbox is committed all the same"


def test_what_a_dead_writer_has_left_is_hidden(tmp_path: Path) -> None:
    settings = load_settings("quick", SMALL)
    buffer = ReplayBuffer.create(settings.replay, make_game(settings.game), private=True)
    for number in range(5):
        buffer.add_game(make_record(number))
    rng = np.random.default_rng(0)
    buffer.sample_batch(4, rng)
    buffer.hide()
    assert (buffer.num_games, buffer.total_games) == (0, 5)
    with pytest.raises(EmptyBufferError):
        buffer.sample_batch(4, rng)
    with ReplayArchive(tmp_path / "archive.sqlite", make_game(settings.game)) as archive:
        archive.append([make_record(number) for number in range(5)])
        assert buffer.refill(archive, lambda: False) == 0
        assert (buffer.num_games, buffer.total_games) == (0, 5)
        assert buffer.refill(archive) == 5
    buffer.sample_batch(4, rng)
