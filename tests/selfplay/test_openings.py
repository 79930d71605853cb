"""Random openings: varied starts that are in the record but not learned from."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.bench.replay import HashEvaluator
from hexpipe.config import ReplaySettings, load_settings
from hexpipe.games.hex import Hex
from hexpipe.records import GameRecord
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.self_play import SelfPlay


def _play(size: int, most: int, games: int) -> tuple[Hex, list[GameRecord]]:
    game = Hex(size)
    settings = load_settings(
        "quick",
        {
            "game.board_size": size,
            "search.num_simulations": 8,
            "selfplay.games_per_worker": 8,
            "selfplay.opening_random_plies": most,
        },
    )
    records: list[GameRecord] = []
    play = SelfPlay(game, settings, HashEvaluator(game, 2), seed=3, on_game=records.append)
    while len(records) < games:
        play.step()
    return game, records


@pytest.mark.parametrize(("size", "most"), [(4, 5), (3, 9)])
def test_openings_are_legal_varied_and_marked(size: int, most: int) -> None:
    game, records = _play(size, most, 60)
    lengths = {record.opening_plies for record in records}
    assert {0, 1, 2, 3} <= lengths
    assert max(lengths) <= most
    for record in records:
        states = game.play(record.actions.tolist())  # raises on an illegal move
        assert states.winner[0] >= 0
        assert record.num_positions == record.num_plies - record.opening_plies > 0
        assert (record.root_values[: record.opening_plies] == 0).all()


def test_the_buffer_samples_no_opening_ply() -> None:
    game, records = _play(4, 5, 40)
    buffer = ReplayBuffer.create(ReplaySettings(min_games=1, max_games=64), game, private=True)
    for record in records:
        buffer.add_game(record)
    assert buffer.num_positions == sum(record.num_positions for record in records)
    learned, openings = set(), set()
    for record in records:
        cells = np.zeros((1, 16), np.int8)
        code = np.zeros((1, game.shapes.code_length), np.int8)
        for ply, action in enumerate(record.actions.tolist()):
            plies, origins = np.array([ply], np.int32), np.zeros((1, 2), np.int16)
            game.codes_from_cells(cells, record.views[ply : ply + 1], plies, origins, code)
            (openings if ply < record.opening_plies else learned).add(code.tobytes())
            cells[0, action] = 1 + record.views[ply]
    sampled = {row.tobytes() for row in buffer.sample_batch(4000, np.random.default_rng(0))["codes"]}
    assert sampled <= learned
    assert openings - learned - sampled


def test_a_record_keeps_its_opening() -> None:
    _, records = _play(4, 5, 20)
    record = next(record for record in records if record.opening_plies)
    assert GameRecord.from_bytes(record.to_bytes()).opening_plies == record.opening_plies
