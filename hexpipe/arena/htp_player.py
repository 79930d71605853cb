"""A program that speaks HTP, the Hex Text Protocol, as a player: MoHex, Wolve, another hexpipe.

HTP is GTP (Go Text Protocol, version 2, Farneback 2002) with Hex's moves: a command a line, an answer that begins with
"=" or "?" and ends with an empty line. After "swap-pieces" stones stay where they are here, as in HexGUI.
"""

from __future__ import annotations

import queue
import shlex
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from hexpipe.arena.players import RESIGN
from hexpipe.errors import NotationError, ProcessDiedError, SettingsError
from hexpipe.games.format_conversion import action_name, parse_action
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex

_SWAP_WORDS = ("swap-pieces", "swap")
_COLOURS = ("black", "white")
_END_SECONDS = 2.0


class HtpPlayer:
    """The program of ``command`` on the board of ``game``, asked for one game after another.

    ``seconds`` a reply is waited for. Raises SettingsError where it cannot be started or ``game`` is no Hex, and
    ProcessDiedError, with what it said, where it fails, plays what is illegal, or does not answer.
    """

    def __init__(self, game: Game, command: str, seconds: float = 300.0) -> None:
        if game.name != Hex.name:
            raise SettingsError(f"{command}: HTP is for Hex, these players play {game.name}")
        self._game, self._command, self._seconds = game, command, seconds
        try:
            self._process = subprocess.Popen(
                shlex.split(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                errors="replace",
            )
        except (OSError, ValueError) as error:
            raise SettingsError(f"{command}: cannot be started ({error}); give a command line") from error
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="htp-player", daemon=True)
        self._reader.start()
        self._played: list[int] | None = None

    def __enter__(self) -> HtpPlayer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def choose(self, positions: Sequence[Sequence[int]]) -> NDArray[np.int32]:
        """One action int32 [k] for each of k positions, given by their moves; RESIGN where the program gives up."""
        return np.array([self._one(list(position)) for position in positions], np.int32)

    def close(self) -> None:
        """Ends the program."""
        if self._process.poll() is None:
            try:
                self._send("quit")
                self._process.wait(_END_SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):  # what it did not read before it ended
                self._process.stdin.close()
        self._reader.join(_END_SECONDS)  # longer only where a child of the program's holds the pipe

    def _one(self, moves: list[int]) -> int:
        n = self._game.board_size
        if self._played is None or moves[: len(self._played)] != self._played:
            self.ask(f"boardsize {n} {n}")
            self.ask("clear_board")
            self._played = []
        for ply in range(len(self._played), len(moves)):
            self.ask(f"play {self._colour(moves[:ply])} {self._word(moves[ply])}")
        self._played = moves
        answer = self.ask(f"genmove {self._colour(moves)}").lower()
        if answer == "resign":
            self._played = None
            return RESIGN
        try:
            word = "swap" if answer in _SWAP_WORDS else answer
            action = parse_action(word, n, self._game.swap)
        except NotationError as error:
            raise self._failed(f"it answered genmove with {answer!r}: {error}") from error
        states = self._game.play(moves)
        legal = np.zeros((1, self._game.num_actions), np.bool_)
        self._game.legal_mask(states, np.zeros(1, np.int32), legal)
        if not legal[0, action]:
            raise self._failed(f"it plays {answer}, which is illegal after {len(moves)} moves")
        self._played = [*moves, action]
        return action

    def ask(self, command: str) -> str:
        """The text of the program's answer to ``command``, without its mark."""
        try:
            self._send(command)
        except OSError as error:
            raise self._failed(f"it has ended (at {command!r})") from error
        lines: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=self._seconds)
            except queue.Empty:
                raise self._failed(f"it has not answered {command!r} within {self._seconds:g} s") from None
            if line is None:
                raise self._failed(f"it has ended (at {command!r})")
            if line:
                lines.append(line)
            elif lines:  # an empty line ends an answer; more of them between answers mean nothing
                break
        text = "\n".join(lines)
        if not text.startswith("="):
            raise self._failed(f"it answers {command!r} with {text!r}")
        return text[1:].strip()

    def _send(self, command: str) -> None:
        pipe = self._process.stdin
        if pipe is None:
            raise OSError("no pipe")
        pipe.write(command + "\n")
        pipe.flush()

    def _read(self) -> None:
        """Hand on the program's lines, and close the pipe after the last: nobody else may while this reads."""
        if self._process.stdout is not None:
            with self._process.stdout as pipe:
                for line in pipe:
                    self._lines.put(line.rstrip("\r\n"))
        self._lines.put(None)

    def _colour(self, moves: Sequence[int]) -> str:
        """Whose turn it is after ``moves``: a swap changes who has which colour, not which colour is next."""
        return _COLOURS[sum(move < self._game.board_size**2 for move in moves) % 2]

    def _word(self, action: int) -> str:
        return "swap-pieces" if action == self._game.board_size**2 else action_name(action, self._game.board_size)

    def _failed(self, why: str) -> ProcessDiedError:
        return ProcessDiedError(self._command, why)
