"""The learner writes what it trains on into the net's memory: what, where, and what it must not give away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hexpipe.config import Settings, Shapes, load_settings
from hexpipe.learner.learner import Learner
from hexpipe.learner.remember import remember
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.nets.engram import Engram
from tests.nets.allocations import Allocations

SHAPES = Shapes(board_size=4, num_actions=16, num_seats=2, code_length=16, turns_frame=True)
Batch = dict[str, np.ndarray]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads that spin for each other on a shared machine make these small nets many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(**overrides: object) -> Settings:
    net = {"net.blocks": 1, "net.channels": 16, "net.value_hidden": 16, "net.engram": 64}
    return load_settings("quick", {**net, "learner.warmup_steps": 0, "learner.dtype": "float32", **overrides})


def boards(rng: np.random.Generator, count: int) -> np.ndarray:
    codes = rng.integers(0, 3, (count, 16)).astype(np.int8)
    codes[:, 5] = 0
    return codes


def batch_of(codes: np.ndarray, outcomes: np.ndarray, games: np.ndarray, unroll: int = 0) -> Batch:
    count = len(codes)
    policy = np.zeros((count, unroll + 1, 16), np.float32)
    policy[:, :, 5] = 1
    values = np.zeros((count, unroll + 1, 2), np.float32)
    values[:, 0, 0], values[:, 0, 1] = outcomes, -outcomes
    mask = np.zeros((count, unroll + 1), np.float32)
    mask[:, 0] = 1
    batch = {"codes": codes, "policy": policy, "values": values, "mask": mask, "games": games.astype(np.int64)}
    batch["weights"] = np.linspace(0.5, 1.5, count).astype(np.float32)
    if unroll:
        batch["rewards"] = np.zeros((count, unroll, 2), np.float32)
        batch["actions"] = np.zeros((count, unroll), np.int16)
        batch["unrolled"] = np.ones((count, unroll), np.float32)
        batch["next_codes"] = np.zeros((count, unroll, 16), np.int8)
    return batch


def random_batch(seed: int, count: int = 8, unroll: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    return batch_of(boards(rng, count), rng.uniform(-1, 1, count), np.arange(count) + seed * count, unroll)


def memory(learner: Learner) -> Engram:
    assert learner.net.engram is not None
    return learner.net.engram


@pytest.mark.parametrize("algorithm", ["alphazero", "muzero"])
def test_a_step_leaves_its_starts_in_the_memory(algorithm: str) -> None:
    learner, untrained = (Learner(settings(algorithm=algorithm), SHAPES) for _ in range(2))
    batches = [random_batch(number, unroll=2 if algorithm == "muzero" else 0) for number in range(3)]
    for batch in batches:
        learner.step(batch)
    engram = memory(learner)
    assert engram.num_entries == engram.cursor.item() == 24
    with torch.no_grad():
        untrained.net.root_logits(torch.from_numpy(batches[0]["codes"]))
    torch.testing.assert_close(engram.keys[:8], memory(untrained).queries)  # those of the pass that the step made
    np.testing.assert_array_equal(engram.values[:24], np.concatenate([batch["values"][:, 0] for batch in batches]))
    np.testing.assert_array_equal(engram.priorities[:24], np.concatenate([batch["weights"] for batch in batches]))
    np.testing.assert_array_equal(engram.sources[:24], np.concatenate([batch["games"] for batch in batches]))


def test_writing_allocates_by_the_batch_not_by_the_memory() -> None:
    learner = Learner(settings(**{"net.engram": 20_000}), SHAPES)
    engram, batch = memory(learner), random_batch(0)
    before = {name: (id(buffer), buffer.data_ptr()) for name, buffer in engram.named_buffers()}
    learner.step(batch)
    assert engram.queries is not None
    with Allocations(*engram.buffers(), engram.queries, *map(torch.from_numpy, batch.values())) as allocations:
        for _ in range(100):
            remember(engram, batch, learner.device)
    assert 0 < allocations.largest <= engram.queries.nbytes
    learner.step(batch)
    assert {name: (id(buffer), buffer.data_ptr()) for name, buffer in engram.named_buffers()} == before


def test_the_average_plays_with_the_memory_itself() -> None:
    learner = Learner(settings(), SHAPES)
    for number in range(12):  # once round the ring and a half
        learner.step(random_batch(number))
    engram, played = memory(learner), learner.ema_weights()
    assert engram.cursor.item() == 32
    for name, buffer in engram.named_buffers():
        np.testing.assert_array_equal(played[f"engram.{name}"], buffer.numpy())
        assert played[f"engram.{name}"].dtype == np.float32
    assert not np.array_equal(played["engram.project.weight"], engram.project.weight.detach().numpy())
    trained = {id(parameter) for parameter in learner.optimizer.parameters}
    assert trained == {id(parameter) for parameter in learner.net.parameters()}
    assert not trained & {id(buffer) for buffer in learner.net.buffers()}


def test_checkpoints_keep_the_memory_bit_for_bit(tmp_path: Path) -> None:
    straight = Learner(settings(), SHAPES)
    for number in range(6):
        straight.step(random_batch(number))
        if number == 2:
            straight.save(tmp_path)
    resumed = Learner(settings(), SHAPES)
    resumed.restore(load_checkpoint(tmp_path))
    assert memory(resumed).num_entries == 24
    for number in range(3, 6):
        resumed.step(random_batch(number))
    for (name, one), other in zip(straight.net.state_dict().items(), resumed.net.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    one, other = straight.ema_weights(), resumed.ema_weights()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_run_on_a_larger_board_starts_with_the_memory(tmp_path: Path) -> None:
    small = Learner(settings(), SHAPES)
    small.step(random_batch(0))
    small.save(tmp_path)
    larger = Learner(settings(seed=5), Shapes(5, 25, 2, 25, turns_frame=True))
    larger.init_from(load_checkpoint(tmp_path))
    for one, other in zip(memory(small).buffers(), memory(larger).buffers(), strict=True):
        assert torch.equal(one, other)
    codes = np.zeros((4, 25), np.int8)
    batch = {**random_batch(1, 4), "codes": codes, "policy": np.full((4, 1, 25), 0.04, np.float32)}
    larger.step(batch)
    assert memory(larger).num_entries == 12


# What the memory is good for, and what it must not be


def learned(steps: int, play: Callable[[int], tuple[Batch, Batch]], **overrides: object) -> float:
    """Share of right value signs over the last steps, asked as at play before each step. ``play(step)``: what is
    asked, and what is then learned."""
    quick = {"learner.learning_rate": 0.005, "learner.ema_decay": 0.9, "learner.weight_decay": 0.0}
    learner = Learner(settings(**quick, **overrides), SHAPES)
    right = []
    for step in range(steps):
        asked, batch = play(step)
        if step >= steps - 10:
            learner.net.eval()
            with torch.no_grad():
                values = learner.net.root_logits(torch.from_numpy(asked["codes"]))[1]
            learner.net.train()
            wins = (values[:, 0] > values[:, 1]).numpy()
            right.append((wins == (asked["values"][:, 0, 0] > 0)).mean())
        learner.step(batch)
    return float(np.mean(right))


@pytest.mark.parametrize(("entries", "low", "high"), [(64, 0.9, 1.0), (0, 0.3, 0.7)])
def test_the_memory_answers_what_no_net_can_know(entries: int, low: float, high: float) -> None:
    """Every position is won or lost by the toss of a coin, and comes in two games, a step apart: it cannot be learned
    by heart in time, but looked up."""
    rng = np.random.default_rng(0)
    known = boards(rng, 32), rng.choice([-1.0, 1.0], 32)

    def play(step: int) -> tuple[Batch, Batch]:
        nonlocal known
        fresh = boards(rng, 32), rng.choice([-1.0, 1.0], 32)
        again, batch = known, tuple(np.concatenate(pair) for pair in zip(known, fresh, strict=True))
        known = fresh
        return batch_of(*again, np.arange(32)), batch_of(*batch, np.arange(64) + 64 * step)

    assert low <= learned(100, play, **{"net.engram": entries}) <= high


@pytest.mark.parametrize("told", [True, False])
def test_a_position_does_not_find_its_own_answer(told: bool) -> None:
    """Every position is of one game that ended by the toss of a coin, and is trained on twice. Who reads its own entry
    learns to trust the memory for that (here, where every entry is said to be another game's); its value loss falls
    under that of a coin, and it knows no more of games that are still open."""
    rng = np.random.default_rng(1)
    known = boards(rng, 32), rng.choice([-1.0, 1.0], 32)
    learner = Learner(settings(**{"learner.learning_rate": 0.005, "learner.weight_decay": 0.0}), SHAPES)
    losses = []
    for step in range(100):
        fresh = boards(rng, 32), rng.choice([-1.0, 1.0], 32)
        codes, outcomes = (np.concatenate(pair) for pair in zip(known, fresh, strict=True))
        games = np.concatenate((np.arange(32), np.arange(32) + 32)) + 32 * step
        if not told:
            games = np.arange(64) + 64 * step
        losses.append(learner.step(batch_of(codes, outcomes, games))["value_loss"])
        known = fresh
    coin = np.log(2)
    if told:
        assert np.mean(losses[-20:]) > 0.97 * coin
    else:
        assert np.mean(losses[-20:]) < 0.93 * coin


def test_a_memory_wants_to_know_the_games() -> None:
    batch = random_batch(0)
    del batch["games"]
    with pytest.raises(KeyError, match="games"):
        Learner(settings(), SHAPES).step(batch)
