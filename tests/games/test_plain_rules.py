"""The rules in plain Python against the kernels: the same games are won, the same moves refused, in the same words."""

from __future__ import annotations

import random

import pytest

from hexpipe.errors import IllegalMoveError
from hexpipe.games.game_env import ONGOING
from hexpipe.games.hex import Hex
from hexpipe.games.plain_rules import is_won


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("size", [3, 4, 6])
def test_as_the_kernels_say(size: int, swap: bool) -> None:
    game, dice, area, won, refused = Hex(size, swap=swap), random.Random(size), size * size, 0, 0
    for _ in range(40):
        moves = dice.sample(range(area), area)
        moves = [dice.randrange(-1, area + 2) if dice.random() < 0.03 else move for move in moves]
        if dice.random() < 0.5:
            moves.insert(dice.choice([0, 1, 1, 1, 2]), area)
        for count in range(1, len(moves) + 1):
            said = []
            for play in (lambda m: is_won(m, size, swap), lambda m: game.play(m).winner[0] != ONGOING):
                try:
                    said.append(str(bool(play(moves[:count]))))
                except IllegalMoveError as error:
                    said.append(str(error))
            assert said[0] == said[1]
            won += said[0] == "True"
            refused += "illegal" in said[0]
            if "illegal" in said[0]:
                break
    assert won
    assert refused
