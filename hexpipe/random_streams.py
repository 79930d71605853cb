"""Named random streams: the only place where a seed becomes a generator.

A stream is a name, a seed and the numbers that tell one from the next (which worker, which batch). All of them go
through a hash of fixed length, so that two streams are equal only where all of these are. numpy alone does not ensure
this: it pads a short list of numbers with zeros, and [7, 2] and [7, 2, 0, 0] give the same bits.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

import numpy as np


class Stream(StrEnum):
    """The users of random numbers; the numbers of each stream are in brackets."""

    GENERATOR = "self-play of a generator"
    """(session, worker, restarts)"""
    REANALYZE = "old games of a reanalyze process"
    """(session, worker, restarts)"""
    LEAGUE = "opponents of a league server"
    """(session, server, restarts)"""
    NODE = "seed of a node's pod"
    """(session, restarts, pod)"""
    BATCH = "training batch"
    """(batch,); a rank has a seed of its own"""
    SOLVER_CHECK = "positions of the solver check"
    """()"""
    TRAIN_SELFPLAY = "self-play of train"
    """(games,)"""
    TRAIN_REANALYZE = "old games of train"
    """(games,)"""
    TRAIN_LEAGUE = "opponents of train"
    """(games,)"""
    BULK_GAMES = "games in bulk"
    """(games that were there, worker)"""
    BULK_OPENINGS = "openings of games in bulk"
    """(games that were there, worker)"""
    OPENING = "opening of a pair of games"
    """(opening,)"""
    PLAYER = "moves of a player that draws them"
    """(player,)"""
    SEARCH = "search of positions"
    """()"""
    FAULTS = "faults of chaos"
    """()"""
    BOARDS = "random boards"
    """()"""
    KEYS = "keys of the stones of Go"
    """()"""
    CONFORMANCE = "games that are held against their protocol"
    """()"""
    BENCHMARK = "self-play of a benchmark"
    """(worker,)"""


def stream(name: Stream, seed: int, *numbers: int) -> np.random.SeedSequence:
    """Return the seed sequence of the stream ``name`` of ``seed`` (any whole number) and ``numbers``."""
    text = " ".join(map(str, (name, seed, *map(int, numbers))))
    return np.random.SeedSequence(int.from_bytes(hashlib.sha256(text.encode()).digest()))


def generator(name: Stream, seed: int, *numbers: int) -> np.random.Generator:
    """Return the generator of the stream `stream`, at its beginning."""
    return np.random.default_rng(stream(name, seed, *numbers))
