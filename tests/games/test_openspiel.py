"""Games of OpenSpiel through `OpenSpiel`, and hexpipe's own rules beside OpenSpiel's."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from hexpipe.config import NUMBERS, GameSettings, load_settings
from hexpipe.errors import NotationError, SettingsError
from hexpipe.games import conformance
from hexpipe.games.board_moves import last_cell
from hexpipe.games.factory import make_game
from hexpipe.games.game_env import ONGOING, Game
from hexpipe.games.openspiel.loading import tensor_planes
from hexpipe.games.openspiel.rules import MAX_PLIES, OpenSpiel

pyspiel = pytest.importorskip("pyspiel", reason="open_spiel is not installed: the extra openspiel")

SMALL = (
    "tic_tac_toe",
    "connect_four",
    "oware",
    "mancala",
    "nim(pile_sizes=2;3)",
    "go(board_size=4)",
    "dots_and_boxes",
    "hex(board_size=4)",
    "quoridor(board_size=5,players=3)",
    "pentago",
)
"""With planes and vectors, cells and others, two and three players, who move in turn and who do not."""


def made(name: str) -> OpenSpiel:
    game = make_game(load_settings("quick", {"game.name": f"openspiel:{name}"}).game)
    assert isinstance(game, OpenSpiel)
    return game


@pytest.mark.parametrize("name", SMALL)
def test_it_is_a_game(name: str) -> None:
    conformance.check(made(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chess", "shogi", "amazons", "checkers", "xiangqi", "hive", "lines_of_action"])
def test_large_ones_are_games(name: str) -> None:
    conformance.check(made(name))


@pytest.mark.parametrize("name", SMALL)
def test_games_go_as_openspiel_has_them(name: str) -> None:
    game, rng = made(name), np.random.default_rng(1)
    for _ in range(3):
        line, state = conformance.Line(game), game.spiel.new_initial_state()
        first = state.current_player()
        while not line.over:
            if state.current_player() == (first + int(line.states.to_move[0])) % game.num_seats:
                assert line.legal().tolist() == state.legal_actions()
                seen = np.frombuffer(line.codes()[: 2 * state_size(game)].tobytes(), np.float16)
                np.testing.assert_allclose(seen, state.observation_tensor(state.current_player()), rtol=1e-3)
            else:
                assert line.legal().tolist() == [game.pass_action]
            action = int(rng.choice(line.legal()))
            if action != game.pass_action:
                state.apply_action(action)
            line.play(action)
        if len(line.moves) < MAX_PLIES:
            assert state.is_terminal()
            returns = state.returns()
            assert line.outcome().tolist() == returns[first:] + returns[:first]


def state_size(game: OpenSpiel) -> int:
    return int(game.spiel.observation_tensor_size())


def test_seat_0_is_who_moves_first_also_in_chess() -> None:
    game = made("chess")
    assert game.spiel.new_initial_state().current_player() == 1
    line = conformance.Line(game)
    assert len(line.legal()) == 20
    # the fool's mate, by what OpenSpiel calls the moves
    for word in ("f3", "e5", "g4", "Qh4#"):
        state = line.states.state[0]
        [action] = [one for one in state.legal_actions() if state.action_to_string(one) == word]
        line.play(action)
    assert line.states.winner[0] == 1
    assert line.outcome().tolist() == [-1, 1]


def test_a_game_that_is_too_long_is_a_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexpipe.games.openspiel.rules.MAX_PLIES", 5)
    line = conformance.random_line(made("oware"), 1)
    assert len(line.moves) == 5
    assert line.states.winner[0] == 2
    assert line.outcome().tolist() == [0, 0]


def test_rows_share_states_and_free_them() -> None:
    game = made("tic_tac_toe")
    states = game.new_states(3)
    one, two = np.array([0]), np.array([1])
    game.step(states, one, np.array([4]), two)
    assert states.state[0] is states.state[2]
    assert states.state[1].history() == [4]
    assert states.cells[1].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    game.reset(states, two)
    assert states.state[1] is states.state[0]
    again = pickle.loads(pickle.dumps(states))  # to another process its history goes
    assert again.state[0].history() == []


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [([3, 6, 7], (3, 6, 7)), ([3, 225], (3, 15, 15)), ([14], (14, 1, 1)), ([4, 7], (28, 1, 1)), ([5, 1], (5, 1, 1))],
)
def test_tensors_become_planes(shape: list[int], wanted: tuple[int, int, int]) -> None:
    assert tensor_planes(shape) == wanted


def test_a_vector_is_seen_as_numbers_on_one_cell() -> None:
    shapes = made("oware").shapes
    assert (shapes.board_size, shapes.board_width, shapes.cell_actions) == (1, 1, 0)
    assert sum(plane.code == NUMBERS for plane in shapes.declared) == 14


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nope", "OpenSpiel has no game 'nope'"),
        ("backgammon", "it has chance"),
        ("dark_hex", "some of it is hidden"),
        ("goofspiel", "its players move at once|it has chance|some of it"),
        ("hex(board_size=x)", "Wrong type for parameter board_size"),
        ("hex(sides=3)", "Unknown parameter 'sides'"),
        ("hex(board_size=0)", "has 0 numbers|not 1 to"),
        ("hex(board_size=80)", "80 cells a side"),
        ("chinese_checkers(players=3)", "rewards are not"),
        ("hex(", "is not openspiel:NAME"),
        ("", "is not openspiel:NAME"),
    ],
)
def test_what_cannot_be_played_is_told_in_a_line(name: str, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        made(name)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_the_size_is_in_the_name() -> None:
    with pytest.raises(SettingsError, match="has its size in its name"):
        load_settings("quick", {"game.name": "openspiel:hex", "game.board_size": 5})
    assert (
        load_settings("quick", {"game.name": "openspiel:hex(board_size=5)"}).game.title == "openspiel:hex(board_size=5)"
    )
    assert GameSettings(name="openspiel:hex", board_size=3).own_class is None


def test_moves_are_named_by_cell_or_number() -> None:
    cells, numbers = made("tic_tac_toe"), made("connect_four")
    assert [cells.action_name(action) for action in (0, 4, 9)] == ["a1", "b2", "pass"]
    assert [numbers.action_name(action) for action in (0, 6, 7)] == ["m0", "m6", "pass"]
    for text in ("m7", "m07", "m1_0", "7", "d4"):
        with pytest.raises(NotationError):
            numbers.parse_action(text)


def rules_of(name: str, **options: float) -> Game:
    given = {f"game.{key}": value for key, value in options.items()}
    return make_game(load_settings("quick", {**given, "game.name": name}).game)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("connect4", {}),
        ("connect4", {"board_size": 5, "board_width": 6}),
        ("othello", {}),
        ("hex", {"board_size": 5}),
        ("breakthrough", {"board_size": 6, "board_width": 5}),
        ("breakthrough", {"board_size": 5, "board_width": 4}),
        ("go", {"board_size": 4, "komi": 3.5}),
    ],
)
def test_our_rules_are_openspiels(name: str, options: dict[str, float]) -> None:
    from hexpipe.games.openspiel.twins import twin_of

    game = rules_of(name, **options)
    twin, rng = twin_of(game), np.random.default_rng(2)
    for _ in range(20):
        line, state = conformance.Line(game), twin.spiel.new_initial_state()
        while not line.over:
            legal = line.legal().tolist()
            theirs = sorted(twin.ours(state, action) for action in state.legal_actions())
            if name == "go":  # where a move that repeats a position is legal, and the end
                assert set(legal) <= set(theirs)
            else:
                assert theirs == legal
            action = int(rng.choice(legal))
            state.apply_action(twin.theirs(state, action))
            line.play(action)
        assert line.states.winner[0] != ONGOING
        assert state.is_terminal()
        assert line.outcome().tolist() == state.returns()


def test_moves_that_are_no_cells_mark_none() -> None:
    dense, cells = made("connect_four"), made("tic_tac_toe")
    assert [last_cell(dense, move, 0) for move in (0, 6, 7)] == [-1, -1, -1]
    assert [last_cell(cells, move, 0) for move in (0, 8, 9)] == [0, 8, -1]
