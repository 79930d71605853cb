"""Named random streams: no two are one, the same one is the same again, and nothing in the package seeds past them."""

from __future__ import annotations

import ast
from itertools import product
from pathlib import Path

import numpy as np

import hexpipe
from hexpipe.learner.distributed import rank_seed
from hexpipe.learner.prefetch import batch_rng
from hexpipe.random_streams import Stream, generator, stream

PACKAGE = Path(hexpipe.__file__).parent
SEEDERS = {"SeedSequence", "PCG64", "PCG64DXSM", "Philox", "MT19937", "SFC64", "RandomState", "seed", "default_rng"}
# default_rng with something else than a literal: what is given is a stream already, or files are named by their seed
ELSEWHERE = {"random_streams.py", "selfplay/self_play.py", "games/hex_solver.py"}
TOLD_APART = {Stream.PLAYER}  # by the numbers of the players of one command, of whatever kind


def first(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(0, 2**63, 2).tolist())


def test_all_streams_differ() -> None:
    numbers = [n for length in range(4) for n in product((0, 1, 2, 7, 2**32), repeat=length)]
    asked = [*product(Stream, (0, 1, 7, 2**32 - 1, 2**32), numbers)]
    assert len({first(generator(name, seed, *given)) for name, seed, given in asked}) == len(asked)


def test_a_stream_is_the_same_again() -> None:
    rngs = [generator(Stream.BATCH, 3, 5), np.random.default_rng(stream(Stream.BATCH, np.int64(3), np.int32(5)))]
    assert len({first(rng) for rng in [*rngs, batch_rng(3, 5)]}) == 1
    assert first(generator(Stream.BATCH, 3, 5)) == (3740136255824506310, 2975650326112148467), "on every machine"


def test_batches_are_no_other_process_s_numbers() -> None:
    """Batches of each rank, beside what generators, old games, leagues and solver checks draw."""
    for seed in (0, 1):
        batches = {first(batch_rng(rank_seed(seed, rank), index)) for rank, index in product(range(3), range(20))}
        kinds = [name for name in Stream if name is not Stream.BATCH]
        others = {
            first(generator(name, seed, *given))
            for name, given in product(kinds, [(), *product(range(8)), *product(range(8), range(4), range(2))])
        }
        assert len(batches) == 60
        assert not batches & others


def calls() -> list[tuple[str, ast.Call, str]]:
    """(module, call, name of what is called) of every call in the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                found.append((path.relative_to(PACKAGE).as_posix(), node, name))
    return found


def test_seeds_become_generators_in_one_module() -> None:
    found = [(place, ast.unparse(call)) for place, call, name in calls() if name in SEEDERS and place not in ELSEWHERE]
    literal = [text for _, text in found if text.startswith("np.random.default_rng(") and text[22:-1].isdigit()]
    assert [entry for entry in found if entry[1] not in literal] == []


def test_every_stream_has_one_user() -> None:
    users: dict[Stream, set[str]] = {name: set() for name in Stream}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Stream":
                users[Stream[node.attr]].add(path.name)
    assert {name for name, places in users.items() if len(places) != 1} <= TOLD_APART
    assert all(users.values())
