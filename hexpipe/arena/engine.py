"""A checkpoint as something that can be asked about positions: what every way to play a net stands on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hexpipe import kernel_cache
from hexpipe.arena.analysis import Analysis, Searches, analyse
from hexpipe.arena.players import NetPlayer
from hexpipe.config import SearchSettings, Settings, override_settings, settings_on_board
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.games.set_up import Position
from hexpipe.inference.client import CachedEvaluator
from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.latents import LocalLatentEvaluator, PoolShape
from hexpipe.inference.lru_cache import LRUCache
from hexpipe.nets.checkpoints import Checkpoint, load_checkpoint
from hexpipe.nets.choose_backend import choose_backend
from hexpipe.search.evaluator import Evaluator
from hexpipe.search.mcts import nodes_per_game
from hexpipe.search.swap_by_value import LatentSwapByValue, SwapByValue

BATCH_SIZES = (16, 64, 128)
MOST_AT_ONCE = 128
"""Games that one `Engine.choose` searches side by side."""


def checkpoint_evaluator(
    checkpoint: Checkpoint,
    game: Game,
    pool: PoolShape,
    device: str = "cpu",
    groups: int = 1,
) -> LocalEvaluator | LocalLatentEvaluator:
    """Return `make_evaluator` of a checkpoint's settings with its playing weights. CheckpointError where they do not
    fit."""
    checkpoint.check_fit()
    evaluator = make_evaluator(checkpoint.settings, game, pool, device, groups=groups)
    evaluator.load(checkpoint.step, checkpoint.play_weights)
    return evaluator


def make_evaluator(
    settings: Settings,
    game: Game,
    pool: PoolShape,
    device: str = "cpu",
    batch_sizes: tuple[int, ...] = BATCH_SIZES,
    groups: int = 1,
    apart: bool = False,
) -> LocalEvaluator | LocalLatentEvaluator:
    """Return the net of ``settings`` on the board of ``game`` with the fastest backend, in this process; it waits for
    its first weights.

    ``pool`` is of the latents of each of ``groups``, where the net has learned dynamics; ``apart`` as in
    `choose_backend`. Raises SettingsError where ``device`` is none.
    """
    kernel_cache.need(*kernel_cache.to_play(settings.game.name, settings.algorithm))
    if settings.algorithm == "muzero":
        from hexpipe.nets.backend_latent import LatentBackend  # imports torch, which other nets play without

        net = LatentBackend(settings.net, game.shapes, groups * pool.rows, "float32", device)
        return LocalLatentEvaluator(net, game.shapes, pool, groups=groups)
    chosen = choose_backend(settings.net, game.shapes, settings.inference, device, batch_sizes, apart=apart)
    return LocalEvaluator(chosen.backend, game.shapes, groups=groups, max_batch=settings.inference.max_batch)


def of_simulations(settings: Settings, simulations: int) -> SearchSettings:
    """Return the search of ``settings`` with so many simulations a move throughout a game; SettingsError where that
    cannot be."""
    return override_settings(settings, {"search.num_simulations": simulations, "search.phase_simulations": None}).search


class Engine:
    """A checkpoint on one board. Threads may share it: one search runs at a time, the others wait.

    ``checkpoint``: a run folder (its newest checkpoint), a checkpoint folder, or what was loaded of one. ``board_size``
    and ``swap`` are its run's unless given; one net plays every size, and the swap rule even where it was trained
    without (`SwapByValue`). ``rules`` are options of the game's own that differ from its run's, such as Go's komi.
    ``cache_entries`` positions are remembered, 0 for none.
    Raises CheckpointError where there is no such checkpoint, SettingsError where the game or the device cannot be.
    """

    def __init__(
        self,
        checkpoint: str | Path | Checkpoint,
        *,
        board_size: int | None = None,
        swap: bool | None = None,
        rules: Mapping[str, float] | None = None,
        device: str = "cpu",
        cache_entries: int = 65536,
    ) -> None:
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = load_checkpoint(Path(checkpoint), groups=("model", "ema"))
        checkpoint.check_fit()
        self.checkpoint = checkpoint
        self.settings = settings_on_board(self.checkpoint.settings, board_size, swap, rules)
        kernel_cache.need(*kernel_cache.to_play(self.settings.game.name, self.settings.algorithm))
        self.game: Game = make_game(self.settings.game)
        self.learned = self.settings.algorithm == "muzero"
        self._rules, self._device, self._cache_entries = rules, device, cache_entries
        self._lock = threading.Lock()
        self._pool = PoolShape(0, 0)
        self._evaluator: Evaluator | None = None

    def analyse(
        self,
        positions: Sequence[Position],
        simulations: int | None = None,
        seconds: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> list[Analysis]:
        """Run `analysis.analyse` on k > 0 positions, by their moves or as a `set_up.SetUp`: legal and not over.

        ``simulations`` for each, those of the run unless given; ``seconds`` for all of them together, which end as
        well once ``stop`` says so.
        """
        search = self._search(simulations)
        with self._lock:
            evaluator = self._evaluator_for(PoolShape(len(positions), nodes_per_game(search, self.learned)))
            return analyse(self.game, positions, evaluator, search, learned=self.learned, seconds=seconds, stop=stop)

    def on_board(self, board_size: int, swap: bool) -> Engine:
        """Return the same checkpoint on another board; SettingsError where it cannot be."""
        device, cache = self._device, self._cache_entries
        return Engine(
            self.checkpoint, board_size=board_size, swap=swap, rules=self._rules, device=device, cache_entries=cache
        )

    def searches(self, positions: Sequence[Position], simulations: Sequence[int]) -> Searches:
        """Return `analysis.Searches` of k > 0 positions with ``simulations`` for each. Until they are over, one thread
        may turn other such searches of this engine between; with learned dynamics nothing else may be asked of it."""
        search = self._search(max(simulations))
        evaluator = self._evaluator_for(PoolShape(len(positions), nodes_per_game(search, self.learned)))
        return Searches(self.game, positions, evaluator, search, self.learned, simulations)

    def choose(self, positions: Sequence[Position], simulations: int | None = None) -> NDArray[np.int32]:
        """Return one action int32 [k] for each of k > 0 positions: what the run's own search takes without noise."""
        search = self._search(simulations)
        at_once = min(len(positions), MOST_AT_ONCE)
        with self._lock:
            evaluator = self._evaluator_for(PoolShape(at_once, nodes_per_game(search, self.learned)))
            player = NetPlayer(self.game, evaluator, search, learned=self.learned, at_once=at_once)
            return player.choose(positions)

    def _search(self, simulations: int | None) -> SearchSettings:
        if simulations is None:
            return self.settings.search
        return of_simulations(self.settings, simulations)

    def _evaluator_for(self, pool: PoolShape) -> Evaluator:
        """Return the net, made when it is first asked, and again only where a larger pool of latents is needed."""
        fits = not self.learned or (pool.nodes == self._pool.nodes and pool.games <= self._pool.games)
        if self._evaluator is None or not fits:
            self._pool = PoolShape(1 << (pool.games - 1).bit_length(), pool.nodes)
            local = checkpoint_evaluator(self.checkpoint, self.game, self._pool, self._device)
            self._evaluator, shapes = local, self.game.shapes
            if self._cache_entries and not self.learned:  # latents are no answer to keep
                self._evaluator = CachedEvaluator(local, LRUCache(self._cache_entries, shapes), shapes)
            if self.game.swap and not self.checkpoint.settings.game.swap:  # the net has never seen a swap
                if self.learned:
                    self._evaluator = LatentSwapByValue(local, shapes, self._pool.rows)
                else:
                    self._evaluator = SwapByValue(self._evaluator, shapes)
        return self._evaluator
