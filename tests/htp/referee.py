"""A referee between two Hex engines over pipes: its own rules, its own watch, nothing of hexpipe.

    python tests/htp/referee.py --size 5 --games 4 "hexpipe htp runs/a --seconds 1" "hexpipe htp runs/b --seconds 1"

The first engine begins in games 1, 3, 5 ... As benzene's twogtp.py has it, swap-pieces moves no stone: the engines
exchange colours and white goes on. A game ends when an edge is connected or somebody resigns. An illegal move, a broken
reply, a score that is not the referee's or, with --time, a flag that has dropped ends it all with exit code 1.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import time
from itertools import count

NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 0), (1, -1), (0, -1))


class RefereeError(Exception):
    """Something that an engine must not do."""


class Engine:
    """A process that speaks HTP."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ids = count(1)
        self.seconds = 0.0

    def send(self, command: str) -> str:
        """The reply to ``command``, which must be a success with the right id."""
        number = next(self.ids)
        began = time.monotonic()
        self.process.stdin.write(f"{number} {command}\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) not in ("\n", ""):
            lines.append(line)
        self.seconds = time.monotonic() - began
        reply = "".join(lines)
        if not reply.startswith(f"={number} "):
            raise RefereeError(f"{self.command}: {command!r} was answered with {reply!r}")
        return reply.removeprefix(f"={number} ").strip()

    def close(self) -> None:
        """Ask it to quit; it must end by itself."""
        self.send("quit")
        if self.process.wait(timeout=200):
            raise RefereeError(f"{self.command} ended with {self.process.returncode}")


def connects(stones: dict[tuple[int, int], int], colour: int, size: int) -> bool:
    """Whether ``colour`` (0 top to bottom, 1 left to right) has joined its edges."""
    todo = [cell for cell, owner in stones.items() if owner == colour and cell[colour] == 0]
    seen = set(todo)
    while todo:
        row, column = todo.pop()
        if (row, column)[colour] == size - 1:
            return True
        for down, right in NEIGHBOURS:
            cell = (row + down, column + right)
            if stones.get(cell) == colour and cell not in seen:
                seen.add(cell)
                todo.append(cell)
    return False


def play(first: Engine, second: Engine, size: int, main_time: float | None) -> tuple[Engine, list[str]]:
    """One game: the engine that won, and the words that were played."""
    for engine in (first, second):
        engine.send(f"boardsize {size} {size}")
        engine.send("clear_board")
        if main_time is not None:
            engine.send(f"time_settings {main_time:g} 0 0")
    players, colour = [first, second], 0
    left = {first: main_time or 0.0, second: main_time or 0.0}
    stones: dict[tuple[int, int], int] = {}
    words: list[str] = []
    while True:
        mover, other = players[colour], players[1 - colour]
        name = ("black", "white")[colour]
        if main_time is not None:
            mover.send(f"time_left {name} {left[mover]:.3f} 0")
        word = mover.send(f"genmove {name}").lower()
        left[mover] -= mover.seconds
        if main_time is not None and left[mover] < 0:
            raise RefereeError(f"{mover.command}: its flag has dropped, {-left[mover]:.2f} s too late")
        other.send(f"play {name} {word}")
        words.append(word)
        if word == "resign":
            return finish(players, 1 - colour), words
        if word == "swap-pieces":
            if len(words) != 2:
                raise RefereeError(f"{mover.command}: swaps after {len(words) - 1} moves")
            players.reverse()
            continue
        cell = parse(word, size)
        if cell is None or cell in stones:
            raise RefereeError(f"{mover.command}: {word!r} is no legal move")
        stones[cell] = colour
        if connects(stones, colour, size):
            return finish(players, colour), words
        colour = 1 - colour


def parse(word: str, size: int) -> tuple[int, int] | None:
    """(row, column) of a cell of the board, None if ``word`` names none."""
    match = re.fullmatch(r"([a-z])([1-9][0-9]?)", word)
    if match is None:
        return None
    row, column = int(match[2]) - 1, ord(match[1]) - ord("a")
    return (row, column) if row < size and column < size else None


def finish(players: list[Engine], winner: int) -> Engine:
    """The engine that has the colour ``winner``; both must say so."""
    for engine in players:
        score = engine.send("final_score")
        if score != ("B+", "W+")[winner]:
            raise RefereeError(f"{engine.command}: final_score is {score!r}")
    return players[winner]


def main() -> int:
    """Play the games and say how they went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs=2, metavar="COMMAND")
    parser.add_argument("--size", type=int, default=11)
    parser.add_argument("--games", type=int, default=2)
    parser.add_argument("--time", type=float, help="seconds for a whole game, each")
    options = parser.parse_args()
    engines = [Engine(command) for command in options.engines]
    wins = [0, 0]
    try:
        for number in range(options.games):
            order = engines if number % 2 == 0 else engines[::-1]
            winner, words = play(order[0], order[1], options.size, options.time)
            wins[engines.index(winner)] += 1
            sys.stdout.write(f"game {number + 1}: engine {engines.index(winner) + 1} wins: {' '.join(words)}\n")
        for engine in engines:
            engine.close()
    except RefereeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        for engine in engines:
            engine.process.kill()
            engine.process.communicate()
    sys.stdout.write(f"{options.games} games: {wins[0]} to {wins[1]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
