"""Augmented samples are samples of the turned game."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hexpipe.games.conformance import turned_origin
from hexpipe.games.hex import Hex
from hexpipe.records import pack_policies, unpack_policies
from hexpipe.replay.data_augment import apply_board_augment
from hexpipe.replay.replay_buffer import ReplayBuffer
from tests.replay.reference import random_game, tiny_settings, views_game


@pytest.mark.parametrize("swap", [False, True])
def test_every_row_is_its_sample_or_that_of_the_game_turned_by_180_degrees(swap: bool) -> None:
    game = Hex(6, swap=swap)
    turn = np.array([35 - cell for cell in range(36)] + [36] * swap, np.int16)  # absolute actions
    straight = ReplayBuffer.create(tiny_settings(), game, private=True)
    turned = ReplayBuffer.create(tiny_settings(), game, private=True)
    for number in range(10):
        record = random_game(game, number)
        straight.add_game(record)
        policies = unpack_policies(record.policy_offsets, record.policy_bytes, game.num_actions)
        offsets, packed = pack_policies(policies[:, turn])
        turned.add_game(replace(record, actions=turn[record.actions], policy_offsets=offsets, policy_bytes=packed))
    batch = straight.sample_batch(200, np.random.default_rng(0), 5, observations=True)
    same = straight.sample_batch(200, np.random.default_rng(0), 5, observations=True)
    other = turned.sample_batch(200, np.random.default_rng(0), 5, observations=True)
    arrays = dict(batch)
    apply_board_augment(batch, game, np.random.default_rng(1))
    assert all(batch[name] is arrays[name] for name in arrays)
    changed = 0
    for row in range(200):
        real = batch["mask"][row, :-1] > 0
        images = []
        for source in (same, other):
            images.append(
                np.array_equal(batch["codes"][row], source["codes"][row])
                and np.array_equal(batch["next_codes"][row], source["next_codes"][row])
                and np.allclose(batch["policy"][row], source["policy"][row], atol=1e-6)
                and np.array_equal(batch["actions"][row][real], source["actions"][row][real])
            )
        assert any(images)
        changed += images[1]
    assert 60 < changed < 140
    for name in ("values", "rewards", "mask", "unrolled", "weights"):
        np.testing.assert_array_equal(batch[name], same[name])


def test_every_row_is_its_sample_of_the_board_turned_with_its_views() -> None:
    """n in a row by all eight symmetries: codes with their thumbnail, policies, actions and focus."""
    game = views_game(13, 7)
    records = [random_game(game, number) for number in range(8)]
    images = []
    for symmetry in game.symmetries:
        place = np.argsort(symmetry).astype(np.int16)  # where an action goes
        buffer = ReplayBuffer.create(tiny_settings(), game, private=True)
        for record in records:
            policies = unpack_policies(record.policy_offsets, record.policy_bytes, game.num_actions)
            offsets, packed = pack_policies(policies[:, symmetry])
            origins = np.array([turned_origin(origin, symmetry, game) for origin in record.origins], np.int16)
            buffer.add_game(
                replace(
                    record,
                    actions=place[record.actions],
                    origins=origins,
                    policy_offsets=offsets,
                    policy_bytes=packed,
                )
            )
        images.append(buffer.sample_batch(150, np.random.default_rng(0), 5, observations=True))
    batch = {name: array.copy() for name, array in images[0].items()}
    apply_board_augment(batch, game, np.random.default_rng(1))
    counts = np.zeros(8, int)
    for row in range(150):
        real = (batch["mask"][row, :-1] > 0) & (batch["unrolled"][row] > 0)
        same = [
            all(np.array_equal(batch[name][row], image[name][row]) for name in ("codes", "next_codes", "focus"))
            and np.allclose(batch["policy"][row], image["policy"][row], atol=1e-6)
            and np.array_equal(batch["actions"][row][real], image["actions"][row][real])
            for image in images
        ]
        assert any(same)
        counts += same
    assert counts.min() >= 8
    for name in ("values", "rewards", "mask", "unrolled", "threats"):
        np.testing.assert_array_equal(batch[name], images[0][name])
