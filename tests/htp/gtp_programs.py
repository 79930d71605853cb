"""A controller of programs that speak GTP, with its own reading of replies: nothing of hexpipe."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEXPIPE = [sys.executable, "-P", "-m", "hexpipe.cli.main", "gtp"]


class Program:
    """A process that speaks GTP, asked a command at a time. Use it in ``with``."""

    def __init__(self, command: Sequence[str]) -> None:
        self._ids = count(1)
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, command: str) -> tuple[bool, str]:
        """(success, reply) of a command with an id, which the reply must have."""
        number = next(self._ids)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{number} {command}\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) not in ("\n", ""):
            lines.append(line)
        reply = "".join(lines)
        assert reply[:1] in ("=", "?"), f"{command}: {reply!r}"
        assert reply[1:].startswith(f"{number}"), f"{command}: {reply!r}"
        return reply[0] == "=", reply[1 + len(str(number)) :].strip()

    def send(self, command: str) -> str:
        """The reply to ``command``, which must be a success."""
        success, reply = self.ask(command)
        assert success, f"{command}: {reply}"
        return reply


def play(first: Program, second: Program, size: int, komi: float, most: int) -> tuple[list[str], str]:
    """One game until both pass, one resigns, or ``most`` moves: the words, and what the first says of the score."""
    words: list[str] = []
    for program in (first, second):
        program.send(f"boardsize {size}")
        program.send(f"komi {komi}")
        program.send("clear_board")
    while len(words) < most and [word.lower() for word in words[-2:]] != ["pass", "pass"]:
        mover, other = (first, second) if len(words) % 2 == 0 else (second, first)
        colour = "bw"[len(words) % 2]
        words.append(mover.send(f"genmove {colour}"))
        if words[-1].lower() == "resign":
            break
        other.send(f"play {colour} {words[-1]}")
    success, score = first.ask("final_score")
    return words, score if success else ""
