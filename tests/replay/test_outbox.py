from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hexpipe.config import Shapes
from hexpipe.errors import HexpipeError
from hexpipe.replay.outbox import Outboxes, largest_record_bytes
from hexpipe.shm import Doorbell
from tests.replay.games import make_record
from tests.replay.reference import random_game, views_game

SLOT = largest_record_bytes(Shapes(3, 9, 2, 9), 9)


def always() -> bool:
    return True


def never() -> bool:
    return False


@pytest.fixture
def outboxes() -> Outboxes:
    return Outboxes.create(2, 3, SLOT, private=True)


def test_games_arrive_whole_and_in_order(outboxes: Outboxes) -> None:
    senders = [outboxes.sender(0), outboxes.sender(1)]
    receiver = outboxes.receiver()
    for seed in range(5):
        records = [make_record(2 * seed + worker) for worker in range(2)]
        for sender, record in zip(senders, records, strict=True):
            assert sender.send(record, never)
        assert receiver.wait(1.0)
        arrivals = receiver.take()
        assert [a.record.to_bytes() for a in arrivals] == [r.to_bytes() for r in records]
        receiver.acknowledge(arrivals)
    assert not receiver.take()


def test_a_full_outbox_holds_its_worker_back_until_games_are_acknowledged(outboxes: Outboxes) -> None:
    sender, receiver = outboxes.sender(0), outboxes.receiver()
    for seed in range(3):
        assert sender.send(make_record(seed), never)
    assert not sender.send(make_record(3), never)
    arrivals = receiver.take()
    assert not sender.send(make_record(3), never), "taken games keep their slots until they are committed"
    receiver.acknowledge(arrivals[:1])
    assert sender.send(make_record(3), never)
    assert [a.record.weights_version for a in receiver.take()] == [3]


def test_an_outbox_that_fills_up_is_noticed_wherever_its_ring_is(outboxes: Outboxes) -> None:
    sender, receiver = outboxes.sender(1), outboxes.receiver()
    for seed in range(7):
        assert not receiver.half_full()
        assert sender.send(make_record(seed), never)
        assert not receiver.half_full(), "one of three"
        assert sender.send(make_record(seed), never)
        assert receiver.half_full()
        receiver.acknowledge(receiver.take())


def test_old_games_arrive_with_their_numbers_and_new_ones_without(outboxes: Outboxes) -> None:
    sender, receiver = outboxes.sender(1), outboxes.receiver()
    numbers = [0, 7, 2**40]
    for seed, number in enumerate(numbers):
        assert sender.send(make_record(seed), never, number)
    arrivals = receiver.take()
    assert [(a.number, a.record.weights_version) for a in arrivals] == [(number, i) for i, number in enumerate(numbers)]
    receiver.acknowledge(arrivals)
    assert sender.send(make_record(3), never)
    assert [a.number for a in receiver.take()] == [0], "the slot's last number is forgotten"


@pytest.mark.parametrize("damage", ["data", "length", "number", "sequence"])
def test_a_half_written_game_is_no_game_and_its_slot_is_used_again(outboxes: Outboxes, damage: str) -> None:
    sender, receiver = outboxes.sender(0), outboxes.receiver()
    sender.send(make_record(0), never)
    sender.send(make_record(1), never)
    header = outboxes.segment.arrays["header"]
    if damage == "data":
        outboxes.segment.arrays["data"][0, 1, 40] ^= 1
    elif damage == "length":
        header[0, 1, 1] -= 1
    elif damage == "number":
        header[0, 1, 2] = 5
    else:
        header[0, 1, 0] = 0
    assert [a.record.weights_version for a in receiver.take()] == [0]
    replacement = outboxes.sender(0)
    assert replacement.next_sequence == 1
    replacement.send(make_record(2), never)
    arrivals = receiver.take()
    assert [(a.sequence, a.record.weights_version) for a in arrivals] == [(1, 2)]


class SilentBell(Doorbell):
    def ring(self) -> None:
        """Nobody hears it."""


def test_a_replacement_wakes_replay_for_whole_games_without_a_message(outboxes: Outboxes) -> None:
    sender, receiver = outboxes.sender(0), outboxes.receiver()
    assert receiver.wait(0.0)
    sender._bell = SilentBell()  # killed between the header and the message
    sender.send(make_record(0), never)
    assert not receiver.wait(0.0)
    replacement = outboxes.sender(0)
    assert receiver.wait(1.0)
    assert replacement.next_sequence == 1
    assert len(receiver.take()) == 1


def test_largest_record_bound_holds_for_full_games() -> None:
    for size in (3, 5, 11):
        shapes = Shapes(size, size * size, 2, size * size)
        bound = largest_record_bytes(shapes, size * size)
        longest = max((make_record(seed, size) for seed in range(20)), key=lambda r: r.num_positions)
        room = bound - len(longest.to_bytes())
        per_ply = (bound - largest_record_bytes(shapes, 0)) // (size * size)
        missing = size * size - longest.num_positions
        assert 0 <= room - missing * per_ply <= 300


def test_largest_record_bound_counts_the_places_of_views_that_move() -> None:
    record = random_game(views_game(16, 7, players=3), 1)
    whole = largest_record_bytes(Shapes(7, 49, 3, 49), 100)
    moving = largest_record_bytes(Shapes(16, 49, 3, 49, view_size=7), 100)
    assert moving - whole == 100 * 4
    without = replace(record, origins=record.origins[:0])
    assert len(record.to_bytes()) - len(without.to_bytes()) == record.num_plies * 4


def test_a_game_over_the_bound_is_an_error(outboxes: Outboxes) -> None:
    with pytest.raises(HexpipeError, match="report this"):
        outboxes.sender(0).send(make_record(0, 5), never)


def test_arrays_are_zero_at_first(outboxes: Outboxes) -> None:
    assert not np.any(outboxes.segment.arrays["acked"])
