"""The cluster process as the run sees it: whether a cluster is there, and what is left of one that has died."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket

import psutil

from hexpipe.errors import SettingsError, install_command

LOCAL = "local"
_REACH_SECONDS = 10.0


def check_cluster(address: str) -> None:
    """Raises SettingsError, within seconds, where there is no Ray or nothing listens at ``address``."""
    if importlib.util.find_spec("ray") is None:
        raise SettingsError(f"several machines need Ray, which is not installed: {install_command('ray')}")
    if address == LOCAL:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"no Ray cluster answers at {address} ({error}): start one with `ray start --head`, which says its address"
        ) from error


def end_session(leader: int) -> None:
    """Kill what is left of the session that a dead cluster process led: some of Ray's helpers outlive it by minutes."""
    for process in psutil.process_iter() if leader else ():  # 0: it was never started
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == leader:
                process.kill()
