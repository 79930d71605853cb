"""Positions by cells: they say what was played, whatever the views were."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.games.board_moves import after_moves, legal_moves, moves_of_actions, view_centres
from hexpipe.games.game_env import ONGOING, Game, moves_view
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.games.local_view import LocalView
from tests.games.reference_inarow import game_settings

ROW = np.zeros(1, np.int32)
GAMES: dict[str, Game] = {
    "hex4-swap": Hex(4, swap=True),
    "tic-tac-toe": InARow(game_settings(3, 3)),
    "small view, three seats": InARow(game_settings(9, 4, players=3, view_size=5)),
    "tiny view": InARow(game_settings(7, 7, view_size=3)),
    "large view": InARow(game_settings(5, 4, view_size=7)),
}


@pytest.mark.parametrize("name", GAMES)
def test_moves_lead_where_the_actions_led(name: str) -> None:
    """Random games whose views wander; the moves alone give every position again, legal moves and all."""
    game, rng = GAMES[name], np.random.default_rng(0)
    legal = np.zeros((1, game.num_actions), np.bool_)
    for _ in range(6):
        states, moves = game.new_states(1), list[int]()
        while states.winner[0] == ONGOING:
            if rng.random() < 0.5 and moves_view(game):
                game.place_views(states, ROW, rng.integers(0, game.board_size**2, 1, dtype=np.int32))
            game.legal_mask(states, ROW, legal)
            action = rng.choice(np.flatnonzero(legal[0]), 1).astype(np.int32)
            move = int(moves_of_actions(game, action, states.origin)[0])
            assert move in legal_moves(game, states)
            assert (
                move == LocalView.of(game).cell_of_action(int(action[0]), states.origin[0])
                or move == game.board_size**2
            )
            moves.append(move)
            game.step(states, ROW, action, ROW)
            again = after_moves(game, moves)
            for field in ("cells", "to_move", "view", "winner", "ply", "last", "pooled", "longest"):
                np.testing.assert_array_equal(getattr(again, field), getattr(states, field))
        assert len(legal_moves(game, states)) == 0


def test_legal_moves_are_those_of_the_whole_board() -> None:
    large = GAMES["small view, three seats"]
    states = after_moves(large, [0, 80, 40])
    assert legal_moves(large, states).tolist() == [cell for cell in range(81) if cell not in (0, 80, 40)]
    assert states.origin[0].tolist() == [2, 2]  # around the last of them
    swap = GAMES["hex4-swap"]
    assert legal_moves(swap, after_moves(swap, [5])).tolist() == [cell for cell in range(17) if cell != 5]
    assert after_moves(swap, [5, 16]).to_move[0] == 0
    wide = GAMES["large view"]
    assert legal_moves(wide, after_moves(wide, [0])).tolist() == list(range(1, 25))


@pytest.mark.parametrize(("n", "v"), [(9, 5), (10, 3), (15, 7), (100, 21), (21, 7), (22, 21), (4, 3)])
def test_view_centres_show_the_whole_board(n: int, v: int) -> None:
    game = InARow(game_settings(n, 3, view_size=v))
    centres = view_centres(game)
    assert len(centres) == (-(-n // v)) ** 2
    states, shown = game.new_states(1), set[int]()
    for centre in centres:
        game.place_views(states, ROW, np.array([centre], np.int32))
        actions = np.arange(v * v)
        shown |= set(moves_of_actions(game, actions, np.repeat(states.origin, v * v, axis=0)).tolist())
    assert shown == set(range(n * n))


def test_a_view_that_stays_put_needs_one_place() -> None:
    for name in ("hex4-swap", "tic-tac-toe", "large view"):
        assert view_centres(GAMES[name]).tolist() == [-1]
