from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from hexpipe.config import Shapes, load_settings
from hexpipe.errors import ProcessDiedError, UsageError
from hexpipe.processes import supervisor
from hexpipe.processes.machine import thread_environment
from hexpipe.processes.messages import forget_error, read_death, write_error
from hexpipe.processes.role import Role
from hexpipe.processes.supervisor import MOST_DEATHS, ChildSpec, Supervisor
from hexpipe.replay.outbox import Outboxes, largest_record_bytes
from hexpipe.roles import every_role
from hexpipe.roles.nursery import nursery_for
from tests.boards import make_board
from tests.processes.children import Treacherous
from tests.replay.games import make_record

BODIES = "tests.processes.children"


class Run:
    """A supervisor over toy children."""

    def __init__(self, run_dir: Path, specs: list[ChildSpec]) -> None:
        self.repaired: list[tuple[str, int]] = []
        self.board = make_board([spec.name for spec in specs], private=False)
        self.nursery = nursery_for(load_settings())
        self.supervisor = Supervisor(specs, load_settings(), run_dir, *self.board, self.repair, nursery=self.nursery)
        self.supervisor.start()

    def repair(self, role: Role[Any, Any], number: int) -> None:
        self.repaired.append((role.name, number))

    def until(self, condition: object, timeout: float = 200.0) -> None:
        assert callable(condition)
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "the condition never came true"
            self.supervisor.watch(0.05)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2]), *sys.path])
    made: list[Run] = []

    def make(*specs: ChildSpec) -> Run:
        made.append(Run(tmp_path, list(specs)))
        return made[-1]

    yield make
    for run in made:
        for role in {spec.role.name for spec in run.supervisor.specs.values()}:
            run.supervisor.kill(role)
        run.nursery.end()


ROLES = {role.name: role for role in every_role.ROLES}


def child(name: str, body: str, **parts: object) -> ChildSpec:
    """A child that is of its role in all but its body: the learner of these tests trains alone, and is not replaced."""
    role, _, number = name.rpartition("-")
    replaceable = role in ("generator", "reanalyze")
    toy = replace(ROLES[role], body=f"{BODIES}:{body}", replaceable=replaceable, together=False)
    return ChildSpec(toy, int(number), parts, thread_environment(1))


def test_orderly_stop(runs) -> None:
    run = runs(child("generator-0", "idle"), child("learner-0", "report_environment"))
    run.until(lambda: all(run.board.of(name).ready for name in run.supervisor.specs))
    assert run.board.row("learner-0").note == "1PASSIVE"
    assert "OMP_WAIT_POLICY" not in os.environ or os.environ["OMP_WAIT_POLICY"] != "PASSIVE"
    run.supervisor.ask("generator")
    assert run.supervisor.join("generator", 100.0) == []
    assert run.supervisor.watch(0.0) == []
    assert run.supervisor.alive("learner") == ["learner-0"]


def test_what_cannot_be_had_ends_the_run_at_once_even_where_the_process_is_replaceable(runs) -> None:
    run = runs(child("generator-0", "want_what_there_is_not"), child("learner-0", "idle"))
    with pytest.raises(UsageError, match=r"^there is no such backend here; take another$"):
        run.until(lambda: False)
    assert run.repaired == []
    assert run.board.of("generator-0").restarts == 0


def test_children_ignore_interrupts(runs) -> None:
    run = runs(child("generator-0", "idle"))
    run.until(lambda: run.board.of("generator-0").ready)
    pid = run.supervisor.pids()["generator-0"]
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    assert run.supervisor.watch(0.3) == []
    assert run.supervisor.pids() == {"generator-0": pid}


def test_a_killed_generator_is_replaced_and_counted(runs) -> None:
    run = runs(child("generator-0", "fail_once"), child("learner-0", "idle"))
    run.until(lambda: run.board.of("generator-0").ready)
    assert run.repaired == [("generator", 0)]
    assert run.board.of("generator-0").restarts == 1
    assert [death.process for death in run.supervisor.deaths] == ["generator-0"]
    assert "SIGKILL" in run.supervisor.deaths[0].details


def test_an_error_that_must_come_again_ends_the_run_at_once(runs) -> None:
    run = runs(child("generator-0", "diverge"), child("learner-0", "idle"))
    with pytest.raises(ProcessDiedError, match="nothing is finite"):
        run.until(lambda: False)
    assert run.board.of("generator-0").restarts == 0


def test_replacements_that_cannot_even_begin_end_the_run(runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STEADY_SECONDS", 0.0)  # the first has worked long enough
    run = runs(child("generator-0", "hold", part=Treacherous(tmp_path / "broken")), child("learner-0", "idle"))
    run.until(lambda: run.board.of("generator-0").ready)
    (tmp_path / "broken").touch()
    os.kill(run.supervisor.pids()["generator-0"], signal.SIGKILL)
    with pytest.raises(ProcessDiedError, match=rf"{MOST_DEATHS} times in a row"):
        run.until(lambda: False)


def test_what_an_earlier_process_of_that_number_wrote_is_not_taken(tmp_path: Path) -> None:
    write_error(tmp_path, "learner-0", UsageError("long ago"), ready=False)
    assert read_death(tmp_path, "learner-0", os.getpid(), 1).usage == "long ago"
    forget_error(tmp_path, "learner-0", os.getpid())
    forget_error(tmp_path, "learner-0", os.getpid())
    assert "SIGKILL" in read_death(tmp_path, "learner-0", os.getpid(), -9).details


def test_what_a_killed_worker_shared_is_repaired_by_its_number_among_the_workers(runs) -> None:
    run = runs(child("reanalyze-0", "fail_once"), child("generator-0", "idle"), child("learner-0", "idle"))
    run.until(lambda: run.board.of("reanalyze-0").ready)
    assert run.repaired == [("reanalyze", 0)]
    assert run.board.of("reanalyze-0").restarts == 1


def test_a_group_is_replaced_together(runs) -> None:
    names = [f"learner-{number}" for number in range(3)]
    role = replace(child("learner-0", "idle").role, replaceable=True, together=True)
    specs = [replace(child(name, "idle"), role=role) for name in names]
    run = runs(*specs, child("generator-0", "idle"))
    run.until(lambda: all(run.board.of(name).ready for name in run.supervisor.specs))
    before = run.supervisor.pids()
    for number in (1, 2):  # two at once are one death of the group
        os.kill(before[f"learner-{number}"], signal.SIGKILL)
    run.until(lambda: all(run.board.of(name).restarts for name in names))
    run.until(lambda: len(run.supervisor.pids()) == 4)
    after = run.supervisor.pids()
    assert before["generator-0"] == after["generator-0"]
    assert not {before[name] for name in names} & set(after.values())
    assert sorted(run.repaired) == [("learner", number) for number in range(3)]
    assert [run.board.of(name).restarts for name in (*names, "generator-0")] == [1, 1, 1, 0]
    assert {death.process for death in run.supervisor.deaths} == {"learner-1", "learner-2"}
    assert run.supervisor.watch(0.5) == []


def test_a_generator_that_dies_again_and_again_ends_the_run(runs) -> None:
    run = runs(child("generator-0", "fail"))
    with pytest.raises(ProcessDiedError, match="broken in generator-0") as caught:
        run.until(lambda: False)
    assert caught.value.process == "generator-0"
    assert "giving up" in caught.value.details


def test_the_first_exception_is_the_one_shown(runs) -> None:
    run = runs(child("learner-0", "fail", after=0.15), child("replay-0", "fail", after=0.0))
    with pytest.raises(ProcessDiedError) as caught:
        run.until(lambda: False)
    deaths = run.supervisor.deaths
    assert caught.value.process == min(deaths, key=lambda death: death.when).process
    assert f"ValueError: broken in {caught.value.process}" in caught.value.details
    assert "Traceback" in caught.value.details


@pytest.mark.parametrize("server", ["inference-0", "league-0"])
def test_the_cause_is_shown_before_what_follows_from_it(runs, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "CAUSE_SECONDS", 100.0)  # whoever starts first on a busy machine
    searching = [child(name, "fail_because_of_server") for name in ("generator-0", "reanalyze-0")]
    run = runs(child(server, "fail", after=1.0), *searching)
    with pytest.raises(ProcessDiedError) as caught:
        run.until(lambda: False)
    assert caught.value.process == server
    assert run.repaired == []


def test_a_killed_process_is_named_with_its_signal(runs) -> None:
    run = runs(child("learner-0", "idle"))
    run.until(lambda: run.board.of("learner-0").ready)
    os.kill(run.supervisor.pids()["learner-0"], signal.SIGKILL)
    with pytest.raises(ProcessDiedError, match="killed by signal SIGKILL"):
        run.until(lambda: False)


def test_a_run_goes_on_without_a_process_that_it_does_not_need(runs) -> None:
    """However often and with whomever it dies; nothing of a worker's is repaired for it."""
    run = runs(child("rating-0", "fail"), child("generator-0", "idle"))
    run.until(lambda: run.supervisor.deaths)
    run.until(lambda: run.board.of("generator-0").ready)
    assert list(run.supervisor.pids()) == ["generator-0"]
    assert "broken in rating-0" in run.supervisor.deaths[0].details
    assert run.repaired == []
    assert run.board.of("rating-0").done
    run.supervisor.kill("rating")  # nobody is left, and that is no error


def test_the_death_of_a_process_that_is_not_needed_hides_no_other(runs) -> None:
    run = runs(child("rating-0", "fail"), child("learner-0", "fail", after=0.1))
    with pytest.raises(ProcessDiedError) as caught:
        run.until(lambda: False)
    assert caught.value.process == "learner-0"


def test_a_generator_killed_in_mid_write_again_and_again_loses_no_whole_game(runs) -> None:
    outboxes = Outboxes.create(1, 4, largest_record_bytes(Shapes(11, 121, 2, 121), 121))
    record = make_record(3, 11)
    run = runs(child("generator-0", "send_until_killed", outboxes=outboxes, game=record.to_bytes()))
    receiver = outboxes.receiver()
    taken = 0
    for _ in range(3):
        run.until(lambda: run.supervisor.pids() and run.board.of("generator-0").ready)
        wanted, deadline = taken + 10, time.monotonic() + 60.0
        while taken < wanted:
            assert time.monotonic() < deadline, "no games come"
            receiver.wait(0.01)
            arrivals = receiver.take()
            assert all(arrival.record.to_bytes() == record.to_bytes() for arrival in arrivals)
            receiver.acknowledge(arrivals)
            taken += len(arrivals)
        os.kill(run.supervisor.pids()["generator-0"], signal.SIGKILL)
        before = run.board.of("generator-0").restarts
        run.until(lambda before=before: run.board.of("generator-0").restarts > before)
    assert taken >= run.board.row("generator-0")["games"] - 4 > 0


def test_children_die_with_their_supervisor(tmp_path: Path) -> None:
    code = (
        "import time, pathlib, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.processes.test_supervisor import Run, child\n"
        f"run = Run(pathlib.Path({str(tmp_path)!r}), [child('generator-0', 'idle'), child('learner-0', 'idle')])\n"
        "run.until(lambda: all(run.board.of(name).ready for name in run.supervisor.specs))\n"
        "print(*run.supervisor.pids().values(), flush=True)\n"
        "time.sleep(600)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(f"if __name__ == '__main__':\n    exec({code!r})\n")
    parent = psutil.Popen([sys.executable, str(script)], stdout=-1, text=True)
    assert parent.stdout is not None
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.communicate()
    assert len(children) == 2
    _, alive = psutil.wait_procs(children, timeout=60.0)
    assert alive == []
