"""OpenSpiel's tree search as a player."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest

from hexpipe.arena.contestants import common_game, make_contestants
from hexpipe.arena.match import play_match
from hexpipe.config import load_settings
from hexpipe.errors import SettingsError
from hexpipe.games.factory import make_game

pytest.importorskip("pyspiel", reason="open_spiel is not installed: the extra openspiel")


@pytest.mark.parametrize("name", ["connect4", "openspiel:tic_tac_toe", "openspiel:dots_and_boxes", "openspiel:chess"])
def test_it_plays_legal_games_and_beats_random_play(name: str) -> None:
    rules = load_settings("quick", {"game.name": name}).game
    game = make_game(rules)
    games = 2 if name.endswith("chess") else 8
    with ExitStack() as resources:
        found = make_contestants(
            ["openspiel:mcts:20" if games == 2 else "openspiel:mcts:200", "random"], rules, resources
        )
        played = play_match(game, [one.player for one in found], np.array([[0, 1], [1, 0]] * (games // 2)))
    points = np.concatenate([played.outcomes[::2, 0], played.outcomes[1::2, 1]])
    assert points.sum() > 0
    assert all(len(moves) > 2 for moves in played.moves)


def test_what_it_cannot_play_is_told() -> None:
    rules = load_settings("quick", {"game.name": "othello", "game.board_size": 6}).game
    with ExitStack() as resources, pytest.raises(SettingsError, match="no game that is the same as othello"):
        make_contestants(["openspiel:mcts:20"], rules, resources)
    with ExitStack() as resources, pytest.raises(SettingsError, match="openspiel:mcts:N plays N"):
        make_contestants(["openspiel:mcts:x"], rules, resources)
    assert common_game(["openspiel:mcts:9"], 5, None).name == "hex"
