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
from contextlib import AbstractContextManager, suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.arena.players import FORFEIT, RESIGN
from hexpipe.errors import NotationError, ProcessDiedError, SettingsError
from hexpipe.games.game_env import Game
from hexpipe.games.hex import Hex
from hexpipe.games.player_utils import COLOURS
from hexpipe.notation.format_conversion import action_name, parse_action

_SWAP_WORDS = ("swap-pieces", "swap")
_END_SECONDS = 2.0


class _Program(NamedTuple):
    process: subprocess.Popen[str]
    lines: queue.SimpleQueue[str | None]
    reader: threading.Thread


class HtpPlayer(AbstractContextManager["HtpPlayer"]):
    """The program of ``command`` on the board of ``game``, asked for one game after another.

    ``seconds`` a reply is waited for. Where it fails, plays what is illegal or does not answer, the game is forfeited,
    with what it did in ``failures``, and the program is started anew. Raises SettingsError where it cannot be started
    or ``game`` is no Hex.
    """

    def __init__(self, game: Game, command: str, seconds: float = 300.0) -> None:
        if game.name != Hex.name:
            raise SettingsError(
                f"{command}: HTP is for Hex, these players play {game.name}", kind="foreign", setting="game.name"
            )
        self._game, self._command, self._seconds = game, command, seconds
        self.failures: list[str] = []
        self._played: list[int] | None = None  # None: the program's board is unknown
        self._program: _Program | None = self._start()

    def _start(self) -> _Program:
        try:
            process = subprocess.Popen(
                shlex.split(self._command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                errors="replace",
            )
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"{self._command}: cannot be started ({error}); give a command line", kind="missing"
            ) from error
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process, lines), name="htp-player", daemon=True)
        reader.start()
        return _Program(process, lines, reader)

    def __exit__(self, *_: object) -> None:
        self.close()

    def choose(self, positions: Sequence[Sequence[int]]) -> NDArray[np.int32]:
        """Return one action int32 [k] for each of k positions, given by their moves: RESIGN where the program gives up,
        FORFEIT where it fails."""
        return np.array([self._one_or_forfeit(list(position)) for position in positions], np.int32)

    def close(self, politely: bool = True) -> None:
        """End the program, ``politely`` by asking it to quit first."""
        program, self._program, self._played = self._program, None, None
        if program is None:
            return
        process = program.process
        if process.poll() is None and politely:
            with suppress(OSError, subprocess.TimeoutExpired):
                _send(program, "quit")
                process.wait(_END_SECONDS)
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdin is not None:
            with suppress(OSError):  # what it did not read before it ended
                process.stdin.close()
        program.reader.join(_END_SECONDS)  # longer only where a child of the program's holds the pipe

    def _one_or_forfeit(self, moves: list[int]) -> int:
        try:
            return self._one(moves)
        except (ProcessDiedError, SettingsError) as error:
            self.failures.append(error.details if isinstance(error, ProcessDiedError) else str(error))
            self.close(politely=False)
            return FORFEIT

    def _one(self, moves: list[int]) -> int:
        n = self._game.board_size
        if self._program is None:
            self._program = self._start()
        if self._played is None or moves[: len(self._played)] != self._played:
            self.ask(f"boardsize {n} {n}")
            self.ask("clear_board")
            self._reply(f"param_game allow_swap {int(self._game.swap)}")  # many know of no such rule, and say so
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
        """Return the text of the program's answer to ``command``, without its mark; ProcessDiedError where it is an
        error, or there is none, with what it said."""
        text = self._reply(command)
        if not text.startswith("="):
            raise self._failed(f"it answers {command!r} with {text!r}")
        return text[1:].strip()

    def _reply(self, command: str) -> str:
        """Return the program's answer to ``command`` as it is."""
        program = self._program
        if program is None:
            raise self._failed("it is closed")
        try:
            _send(program, command)
        except OSError as error:
            raise self._failed(f"it has ended (at {command!r})") from error
        lines: list[str] = []
        while True:
            try:
                line = program.lines.get(timeout=self._seconds)
            except queue.Empty:
                raise self._failed(f"it has not answered {command!r} within {self._seconds:g} s") from None
            if line is None:
                raise self._failed(f"it has ended (at {command!r})")
            if line:
                lines.append(line)
            elif lines:  # an empty line ends an answer; more of them between answers mean nothing
                break
        return "\n".join(lines)

    def _colour(self, moves: Sequence[int]) -> str:
        """Return whose turn it is after ``moves``: a swap changes who has which colour, not which colour is next."""
        return COLOURS[sum(move < self._game.board_size**2 for move in moves) % 2]

    def _word(self, action: int) -> str:
        return "swap-pieces" if action == self._game.board_size**2 else action_name(action, self._game.board_size)

    def _failed(self, why: str) -> ProcessDiedError:
        return ProcessDiedError(self._command, why)


def _send(program: _Program, command: str) -> None:
    pipe = program.process.stdin
    if pipe is None:
        raise OSError("no pipe")
    pipe.write(command + "\n")
    pipe.flush()


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Hand on the program's lines, and close the pipe after the last: nobody else may while this reads."""
    if process.stdout is not None:
        with process.stdout as pipe:
            for line in pipe:
                lines.put(line.rstrip("\r\n"))
    lines.put(None)
