"""Games between two checkpoints of a run: two nets are built, and successively loaded with checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hexpipe.arena.checkpoint_ratings import player_name
from hexpipe.arena.contestants import Contestant
from hexpipe.arena.engine import MOST_AT_ONCE, make_evaluator, of_simulations
from hexpipe.arena.players import NetPlayer, Player
from hexpipe.arena.ratings import Unit
from hexpipe.arena.results import PlayedGame
from hexpipe.arena.tournament import Plan, Tournament
from hexpipe.config import Settings, override_settings
from hexpipe.games.game_env import Game
from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.latents import LocalLatentEvaluator, PoolShape
from hexpipe.nets.plain_net import Weights
from hexpipe.roles.throttle import Throttle, ThrottledEvaluator
from hexpipe.search.mcts import nodes_per_game

_OPENING_PLIES = 2


@dataclass
class _LoadedNet:
    """One of the two nets, and the step of the checkpoint loaded into it (-1: none)."""

    evaluator: LocalEvaluator | LocalLatentEvaluator
    player: Player
    step: int = -1


class NetPair:
    """Two nets of ``settings`` on the board of ``game``, each with the weights of a checkpoint.

    ``throttle`` acts after every batch of a search; an exception from it ends the games.
    """

    def __init__(self, settings: Settings, game: Game, device: str, throttle: Throttle) -> None:
        self._settings, self._game, self._device, self._throttle = settings, game, device, throttle
        self._at_once = min(2 * settings.rating.pairs, MOST_AT_ONCE)
        self._nets: list[_LoadedNet] = []

    @property
    def steps(self) -> list[int]:
        """Steps of the loaded checkpoints."""
        return [net.step for net in self._nets if net.step >= 0]

    def load(self, read: Callable[[], Weights], step: int, keep: int) -> None:
        """Load the weights of ``step`` from ``read`` if they are not loaded, but not over those of ``keep``.

        Errors of ``read`` pass through.
        """
        if step in self.steps:
            return
        weights = read()
        if len(self._nets) < 2:
            self._nets.append(self._new_net())
        net = next(net for net in reversed(self._nets) if net.step != keep)
        net.step = -1
        if isinstance(net.evaluator, LocalLatentEvaluator):
            net.evaluator.release(0)  # else it would wait for searches that are over
        net.evaluator.load(step, weights)
        net.step = step
        self._throttle.wait()

    def play(self, step: int, opponent: int, played: Sequence[Unit]) -> list[list[PlayedGame]]:
        """Play the pairs of games between two loaded checkpoints that are missing in ``played``; return them.

        The checkpoints are players 0 and 1.
        """
        players = {net.step: net.player for net in self._nets}
        simulations, pairs = self._settings.rating.simulations, self._settings.rating.pairs
        contestants = [Contestant(player_name(each, simulations), players[each]) for each in (step, opponent)]
        plan = Plan(pairs, pairs, _OPENING_PLIES, error=0.0)
        return Tournament(self._game, contestants, plan, self._settings.seed, [*played]).play_round()

    def _new_net(self) -> _LoadedNet:
        search = of_simulations(self._settings, self._settings.rating.simulations)
        learned = self._settings.algorithm == "muzero"
        settings = self._settings
        if self._nets and isinstance(first := self._nets[0].evaluator, LocalEvaluator):
            # the backend measured for the first serves the second; each checks an automatic dtype against float32
            settings = override_settings(settings, {"inference.backend": first.backend.name})
        pool = PoolShape(self._at_once, nodes_per_game(search, learned))
        sizes = (-(-self._at_once // 2), self._at_once)
        evaluator = make_evaluator(settings, self._game, pool, self._device, sizes, apart=True)
        throttled = ThrottledEvaluator(evaluator, self._throttle)
        return _LoadedNet(evaluator, NetPlayer(self._game, throttled, search, learned=learned, at_once=self._at_once))
