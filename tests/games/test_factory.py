from __future__ import annotations

from hexpipe.config import GameSettings
from hexpipe.games.factory import make_game


def test_settings_decide_the_game() -> None:
    game = make_game(GameSettings.model_validate({"board_size": 6, "swap": True}))
    assert (game.name, game.board_size, game.swap, game.num_actions) == ("hex", 6, True, 37)
