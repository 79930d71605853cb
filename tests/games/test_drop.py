"""Drop, the game of hexpipe/games/README.md: its rules, its values, and whether a net learns it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.arena.match import play_match
from hexpipe.arena.players import NetPlayer, Player, RandomPlayer
from hexpipe.cli.main import run
from hexpipe.config import GameSettings, SearchSettings
from hexpipe.errors import IllegalMoveError
from hexpipe.games.game_env import States
from hexpipe.inference.inference_server import LocalEvaluator
from hexpipe.inference.latents import LocalLatentEvaluator, PoolShape
from hexpipe.nets.backend_latent import LatentBackend
from hexpipe.nets.backend_torch import EagerBackend
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.search.mcts import nodes_per_game, search_positions
from hexpipe.selfplay.dry_play import FlatEvaluator
from tests.arena.strong_players import PerfectPlayer
from tests.games.drop import Drop
from tests.games.reference_drop import PASS, SlowDrop, Solver
from tests.refusals import refused

ROW = np.zeros(1, np.int32)
SMALL = (
    "--set=net.blocks=2", "--set=net.channels=16", "--set=learner.batch_size=64", "--set=learner.warmup_steps=10",
    "--set=learner.learning_rate=0.005", "--set=learner.ema_decay=0.95", "--set=replay.min_games=20",
)  # fmt: skip


def drop(n: int) -> Drop:
    return Drop(GameSettings(name="tests.games.drop:Drop", board_size=n))


def action_of(move: tuple[int, int] | str, n: int) -> int:
    return n * n if isinstance(move, str) else move[0] * n + move[1]


def random_position(n: int, plies: int, rng: random.Random) -> tuple[SlowDrop, list[int]]:
    """A game of random moves after ``plies``, or fewer where the next would end it, and its actions."""
    game, actions = SlowDrop(n), []
    for _ in range(plies):
        move = rng.choice(game.legal())
        later = game.after(move)
        if later.winner >= 0:
            break
        game = later
        actions.append(action_of(move, n))
    return game, actions


def check(game: Drop, slow: SlowDrop, states: States) -> None:
    legal, values = np.ones((1, game.num_actions), np.bool_), np.full((1, 2), 9, np.float32)
    game.legal_mask(states, ROW, legal)
    game.terminal_values(states, ROW, values)
    assert np.flatnonzero(legal[0]).tolist() == [action_of(move, game.board_size) for move in slow.legal()]
    assert states.winner[0] == slow.winner
    assert values[0].tolist() == slow.values()
    if slow.winner < 0:
        codes = np.full((1, game.shapes.code_length), 9, np.int8)
        game.codes(states, ROW, codes)
        assert codes[0].tolist() == slow.codes()


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 6), st.integers(0, 2**32 - 1))
def test_random_games_agree_with_the_slow_rules(n: int, seed: int) -> None:
    game, slow, rng = drop(n), SlowDrop(n), random.Random(seed)
    states = game.new_states(1)
    while slow.winner < 0:
        check(game, slow, states)
        move = rng.choice(slow.legal())
        slow.play(move)
        game.step(states, ROW, np.array([action_of(move, n)]), ROW)
    check(game, slow, states)


@pytest.mark.parametrize(("moves", "kind", "reason"), [
    ("a3", "rule", "nothing there carries a stone"),
    ("pass pass", "rule", "one pass in a game"),
    ("a4 a4", "occupied", ""),
    ("a4 d4 b4 d3 c4 a3", "over", "seat 1"),
])  # fmt: skip
def test_illegal_moves_are_explained(moves: str, kind: str, reason: str) -> None:
    game, words = drop(4), moves.split()
    with refused(IllegalMoveError, f"({words[-1]})", reason, kind=kind, move=len(words)):
        game.play([game.parse_action(word) for word in moves.split()])


def test_a_full_board_is_a_draw() -> None:
    game, slow = drop(3), SlowDrop(3)
    moves = [8, 5, 2, 9, 7, 6, 3, 4, 1, 0]  # c3 c2 c1 pass b3 a3 a2 b2 b1 a1
    for action in moves:
        slow.play(PASS if action == 9 else divmod(action, 3))
    assert slow.winner == 2
    check(game, slow, game.play(moves))
    with refused(IllegalMoveError, "a1", "draw", kind="over", move=11):
        game.play([*moves, 0])


def test_the_pass_decides_the_game() -> None:
    """Whoever begins loses on 3x3 and wins on 4x4; without a pass it would be the other way about."""
    for n, value in ((3, -1), (4, 1)):
        start = SlowDrop(n)
        assert Solver(n).value(start) == value
        start.passed = True
        assert Solver(n).value(start) == -value


@pytest.mark.parametrize(("n", "plies"), [(3, 2), (3, 5), (4, 8), (4, 10)])
@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_the_search_finds_the_true_values_without_a_net(n: int, plies: int, root: str) -> None:
    game, solver, rng = drop(n), Solver(n), random.Random(n + plies)
    positions = [random_position(n, plies, rng) for _ in range(8)]
    settings = SearchSettings(root=root, num_simulations=4000, early_stop=False, gumbel_scale=0.0)
    found = search_positions(game, [moves for _, moves in positions], FlatEvaluator(game.shapes), settings, 0)
    for k, (slow, _) in enumerate(positions):
        action = int(found.actions[k])
        assert found.q_values[k, action] == pytest.approx(solver.value(slow), abs=0.02)
        assert action in [action_of(move, n) for move in solver.best_moves(slow)]


def test_perfect_play_of_the_arena_is_the_solvers() -> None:
    game, solver, rng = drop(3), Solver(3), random.Random(1)
    player = PerfectPlayer(game, 0)
    for _ in range(30):
        slow, moves = random_position(3, rng.randrange(9), rng)
        assert player.value(moves)[slow.seat] == solver.value(slow)
        assert player.best_actions(moves) == [action_of(move, 3) for move in solver.best_moves(slow)]


class PerfectOpponent:
    """Any of the best moves; of a lost game any move."""

    def __init__(self) -> None:
        self.solver, self.rng = Solver(4), random.Random(0)

    def choose(self, positions: Sequence[Sequence[int]]) -> np.ndarray:
        return np.array([self.one(position) for position in positions], np.int32)

    def one(self, position: Sequence[int]) -> int:
        slow = SlowDrop(4)
        for action in position:
            slow.play(PASS if action == 16 else divmod(action, 4))
        return action_of(self.rng.choice(self.solver.best_moves(slow)), 4)


def learned(path: Path, *options: str) -> NetPlayer:
    """The net that `hexpipe train` has made, with the least of a search, and without proofs of the rules."""
    command = ["train", "--game", "tests.games.drop:Drop", "--size=4", "--minutes=0", "--devices=0"]
    assert run([*command, *SMALL, *options, "--run-dir", str(path)]) == 0
    checkpoint, game = load_checkpoint(path, groups=["ema"]), drop(4)
    net, is_learned = checkpoint.settings.net, checkpoint.settings.algorithm == "muzero"
    settings = SearchSettings(num_simulations=32 if is_learned else 2, solver=False)
    if is_learned:
        pool = PoolShape(128, nodes_per_game(settings, learned=True))
        latents = LatentBackend(net, game.shapes, pool.rows, "float32", "cpu")
        evaluator: LocalEvaluator | LocalLatentEvaluator = LocalLatentEvaluator(latents, game.shapes, pool, groups=1)
    else:
        evaluator = LocalEvaluator(EagerBackend(net, game.shapes), game.shapes, groups=1)
    evaluator.load(checkpoint.step, checkpoint.play_weights)
    return NetPlayer(game, evaluator, settings, learned=is_learned)


def points(player: Player, opponent: Player, games: int) -> tuple[float, float]:
    """Mean outcomes of ``player`` in games that it begins, and in as many others."""
    outcomes, _, _ = play_match(drop(4), [player, opponent], np.array([[0, 1], [1, 0]] * games))
    return float(outcomes[::2, 0].mean()), float(outcomes[1::2, 1].mean())


def test_a_little_training_wins_the_won_game(tmp_path: Path) -> None:
    """Who begins on 4x4 wins with the right moves: after one step the net lost 22 of 25 such games, after 120 none."""
    assert points(learned(tmp_path / "run", "--steps=120"), PerfectOpponent(), 20)[0] > 0.5


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_learned_dynamics_learn_it_too(tmp_path: Path) -> None:
    """Of 50 games each, without asking the rules below the root; a net that knows nothing is about even with chance."""
    player = learned(tmp_path / "run", "--steps=400", "--algorithm=muzero")
    assert min(points(player, RandomPlayer(drop(4), 0), 50)) > 0.6
