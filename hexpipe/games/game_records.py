"""The rules of a game in the form of its records."""

from __future__ import annotations

from typing import TypedDict

from hexpipe.games.game_env import Game


class RecordedRules(TypedDict):
    """The fields of a `GameRecord` for the rules of its game."""

    game: str
    board_size: int
    win_length: int
    swap: bool
    num_seats: int
    num_actions: int


def recorded_rules(game: Game) -> RecordedRules:
    """Return the rules of ``game`` as its records have them. ``win_length`` is 0 for games without one."""
    return {
        "game": game.name,
        "board_size": game.board_size,
        "win_length": getattr(game, "win_length", 0),
        "swap": game.swap,
        "num_seats": game.num_seats,
        "num_actions": game.num_actions,
    }
