"""What every game must keep to; a new game joins by a line in GAMES.

A game of one's own, outside the repository, is held against all this with

    bin/test tests/games/test_conformance.py --game package.module:Class [--size N]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hexpipe.config import load_settings
from hexpipe.games import conformance
from hexpipe.games.conformance import Line
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import Game, moves_view
from hexpipe.games.hex import Hex
from hexpipe.games.inarow import InARow
from hexpipe.games.own_games import import_game
from hexpipe.nets.plain_net import legal_codes
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.dry_play import play_games
from tests.games.reference_inarow import game_settings


def own_game(name: str, size: int) -> Game:
    settings = load_settings("quick", {"game.name": name, "game.board_size": size}).game
    import_game(settings)
    return make_game(settings)


def hexpipes_own(name: str, rows: int | None = None, columns: int | None = None) -> Game:
    board = {} if rows is None else {"game.board_size": rows, "game.board_width": columns}
    return make_game(load_settings("quick", {"game.name": name, **board}).game)


GAMES: dict[str, Game] = {
    "hex3": Hex(3),
    "hex4-swap": Hex(4, swap=True),
    "hex7-swap": Hex(7, swap=True),
    "hex11": Hex(11),
    "tic-tac-toe": InARow(game_settings(3, 3)),
    "four in a row, three seats": InARow(game_settings(5, 4, players=3)),
    "small view": InARow(game_settings(9, 5, view_size=5)),
    "small view, three seats": InARow(game_settings(9, 7, players=3, view_size=5, draws="shared")),
    "large view": InARow(game_settings(15, 5, view_size=21)),
    "drop3": own_game("tests.games.drop:Drop", 3),
    "drop4": own_game("tests.games.drop:Drop", 4),
    "othello4": own_game("tests.games.othello:Othello", 4),
    "connect four": hexpipes_own("connect4"),
    "othello of the house": hexpipes_own("othello"),
    "othello of the house, 4": hexpipes_own("othello", 4),
    "connect four, tall": hexpipes_own("connect4", 7, 4),
    "breakthrough": hexpipes_own("breakthrough"),
    "breakthrough, small": hexpipes_own("breakthrough", 5, 4),
    "go": hexpipes_own("go"),
    "go, 4": hexpipes_own("go", 4),
    "othello6": own_game("tests.games.othello:Othello", 6),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    name, size = metafunc.config.getoption("--game"), metafunc.config.getoption("--size")
    games = {name: own_game(name, size)} if name else GAMES
    metafunc.parametrize("game", games.values(), ids=games)


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_to_the_house(game: Game, check: Callable[[Game], None]) -> None:
    check(game)


def test_terms_tell_games_apart(game: Game) -> None:
    assert [name for name, other in GAMES.items() if other.terms == game.terms] == [
        name for name, other in GAMES.items() if other is game
    ]


@pytest.mark.parametrize("algorithm", ["alphazero", "muzero"])
def test_games_of_self_play_are_sampled_as_they_were_played(game: Game, algorithm: str) -> None:
    options: dict[str, Any] = {"algorithm": algorithm, "search.num_simulations": 4, "selfplay.games_per_worker": 4}
    options |= {"selfplay.max_game_plies": game.max_plies, "replay.min_games": 1, "replay.snapshot_interval": 5}
    settings = load_settings("quick", options)
    records = play_games(game, settings, 2)
    unroll_steps = 2
    seen, seen_before, seen_later = set(), set(), set()
    for record in records:
        line = Line(game)
        for ply, move in enumerate(record.actions.tolist()):
            if moves_view(game):  # as it was seen, as the move before saw it, and as those sampled before it see it
                for start in range(max(0, record.opening_plies - 1, ply - unroll_steps - 1), ply):
                    line.states.origin[0] = record.origins[start]
                    seen_later.add(line.codes().tobytes())
                    if start == ply - 1 and ply >= record.opening_plies:
                        seen_before.add(line.codes().tobytes())
                line.states.origin[0] = record.origins[ply]
            assert move in line.legal()
            if ply >= record.opening_plies:
                seen.add(line.codes().tobytes())
            line.play(move)
        np.testing.assert_array_equal(record.outcome, line.outcome())
    buffer = ReplayBuffer.create(settings.replay, game, private=True)
    for record in records:
        buffer.add_game(record)
    batch = buffer.sample_batch(4 * len(seen), np.random.default_rng(0), unroll_steps, observations=True)
    sampled = {row.tobytes() for row in batch["codes"]}
    assert sampled <= seen | seen_before
    assert len(sampled & seen) > len(seen) / 2
    assert {row.tobytes() for row in batch["next_codes"][batch["mask"][:, 1:] == 1]} <= seen | seen_later
    assert not batch["policy"][:, 0][~legal_codes(batch["codes"], game.shapes)].any()
