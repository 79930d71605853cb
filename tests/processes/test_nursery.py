"""Processes that are forked from one which has loaded what they share."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path

import psutil
import pytest

from hexpipe.config import load_settings
from hexpipe.errors import HexpipeError
from hexpipe.processes import nursery
from hexpipe.processes.messages import describe_exit
from hexpipe.processes.nursery import ForkedProcess, Nursery
from hexpipe.processes.supervisor import Supervisor
from hexpipe.roles.nursery import nursery_for
from hexpipe.shm import spawn_context
from tests.boards import make_board
from tests.pipeline.runs import all_gone
from tests.processes.forked import forked
from tests.processes.test_supervisor import child

ROOT = Path(__file__).parents[2]
NOTHING = "tests.processes.children:load_nothing"
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
import time
from pathlib import Path
if __name__ == "__main__":
    from tests.processes.test_nursery import begun
    supervisor = begun(Path(sys.argv[1]), 2)
    print(*(process.pid for process in supervisor.processes.values()), flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])


def begun(folder: Path, count: int, of: Nursery | None = None) -> Supervisor:
    """A supervisor of ``count`` idle children, ready."""
    specs = [child(f"generator-{number}", "idle") for number in range(count)]
    board = make_board([spec.name for spec in specs], private=False)
    made = Supervisor(specs, load_settings(), folder, *board, lambda role, number: None, nursery=of or Nursery(NOTHING))
    made.start()
    while not all(board[1].of(spec.name).ready for spec in specs):
        made.watch(0.05)
    return made


@contextmanager
def running(folder: Path, count: int, of: Nursery | None = None) -> Iterator[Supervisor]:
    run = begun(folder, count, of)
    try:
        yield run
    finally:
        run.kill("generator")
        assert run.nursery is not None
        run.nursery.end()


@pytest.mark.parametrize(
    ("game", "algorithm"),
    [("hex", "alphazero"), ("hex", "muzero"), ("inarow", "alphazero"), ("mygames.drop:Drop", "alphazero")],
)
def test_what_is_loaded_is_no_torch(game: str, algorithm: str) -> None:
    words = (
        f"import sys, threading; from hexpipe.roles.nursery import load; load({game!r}, {algorithm!r}, '2'); "
        "assert 'torch' not in sys.modules; assert 'numba' in sys.modules; assert threading.active_count() == 1"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-P", "-c", words], env=environment, cwd=ROOT, check=True)


def test_children_share_what_one_process_has_loaded_and_it_ends_with_the_run(tmp_path: Path) -> None:
    with running(tmp_path, 2, nursery_for(load_settings())) as run:
        pids = list(run.pids().values())
        parents = {psutil.Process(pid).ppid() for pid in pids}
        assert len(parents) == 1
        parent = parents.pop()
        assert psutil.Process(parent).ppid() == os.getpid()
        assert sorted(process.pid for process in forked(psutil.Process())) == sorted(pids)
        loaded = [psutil.Process(pid).memory_full_info() for pid in pids]
        assert all(memory.uss < 0.5 * memory.rss for memory in loaded), "most is shared"
    assert not psutil.pid_exists(parent)
    assert run.nursery is not None
    run.nursery.end()  # once more does nothing


def test_exit_codes_and_signals_are_told(tmp_path: Path) -> None:
    with running(tmp_path, 1) as run:
        assert run.nursery is not None
        for how, wanted in (("leave", 7), ("kill", -signal.SIGKILL)):
            own = ForkedProcess(run.nursery, target=_end, args=(how,), daemon=True)
            own.start()
            assert connection.wait([own.sentinel], 60.0)
            own.join(60.0)
            assert own.exitcode == wanted


def _end(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(7)


def test_a_nursery_that_is_killed_is_begun_anew_with_all_that_it_forked(tmp_path: Path) -> None:
    with running(tmp_path, 2) as run:
        before = list(run.pids().values())
        os.kill(psutil.Process(before[0]).ppid(), signal.SIGKILL)
        deaths = []
        deadline = time.monotonic() + 100
        while len(deaths) < 2 and time.monotonic() < deadline:
            deaths += run.watch(0.1)
        assert [death.details for death in deaths] == [describe_exit(nursery.NURSERY_DIED)] * 2
        assert all_gone(before)
        after = run.pids()
        assert len(after) == 2
        assert not set(after.values()) & set(before)


def test_nothing_is_left_of_a_run_whose_supervisor_is_killed(tmp_path: Path) -> None:
    """Also where hexpipe is found by sys.path alone."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    arguments = [sys.executable, "-P", str(script), str(tmp_path), str(ROOT)]
    with subprocess.Popen(arguments, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        assert len(pids) == 2
        parent = psutil.Process(pids[0]).ppid()
        assert parent != supervisor.pid
        supervisor.kill()
    assert all_gone([*pids, parent])
    assert not list(temporary.iterdir())


def test_hundreds_of_open_files_are_passed_on(tmp_path: Path) -> None:
    pipes = [spawn_context().Pipe(duplex=False) for _ in range(300)]
    with running(tmp_path, 1) as run:
        assert run.nursery is not None
        senders = [sender for _, sender in pipes]
        own = ForkedProcess(run.nursery, target=_send_numbers, args=(senders,), daemon=True)
        own.start()
        for sender in senders:
            sender.close()
        assert [receiver.recv() for receiver, _ in pipes] == list(range(300))
        own.join(60.0)
        assert own.exitcode == 0
        for receiver, _ in pipes:
            with pytest.raises(EOFError):
                receiver.recv()
            receiver.close()


def _send_numbers(senders: list[connection.Connection]) -> None:
    for number, sender in enumerate(senders):
        sender.send(number)


def test_a_process_that_cannot_be_forked_leaves_the_others_alone(tmp_path: Path) -> None:
    with running(tmp_path, 1, Nursery("tests.processes.children:refuse_the_third")) as run:
        assert run.nursery is not None
        others = [ForkedProcess(run.nursery, target=time.sleep, args=(600,), daemon=True) for _ in range(2)]
        others[0].start()
        with pytest.raises(BlockingIOError) as refused:
            others[1].start()
        assert refused.value.errno == errno.EAGAIN
        assert run.watch(0.2) == []
        assert others[0].is_alive()
        others[0].kill()
        others[0].join(60.0)
        assert others[0].exitcode == -signal.SIGKILL


def test_more_open_files_than_are_allowed_are_refused_in_order(tmp_path: Path) -> None:
    pipes = [spawn_context().Pipe(duplex=False) for _ in range(300)]
    with running(tmp_path, 1, Nursery("tests.processes.children:allow_few_files")) as run:
        assert run.nursery is not None
        own = ForkedProcess(run.nursery, target=_send_numbers, args=([sender for _, sender in pipes],), daemon=True)
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            own.start()
        assert run.watch(0.2) == []
        another = ForkedProcess(run.nursery, target=_end, args=("leave",), daemon=True)
        another.start()
        another.join(60.0)
        assert another.exitcode == 7
    for end in (end for pipe in pipes for end in pipe):
        end.close()


def test_an_interrupt_while_a_process_is_started_leaves_no_answer_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, 1) as run:
        assert run.nursery is not None
        before = list(run.pids().values())
        own = ForkedProcess(run.nursery, target=_end, args=("leave",), daemon=True)
        with monkeypatch.context() as patched:
            patched.setattr(nursery, "_read", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                own.start()
        assert [death.details for death in run.watch(0.0)] == []
        another = ForkedProcess(run.nursery, target=_end, args=("leave",), daemon=True)
        another.start()
        another.join(60.0)
        assert another.exitcode == 7
        assert all_gone(before), "the nursery that was not waited for has ended with what it forked"


def _interrupted(stream: object, size: int) -> bytes:
    raise KeyboardInterrupt


def test_a_nursery_that_fails_ends_the_run_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(HexpipeError, match=r"forked ended with exit code 1 while it loaded"):
        begun(tmp_path, 1, Nursery("tests.processes.children:load_badly"))
