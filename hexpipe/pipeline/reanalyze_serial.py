"""Old games searched anew in the process that also plays and trains (`hexpipe train`)."""

from __future__ import annotations

from collections.abc import Callable

from hexpipe.config import Settings
from hexpipe.games.game_env import Game
from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.latents import LocalLatentEvaluator
from hexpipe.random_streams import Stream, generator
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.old_games import OldGames
from hexpipe.selfplay.reanalyze import OldGame, Reanalysis


class SerialReanalysis:
    """Searches games of ``buffer`` with ``evaluator``, whose weights the caller loads, and puts them back.

    ``positions`` counts those searched and put back. Deterministic from the seed and what the buffer held.
    """

    def __init__(
        self,
        settings: Settings,
        game: Game,
        buffer: ReplayBuffer,
        archive: ReplayArchive,
        evaluator: LocalEvaluator | LocalLatentEvaluator,
    ) -> None:
        self._buffer = buffer
        self._before = buffer.total_positions
        self._version = 0
        self.positions = 0
        rng = generator(Stream.TRAIN_REANALYZE, settings.seed, buffer.total_games)
        self._old_games = OldGames(buffer, archive, settings.reanalyze.ratio, rng)
        self._reanalysis = Reanalysis(game, settings, evaluator, self._take, self._put_back)
        if isinstance(evaluator, LocalLatentEvaluator):
            self._reanalysis.on_idle = evaluator.release

    def search(self, version: int, should_stop: Callable[[], bool]) -> None:
        """Search all that the new positions since the start pay for; ``version`` is that of the newest weights."""
        self._version = version
        while self._reanalysis.step() and not should_stop():
            pass

    def _take(self) -> OldGame | None:
        return self._old_games.take(self._buffer.total_positions - self._before, self._version)

    def _put_back(self, number: int, record: GameRecord) -> None:
        self._old_games.done(number, record.weights_version)
        if self._buffer.refresh_game(number, record):
            self.positions += record.num_positions
