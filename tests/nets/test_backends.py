from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from hexpipe.answers import Answers
from hexpipe.config import InferenceSettings, NetSettings, Shapes, load_settings
from hexpipe.errors import CheckpointError, InferenceError, NotFiniteError, SettingsError
from hexpipe.games.factory import make_game
from hexpipe.games.own_games import import_game
from hexpipe.nets import backend_winograd, timing_apart
from hexpipe.nets import choose_backend as chooser
from hexpipe.nets.backend_cuda_graphs import CudaGraphsBackend
from hexpipe.nets.backend_torch import EagerBackend, FrozenBackend
from hexpipe.nets.backend_winograd import WinogradBackend
from hexpipe.nets.backends import Backend, BySize, overlaps
from hexpipe.nets.choose_backend import Kind, build_backend, choose_backend, random_codes
from hexpipe.nets.cuda_graphs import padded_sizes
from hexpipe.nets.factory import InferenceNet, build_net, load_weights, net_weights
from tests.refusals import refused

NET = NetSettings(blocks=3, channels=24, value_hidden=16)  # one pooled block; channels that fill no whole block of 16


def shapes(size: int, swap: bool = False) -> Shapes:
    actions = size * size + swap
    return Shapes(board_size=size, num_actions=actions, num_seats=2, code_length=actions, turns_frame=True)


def shaken_weights(seed: int) -> dict[str, np.ndarray]:
    torch.manual_seed(seed)
    net = build_net(NET, shapes(5))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    weights = net_weights(net)
    weights["policy.cell_logits.weight"] *= 10  # priors that differ from each other
    return weights


def expected_outputs(weights: dict[str, np.ndarray], board: Shapes, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    net = build_net(NET, board)
    load_weights(net, weights)
    with torch.no_grad():
        priors, values = InferenceNet(net)(torch.from_numpy(codes))
    return priors.numpy(), values.numpy()


def run(backend, board: Shapes, codes: np.ndarray, sent: bool = False) -> list[np.ndarray]:
    out = Answers.allocate(len(codes), board, sent=sent)
    for part in out.parts():
        part[...] = np.nan if part.dtype.kind == "f" else -9
    backend.infer(codes, out)
    return out.parts()


def make(name: str, board: Shapes, dtype: str = "float32"):
    if name == "openvino":
        pytest.importorskip("openvino")
        from hexpipe.nets.backend_openvino import OpenVinoBackend

        return OpenVinoBackend(NET, board, dtype)
    if name == "cuda_graphs":
        return CudaGraphsBackend(NET, board, dtype, "cpu", max_batch=16)
    kinds = {"eager": EagerBackend, "frozen": FrozenBackend, "winograd": WinogradBackend}
    return kinds[name](NET, board, dtype)


NAMES = ["eager", "frozen", "winograd", "openvino", "cuda_graphs"]


@pytest.mark.parametrize(("size", "swap"), [(5, False), (7, True), (11, True)])
@pytest.mark.parametrize("name", NAMES)
def test_every_backend_equals_the_training_net(name: str, size: int, swap: bool) -> None:
    board = shapes(size, swap)
    backend = make(name, board)
    for seed in (1, 2):  # the second load must leave nothing of the first
        weights = shaken_weights(seed)
        backend.load(weights)
        for count in (1, 5, 40):
            codes = random_codes(board, count, seed)
            priors, values = run(backend, board, codes)
            want_priors, want_values = expected_outputs(weights, board, codes)
            assert want_priors.max() > 2 / board.num_actions  # outputs that vary
            assert want_values.std() > 0.01
            np.testing.assert_allclose(priors, want_priors, atol=1e-4)
            np.testing.assert_allclose(values, want_values, atol=1e-4)
            assert (priors[:, : size * size][codes[:, : size * size] != 0] == 0).all()


IN_A_ROW = {
    "two": {"game.board_size": 4},
    "three": {"game.board_size": 5, "game.players": 3},
    "thumbnail": {"game.board_size": 9, "game.players": 3, "game.view_size": 5},
    "larger-view": {"game.board_size": 5, "game.view_size": 7},
}
OTHERS = {
    **{name: {"game.name": "inarow", "game.win_length": 4, **rules} for name, rules in IN_A_ROW.items()},
    "closed cells and a pass": {"game.name": "tests.games.drop:Drop", "game.board_size": 4},
}


@pytest.mark.parametrize("rules", OTHERS)
@pytest.mark.parametrize("name", NAMES)
def test_backends_know_the_planes_of_other_games_than_hex(name: str, rules: str) -> None:
    settings = load_settings("quick", OTHERS[rules]).game
    import_game(settings)
    game = make_game(settings)
    torch.manual_seed(4)
    net = build_net(NET, game.shapes)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        if net.side.focus is not None:
            net.side.focus.cell_logits.weight.mul_(10)  # no two buckets alike
    backend = make(name, game.shapes)
    backend.load(net_weights(net))
    count = 20  # more than one piece of the CUDA backend
    rng, states, rows = np.random.default_rng(0), game.new_states(count), np.arange(count, dtype=np.int32)
    legal = np.zeros((count, game.num_actions), np.bool_)
    for row in range(count):
        for _ in range(row % 5):
            game.legal_mask(states, rows[row : row + 1], legal[:1])
            action = rng.choice(np.flatnonzero(legal[0]))
            game.step(states, rows[row : row + 1], np.array([action]), rows[row : row + 1])
    codes = np.zeros((count, game.shapes.code_length), np.int8)
    game.codes(states, rows, codes)
    game.legal_mask(states, rows, legal)
    priors, values, *focus = run(backend, game.shapes, codes)
    with torch.no_grad():
        want_priors, want_values, *want_focus = InferenceNet(net)(torch.from_numpy(codes))
    assert len(focus) == len(want_focus) == game.shapes.thumbnail
    for own, wanted in zip(focus, want_focus, strict=True):
        assert own.tolist() == wanted.tolist()
        assert len(set(own.tolist())) > 2
        assert own.max() < game.shapes.view_cells
        backend.infer(codes, Answers(np.zeros_like(priors), np.zeros_like(values)))  # who does not ask is not told
    np.testing.assert_allclose(priors, want_priors, atol=1e-4)
    np.testing.assert_allclose(values, want_values, atol=1e-4)
    assert (priors[~legal] == 0).all()
    assert values.std() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_a_net_that_looks_nowhere_has_no_focus_to_give(name: str) -> None:
    board = shapes(5)
    with pytest.raises(ValueError, match="no focus to give"):
        make(name, board).infer(
            random_codes(board, 2), Answers.allocate(2, board)._replace(focus=np.zeros(2, np.int16))
        )


@pytest.mark.parametrize("tile", [4, 6])
@pytest.mark.parametrize("size", [3, 4, 6, 8, 13])
def test_winograd_tiles_of_either_size_cover_any_board(size: int, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_winograd, "best_tile", lambda rows, columns: tile)
    board, weights = shapes(size, True), shaken_weights(3)
    backend = make("winograd", board)
    backend.load(weights)
    codes = random_codes(board, 30)
    for own, wanted in zip(run(backend, board, codes), expected_outputs(weights, board, codes), strict=True):
        np.testing.assert_allclose(own, wanted, atol=1e-4)


def test_winograd_takes_the_tile_with_fewer_products() -> None:
    tiles = {size: backend_winograd.best_tile(size, size) for size in (3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 19)}
    assert tiles == {3: 4, 4: 4, 5: 6, 6: 6, 7: 4, 8: 4, 9: 6, 11: 6, 13: 4, 14: 4, 19: 4}


def test_winograd_runs_residual_nets_alone() -> None:
    transformer = load_settings("quick", {"net.backbone": "transformer"}).net
    with pytest.raises(ValueError, match="runs residual nets"):
        WinogradBackend(transformer, shapes(5))
    with refused(SettingsError, "net.backbone=transformer", kind="conflict", setting="inference.backend"):
        choose_backend(transformer, shapes(5), InferenceSettings(backend="winograd"))
    assert "winograd" not in {row.backend for row in choose_backend(transformer, shapes(5), InferenceSettings()).table}


@pytest.mark.parametrize("name", ["frozen", "cuda_graphs", "openvino"])
def test_bfloat16_is_close(name: str) -> None:
    board = shapes(5)
    backend = make(name, board, "bfloat16")
    torch.manual_seed(3)
    weights = net_weights(build_net(NET, board))  # of the size that training starts from
    weights["policy.cell_logits.weight"] += np.float32(0.1)
    backend.load(weights)
    codes = random_codes(board, 16)
    priors, values = run(backend, board, codes)
    want_priors, want_values = expected_outputs(weights, board, codes)
    np.testing.assert_allclose(priors, want_priors, atol=0.005)
    np.testing.assert_allclose(values, want_values, atol=0.02)


def test_float16_outputs_are_filled() -> None:
    board = shapes(5, swap=True)
    backend = make("eager", board)
    weights = shaken_weights(0)
    backend.load(weights)
    codes = random_codes(board, 4)
    priors, _ = run(backend, board, codes, sent=True)
    np.testing.assert_allclose(priors, expected_outputs(weights, board, codes)[0], atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_are_not_finite_raise(name: str) -> None:
    board = shapes(5)
    backend = make(name, board)
    weights = shaken_weights(0)
    weights["value.logits.bias"][0] = np.nan
    backend.load(weights)
    with refused(NotFiniteError, kind="damaged"):
        run(backend, board, random_codes(board, 8))


def test_weights_of_another_net_are_refused() -> None:
    with pytest.raises(CheckpointError):
        make("eager", shapes(5)).load(net_weights(build_net(NetSettings(blocks=2, channels=24), shapes(5))))


def test_padded_sizes_waste_little() -> None:
    for limit in (1, 7, 8, 100, 256, 1000):
        sizes = padded_sizes(limit)
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == limit
        for count in range(9, limit + 1):
            assert next(size for size in sizes if size >= count) <= 1.5 * count


def test_random_codes_look_like_games() -> None:
    board = shapes(7, swap=True)
    codes = random_codes(board, 300)
    mine, theirs = (codes[:, :49] == 1).sum(axis=1), (codes[:, :49] == 2).sum(axis=1)
    assert set(theirs - mine) == {0, 1}
    assert ((codes[:, 49] == 1) == (mine + theirs == 1)).all()
    assert (mine + theirs < 49).all()
    assert len(np.unique(mine + theirs)) > 30


def test_choose_times_candidates_and_takes_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chooser, "_cpu_kinds", lambda: [("eager", "float32"), ("frozen", "float32")])
    choice = choose_backend(NET, shapes(5), InferenceSettings(max_batch=16), "cpu", (4, 8, 64), budget_seconds=1.0)
    assert {(row.backend, row.batch) for row in choice.table} >= {("eager", 4), ("frozen", 4)}
    assert {row.batch for row in choice.table} <= {4, 8, 16}
    speeds = [row.evals_per_s for row in choice.table]
    assert speeds == sorted(speeds, reverse=True)
    assert choice.backend.name == choice.table[0].backend
    assert any(row.batch == choice.batch and row.backend == choice.backend.name for row in choice.table)


def test_lone_boards_go_to_what_is_fastest_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def speed(backend: Backend, board: Shapes, batch: int, seconds: float, on_cpu: bool) -> float:
        lone, many = {"eager": (5.0, 10.0), "frozen": (2.0, 20.0)}[backend.name]
        return lone if batch == 1 else many

    monkeypatch.setattr(chooser, "_cpu_kinds", lambda: [("eager", "float32"), ("frozen", "float32")])
    monkeypatch.setattr(chooser, "_time_batch", speed)
    board = shapes(5)
    choice = choose_backend(NET, board, InferenceSettings(), "cpu", (4, 8), lone=True)
    assert isinstance(choice.backend, BySize)
    assert (choice.backend.lone.name, choice.backend.many.name) == ("eager", "frozen")
    assert (choice.backend.name, choice.batch) == ("frozen", 4)
    weights = shaken_weights(3)
    choice.backend.load(weights)
    for count in (1, 3):
        codes = random_codes(board, count)
        for got, want in zip(run(choice.backend, board, codes), expected_outputs(weights, board, codes), strict=True):
            np.testing.assert_allclose(got, want, atol=1e-4)
    without = choose_backend(NET, board, InferenceSettings(), "cpu", (4, 8))
    assert isinstance(without.backend, FrozenBackend)


def test_what_is_timed_apart_is_loaded_only_where_it_is_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    asked: list[Any] = []

    def timed(speed: float, kinds: list[Kind], *rest: Any) -> dict[tuple[Kind, int], float]:
        asked.append(kinds)
        return {(kind, 4): speed for kind in kinds}

    def no_openvino(*kind: Any, **rest: Any) -> Backend:
        assert kind[0][0] != "openvino"
        return build_backend(*kind, **rest)

    board, kinds = shapes(5), [("openvino", "float32"), ("frozen", "float32")]
    monkeypatch.setattr(chooser, "_allowed", lambda *_: kinds)
    monkeypatch.setattr(timing_apart, "timed_apart", partial(timed, 1e12))
    faster = choose_backend(NET, board, InferenceSettings(), "cpu", (4,), apart=True)
    monkeypatch.setattr(timing_apart, "timed_apart", partial(timed, 1e-9))
    monkeypatch.setattr(chooser, "build_backend", no_openvino)
    slower = choose_backend(NET, board, InferenceSettings(), "cpu", (4,), apart=True)
    assert (faster.backend.name, faster.batch, slower.backend.name) == ("openvino", 4, "frozen")
    assert asked == [kinds[:1]] * 2
    assert {row.backend for row in slower.table} == {"openvino", "frozen"}
    monkeypatch.setattr(chooser, "_allowed", lambda *_: kinds[:1])
    monkeypatch.setattr(chooser, "build_backend", build_backend)
    alone = choose_backend(NET, board, InferenceSettings(), "cpu", (4,), apart=True)
    assert (alone.backend.name, len(asked)) == ("openvino", 2), "one of a kind is loaded in any case"


def test_another_process_times_what_runs_and_says_what_does_not(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("openvino")
    speeds = timing_apart.timed_apart([("openvino", "float32")], NET, shapes(5), 64, [4, 16], 0.5)
    assert {size for _, size in speeds} == {4, 16}
    assert min(speeds.values()) > 0
    assert timing_apart.timed_apart([("openvino", "float8")], NET, shapes(5), 64, [4], 0.1) == {}
    assert "float8" in caplog.text


@pytest.mark.parametrize("units", [False, True], ids=["without bfloat16 units", "with bfloat16 units"])
@pytest.mark.parametrize("name", ["eager", "frozen", "winograd"])
def test_a_named_backend_is_taken(name: str, units: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On every chip, whatever this one is: a dtype of its own choice is bfloat16 where there are units for it."""
    monkeypatch.setattr(chooser, "has_bfloat16", lambda: units)
    dtype = "bfloat16" if units and name == "frozen" else "float32"
    for asked in ("auto", "float32"):
        settings = InferenceSettings(backend=name, dtype=asked)
        choice = choose_backend(NET, shapes(5), settings, "cpu", [8], budget_seconds=0.0)
        assert (choice.backend.name, choice.batch) == (name, 8)
        assert choice.backend.dtype == (dtype if asked == "auto" else "float32")


def test_a_named_dtype_is_taken() -> None:
    settings = InferenceSettings(backend="frozen", dtype="bfloat16")
    assert choose_backend(NET, shapes(5), settings, "cpu", [8], budget_seconds=0.0).backend.dtype == "bfloat16"


@pytest.mark.parametrize(
    "settings", [{"backend": "cuda_graphs"}, {"backend": "winograd", "dtype": "bfloat16"}, {"dtype": "float16"}]
)
def test_what_is_not_there_is_refused(settings: dict[str, str]) -> None:
    with refused(SettingsError, "on cpu", *settings.values(), kind="conflict", setting="inference.backend"):
        choose_backend(NET, shapes(5), InferenceSettings(**settings), "cpu")


def test_no_gpu_is_a_clear_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with refused(SettingsError, "cuda:0", kind="missing"):
        choose_backend(NET, shapes(5), InferenceSettings(), "cuda:0")


def test_frozen_torch_is_timed_where_there_is_no_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    for known, other in ((True, "frozen"), (False, "openvino")):
        monkeypatch.setattr(chooser, "_has_openvino", lambda known=known: known)
        kinds = {kind[0] for kind in chooser._allowed(InferenceSettings(), "cpu")}
        assert kinds == {"winograd", "frozen", "openvino"} - {other}


def test_missing_openvino_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chooser, "_has_openvino", lambda: False)
    with refused(SettingsError, "-m pip install openvino", kind="missing", setting="inference.backend"):
        choose_backend(NET, shapes(5), InferenceSettings(backend="openvino"))
    choice = choose_backend(NET, shapes(5), InferenceSettings(), "cpu", [4], budget_seconds=0.0)
    assert "openvino" not in {row.backend for row in choice.table}


DEVICES = ["cpu", pytest.param("cuda:0", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.mark.parametrize("device", DEVICES)
def test_two_batches_are_under_way_at_once(device: str) -> None:
    board = shapes(5)
    backend = CudaGraphsBackend(NET, board, "float32", device, max_batch=16)
    assert overlaps(backend)
    assert not overlaps(EagerBackend(NET, board))
    older, newer = shaken_weights(1), shaken_weights(2)
    backend.load(older)
    codes = [random_codes(board, count, count) for count in (3, 16, 5)]
    given = codes[0].copy()
    tickets = [backend.start(given), backend.start(codes[1])]
    given[:] = 0  # it was read
    with refused(InferenceError, "2", kind="busy"):
        backend.start(codes[2])
    backend.load(newer)  # what is under way was started with the older ones

    def finished(ticket: int, count: int) -> list[np.ndarray]:
        out = Answers.allocate(count, board)
        backend.finish(ticket, out)
        return out.parts()

    results = [finished(tickets[1], 16)]
    third = backend.start(codes[2])
    with refused(InferenceError, "2", kind="busy"):
        backend.infer(codes[2], Answers.allocate(5, board))
    results += [finished(tickets[0], 3), finished(third, 5)]
    with refused(InferenceError, f"{third}", kind="missing"):
        finished(third, 5)
    wanted = [(older, codes[1]), (older, codes[0]), (newer, codes[2])]
    for got, (weights, asked) in zip(results, wanted, strict=True):
        for own, want in zip(got, expected_outputs(weights, board, asked), strict=True):
            np.testing.assert_allclose(own, want, atol=1e-4 if device == "cpu" else 2e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_graphs_equal_the_training_net() -> None:
    board = shapes(11, swap=True)
    backend = CudaGraphsBackend(NET, board, "float32", "cuda:0", max_batch=64)
    for seed in (1, 2):
        weights = shaken_weights(seed)
        backend.load(weights)
        for count in (1, 5, 64, 100):
            codes = random_codes(board, count, seed)
            for got, want in zip(run(backend, board, codes), expected_outputs(weights, board, codes), strict=True):
                np.testing.assert_allclose(got, want, atol=2e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_graphs_look_where_the_training_net_does() -> None:
    game = make_game(load_settings("quick", {"game.name": "inarow", **IN_A_ROW["thumbnail"]}).game)
    torch.manual_seed(4)
    net = build_net(NET, game.shapes)
    with torch.no_grad():
        net.side.focus.cell_logits.weight.normal_()
    backend = CudaGraphsBackend(NET, game.shapes, "float32", "cuda:0", max_batch=16)
    backend.load(net_weights(net))
    codes = random_codes(game.shapes, 40)
    codes[:, game.num_actions :] = np.random.default_rng(0).integers(0, 128, (40, game.shapes.code_length - 25))
    *_, focus = run(backend, game.shapes, codes)
    with torch.no_grad():
        logits = net(torch.from_numpy(codes))[2].focus
    chosen = logits[torch.arange(40), torch.from_numpy(focus).long()]
    assert (logits.max(1).values - chosen).max() < 1e-3
    assert len(set(focus.tolist())) > 2


def test_a_signal_comes_after_nets_of_openvino_have_come_and_gone() -> None:
    """With a core for each net the process died here, on a chip with AVX-512."""
    pytest.importorskip("openvino")
    code = f"""
import signal
from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.backend_openvino import OpenVinoBackend
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
nets = [OpenVinoBackend(NetSettings(blocks=1, channels=8), {shapes(3)!r}) for _ in range(3)]
while nets:
    nets.pop(0)
    signal.raise_signal(signal.SIGTERM)
print(len(heard))
"""
    found = subprocess.run(
        [sys.executable, "-P", "-X", "faulthandler", "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout == "3\n"
