"""Signals that ask a run to end."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from hexpipe.processes.interrupts import SIGNALS, Interrupts, signals_blocked


def test_the_first_asks_and_the_second_hurries() -> None:
    with Interrupts() as interrupts:
        assert not interrupts.asked()
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.asked()
        assert not interrupts.hurry()
        signal.raise_signal(signal.SIGINT)
        assert interrupts.hurry()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_before_anybody_looks_a_second_one_ends_at_once() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.count == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_terminal_that_goes_away_asks_once() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert interrupts.asked()
        assert not interrupts.hurry()


@pytest.mark.parametrize("number", SIGNALS)
def test_what_was_ignored_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(number)
            assert not interrupts.asked()
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_what_is_started_within_has_them_blocked() -> None:
    code = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"
    with signals_blocked():
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(number.name in found for number in SIGNALS)


def test_the_resource_tracker_survives_a_terminal_that_goes_away() -> None:
    code = """
import os, signal
from multiprocessing import get_context, resource_tracker
from hexpipe.processes.interrupts import start_resource_tracker
start_resource_tracker()
tracker = resource_tracker._resource_tracker
semaphores = [get_context("spawn").Semaphore() for _ in range(5)]
os.kill(tracker._pid, signal.SIGHUP)
os.kill(tracker._pid, 0)
del semaphores
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
