"""How controllers read replies: as strictly as HexGui does, and over pipes to a real engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def split_replies(output: bytes) -> list[str]:
    """The replies in what an engine wrote; AssertionError where one is not as HexGui's HtpController.java wants it."""
    text = output.decode()
    assert "\r" not in text
    assert text == "" or text.endswith("\n\n")
    replies = text.split("\n\n")[:-1]
    for reply in replies:
        mark, _, _ = reply.partition(" ")
        assert mark[:1] in ("=", "?")
        assert mark[1:].isdigit() or mark[1:] == ""
        assert " " in reply
    return replies


class Controller:
    """A real `hexpipe htp` process, asked a command at a time. Use it in ``with``."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "hexpipe.cli.main", "htp", *arguments]
        self.process = subprocess.Popen(
            command,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def send(self, command: str) -> str:
        """The reply to ``command``, without its mark; AssertionError where it is none, or an error."""
        success, reply = self.ask(command)
        assert success, f"{command}: {reply}"
        return reply

    def ask(self, command: str) -> tuple[bool, str]:
        """(success, reply), read line by line as HexGui's HtpController.java does."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        reply = ""
        while True:
            line = self.process.stdout.readline().decode()
            assert line.endswith("\n"), f"{command}: the engine has gone"
            if line == "\n":
                break
            reply += line
        assert reply[:2] in ("= ", "? "), reply
        return reply[0] == "=", reply[2:].removesuffix("\n")
