"""Game records: packing of policies within the promised error, byte round trips, damage found."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import ArchiveError
from hexpipe.records import GameRecord, pack_policies, unpack_policies
from tests.refusals import refused


def make_record(seed: int = 0, plies: int = 9, num_actions: int = 25, seats: int = 2) -> GameRecord:
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 30, (plies, num_actions)).astype(np.float32)
    weights[:, 0] += 1
    offsets, packed = pack_policies(weights)
    return GameRecord(
        game="hex",
        board_size=5,
        swap=False,
        num_seats=seats,
        num_actions=num_actions,
        actions=rng.integers(0, num_actions, plies).astype(np.int16),
        seats=(np.arange(plies) % seats).astype(np.int8),
        views=(np.arange(plies) % 2).astype(np.int8),
        root_values=rng.uniform(-1, 1, (plies, seats)).astype(np.float32),
        policy_offsets=offsets,
        policy_bytes=packed,
        outcome=np.array([1] + [-1] * (seats - 1), np.float32),
        weights_version=seed,
        simulations=100,
        win_length=seed % 7,
        opponents=seed % (1 << seats),
        origins=rng.integers(0, 90, (plies if seed % 2 else 0, 2)).astype(np.int16),
    )


def assert_same(left: GameRecord, right: GameRecord) -> None:
    for name, value in vars(left).items():
        other = getattr(right, name)
        if isinstance(value, np.ndarray):
            assert value.dtype == other.dtype
            np.testing.assert_array_equal(value, other)
        else:
            assert value == other


@settings(max_examples=80, deadline=None)
@given(
    plies=st.integers(1, 6),
    num_actions=st.integers(1, 130),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-30, 1.0, 1e30]),
    spread=st.floats(0, 30),
)
def test_packed_policies_keep_each_weight_within_half_a_step(
    plies: int, num_actions: int, seed: int, scale: float, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    weights = (np.exp2(-spread * rng.random((plies, num_actions))) * scale).astype(np.float32)
    weights[rng.random(weights.shape) < 0.4] = 0
    weights[np.arange(plies), rng.integers(0, num_actions, plies)] = scale
    offsets, packed = pack_policies(weights)
    policies = unpack_policies(offsets, packed, num_actions)
    np.testing.assert_allclose(policies.sum(axis=1), 1, rtol=1e-5)
    ratio = weights / weights.max(axis=1, keepdims=True)
    stored = policies / policies.max(axis=1, keepdims=True)
    kept = ratio >= 2.0**-15.9
    assert (stored[ratio < 2.0**-16.01] == 0).all()
    np.testing.assert_allclose(stored[kept], ratio[kept], rtol=2 ** (1 / 32) - 1 + 1e-4)


def test_a_packed_policy_is_a_mask_and_one_code_for_each_weight() -> None:
    weights = np.zeros((2, 10), np.float32)
    weights[0, [1, 9]] = [4, 2]
    weights[1, 0] = 7
    offsets, packed = pack_policies(weights)
    assert offsets.tolist() == [0, 4, 7]
    assert packed.tolist() == [0b10, 0b10, 0, 16, 1, 0, 0]


def test_a_ply_without_a_policy_keeps_its_move_alone() -> None:
    weights = np.array([[1, 2, 0], [0, 1, 0], [0, 0, 5], [0, 3, 0]], np.float32)
    offsets, packed = pack_policies(weights, np.array([True, False, True, False]))
    assert packed.tolist() == [0b011, 16, 0, 0b010, 255, 0b100, 0, 0b010, 255]
    assert unpack_policies(offsets, packed, 3).tolist() == [
        [pytest.approx(1 / 3), pytest.approx(2 / 3), 0],
        [0, 0, 0],
        [0, 0, 1],
        [0, 0, 0],
    ]


@pytest.mark.parametrize("row", [[0.0, 0.0], [1.0, -1.0], [1.0, np.nan], [np.inf, 1.0]])
def test_weights_that_are_no_policy_are_refused(row: list[float]) -> None:
    with pytest.raises(ValueError, match="policy weights"):
        pack_policies(np.array([row], np.float32))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), plies=st.integers(1, 40), num_actions=st.integers(1, 400), seats=st.integers(2, 3))
def test_bytes_round_trip(seed: int, plies: int, num_actions: int, seats: int) -> None:
    record = make_record(seed, plies, num_actions, seats)
    again = GameRecord.from_bytes(record.to_bytes())
    assert_same(record, again)
    assert again.num_positions == plies


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    good = make_record().to_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    flip = data.draw(st.integers(1, 255))
    with pytest.raises(ArchiveError):
        GameRecord.from_bytes(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :])


@pytest.mark.parametrize("cut", [0, 3, 10, 60, -1])
def test_cut_bytes_are_found(cut: int) -> None:
    with pytest.raises(ArchiveError):
        GameRecord.from_bytes(make_record().to_bytes()[:cut])


def test_a_newer_format_and_nonsense_with_a_good_checksum_are_refused() -> None:
    good = make_record().to_bytes()
    newer = bytearray(good[:-4])
    newer[4] = 99
    with refused(ArchiveError, "99", kind="version"):
        GameRecord.from_bytes(bytes(newer) + struct.pack("<I", zlib.crc32(newer)))
    wild = bytearray(good[:-4])
    at = len(good) - 4 - 8 - len(make_record().policy_bytes)
    wild[at] ^= 1  # one bit of the first policy's mask
    with refused(ArchiveError, "mask", kind="damaged"):
        GameRecord.from_bytes(bytes(wild) + struct.pack("<I", zlib.crc32(wild)))


def test_parts_that_do_not_fit_are_refused() -> None:
    good = make_record()
    actions = good.actions.copy()
    actions[3] = 25
    for change in (
        {"actions": actions},
        {"actions": good.actions[:-1]},
        {"seats": good.seats.astype(np.int16)},
        {"seats": good.seats + np.int8(1)},
        {"views": good.views - np.int8(1)},
        {"root_values": good.root_values * np.nan},
        {"outcome": good.outcome * 2},
        {"policy_offsets": good.policy_offsets + np.uint32(1)},
        {"policy_bytes": good.policy_bytes[:-1]},
    ):
        with pytest.raises(ValueError):
            replace(good, **change)
