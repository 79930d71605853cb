"""`hexpipe bench replay`: games into the replay buffer and positions out of it, on one core."""

from __future__ import annotations

import time
from itertools import cycle
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.bench.hash_kernels import hash_evaluate
from hexpipe.bench.measuring import calls_per_second
from hexpipe.bench.options import Figures, settings_of
from hexpipe.config import ReplaySettings, Settings
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game
from hexpipe.records import GameRecord, unpack_policies
from hexpipe.replay.layout import Header
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.targets import allocate_batch
from hexpipe.search.evaluator import Evaluation, Moves
from hexpipe.selfplay.self_play import SelfPlay

_USUAL = {"hex": (11, 200, 16), "inarow": (100, 4, 64)}  # size, games, snapshot interval
WIN_LENGTH = 30  # which no game of searches without a net reaches: all go on to their last ply


def run(
    game: Annotated[Literal["hex", "inarow"], "Hex, or n in a row for three on a large board"] = "hex",
    size: Annotated[int | None, "cells along a side of the board; 11, or 100 for n in a row, unless given"] = None,
    memory_gb: Annotated[float, "budget of the store, which is filled up; more than a last-level cache"] = 0.1,
    games: Annotated[
        int | None, "different games, of real searches, repeated until the store is full; 200, or 4 for n in a row"
    ] = None,
    plies: Annotated[int, "plies after which a game of n in a row is a draw"] = 2000,
    simulations: Annotated[int, "simulations a move in them"] = 100,
    snapshot_interval: Annotated[
        int | None, "plies between board snapshots; 16, or 64 for n in a row, unless given"
    ] = None,
    batch: Annotated[int, "samples in a batch"] = 256,
    unroll: Annotated[int, "steps after each sample's start"] = 5,
    seconds: Annotated[float, "seconds of sampling"] = 6.0,
) -> Figures:
    """Fill a store with real searches' games, go on adding where it is full, and sample it; one sample is a start
    with its unroll.

    Games of n in a row have three players, a view of 21 cells (or the board), the thumbnail, and a win length that
    keeps them from ending before they have all their plies. Keys: add_positions_per_s, until it is full;
    evict_positions_per_s, added after that, with fresh targets of another game for each, the second time that as many
    come as are held; copies_per_game, games copied to the head then for each that came; sample_positions_per_s;
    bytes_per_position, the whole segment (index, counters and slack too) over the positions in the full store;
    policy_kl, mean Kullback-Leibler divergence in nats of the stored from the searches' visit shares; policy_entries,
    mean actions with visits; store_mb; positions; plies_per_game; unroll_cut, the share of sampled steps that the
    start's view does not reach.
    """
    given = (size, games, snapshot_interval)
    size, count, interval = (value or usual for value, usual in zip(given, _USUAL[game], strict=True))
    settings = _settings(game, size, plies, simulations, count)
    rules = make_game(settings.game)
    records, policy_kl, policy_entries = play_games(rules, settings, count)
    mean_bytes = np.mean([len(record.policy_bytes) + 6 * record.num_plies for record in records])
    max_games = int(1.1 * memory_gb * 1e9 / mean_bytes) + 1
    replay = ReplaySettings.model_validate({"max_games": max_games, "min_games": 1, "snapshot_interval": interval})
    # unchecked, as a short run takes less than a buffer for training may have
    replay = replay.model_copy(update={"max_memory_gb": memory_gb})
    buffer = ReplayBuffer.create(replay, rules, private=True)
    add_rate = _fill(buffer, records)
    evict_rate, copies = _evict(buffer, records)
    report = buffer.memory_report()
    sample_rate, cut = _sample_rate(buffer, rules, batch, unroll, seconds)
    return {
        "add_positions_per_s": add_rate,
        "evict_positions_per_s": evict_rate,
        "copies_per_game": copies,
        "sample_positions_per_s": sample_rate,
        "bytes_per_position": report["total_bytes"] / report["positions"],
        "policy_kl": policy_kl,
        "policy_entries": policy_entries,
        "store_mb": report["total_bytes"] / 1e6,
        "positions": report["positions"],
        "plies_per_game": float(np.mean([record.num_plies for record in records])),
        "unroll_cut": cut,
        "batch": batch,
        "unroll": unroll,
        "size": size,
        "games": count,
        "snapshot_interval": interval,
    }


def _settings(game: str, size: int, plies: int, simulations: int, count: int) -> Settings:
    """Return the settings that the games are played by."""
    play = {"size": size, "simulations": simulations, "early_stop": False}
    if game == "hex":
        return settings_of("standard", games=64, **play)
    rules = {"name": game, "players": 3, "win_length": min(size, WIN_LENGTH), "move_cap": plies}
    games = min(64, count + count % 2)  # as they end together none is begun in vain
    return settings_of("standard", games=games, **play, **{f"game.{name}": value for name, value in rules.items()})


def play_games(game: Game, settings: Settings, count: int) -> tuple[list[GameRecord], float, float]:
    """Return ``count`` games of self-play over a hash evaluator, every search run to its end; what packing cost their
    policies (mean Kullback-Leibler divergence, nats), and how many actions had visits (mean)."""
    records: list[GameRecord] = []
    selfplay = _Recorded(game, settings, HashEvaluator(game, 2), settings.seed, records.append)
    while len(records) < count:
        selfplay.step()
    divergence, entries, positions = 0.0, 0, 0
    for record, true in zip(records, selfplay.true_policies, strict=True):
        stored = unpack_policies(record.policy_offsets, record.policy_bytes, game.num_actions)
        divergence += float(kl_divergence(true, stored).sum())
        entries += int((true > 0).sum())
        positions += len(true)
    return records, divergence / positions, entries / positions


def kl_divergence(true: NDArray[np.floating[Any]], stored: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return KL(true || stored) in nats of each row of two arrays [T, A]; float64 [T]; infinite where a weight was
    lost."""
    p = true.astype(np.float64) / true.sum(axis=1, keepdims=True, dtype=np.float64)
    q = stored.astype(np.float64) / stored.sum(axis=1, keepdims=True, dtype=np.float64)
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(p > 0, p, 1.0)) - np.log(np.where(p > 0, q, 1.0))
    result: NDArray[np.float64] = (p * logs).sum(axis=1)
    return result


class HashEvaluator:
    """Priors and values from a hash of the position, at once (see `hash_kernels`)."""

    def __init__(self, game: Game, groups: int) -> None:
        self._game = game
        self._answers: list[Evaluation | None] = [None] * groups

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Evaluate ``codes`` [L, C] for ``group``."""
        answers = Answers.allocate(len(codes), self._game.shapes)._replace(focus=None)  # it looks nowhere
        hash_evaluate(codes, answers.priors, answers.values)
        self._answers[group] = Evaluation(answers, 0)

    def collect(self, group: int) -> Evaluation:
        """Return the answer to the group's submit."""
        answer, self._answers[group] = self._answers[group], None
        if answer is None:
            raise ValueError(f"group {group} has submitted nothing")
        return answer


class _Recorded(SelfPlay):
    """Self-play that also keeps the policies as they were before they were packed."""

    def __init__(self, *arguments: Any) -> None:
        self.true_policies: list[NDArray[np.float32]] = []
        super().__init__(*arguments)

    def _finish(self, group: Any, g: int, proven: NDArray[np.float32] | None = None) -> None:
        self.true_policies.append(np.stack(group.games[g].policies))
        super()._finish(group, g, proven)


def _fill(buffer: ReplayBuffer, records: list[GameRecord]) -> float:
    """Add ``records`` again and again until games have begun to leave; return positions a second."""
    buffer.add_game(records[0])
    before = buffer.total_positions
    started = time.perf_counter()
    while buffer.total_games == buffer.num_games:
        buffer.add_game(records[buffer.total_games % len(records)])
    return (buffer.total_positions - before) / (time.perf_counter() - started)


def _evict(buffer: ReplayBuffer, records: list[GameRecord]) -> tuple[float, float]:
    """Add games until as many have come as are held, twice; return, of the second time, positions a second and
    games copied for each that came.

    With each another gets fresh targets, as with ``reanalyze.ratio`` of 1: so the games that leave and those that stay
    lie between each other in the ring, which takes copies. Else they leave in the ring's order, and take none.
    """
    rng = np.random.default_rng(0)
    games = buffer.num_games
    for _ in range(2):  # the second time the order in the ring is that of no age any more
        before, refreshed = buffer.segment.arrays["header"].copy(), 0
        started = time.perf_counter()
        for _ in range(games):
            buffer.add_game(records[buffer.total_games % len(records)])
            number = buffer.held_game(rng)
            refreshed += buffer.refresh_game(number, records[(number - 1) % len(records)])
        seconds = time.perf_counter() - started
        came = buffer.segment.arrays["header"] - before
    copies = came[Header.HEAD_GAME] - came[Header.TOTAL_GAMES] - refreshed
    return float(came[Header.TOTAL_POSITIONS]) / seconds, float(copies) / games


def _sample_rate(buffer: ReplayBuffer, game: Game, batch: int, unroll: int, seconds: float) -> tuple[float, float]:
    """Return samples a second, into two sets of buffers in turn as the prefetcher does; and the share of the last ones'
    steps that are cut off."""
    rng = np.random.default_rng(0)
    buffers = [allocate_batch(game.shapes, batch, unroll) for _ in range(2)]
    for out in buffers:  # compiles, and touches the pages
        buffer.sample_batch(batch, rng, unroll, out)
    turns = cycle(buffers)
    rate = calls_per_second(lambda: buffer.sample_batch(batch, rng, unroll, next(turns)), seconds, time.perf_counter)
    cut = [1.0 - out["unrolled"].mean() for out in buffers if unroll]
    return rate * batch, float(np.mean(cut)) if cut else 0.0
