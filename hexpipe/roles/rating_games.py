"""Games between two checkpoints of a run. Two nets are made, and take the weights of one checkpoint after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hexpipe.arena.checkpoint_ratings import player_name
from hexpipe.arena.contestants import Contestant
from hexpipe.arena.engine import MOST_AT_ONCE, make_evaluator
from hexpipe.arena.players import NetPlayer, Player
from hexpipe.arena.ratings import Unit
from hexpipe.arena.results import PlayedGame
from hexpipe.arena.tournament import Plan, Tournament
from hexpipe.config import Settings, override_settings
from hexpipe.games.game_env import Game
from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.latents import LocalLatentEvaluator, PoolShape
from hexpipe.nets.factory import Weights
from hexpipe.roles.pace import Pace, PacedEvaluator
from hexpipe.search.mcts import nodes_per_game

_OPENING_PLIES = 2


@dataclass
class _Corner:
    """One of the two nets, and the step of the checkpoint whose weights it has (-1: of none)."""

    evaluator: LocalEvaluator | LocalLatentEvaluator
    player: Player
    step: int = -1


class Corners:
    """Two nets of ``settings`` on the board of ``game``, each with the weights of a checkpoint.

    After every batch of a search ``pace`` is kept; what that raises ends the games.
    """

    def __init__(self, settings: Settings, game: Game, device: str, pace: Pace) -> None:
        self._settings, self._game, self._device, self._pace = settings, game, device, pace
        self._at_once = min(2 * settings.rating.pairs, MOST_AT_ONCE)
        self._corners: list[_Corner] = []

    @property
    def steps(self) -> list[int]:
        """Steps of the checkpoints that are loaded."""
        return [corner.step for corner in self._corners if corner.step >= 0]

    def load(self, read: Callable[[], Weights], step: int, keep: int) -> None:
        """Load the weights of ``step``, which ``read`` gives, if they are not loaded, but not over those of ``keep``.

        What ``read`` raises goes through.
        """
        if step in self.steps:
            return
        weights = read()
        if len(self._corners) < 2:
            self._corners.append(self._new_corner())
        corner = next(corner for corner in reversed(self._corners) if corner.step != keep)
        corner.step = -1
        if isinstance(corner.evaluator, LocalLatentEvaluator):
            corner.evaluator.release(0)  # or it would wait for searches that are over
        corner.evaluator.load(step, weights)
        corner.step = step
        self._pace.keep()

    def play(self, step: int, opponent: int, played: Sequence[Unit]) -> list[list[PlayedGame]]:
        """The pairs of games between two loaded checkpoints that are missing beside those ``played``, in which they
        are players 0 and 1."""
        players = {corner.step: corner.player for corner in self._corners}
        simulations, pairs = self._settings.rating.simulations, self._settings.rating.pairs
        contestants = [Contestant(player_name(each, simulations), players[each]) for each in (step, opponent)]
        plan = Plan(pairs, pairs, _OPENING_PLIES, error=0.0)
        return Tournament(self._game, contestants, plan, self._settings.seed, [*played]).play_round()

    def _new_corner(self) -> _Corner:
        search = self._settings.search.model_copy(
            update={"num_simulations": self._settings.rating.simulations, "phase_simulations": None}
        )
        learned = self._settings.algorithm == "muzero"
        settings = self._settings
        if self._corners and isinstance(first := self._corners[0].evaluator, LocalEvaluator):
            # what was the fastest for the one is it for the other; a dtype that nobody named is held to float32 by each
            settings = override_settings(settings, {"inference.backend": first.backend.name})
        pool = PoolShape(self._at_once, nodes_per_game(search, learned))
        sizes = (-(-self._at_once // 2), self._at_once)
        evaluator = make_evaluator(settings, self._game, pool, self._device, sizes)
        paced = PacedEvaluator(evaluator, self._pace)
        return _Corner(evaluator, NetPlayer(self._game, paced, search, learned=learned, at_once=self._at_once))
