"""Games whose moves change more than one cell: the replay plays them on from a snapshot by their own step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hexpipe.cli.main import run as command_line
from hexpipe.config import GameSettings, load_settings
from hexpipe.games.game_env import Int8Array, IntArray, States
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.dry_play import play_games
from tests.games.othello import Othello


class Remembering(Othello):
    """Othello whose net sees what the board does not tell: the last two actions, kept in ``parents``."""

    def __init__(self, settings: GameSettings) -> None:
        super().__init__(settings)
        self._num_parents = 2

    def play_in(self, states: States, row: int, action: int) -> None:
        super().play_in(states, row, action)
        states.parents[row] = action + 300, states.parents[row, 0]

    def codes(self, states: States, rows: IntArray, out: Int8Array) -> None:
        super().codes(states, rows, out)
        out[:, :2] = states.parents[rows] % 100


def othello(size: int, kind: type[Othello] = Othello) -> Othello:
    settings = load_settings("quick", {"game.name": "tests.games.othello:Othello", "game.board_size": size})
    return kind(settings.game)


def played(game: Othello, count: int, seed: int = 0) -> list[GameRecord]:
    settings = load_settings(
        "quick", {"search.num_simulations": 2, "selfplay.games_per_worker": 2, "seed": seed, "replay.min_games": 1}
    )
    return play_games(game, settings, count)


def told_positions(game: Othello, record: GameRecord) -> list[bytes]:
    """The codes before each ply, by playing the game from its start."""
    states, row = game.new_states(1), np.zeros(1, np.int32)
    told = []
    for action in record.actions:
        codes = np.zeros((1, game.shapes.code_length), np.int8)
        game.codes(states, row, codes)
        told.append(codes.tobytes())
        game.step(states, row, np.array([action]), row)
    return told


@pytest.mark.parametrize("interval", [1, 3, 16])
@pytest.mark.parametrize("kind", [Othello, Remembering])
def test_each_sample_is_a_position_of_its_game_and_so_is_each_step_after_it(interval: int, kind: type[Othello]) -> None:
    game, unroll_steps = othello(4, kind), 3
    records = played(game, 4)
    settings = load_settings("quick", {"replay.snapshot_interval": interval, "replay.min_games": 1}).replay
    buffer = ReplayBuffer.create(settings, game, private=True)
    for record in records:
        buffer.add_game(record)
    batch = buffer.sample_batch(200, np.random.default_rng(0), unroll_steps, observations=True)
    plies = set()
    for row, number in enumerate(batch["games"]):
        told = told_positions(game, records[number - 1])
        ply = told.index(batch["codes"][row].tobytes())
        plies.add(ply)
        for step in range(unroll_steps):
            if batch["mask"][row, step + 1]:
                assert batch["next_codes"][row, step].tobytes() == told[ply + 1 + step]
    assert len(plies) > 8


def test_a_buffer_that_is_filled_from_its_archive_tells_the_same_positions(tmp_path: Path) -> None:
    game = othello(4)
    records = played(game, 3)
    archive = ReplayArchive(tmp_path / "archive.sqlite", (game,))
    archive.append(records)
    settings = load_settings("quick", {"replay.snapshot_interval": 4, "replay.min_games": 1}).replay
    buffer = ReplayBuffer.create(settings, game, private=True)
    buffer.refill(archive)
    archive.close()
    batch = buffer.sample_batch(100, np.random.default_rng(1))
    told = [told_positions(game, record) for record in records]
    for number, codes in zip(batch["games"], batch["codes"], strict=True):
        assert codes.tobytes() in told[number - 1]


@pytest.mark.parametrize("algorithm", ["alphazero", "muzero"])
def test_it_trains_goes_on_and_searches_old_games_anew(tmp_path: Path, algorithm: str) -> None:
    options = [
        "--game=tests.games.othello:Othello", "--size=4", "--simulations=4", f"--set=algorithm={algorithm}",
        "--set=replay.min_games=2", "--set=learner.batch_size=8", "--set=net.blocks=1", "--set=net.channels=8",
        "--set=reanalyze.ratio=0.5", "--set=selfplay.games_per_worker=4", "--set=replay.snapshot_interval=4",
    ]  # fmt: skip
    run_dir = tmp_path / "run"
    assert command_line(["train", f"--run-dir={run_dir}", *options, "--steps=3"]) == 0
    assert command_line(["train", f"--resume={run_dir}", "--steps=6"]) == 0
    assert load_checkpoint(run_dir).step >= 6
