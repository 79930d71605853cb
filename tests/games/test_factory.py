from __future__ import annotations

from hexpipe.config import GameSettings, load_settings
from hexpipe.games.factory import make_game


def test_settings_decide_the_game() -> None:
    game = make_game(GameSettings.model_validate({"board_size": 6, "swap": True}))
    assert (game.name, game.board_size, game.swap, game.num_actions) == ("hex", 6, True, 37)


def test_large_boards_are_seen_through_a_view_with_a_thumbnail() -> None:
    settings = load_settings(overrides={"game.name": "inarow", "game.board_size": 100, "game.players": 3})
    game = make_game(settings.game)
    assert (game.name, game.board_size, game.swap, game.num_seats) == ("inarow", 100, False, 3)
    assert (game.num_actions, game.shapes.code_length) == (441, 5 * 441)
    assert game.max_plies == 10_000
