"""Games of others as records of a run: what they say, which are refused, and that nothing is imported by half."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexpipe.bulk.game_import import Imported, board_size_of, import_games, keep_fitting, read_games, record_of
from hexpipe.config import load_settings
from hexpipe.errors import UsageError
from hexpipe.games.hex import Hex
from hexpipe.notation.conventions import CONVENTIONS
from hexpipe.notation.format_conversion import HexGame, parse_moves
from hexpipe.notation.game_texts import GameText
from hexpipe.records import IMPORTED, unpack_policies
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.run_folder import ARCHIVE_NAME, RunFolder
from tests.refusals import refused
from tests.replay.reference import tiny_settings

SETTINGS = load_settings("quick", {"game.board_size": 5})
WITH_SWAP = load_settings("quick", {"game.board_size": 5, "game.swap": True})


def texts(*lines: str) -> list[GameText]:
    return [GameText(f"games.txt, line {number}", line) for number, line in enumerate(lines, start=1)]


def bring(path: Path, *lines: str, settings: Any = SETTINGS, skip_bad: bool = False) -> tuple[Imported, list[str]]:
    games = read_games(texts(*lines), settings.game.board_size, skip_bad)
    keep_fitting(games, settings.game, skip_bad)
    with RunFolder.open(path, resume=(path / "settings.json").exists()) as folder:
        return import_games(folder, settings, games), games.refused


def test_a_record_says_what_was_played_and_who_won() -> None:
    game = Hex(5, swap=True)
    moves = parse_moves("b1 swap c1 e4", 5, swap=True)
    record = record_of(game, moves, winner=0)
    assert record.actions.tolist() == moves
    assert record.seats.tolist() == [0, 1, 0, 1]
    assert record.views.tolist() == [0, 1, 1, 0]  # the first player, whose colour is white now, places the next stone
    assert (record.weights_version, record.simulations, record.opening_plies) == (IMPORTED, 0, 0)
    policies = unpack_policies(record.policy_offsets, record.policy_bytes, game.num_actions)
    assert (policies == np.eye(26)[moves]).all()
    assert record.root_values.tolist() == [[1, -1]] * 4
    assert record.outcome.tolist() == [1, -1]


@pytest.mark.parametrize("td_steps", [0, 2])
def test_a_value_target_is_the_result_of_the_game(td_steps: int) -> None:
    game = Hex(3)
    settings = tiny_settings().model_copy(update={"td_steps": td_steps})
    buffer = ReplayBuffer.create(settings, game, private=True)
    buffer.add_game(record_of(game, parse_moves("b2 a1 b1 a2 b3", 3), winner=0))
    batch = buffer.sample_batch(100, np.random.default_rng(0), unroll_steps=1)
    black_moves = (batch["codes"][:, :9] != 0).sum(axis=1) % 2 == 0
    assert (batch["values"][:, 0, 0] == np.where(black_moves, 1, -1)).all()
    assert (batch["policy"][:, 0].max(axis=1) == 1).all()


def test_all_conventions_tell_one_game(tmp_path: Path) -> None:
    # those of pgx and hexgame-server are on boards that those programs have; OpenSpiel's strings need a word more
    samples = [row.sample for row in CONVENTIONS if '"size": 5' in row.sample or '"size"' not in row.sample]
    done, _ = bring(tmp_path / "run", *(text for text in samples if '"swap", "a3"' not in text), settings=WITH_SWAP)
    # Little Golem's has a move more, TRMPH's has no swap
    assert (done.games, done.duplicates, done.repeats) == (3, 8, 8)
    with ReplayArchive(tmp_path / "run" / ARCHIVE_NAME, Hex(5, swap=True)) as archive:
        for record in archive.imported():
            swapped = 25 in record.actions
            assert record.outcome.tolist() == ([1, -1] if swapped else [-1, 1])  # white has won


def test_what_is_there_already_is_counted_and_left_out(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done, _ = bring(run, "#5,a1b2 b", "#5,a1b2 b", "#5,a1b2 r")
    assert done == (2, 4, 1, 2, 4, 1)
    done, _ = bring(run, "#5,a1b2 b", "(;SZ[5]RE[W+R];B[a1];W[b2])", "#5,c3 r")
    assert done == (1, 1, 2, 3, 5, 0)


BAD = [
    ("#5,a1b2", "no result"),
    ("#5,a1a1 b", "played twice"),
    ("#5,z9 b", "z9"),
    ("#5,a1b1a2b2a3b3a4b4a5b5 b", "black has already won"),
    ("#5, b", "without moves"),
    ("#6,a1b2 b", "6x6, and this run plays Hex 5x5"),
    ("#5c1,a1:sb2:rb", "game.swap is off"),
    ("rubbish", "line 2"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_bad_games_are_named_and_nothing_comes_in(tmp_path: Path, text: str, words: str) -> None:
    good = ("#5,a1b2 b", "#5,a1b3 r")
    with pytest.raises(UsageError, match=words) as caught:
        bring(tmp_path / "run", good[0], text, good[1])
    assert "games.txt, line 2: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    done, refused = bring(tmp_path / "run", good[0], text, good[1], skip_bad=True)
    assert done.games == 2
    assert len(refused) == 1
    assert refused[0].startswith("games.txt, line 2: ")
    assert words in refused[0]


def test_stones_that_connect_are_a_result(tmp_path: Path) -> None:
    done, _ = bring(tmp_path / "run", "a1 b1 a2 b2 a3 b3 a4 b4 a5")
    assert done.positions == 9


def test_boards_are_as_large_as_the_games(tmp_path: Path) -> None:
    assert board_size_of(read_games(texts("#6,a1 b", "#6,a2 r"))) == 6
    with refused(UsageError, "1 on 5x5, 2 on 6x6", kind="board", setting="--size"):
        board_size_of(read_games(texts("#6,a1 b", "#5,a1 b", "#6,a2 r")))
    with refused(UsageError, "games.txt, line 1", kind="missing"):
        board_size_of(read_games(texts("#5,a1a1 b"), skip_bad=True))


def test_another_game_has_no_use_for_them() -> None:
    with refused(UsageError, "5 in a row 9x9", kind="foreign", setting="game.name"):
        keep_fitting(
            read_games(texts("#9,a1 b")), load_settings("quick", {"game.name": "inarow", "game.board_size": 9}).game
        )


@pytest.mark.parametrize("known", [False, True])
def test_an_import_that_is_cut_off_leaves_nothing(tmp_path: Path, known: bool) -> None:
    run = tmp_path / "run"
    if known:
        bring(run, "#5,c3 b")
    games = read_games(texts("#5,a1 b", "#5,a2 b"))

    def cut_off(new: Sequence[HexGame]) -> Iterator[HexGame]:
        yield new[0]
        raise KeyboardInterrupt

    with RunFolder.open(run, resume=known) as folder, pytest.raises(KeyboardInterrupt):
        import_games(folder, SETTINGS, games, cut_off)
    assert run.exists() == known
    if known:
        with ReplayArchive(run / ARCHIVE_NAME, Hex(5)) as archive:
            assert archive.total_games == 1
