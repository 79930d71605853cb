"""Old games from a real archive, searched anew, in a real buffer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hexpipe.config import load_settings
from hexpipe.games.factory import make_game
from hexpipe.records import GameRecord, unpack_policies
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.old_games import OldGameSearch
from tests.selfplay.old_games import HashEvaluator, random_old_game


def value_targets(buffer: ReplayBuffer) -> np.ndarray:
    """The value targets of positions held, for their movers: float32 [2000]."""
    values: np.ndarray = buffer.sample_batch(2000, np.random.default_rng(0))["values"]
    return values[:, 0, 0]


def test_what_was_searched_anew_is_learned_and_the_archive_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = {
        "game.board_size": 4,
        "search.num_simulations": 8,
        "selfplay.games_per_worker": 8,
        "replay.max_memory_gb": 0.1,
        "replay.max_games": 12,
        "replay.min_games": 2,
        "replay.td_steps": 1,
        "reanalyze.ratio": 1.0,
    }
    settings = load_settings("quick", overrides)
    game = make_game(settings.game)
    buffer = ReplayBuffer.create(settings.replay, game, private=True)
    records = [random_old_game(game, seed) for seed in range(24)]
    with ReplayArchive(tmp_path / "archive.sqlite", game) as archive:

        def play(some: list[GameRecord]) -> None:
            archive.append(some)
            for record in some:
                buffer.add_game(record)

        play(records[:12])
        renewed: dict[int, GameRecord] = {}
        refresh = buffer.refresh_game

        def note(number: int, record: GameRecord) -> bool:
            assert refresh(number, record)
            assert number not in renewed, "once with the same weights is enough"
            renewed[number] = record
            return True

        monkeypatch.setattr(buffer, "refresh_game", note)
        began, rng = buffer.total_positions, np.random.default_rng(3)
        search = OldGameSearch(settings, game, buffer, archive, HashEvaluator(game), rng, buffer.refresh_game)

        def search_all() -> None:
            while search.step(buffer.total_positions - began, 1):  # the evaluator's versions begin there
                pass

        search_all()
        assert not renewed, "there are no new positions that pay"
        play(records[12:])  # and the first twelve leave
        before = value_targets(buffer)
        counts = (buffer.num_games, buffer.num_positions, buffer.total_games, buffer.total_positions)
        search_all()
        assert set(renewed) <= set(range(13, 25))
        assert len(renewed) >= 9
        new = sum(record.num_positions for record in records[12:])
        assert new - 16 < sum(record.num_positions for record in renewed.values()) <= new
        assert (buffer.num_games, buffer.num_positions, buffer.total_games, buffer.total_positions) == counts
        for number, record in renewed.items():
            np.testing.assert_array_equal(record.actions, records[number - 1].actions)
        now = [renewed.get(number, records[number - 1]) for number in range(13, 25)]
        # the value of the next ply, or the outcome, of whichever seat moves
        wanted = np.concatenate([np.ones(1), *(np.abs(record.root_values[1:, 0]) for record in now)])
        after = value_targets(buffer)
        assert np.abs(np.abs(after)[:, None] - wanted).min(axis=1).max() < 1e-3
        assert not np.array_equal(before, after)
        policies = np.concatenate([unpack_policies(r.policy_offsets, r.policy_bytes, game.num_actions) for r in now])
        sampled = buffer.sample_batch(100, np.random.default_rng(1))["policy"][:, 0]
        for policy in np.sort(sampled, axis=1):  # whatever the frame
            assert np.abs(np.sort(policies, axis=1) - policy).max(axis=1).min() < 1e-3
        assert [archive.read(number).to_bytes() for number in range(1, 25)] == [r.to_bytes() for r in records]
