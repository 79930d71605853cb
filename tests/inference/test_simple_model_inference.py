"""SimpleModelInference against the net itself, played through the rules."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hexpipe.config import Settings, load_settings
from hexpipe.errors import CheckpointError, NotationError, SettingsError
from hexpipe.games.factory import make_game
from hexpipe.inference.simple_model_inference import ILLEGAL_LOGIT, SimpleModelInference, fitting_batch
from hexpipe.nets import choose_backend
from hexpipe.nets.checkpoints import checkpoint_meta, save_checkpoint
from hexpipe.nets.factory import HexNet, build_net, net_weights
from hexpipe.notation import format_conversion
from tests.refusals import refused

EAGER = load_settings("quick", {"inference.backend": "eager", "inference.dtype": "float32"}).inference


def _run_folder(folder: Path, settings: Settings) -> tuple[Path, HexNet]:
    torch.manual_seed(0)
    shapes = make_game(settings.game).shapes
    net = build_net(settings.net, shapes)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # fresh heads answer evenly
    save_checkpoint(folder, {"model": net_weights(net), "ema": net_weights(net)}, checkpoint_meta(settings, shapes, 7))
    return folder, net


KINDS = {"plain": {}, "swap": {"game.swap": True}, "muzero": {"game.swap": True, "algorithm": "muzero"}}


@pytest.fixture(scope="module", params=KINDS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, HexNet, Settings]:
    overrides = {"game.board_size": 4, "net.blocks": 1, "net.channels": 8}
    settings = load_settings("quick", {**overrides, **KINDS[request.param]})
    folder, net = _run_folder(tmp_path_factory.mktemp("run"), settings)
    return folder, net, settings


@pytest.fixture(scope="module")
def model(trained: tuple[Path, HexNet, Settings]) -> SimpleModelInference:
    """One for the tests that look at answers, not at counts."""
    return SimpleModelInference(trained[0], inference=EAGER)


def _games(count: int, size: int, seed: int = 0) -> list[list[int]]:
    """Move lists of 0 to 9 stones; both sides come to move."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(size * size)[: k % 10].tolist() for k in range(count)]


def _by_the_net(net: HexNet, settings: Settings, moves: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities [A] and legality [A] of absolute actions, value logits [S], through the rules and the raw net."""
    game = make_game(settings.game)
    states, row = game.play(moves), np.zeros(1, np.int32)
    codes = np.zeros((1, game.shapes.code_length), np.int8)
    legal = np.zeros((1, game.num_actions), np.bool_)
    game.codes(states, row, codes)
    game.legal_mask(states, row, legal)
    with torch.no_grad():
        policy_logits, value_logits = net.root_logits(torch.from_numpy(codes))
    view = int(states.view[0])
    return torch.softmax(policy_logits, 1)[0].numpy()[game.action_view[view]], legal[0], value_logits[0].numpy()


def test_it_says_what_the_net_says(trained: tuple[Path, HexNet, Settings], model: SimpleModelInference) -> None:
    _folder, net, settings = trained
    games = [moves for moves in _games(30, 4) if len(moves) < 7]  # too short to be over
    boards = [format_conversion.cells_from_moves(moves, 4) for moves in games]
    policies, values = model.batch_infer(boards)
    for moves, board, policy, value in zip(games, boards, policies, values, strict=True):
        expected, legal, value_logits = _by_the_net(net, settings, moves)
        np.testing.assert_allclose(policy, expected, atol=1e-3)
        assert value == pytest.approx(np.tanh((value_logits[0] - value_logits[1]) / 2), abs=1e-4)
        logits, value_logit = model.simple_infer(board)
        np.testing.assert_array_equal(logits == ILLEGAL_LOGIT, ~legal)
        np.testing.assert_allclose(logits[legal], np.log(expected[legal]), atol=2e-2)
        assert value_logit == pytest.approx(value_logits[0] - value_logits[1], rel=1e-3, abs=1e-3)


def test_every_form_of_a_board_reads_the_same(model: SimpleModelInference) -> None:
    model.clear_cache()
    before = model.statistics()["batches"]
    cells = format_conversion.cells_from_moves([0, 6, 9], 4)
    square = cells.reshape(4, 4)
    forms = [cells, square, square.tolist(), "#4,a1c2b3", "a1 c2 b3", format_conversion.cells_to_text(cells, 4)]
    policies, values = model.batch_infer(forms)
    assert (policies == policies[0]).all()
    assert (values == values[0]).all()
    assert model.statistics()["batches"] == int(before) + 1
    assert model.statistics()["cache_size"] == 1  # six equal boards are one row


def test_statistics_cache_and_batches(trained: tuple[Path, HexNet, Settings]) -> None:
    model = SimpleModelInference(trained[0], inference=EAGER, batch_size=4)
    boards = [format_conversion.cells_from_moves([k], 4) for k in range(10)]
    first, values = model.batch_infer(boards)
    again, values_again = model.batch_infer(boards)
    assert again.tobytes() == first.tobytes()
    assert values_again.tobytes() == values.tobytes()
    figures = model.statistics()
    assert (figures["boards"], figures["batches"], figures["cache_size"]) == (20, 3, 10)
    assert figures["cache_hit_rate"] == pytest.approx(0.5)
    assert float(figures["boards_per_s"]) > 0
    model.clear_cache()
    model.simple_infer(boards[0])
    assert model.statistics()["batches"] == 4
    assert model.batch_infer([])[0].shape == (0, model.shapes.num_actions)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("logits", [False, True])
def test_a_cached_answer_is_a_fresh_one_to_the_last_bit(
    trained: tuple[Path, HexNet, Settings], logits: bool, symmetric: bool
) -> None:
    """Alone, in a batch, among others that are not known yet; with the same batches as without a cache."""
    cached = SimpleModelInference(trained[0], inference=EAGER, symmetric_cache=symmetric)
    fresh = SimpleModelInference(trained[0], inference=EAGER, symmetric_cache=symmetric, cache_entries=0)
    boards = [format_conversion.cells_from_moves(moves, 4) for moves in _games(40, 4, seed=3)]
    boards = list({board.tobytes(): board for board in boards if board.any()}.values())
    for model in (cached, fresh):
        model.batch_infer(boards[:4])
    for asked in (boards[:4], boards[:1], boards[3:4], boards[:4]):
        for got, want in zip(
            cached.batch_infer(asked, logits=logits), fresh.batch_infer(asked, logits=logits), strict=True
        ):
            assert got.tobytes() == want.tobytes() or len(asked) == 1  # torch computes a single board in another way
    first = cached.batch_infer(boards, logits=logits)
    assert all(
        a.tobytes() == b.tobytes() for a, b in zip(cached.batch_infer(boards, logits=logits), first, strict=True)
    )
    for number, board in enumerate(boards):
        policy, value = cached.simple_infer(board, logits=logits)
        assert policy.tobytes() == first[0][number].tobytes()
        assert np.float32(value) == first[1][number]


def test_both_calls_have_both_forms(model: SimpleModelInference, trained: tuple[Path, HexNet, Settings]) -> None:
    """With today's as each one's default, and each the other's in another form."""
    boards = [format_conversion.cells_from_moves(moves, 4) for moves in _games(20, 4, seed=4) if len(moves) < 7]
    policies, values = model.batch_infer(boards)
    policy_logits, value_logits = model.batch_infer(boards, logits=True)
    assert (policy_logits.dtype, value_logits.dtype, policies.dtype) == (np.float32, np.float32, np.float32)
    legal = policy_logits > ILLEGAL_LOGIT / 2
    np.testing.assert_allclose(np.where(legal, np.exp(policy_logits), 0), policies, atol=1e-6)
    np.testing.assert_allclose(np.tanh(value_logits / 2), values, atol=1e-6)
    for number, board in enumerate(boards):
        logits, value_logit = model.simple_infer(board)
        assert isinstance(value_logit, float)
        np.testing.assert_array_equal(logits, policy_logits[number])
        assert value_logit == value_logits[number]
        policy, value = model.simple_infer(board, logits=False)
        np.testing.assert_array_equal(policy, policies[number])
        assert value == values[number]
    assert model.batch_infer([], logits=True)[0].shape == (0, model.shapes.num_actions)


def test_the_default_is_float32_and_auto_the_fastest_that_agrees(
    trained: tuple[Path, HexNet, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _net, settings = trained
    if settings.algorithm == "muzero":
        pytest.skip("its roots have one backend, in float32")
    monkeypatch.setattr(choose_backend, "_cpu_kinds", lambda: [("frozen", "bfloat16"), ("frozen", "float32")])
    monkeypatch.setattr(choose_backend, "_time_batch", lambda backend, *_: 2.0 if backend.dtype == "bfloat16" else 1.0)
    frozen = load_settings("quick", {"inference.backend": "frozen"}).inference
    told = [SimpleModelInference(folder, inference=frozen).statistics()]
    assert (told[0]["dtype"], told[0]["value_difference"], told[0]["dtype_note"]) == ("float32", 0.0, "")
    told.append(SimpleModelInference(folder, inference=frozen, dtype="auto").statistics())
    assert str(told[1]["dtype_note"]).startswith("bfloat16 is ")
    assert 0 < float(told[1]["value_difference"]) <= float(told[1]["value_difference_most"])
    assert float(told[1]["policy_difference"]) > 0
    near = float(told[1]["value_difference"]) <= 0.02 and float(told[1]["value_difference_most"]) <= 0.1
    near &= float(told[1]["policy_difference"]) <= 0.02
    assert told[1]["dtype"] == ("bfloat16" if near else "float32")
    named = load_settings("quick", {"inference.backend": "frozen", "inference.dtype": "bfloat16"}).inference
    assert SimpleModelInference(folder, inference=named).statistics()["dtype"] == "bfloat16"
    with refused(SettingsError, kind="type", setting="inference.dtype"):
        SimpleModelInference(folder, dtype="float3")


STACKS = {
    "int8": lambda boards: boards,
    "int64": lambda boards: boards.astype(np.int64),
    "float32": lambda boards: boards.astype(np.float32),
    "white is -1": lambda boards: np.where(boards == 2, -1, boards),
    "flat": lambda boards: boards.reshape(len(boards), -1),
    "fortran": np.asfortranarray,
    "list of arrays": list,
    "tuple of flat arrays": lambda boards: tuple(boards.reshape(len(boards), -1)),
    "tensor": torch.from_numpy,
    "bfloat16 tensor": lambda boards: torch.from_numpy(boards).bfloat16(),
}


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("form", STACKS)
def test_a_stack_reads_as_its_boards_one_by_one(
    form: str, mirrored: bool, model: SimpleModelInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = np.stack([format_conversion.cells_from_moves(moves, 4) for moves in _games(46, 4)]).reshape(-1, 4, 4)
    if mirrored:  # black's first stone has become white's
        boards = np.where(boards == 0, 0, 3 - boards).astype(np.int8)
    wanted = model._codes([board.tolist() for board in boards], mirrored)
    with monkeypatch.context() as patch:
        patch.setattr(format_conversion, "to_cells", None)
        codes, white = model._codes(STACKS[form](boards), mirrored)
    np.testing.assert_array_equal(codes, wanted[0])
    np.testing.assert_array_equal(white, wanted[1])
    assert 0 < white.sum() < len(white)
    assert boards.max() == 2, "what is asked about stays as it is"


@pytest.mark.parametrize("spoil", [3, -2, 0.5, np.nan, 257, 1])
def test_a_bad_board_of_a_stack_is_named(spoil: float, model: SimpleModelInference) -> None:
    boards = np.zeros((5, 4, 4), np.float32 if spoil != 257 else np.int64)
    boards[3, :2, 0] = spoil  # two stones of black's are as wrong as what is no cell
    with refused(NotationError, "board 3: "):
        model.batch_infer(boards)
    with refused(NotationError, "board 0: ", "4x4", kind="board"):
        model.batch_infer(np.zeros((2, 5, 5), np.int8))


def test_a_stack_costs_little_to_read(model: SimpleModelInference) -> None:
    """A ratio of times in one process: some hundred times less than boards of lists, 20 is far from any noise."""
    boards = np.stack([format_conversion.cells_from_moves(moves, 4) for moves in _games(460, 4)]).reshape(-1, 4, 4)
    lists = boards.tolist()

    def seconds(asked: Any) -> float:
        spent = []
        for _ in range(5):
            began = time.perf_counter()
            model._codes(asked, False)
            spent.append(time.perf_counter() - began)
        return min(spent)

    assert 20 * seconds(boards) < seconds(lists)


def test_without_a_cache_every_board_is_evaluated(trained: tuple[Path, HexNet, Settings]) -> None:
    model = SimpleModelInference(trained[0], inference=EAGER, cache_entries=0)
    for _turn in range(3):
        model.simple_infer("")
    assert model.statistics()["batches"] == 3
    assert model.statistics()["cache_hit_rate"] == 0


def test_bad_input_is_named(model: SimpleModelInference, tmp_path: Path) -> None:
    with refused(NotationError, "board 1: ", "5x5", kind="board"):
        model.batch_infer(["#4,a1", "#5,a1"])
    with refused(NotationError, "16 white", kind="turn"):
        model.simple_infer(np.full((4, 4), 2))
    with pytest.raises(CheckpointError):
        SimpleModelInference(tmp_path / "nothing")


def test_a_mirrored_swap_leaves_white_to_move_where_it_is_said(model: SimpleModelInference) -> None:
    board = format_conversion.cells_from_moves([5, 9], 4)  # one stone each
    # what white sees then is what black sees of the board transposed with the colours exchanged
    turned = board.reshape(4, 4).T.copy().ravel()
    twin = np.where(turned == 0, 0, 3 - turned).astype(np.int8)
    logits, value = model.simple_infer(board, mirrored_swap=True)
    expected, expected_value = model.simple_infer(twin)
    assert value == pytest.approx(expected_value, abs=1e-3)
    np.testing.assert_allclose(logits[:16].reshape(4, 4).T.ravel(), expected[:16], atol=2e-2)
    assert model.simple_infer(board)[1] != pytest.approx(value, abs=1e-3)  # black to move is another position
    _policies, values = model.batch_infer([board, board], mirrored_swap=True)
    np.testing.assert_allclose(values, np.tanh(value / 2), atol=1e-3)
    first = format_conversion.cells_from_moves([5], 4) * 2  # the turned stone alone: no second swap
    assert (model.simple_infer(first.astype(np.int8), mirrored_swap=True)[0][16:] == ILLEGAL_LOGIT).all()
    with refused(NotationError, "mirrored swap", kind="turn"):
        model.batch_infer(["#4,a1"], mirrored_swap=True)


def test_a_symmetric_cache_takes_half_turns_for_one(trained: tuple[Path, HexNet, Settings]) -> None:
    model = SimpleModelInference(trained[0], inference=EAGER, symmetric_cache=True)
    plain = SimpleModelInference(trained[0], inference=EAGER)
    boards = [format_conversion.cells_from_moves(moves, 4) for moves in _games(46, 4, seed=5)]
    boards = [board for board in boards if (board != board[::-1]).any()][:40]
    policies, values = model.batch_infer([*boards, *(board[::-1].copy() for board in boards)])
    cells = 16
    np.testing.assert_array_equal(policies[40:, :cells], policies[:40, :cells][:, ::-1])
    np.testing.assert_array_equal(policies[40:, cells:], policies[:40, cells:])
    np.testing.assert_array_equal(values[40:], values[:40])
    distinct = {min(board.tobytes(), board[::-1].tobytes()) for board in boards}
    assert model.statistics()["misses"] == len(distinct) == 40  # of 80 boards asked for
    # each answer is the net's for the board or for its half turn
    own, own_values = plain.batch_infer(boards)
    other, other_values = plain.batch_infer([board[::-1].copy() for board in boards])
    other[:, :cells] = other[:, :cells][:, ::-1].copy()
    same = np.isclose(policies[:40], own, atol=1e-3).all(1) & np.isclose(values[:40], own_values, atol=1e-3)
    turned = np.isclose(policies[:40], other, atol=1e-3).all(1) & np.isclose(values[:40], other_values, atol=1e-3)
    assert (same | turned).all()


def test_new_weights_empty_the_cache_even_of_an_older_step(
    trained: tuple[Path, HexNet, Settings], tmp_path: Path
) -> None:
    folder, net, settings = trained
    weights = {name: array * 0.5 for name, array in net_weights(net).items()}
    meta = checkpoint_meta(settings, make_game(settings.game).shapes, 3)
    save_checkpoint(tmp_path, {"model": weights, "ema": weights}, meta)
    model = SimpleModelInference(folder, inference=EAGER)
    before, _ = model.simple_infer("")
    model.load(tmp_path)
    after, _ = model.simple_infer("")
    assert not np.allclose(before, after)
    np.testing.assert_array_equal(after, SimpleModelInference(tmp_path, inference=EAGER).simple_infer("")[0])
    model.simple_infer("")
    assert model.statistics()["hits"] == 1
    model.load(folder)
    np.testing.assert_array_equal(model.simple_infer("")[0], before)


def test_weights_of_another_net_are_refused(model: SimpleModelInference, tmp_path: Path) -> None:
    folder, _net = _run_folder(tmp_path, load_settings("quick", {"net.blocks": 1, "net.channels": 16}))
    with refused(CheckpointError, kind="foreign", path=folder / "checkpoints" / "step-00000007"):
        model.load(folder)


def test_threads_may_share_it(trained: tuple[Path, HexNet, Settings]) -> None:
    model = SimpleModelInference(trained[0], inference=EAGER, cache_entries=32)
    boards = [format_conversion.cells_from_moves(moves, 4) for moves in _games(64, 4, seed=2)]
    alone, _ = SimpleModelInference(trained[0], inference=EAGER, cache_entries=0).batch_infer(boards)

    def ask(turn: int) -> None:
        rng = np.random.default_rng(turn)
        for _ in range(20):
            chosen = rng.integers(0, len(boards), 5)
            policies, _values = model.batch_infer([boards[k] for k in chosen])
            np.testing.assert_allclose(policies, alone[chosen], atol=2e-3)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    figures = model.statistics()
    assert figures["boards"] == 400
    assert int(figures["hits"]) + int(figures["repeats"]) + int(figures["misses"]) == 400


def test_batches_fit_into_memory() -> None:
    settings = load_settings("standard")
    shapes = make_game(settings.game).shapes
    assert fitting_batch(settings.net, shapes, 0) == 1
    one = fitting_batch(settings.net, shapes, 10**8)
    assert 50 < one < 1000
    assert fitting_batch(settings.net, shapes, 2 * 10**8) == pytest.approx(2 * one, abs=1)
    wide = settings.net.model_copy(update={"channels": 128})
    assert fitting_batch(wide, shapes, 10**8) < one


@pytest.mark.slow
def test_a_batch_is_faster_than_one_at_a_time(tmp_path: Path) -> None:
    """Interleaved slices in one process, one thread; the document's figure is 3.8, this gate leaves room for noise."""
    folder, _net = _run_folder(tmp_path, load_settings("standard"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = SimpleModelInference(folder, cache_entries=0)
    boards = [format_conversion.cells_from_moves(moves, 11) for moves in _games(512, 11)]
    ratios = []
    for _turn in range(7):
        began = time.perf_counter()
        for board in boards[:64]:
            model.simple_infer(board)
        middle = time.perf_counter()
        model.batch_infer(boards)
        ratios.append(((middle - began) / 64) / ((time.perf_counter() - middle) / 512))
    torch.set_num_threads(threads)
    assert statistics.median(ratios) > 1.5, f"{ratios} with {model.statistics()}"


def test_either_side_may_be_to_move(model: SimpleModelInference) -> None:
    """Any counts of stones, where it is said; where it is what the stones tell, nothing changes."""
    n = model.shapes.board_size
    cells = np.zeros((3, n * n), np.int8)
    cells[0, [0, 1, 2]], cells[1, 5], cells[2, 3] = 1, 2, 1
    with pytest.raises(NotationError):
        model.batch_infer(cells)
    for side in ("black", "WHITE", "b", 0, 1):
        colour = side if isinstance(side, int) else int(side.lower().startswith("w"))
        policies, values = model.batch_infer(cells, to_move=side)
        for board, policy, value in zip(cells, policies, values, strict=True):
            assert (policy[: n * n][board > 0] == 0).all()
            assert policy.sum() == pytest.approx(1, abs=1e-3)
            alone, alone_value = model.simple_infer(board, logits=False, to_move=side)
            assert alone == pytest.approx(policy, abs=0.05)
            assert alone_value == pytest.approx(value, abs=0.1)
            # the same position transposed with the colours exchanged, for the other side
            turned = np.where(board == 0, 0, 3 - board).reshape(n, n).T
            mirrored, mirrored_value = model.simple_infer(turned, logits=False, to_move=1 - colour)
            assert mirrored[: n * n].reshape(n, n).T.ravel() == pytest.approx(alone[: n * n], abs=1e-6)
            assert mirrored_value == pytest.approx(alone_value, abs=1e-6)
    by_stones = model.batch_infer(cells[2:])
    said = model.batch_infer(cells[2:], to_move=["white"])
    assert by_stones[0].tolist() == said[0].tolist()
    assert by_stones[1].tolist() == said[1].tolist()
    with refused(NotationError, "2", "3", kind="type"):
        model.batch_infer(cells, to_move=[0, 1])
    with refused(NotationError, "'red'", kind="unknown"):
        model.simple_infer(cells[0], to_move="red")
