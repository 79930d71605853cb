"""From what people write to players: checkpoints, runs, programs of HTP, "box", "random", "solver", "uct:N",
"openspiel:mcts:N"."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.arena.engine import Engine
from hexpipe.arena.htp_player import HtpPlayer
from hexpipe.arena.players import Player, RandomPlayer
from hexpipe.arena.uct import MOST_PLAYOUTS, UctPlayer
from hexpipe.config import GameSettings, load_settings, settings_on_board
from hexpipe.errors import SettingsError, UsageError
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.games.hex_solver import MAX_SOLVABLE_SIZE, HexSolver, is_solvable
from hexpipe.nets.box import BOX, BOX_NAME
from hexpipe.nets.checkpoints import list_checkpoints, load_checkpoint, step_of
from hexpipe.random_streams import Stream, generator

HTP_PREFIX = "htp:"
UCT_PREFIX = "uct:"
SPIEL_PREFIX = "openspiel:mcts:"
_WORDS = ("random", "solver", BOX_NAME)
_NAMED = re.compile(r"([\w.@+/-]+)=(.+)", re.DOTALL)
_STEP = re.compile(r"([^/]+)/checkpoints/step-0*(\d+)/?$")


class Contestant(NamedTuple):
    """A player and what it is called."""

    name: str
    player: Player


class SolverPlayer:
    """Perfect play on boards that the solver knows: a random winning move, or where there is none any move."""

    def __init__(self, game: Game, seed: int, number: int = 0) -> None:
        if not is_solvable(game) or game.swap:
            most = f"{MAX_SOLVABLE_SIZE}x{MAX_SOLVABLE_SIZE}"
            words = f"solver: it knows Hex up to {most} without swap; take another player or a smaller board"
            raise SettingsError(words, kind="conflict", setting="game.board_size", low=3, high=MAX_SOLVABLE_SIZE)
        self._game, self._solver = game, HexSolver(game.board_size)
        self._rng = generator(Stream.PLAYER, seed, number)

    def choose(self, positions: Sequence[Sequence[int]]) -> NDArray[np.int32]:
        return np.array([self._one(position) for position in positions], np.int32)

    def _one(self, position: Sequence[int]) -> int:
        cells = self._game.play(position).cells[0]
        winning = self._solver.winning_moves(cells, len(position) % 2)
        return int(self._rng.choice(winning or np.flatnonzero(cells == 0)))


class EnginePlayer:
    """A checkpoint's net with a search of ``simulations``, or of its run's own."""

    def __init__(self, engine: Engine, simulations: int | None) -> None:
        self._engine, self._simulations = engine, simulations

    def choose(self, positions: Sequence[Sequence[int]]) -> NDArray[np.int32]:
        """Return one legal move int32 [k] for each of k > 0 positions."""
        return self._engine.choose(positions, self._simulations)


def split_name(spec: str) -> tuple[str | None, str]:
    """Return the name that a player is given, and the player: of "mohex=htp:mohex" ("mohex", "htp:mohex").

    None where there is no name, as in the path of something that exists.
    """
    match = _NAMED.fullmatch(spec)
    if match is None or os.path.lexists(spec):
        return None, spec
    return match[1], match[2]


def expand(specs: Sequence[str]) -> list[str]:
    """Return ``specs`` with runs and folders of checkpoints replaced by all the checkpoints in them, oldest first.

    Several checkpoints of one name are told apart by their steps.
    """
    found: list[str] = []
    for spec in specs:
        name, player = split_name(spec)
        inside = [] if _plays_without_a_checkpoint(player) else list_checkpoints(Path(player))
        prefix = "" if name is None else f"{name}="
        if name is not None and len(inside) > 1:
            found += [f"{name}/{step_of(path)}={path}" for path in inside]
        else:
            found += [f"{prefix}{checkpoint}" for checkpoint in inside] or [spec]
    return found


def common_game(specs: Sequence[str], board_size: int | None, swap: bool | None) -> GameSettings:
    """Return the rules that all play by: those of the first checkpoint, with ``board_size`` and ``swap`` where given.

    Where there is no checkpoint those of the net in the box if it plays, else Hex 5x5.
    SettingsError where a checkpoint is of another game.
    """
    changed = {"game.board_size": board_size, "game.swap": swap}
    given = {name: value for name, value in changed.items() if value is not None}
    settings: GameSettings | None = None
    for _, spec in map(split_name, specs):
        if _plays_without_a_checkpoint(spec):
            continue
        theirs = settings_on_board(load_checkpoint(Path(spec), groups=()).settings, board_size, swap).game
        if settings is not None and theirs != settings:
            words = f"{spec} plays {theirs.title}, the others {settings.title}: give --size (and --swap or --no-swap)"
            raise SettingsError(words, kind="foreign", setting="game")
        settings = theirs
    if settings is None and any(spec == BOX_NAME for _, spec in map(split_name, specs)):
        settings = settings_on_board(load_checkpoint(BOX, groups=()).settings, board_size, swap).game
    return settings or load_settings("quick", given).game


def make_contestants(
    specs: Sequence[str],
    rules: GameSettings,
    resources: ExitStack,
    simulations: int | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> list[Contestant]:
    """Return the players of ``specs``; what must be closed is entered into ``resources``.

    UsageError for what is none, or two of the same name.
    """
    game = make_game(rules)
    contestants = []
    for number, (given, spec) in enumerate(map(split_name, specs)):
        player: Player
        name = spec
        if spec == "random":
            player = RandomPlayer(game, seed, number)
        elif spec == "solver":
            player = SolverPlayer(game, seed, number)
        elif spec.startswith(UCT_PREFIX):
            player = UctPlayer(game, _playouts(spec, UCT_PREFIX), seed, number)
        elif spec.startswith(SPIEL_PREFIX):
            from hexpipe.arena.openspiel_player import SpielMctsPlayer  # of an extra

            player = SpielMctsPlayer(game, _playouts(spec, SPIEL_PREFIX), seed, number)
        elif spec.startswith(HTP_PREFIX):
            player = resources.enter_context(HtpPlayer(game, spec.removeprefix(HTP_PREFIX)))
        else:
            engine = Engine(
                BOX if spec == BOX_NAME else spec, board_size=rules.board_size, swap=rules.swap, device=device
            )
            player = EnginePlayer(engine, simulations)
            name = _short_name(spec) + (f"@{simulations}" if simulations else "")
        contestants.append(Contestant(given or name, player))
    names = [contestant.name for contestant in contestants]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two players are called {name}: give one a name of its own, as in other={name}", kind="conflict"
            )
    return contestants


def _plays_without_a_checkpoint(spec: str) -> bool:
    return spec in _WORDS or spec.startswith((HTP_PREFIX, UCT_PREFIX, SPIEL_PREFIX))


def _playouts(spec: str, prefix: str) -> int:
    """Return N of uct:N or openspiel:mcts:N; SettingsError if it is none."""
    text = spec.removeprefix(prefix)
    playouts = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= playouts <= MOST_PLAYOUTS:
        words = f"{spec}: {prefix}N plays N random games a move, 1 to {MOST_PLAYOUTS:,}, as in {prefix}1000"
        raise SettingsError(words, kind="range", setting="uct", low=1, high=MOST_PLAYOUTS)
    return playouts


def _short_name(spec: str) -> str:
    """Return a checkpoint by its run and step, "first/1234"; a run as it was named."""
    match = _STEP.search(spec)
    return f"{match[1]}/{match[2]}" if match else spec
