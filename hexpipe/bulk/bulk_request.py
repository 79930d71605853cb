"""Requests for bulk self-play, the work of its workers and their reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hexpipe.bulk.game_files import FinishedGame
from hexpipe.config import Settings
from hexpipe.selfplay.openings import Opening

OPENINGS = ("balanced", "random", "none")


@dataclass(frozen=True)
class BulkRequest:
    """A request for `hexpipe selfplay`.

    ``simulations``: None for the run's own, 0 or 1 for the policy alone; ``temperature``: None for the run's own;
    ``openings``: one of `OPENINGS`, or a file of them. ``output_dir`` None is runs/selfplay-RUN-STEP.
    """

    checkpoint: Path
    num_games: int
    workers: int
    batch_size: int = 100
    simulations: int | None = None
    temperature: float | None = None
    openings: str = "balanced"
    opening_plies: int = 4
    seed: int = 0
    cache_entries: int = 65536
    device: str = "cpu"
    output_dir: Path | None = None


class Work(NamedTuple):
    """One worker's part of a request: the games ``numbers``, of all that the folder is to hold, and ``stream``: its
    seed and the numbers of its random streams.

    ``listed`` openings are taken in turn by the games' numbers; else the request says how they are drawn.
    """

    request: BulkRequest
    numbers: range
    stream: tuple[int, ...]
    listed: tuple[Opening, ...]


class Counts(NamedTuple):
    """Positions of one session. ``boards``: searches asked for them; ``cache_hits`` of these were answered from a
    worker's cache and ``cache_repeats`` equalled another of their batch, so that the net evaluated the rest;
    ``opening_boards``: the net evaluated them to find balanced openings."""

    boards: int = 0
    cache_hits: int = 0
    cache_repeats: int = 0
    opening_boards: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of the boards that the net did not evaluate."""
        return (self.cache_hits + self.cache_repeats) / max(1, self.boards)


class Report(NamedTuple):
    """A worker's report: its counts so far, and the games that it has finished since it last said."""

    counts: Counts
    games: list[FinishedGame]


def play_settings(saved: Settings, request: BulkRequest) -> Settings:
    """Return the run's settings as bulk self-play changes them.

    Every move is searched alike, and games are played to their ends.

    One leaf of a game at a time, so that a batch is a position of each game, and no Dirichlet noise: openings and
    temperature make the games differ. The policy alone is a Gumbel root with one simulation: it takes the largest of
    logits + temperature * Gumbel noise, which is a draw from the policy, and keeps the evaluation for the next move.
    Values out of a setting's own range are used here (one simulation), so nothing is validated again.
    """
    search: dict[str, Any] = {"leaves_per_game": 1, "phase_simulations": None, "dirichlet_fraction": 0.0}
    selfplay: dict[str, Any] = {
        "games_per_worker": request.batch_size,
        "fast_share": 0.0,
        "revisit_share": 0.0,
        "stop_when_proven": 0.0,
    }
    if request.simulations is not None:
        search["num_simulations"] = max(1, request.simulations)
        if request.simulations < 2:
            search |= {"root": "gumbel", "reuse_tree": True}
    if request.temperature is not None:
        search["gumbel_scale"] = selfplay["temperature"] = request.temperature
    return saved.model_copy(
        update={
            "search": saved.search.model_copy(update=search),
            "selfplay": saved.selfplay.model_copy(update=selfplay),
        }
    )
