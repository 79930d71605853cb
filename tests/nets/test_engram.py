from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hexpipe.config import Shapes, load_settings
from hexpipe.nets.checkpoints import checkpoint_meta, load_checkpoint, save_checkpoint
from hexpipe.nets.engram import MAX_CAPACITY, Engram
from tests.nets.allocations import Allocations

CHANNELS, KEY, VALUE = 3, 4, 2


def rows(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    draws = (torch.randn(count, KEY, generator=rng), torch.randn(count, VALUE, generator=rng))
    return *draws, torch.rand(count, generator=rng) + 0.1


def make(capacity: int = 10, k: int = 3, seed: int = 0) -> Engram:
    torch.manual_seed(seed)
    return Engram(CHANNELS, capacity, KEY, VALUE, k)


def opened(engram: Engram, gate: float = 0.7) -> Engram:
    with torch.no_grad():
        engram.gate.fill_(gate)
    return engram


def pooled(count: int = 5) -> torch.Tensor:
    return torch.randn(count, 2 * CHANNELS, generator=torch.Generator().manual_seed(9))


def unit(keys: torch.Tensor) -> torch.Tensor:
    return keys / keys.norm(dim=1, keepdim=True)


# Writing


@pytest.mark.parametrize("pieces", [[3], [10], [4, 4, 4], [7, 7, 7, 7], [1] * 23, [23], [8, 15, 2], [0, 5, 0]])
def test_the_ring_keeps_the_newest_entries(pieces: list[int]) -> None:
    engram, total = make(), sum(pieces)
    keys, values, priorities = rows(total)
    first = 0
    for count in pieces:
        part = slice(first, first + count)
        engram.write(keys[part], values[part], priorities[part])
        first += count
    assert engram.num_entries == min(10, total)
    kept = {tuple(row) for row in engram.values[engram.priorities > 0].tolist()}
    assert kept == {tuple(row) for row in values[-10:].tolist()}
    for place in range(10):  # a row lies together: key, value and priority of one entry
        if engram.priorities[place] > 0:
            index = (values == engram.values[place]).all(dim=1).nonzero().item()
            torch.testing.assert_close(engram.keys[place], unit(keys)[index])
            assert engram.priorities[place] == priorities[index]


def test_a_row_goes_where_the_ring_says() -> None:
    engram = make(capacity=5, k=1)
    _, values, _ = rows(8)
    for index in range(8):
        engram.write(*(part[index : index + 1] for part in rows(8)))
    torch.testing.assert_close(engram.values, values[[5, 6, 7, 3, 4]])
    assert engram.cursor.item() == 3


def test_writing_allocates_nothing_of_the_memory() -> None:
    engram = make(capacity=10_000, k=1)
    before = {name: (id(buffer), buffer.data_ptr()) for name, buffer in engram.named_buffers()}
    size = engram.memory_bytes
    keys, values, priorities = rows(16)
    with Allocations(*engram.buffers(), keys, values, priorities) as allocations:
        for _ in range(1000):  # 16,000 rows: round the ring
            engram.write(keys, values, priorities)
    assert 0 < allocations.largest <= keys.nbytes  # the batch, brought to unit length, is the largest
    assert {name: (id(buffer), buffer.data_ptr()) for name, buffer in engram.named_buffers()} == before
    assert engram.memory_bytes == size == 10_000 * (4 * (KEY + VALUE + 1) + 8) + 8
    assert engram.num_entries == 10_000


def test_written_rows_are_detached_copies() -> None:
    engram = make()
    keys, values, priorities = (part.requires_grad_() for part in rows(4))
    engram.write(keys * 1, values, priorities)
    assert not any(buffer.requires_grad for buffer in engram.buffers())
    with torch.no_grad():
        values.zero_()
    assert engram.values[:4].abs().min() > 0


# Reading


@pytest.mark.parametrize("count", [1, 2, 3, 40, 100])
def test_retrieval_equals_the_slow_reference(count: int) -> None:
    engram = opened(make(capacity=64, k=3))
    with torch.no_grad():
        engram.log_sharpness.fill_(math.log(1.5))
    keys, values, priorities = rows(count)
    priorities[::5] = 0  # not to be retrieved
    engram.write(keys, values, priorities)
    x = pooled(6)
    project, read_out = (layer.weight.detach().double().numpy() for layer in (engram.project, engram.read_out))
    stored = [
        (key / np.linalg.norm(key), value, priority)
        for key, value, priority in zip(*(part.double().numpy() for part in (keys, values, priorities)), strict=True)
    ][-64:]
    stored = [entry for entry in stored if entry[2] > 0]
    for row, got in zip(x.double().numpy(), engram(x).detach().numpy(), strict=True):
        query = project @ row
        query /= np.linalg.norm(query)
        best = sorted(stored, key=lambda entry: -(entry[0] @ query))[:3]
        weights = np.array([priority * (((key - query) ** 2).sum() + 1e-3) ** -1.5 for key, _, priority in best])
        mixed = np.zeros(VALUE)
        for weight, (_, value, _) in zip(weights / weights.sum(), best, strict=True):
            mixed += weight * value
        np.testing.assert_allclose(got, row + np.tanh(0.7) * (read_out @ mixed), atol=1e-5)


@pytest.mark.parametrize("entries", [3, 30])
def test_a_query_reads_nothing_of_its_own_source(entries: int) -> None:
    """It gets what a memory without those entries gives, however near they are."""
    engram, without = opened(make(capacity=64)), opened(make(capacity=64))
    keys, values, priorities = rows(entries)
    x = pooled(6)
    engram.write(engram.key(x).detach()[:3], torch.ones(3, VALUE), torch.ones(3), torch.full((3,), 7))
    for each in (engram, without):
        each.write(keys, values, priorities, torch.arange(entries) + 100)
    plain = without(x)
    torch.testing.assert_close(engram(x, torch.full((6,), 7)), plain)
    for others in (engram(x), engram(x, torch.full((6,), 8))):
        assert ((others - plain).abs().amax(1)[:3] > 1e-3).all()
    engram.sources.fill_(7)
    assert torch.equal(engram(x, torch.full((6,), 7)), x)  # nothing is left to read


def test_entries_that_name_no_source_are_for_everyone() -> None:
    engram = opened(make())
    engram.write(*rows(10))
    assert torch.equal(engram(pooled(), torch.arange(5)), engram(pooled()))


def test_queries_are_kept_for_the_write_in_training_only() -> None:
    engram = opened(make()).eval()
    engram.write(*rows(10))
    engram(pooled())
    assert engram.queries is None
    engram.train()(pooled())
    assert engram.queries is not None
    assert not engram.queries.requires_grad
    torch.testing.assert_close(engram.queries, engram.key(pooled()).detach())


def test_the_nearest_are_found() -> None:
    engram = make(capacity=200, k=7)
    keys, values, priorities = rows(200)
    engram.write(keys, values, priorities)
    queries = unit(torch.randn(9, KEY))
    cosines = queries.double().numpy() @ unit(keys).double().numpy().T
    np.testing.assert_array_equal(engram.nearest(queries).numpy(), np.argsort(-cosines, axis=1)[:, :7])
    np.testing.assert_array_equal(engram.nearest(unit(keys))[:, 0].numpy(), np.arange(200))


def test_a_closed_gate_changes_nothing() -> None:
    engram = opened(make(), 0.0)
    engram.write(*rows(10))
    assert torch.equal(engram(pooled()), pooled())


def test_an_empty_memory_changes_nothing() -> None:
    engram = opened(make())
    assert torch.equal(engram(pooled()), pooled())
    engram.write(*rows(10))
    assert not torch.equal(engram(pooled()), pooled())
    engram.clear()
    assert engram.num_entries == 0
    assert torch.equal(engram(pooled()), pooled())


def test_gradients_reach_the_parameters_and_not_the_memory() -> None:
    engram = opened(make())
    engram.write(*rows(10))
    x = pooled().requires_grad_()
    out = engram(x)
    engram.write(*rows(10, seed=1))  # between forward and backward: what was read is a copy
    out.square().sum().backward()
    assert x.grad is not None
    assert [name for name, p in engram.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert all(buffer.grad is None and not buffer.requires_grad for buffer in engram.buffers())


def test_a_closed_gate_opens() -> None:
    """The gate has a gradient at zero, and it does not begin there: what follows it may be zero itself."""
    assert make().gate.item() > 0
    engram = opened(make(), 0.0)
    engram.write(*rows(10))
    engram(pooled()).square().sum().backward()
    assert engram.gate.grad is not None
    assert engram.gate.grad.abs() > 0


def test_it_learns_what_only_the_memory_knows() -> None:
    """Inputs are random, and so are their answers: nothing but a look at what was written can tell them."""
    torch.manual_seed(0)
    engram = Engram(8, 32, 8, 1, k=2)
    x, answers = torch.randn(32, 16), torch.randn(32, 1).sign()
    head = torch.nn.Linear(16, 1)
    optimizer = torch.optim.AdamW([*engram.parameters(), *head.parameters()], lr=0.02)
    for _ in range(150):
        with torch.no_grad():
            engram.write(engram.key(x), answers, torch.ones(32))
        rows_now = torch.randperm(32)[:16]
        loss = (head(engram(x[rows_now])) - answers[rows_now]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        answers = answers[torch.randperm(32)]  # new answers each step: learning them by heart is of no use
    with torch.no_grad():
        engram.write(engram.key(x), answers, torch.ones(32))
        assert ((head(engram(x)) > 0) == (answers > 0)).float().mean() > 0.9


# Sizes and saving


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((3, 0, 4, 2, 1), "capacity of at least 1"),
        ((3, -5, 4, 2, 1), "capacity of at least 1"),
        ((3, 10, 0, 2, 1), "key_size"),
        ((3, 10, 4, 2, 0), "k of at least 1"),
        ((3, 10, 4, 2, 11), "cannot retrieve 11"),
        ((3, MAX_CAPACITY + 1, 4, 2, 1), "at most"),
    ],
)
def test_sizes_that_make_no_memory_are_refused(sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Engram(*sizes)


def test_rows_of_the_wrong_size_are_refused() -> None:
    keys, values, priorities = rows(4)
    engram = make()
    before = {name: buffer.clone() for name, buffer in engram.named_buffers()}
    narrow, few, wide = (keys[:, :-1], values, priorities), (keys, values[:-1], priorities), (keys, values, keys)
    for wrong in (narrow, few, wide, (keys, values, priorities, torch.arange(5))):
        with pytest.raises(ValueError, match="an engram wants"):
            engram.write(*wrong)
    assert all(torch.equal(buffer, before[name]) for name, buffer in engram.named_buffers())


def test_what_was_saved_remembers_the_same(tmp_path: Path) -> None:
    engram = opened(make())
    engram.write(*rows(13))
    shapes = Shapes(5, 25, 2, 25)
    folder = save_checkpoint(
        tmp_path, {"model": engram.state_dict()}, checkpoint_meta(load_settings("quick"), shapes, 1)
    )
    arrays = load_checkpoint(folder).groups["model"]
    again = make(seed=5)
    pointers = [buffer.data_ptr() for buffer in again.buffers()]
    again.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    assert pointers == [buffer.data_ptr() for buffer in again.buffers()]
    assert torch.equal(again(pooled()), engram(pooled()))
    for each in (engram, again):
        each.write(*rows(4, seed=3))
    for name, buffer in engram.named_buffers():  # the ring goes on where it was
        assert torch.equal(buffer, again.get_buffer(name))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_runs_in_half_precision(dtype: torch.dtype) -> None:
    engram = opened(make())
    engram.write(*rows(9))  # a place is empty
    exact = engram(pooled())
    rough = engram.to(dtype)(pooled().to(dtype))
    assert rough.dtype == dtype
    torch.testing.assert_close(rough.float(), exact, rtol=0, atol=0.1)
    engram.write(*rows(3))  # float32 rows
