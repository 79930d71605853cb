"""Games that begin at misjudged positions of earlier ones."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.games.hex import Hex
from hexpipe.records import GameRecord, unpack_policies
from hexpipe.selfplay.revisits import FIRST, KEPT, Revisits
from tests.selfplay.test_self_play import assert_legal, play, small_settings


def regrets(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_what_was_misjudged_most_is_drawn_most() -> None:
    revisits = Revisits(np.random.default_rng(0))
    for game in range(100):
        revisits.note((7, game), regrets(2.0, 2.0 if game % 2 else 1.0))
    drawn = revisits.draw(4000, 0.75)
    again = [start for start in drawn if start is not None]
    assert 0.7 < len(again) / len(drawn) < 0.8
    assert set(again) == {(7,)}, "the empty board is none, however wrong its value"
    revisits = Revisits(np.random.default_rng(1))
    for game in range(100):
        revisits.note((game, 1), regrets(0, 2.0 if game % 2 else 1.0))
    odd = [start[0] % 2 for start in revisits.draw(4000, 0.99) if start is not None]
    assert np.mean(odd) == pytest.approx(4 / 5, abs=0.03), "by the square"


def test_within_a_game_the_worst_ply_is_remembered_most() -> None:
    revisits = Revisits(np.random.default_rng(0))
    for _ in range(KEPT):
        revisits.note((1, 2, 3, 4), regrets(0.1, 0.0, 0.5, 1.5))
    lengths = [len(start) for start in revisits.draw(2000, 0.99) if start is not None]
    assert set(lengths) == {2, 3}
    assert np.mean(np.array(lengths) == 3) > 0.95, "drawn by the square twice: into the memory, and out of it"


def test_small_regrets_are_forgotten_and_old_ones_leave() -> None:
    revisits = Revisits(np.random.default_rng(0))
    for _ in range(100):
        revisits.note((1, 2, 3), regrets(0.0, 0.1, 0.2))
        revisits.note((1,), regrets(2.0))
        revisits.note((1, 2), regrets(0.0, 0.0))
    assert len(revisits) == 0
    for game in range(KEPT + 5):
        assert revisits.draw(3, 0.9) == [None] * 3 or game >= FIRST
        revisits.note((game, 0), regrets(0.0, 1.0))
    assert len(revisits) == KEPT
    assert min(start[0] for start in revisits.draw(9000, 0.99) if start is not None) >= 5
    assert revisits.draw(2, 0.0) == [None, None]


@pytest.mark.parametrize("fast", [0.0, 0.5])
@pytest.mark.parametrize(("root", "swap"), [("puct", True), ("gumbel", False)])
def test_games_go_on_from_plies_of_earlier_games(root: str, swap: bool, fast: float) -> None:
    game = Hex(4, swap=swap)
    options = {"selfplay.revisit_share": 0.5, "selfplay.fast_share": fast, "search.root": root}
    records, _ = play(game, small_settings(**options), 2, 400)
    again = [number for number, record in enumerate(records) if record.opening_plies]
    assert 0.3 < len(again) / len(records) < 0.6
    assert min(again) >= FIRST, "there is enough to choose from first"
    for record in records:
        states = game.play(moves(record))  # IllegalMoveError if it is none
        assert states.winner[0] >= 0
        if not fast:
            assert_legal(game, record)
    for number in again:
        start = moves(records[number])[: records[number].opening_plies]
        assert any(misjudged(record, start) for record in records[:number])


def moves(record: GameRecord) -> list[int]:
    return record.actions.tolist()


def misjudged(record: GameRecord, start: list[int]) -> bool:
    """Whether ``record`` went through ``start`` to a ply of its own that was searched in full, and judged wrong."""
    ply = len(start)
    if ply >= record.num_plies or ply < record.opening_plies or moves(record)[:ply] != start:
        return False
    seat = record.seats[ply]
    if not unpack_policies(record.policy_offsets, record.policy_bytes, record.num_actions)[ply].any():
        return False
    return bool(abs(record.root_values[ply, seat] - record.outcome[seat]) >= 0.3)


def test_without_a_share_games_begin_at_the_start() -> None:
    records, selfplay = play(Hex(3), small_settings(), 3, 150)
    assert not any(record.opening_plies for record in records)
    assert not any(len(group.revisits) for group in selfplay._groups)


def test_games_that_are_cut_teach_nothing_about_values() -> None:
    settings = small_settings(**{"selfplay.revisit_share": 0.9, "selfplay.max_game_plies": 3})
    _, selfplay = play(Hex(5), settings, 4, 100)
    assert not any(len(group.revisits) for group in selfplay._groups)
