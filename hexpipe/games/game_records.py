"""What the record of a game says of its rules."""

from __future__ import annotations

from typing import TypedDict

from hexpipe.games.game_env import Game


class RecordedRules(TypedDict):
    """The fields of a `GameRecord` that are the rules of its game."""

    game: str
    board_size: int
    win_length: int
    swap: bool
    num_seats: int
    num_actions: int


def recorded_rules(game: Game) -> RecordedRules:
    """What a record of ``game`` says of its rules. Of a game without a ``win_length`` that is 0."""
    return {
        "game": game.name,
        "board_size": game.board_size,
        "win_length": getattr(game, "win_length", 0),
        "swap": game.swap,
        "num_seats": game.num_seats,
        "num_actions": game.num_actions,
    }
