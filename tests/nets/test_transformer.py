from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hexpipe.answers import Answers
from hexpipe.config import InferenceSettings, NetSettings, Shapes, load_settings
from hexpipe.errors import CheckpointError, SettingsError
from hexpipe.learner.learner import Learner
from hexpipe.nets.backend_cuda_graphs import CudaGraphsBackend
from hexpipe.nets.backend_torch import EagerBackend, FrozenBackend
from hexpipe.nets.backend_winograd import WinogradBackend
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.nets.choose_backend import choose_backend, random_codes
from hexpipe.nets.factory import HexNet, InferenceNet, build_net, fold, load_weights, net_weights
from hexpipe.nets.resnet import StandardisedConv2d
from hexpipe.nets.transformer_backbone import LatentAttention, SwiGLU, TransformerTrunk, rotary_turns, rotate
from tests.refusals import refused

NET = NetSettings(backbone="transformer", blocks=2, channels=48, heads=3, kv_latent=20, value_hidden=16)


def shapes(size: int, swap: bool = False) -> Shapes:
    actions = size * size + swap
    return Shapes(board_size=size, num_actions=actions, num_seats=2, code_length=actions, turns_frame=True)


def shaken_net(board: Shapes, seed: int = 0) -> HexNet:
    """A net with every parameter away from its start: the branches are not zero."""
    torch.manual_seed(seed)
    net = build_net(NET, board)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return net


# Positions


def test_turns_are_by_row_and_by_column() -> None:
    turns = rotary_turns(3, 3, 8, torch.zeros(1))
    assert turns.cos.shape == turns.sin.shape == (9, 4)
    for row in range(3):
        for column in range(3):
            angles = np.array([row, row * 0.1, column, column * 0.1])  # base 100 to the power 0 and -1/2
            np.testing.assert_allclose(turns.cos[row * 3 + column], np.cos(angles), atol=1e-6)
            np.testing.assert_allclose(turns.sin[row * 3 + column], np.sin(angles), atol=1e-6)


def test_rotary_logits_depend_only_on_the_offset() -> None:
    size, rotary = 7, 16
    turns = rotary_turns(size, size, rotary, torch.zeros(1))
    torch.manual_seed(0)
    query, key = torch.randn(2, rotary)
    at_every_cell = [rotate(x.expand(size * size, rotary), turns).reshape(size, size, rotary) for x in (query, key)]
    logits = torch.einsum("rcd,sed->rcse", *at_every_cell)
    for down, right in ((0, 0), (1, 0), (0, 1), (2, -1), (-3, 3)):
        seen = [
            logits[r, c, r + down, c + right]
            for r in range(size)
            for c in range(size)
            if 0 <= r + down < size and 0 <= c + right < size
        ]
        torch.testing.assert_close(torch.stack(seen), seen[0].expand(len(seen)), rtol=0, atol=1e-5)
    different = [logits[3, 3, 3 + down, 3 + right] for down, right in ((0, 0), (1, 0), (0, 1), (1, -1), (-1, 1))]
    assert torch.stack(different).unique().numel() == 5


def test_attention_logits_of_equal_cells_depend_only_on_the_offset() -> None:
    """The whole layer, not only `rotate`: content adds the same to all, the shared rotary key the rest."""
    torch.manual_seed(0)
    size, layer = 6, LatentAttention(32, 2, 12)
    x = torch.randn(32).expand(1, size * size, 32)
    with torch.no_grad():
        queries, keys, _ = layer.queries_keys_values(x, rotary_turns(size, size, layer.rotary, x))
    logits = (queries @ keys.transpose(-1, -2)).reshape(2, size, size, size, size)
    torch.testing.assert_close(logits[:, 0, 0, 2, 1], logits[:, 3, 4, 5, 5], rtol=0, atol=1e-4)
    assert not torch.allclose(logits[:, 0, 0, 2, 1], logits[:, 0, 0, 1, 2], atol=1e-3)


def test_far_rows_keep_their_angle_in_bfloat16() -> None:
    exact = rotary_turns(27, 27, 8, torch.zeros(1))
    rough = rotary_turns(27, 27, 8, torch.zeros(1, dtype=torch.bfloat16))
    assert rough.cos.dtype == torch.bfloat16
    torch.testing.assert_close(rough.sin.float(), exact.sin, rtol=0, atol=0.004)


# One layer against a slow and obvious reference


def reference_attention(layer: LatentAttention, x: np.ndarray, size: int) -> np.ndarray:
    """Head by head, query by query, key by key: x float64 [N, C] -> [N, C]."""
    tokens, channels = x.shape
    width = channels // layer.heads
    half = width // 2
    inputs, up, output = (module.weight.detach().double().numpy() for module in (layer.inputs, layer.up, layer.output))
    w_query, w_latent, w_rotary = np.split(inputs, [channels, channels + layer.kv_latent])
    gain = layer.latent_norm.weight.detach().double().numpy()

    def turned(vector: np.ndarray, cell: int) -> np.ndarray:
        pairs, out = half // 2, np.zeros(half)
        for pair in range(pairs):
            place = cell // size if pair < pairs // 2 else cell % size
            angle = place * 100.0 ** (-(pair % (pairs // 2)) / (pairs // 2))
            a, b = vector[pair], vector[pair + pairs]
            out[pair] = a * math.cos(angle) - b * math.sin(angle)
            out[pair + pairs] = b * math.cos(angle) + a * math.sin(angle)
        return out

    mixed = np.zeros((tokens, channels))
    for head in range(layer.heads):
        queries, keys, values = [], [], []
        for cell in range(tokens):
            latent = w_latent @ x[cell]
            latent = gain * latent / math.sqrt((latent**2).mean() + 1e-6)
            query = w_query[head * width : (head + 1) * width] @ x[cell]
            key_value = up[head * 3 * half : (head + 1) * 3 * half] @ latent
            queries.append(np.concatenate((query[:half], turned(query[half:], cell))))
            keys.append(np.concatenate((key_value[:half], turned(w_rotary @ x[cell], cell))))
            values.append(key_value[half:])
        for cell in range(tokens):
            scores = np.exp([queries[cell] @ key / math.sqrt(width) for key in keys])
            mixed[cell, head * width : (head + 1) * width] = (scores / scores.sum()) @ np.array(values)
    return mixed @ output.T


@pytest.mark.parametrize(("heads", "latent"), [(1, 4), (2, 12), (4, 32)])
def test_attention_equals_the_slow_reference(heads: int, latent: int) -> None:
    torch.manual_seed(heads)
    size, layer = 4, LatentAttention(32, heads, latent)
    with torch.no_grad():
        layer.output.weight.normal_()
        layer.latent_norm.weight.add_(torch.randn(latent) * 0.3)
        x = torch.randn(3, size * size, 32)
        got = layer(x, rotary_turns(size, size, layer.rotary, x)).numpy()
    for row in range(3):
        np.testing.assert_allclose(got[row], reference_attention(layer, x[row].double().numpy(), size), atol=1e-4)


def test_swiglu_equals_the_formula() -> None:
    torch.manual_seed(0)
    layer = SwiGLU(8, 24)
    with torch.no_grad():
        layer.down.weight.normal_()
        x = torch.randn(5, 8)
        gate, up = x @ layer.gate_up.weight[:24].T, x @ layer.gate_up.weight[24:].T
        torch.testing.assert_close(layer(x), (gate * torch.sigmoid(gate) * up) @ layer.down.weight.T)


# The trunk and the net


@pytest.mark.parametrize("size", [3, 5, 8, 13])
def test_one_set_of_weights_serves_every_board_size(size: int) -> None:
    board = shapes(size, swap=size % 2 == 0)
    net = build_net(NET, board)
    load_weights(net, net_weights(shaken_net(shapes(5))))
    codes = torch.from_numpy(random_codes(board, 6))
    priors, values = InferenceNet(net)(codes)
    assert priors.shape == (6, board.num_actions)
    torch.testing.assert_close(priors.sum(dim=1), torch.ones(6))
    assert (priors[:, : size * size][codes[:, : size * size] != 0] == 0).all()
    assert values.shape == (6, 2)
    assert values.abs().max() <= 1
    with torch.no_grad():
        assert net.trunk(torch.zeros(2, 4, size + 2, size + 2)).shape == (2, NET.channels, size, size)


def test_branches_start_at_zero() -> None:
    """A fresh trunk is its stem and the last norm, whatever the number of blocks."""
    trunk = TransformerTrunk(4, NET, plain=False)
    planes = torch.randn(2, 4, 7, 7)
    with torch.no_grad():
        stem = trunk.stem(planes)
        norm = F.rms_norm(stem.permute(0, 2, 3, 1), (NET.channels,), eps=1e-6)
        torch.testing.assert_close(trunk(planes), norm.permute(0, 3, 1, 2))


def test_every_parameter_learns() -> None:
    board = shapes(5, swap=True)
    net = shaken_net(board)
    policy, value = net(torch.from_numpy(random_codes(board, 8)))
    (policy.clamp(min=-100).square().sum() + value.square().sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_no_row_depends_on_its_batch() -> None:
    net = shaken_net(shapes(5))
    codes = torch.from_numpy(random_codes(shapes(5), 8))
    with torch.no_grad():
        whole, single = net(codes)[1], torch.cat([net(codes[i : i + 1])[1] for i in range(8)])
    torch.testing.assert_close(whole, single, rtol=0, atol=1e-5)


def test_fold_changes_nothing() -> None:
    board = shapes(6, swap=True)
    net = shaken_net(board)
    folded = fold(net)
    assert not any(isinstance(module, StandardisedConv2d) for module in folded.modules())
    codes = torch.from_numpy(random_codes(board, 16))
    with torch.no_grad():
        for expected, got in zip(net(codes), folded(codes), strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)


def test_a_few_steps_reduce_the_loss() -> None:
    settings = load_settings("quick", {f"net.{name}": value for name, value in NET.model_dump().items()})
    settings = settings.model_copy(update={"learner": settings.learner.model_copy(update={"warmup_steps": 0})})
    learner = Learner(settings, shapes(5))
    rng = np.random.default_rng(0)
    codes = random_codes(shapes(5), 64)
    policy = np.where(codes == 0, rng.random(codes.shape) ** 8, 0).astype(np.float32)[:, None]
    values = np.where(codes[:, 12] == 1, 1, -1).astype(np.float32)  # who has the cell in the middle
    batch = {
        "codes": codes,
        "policy": policy / policy.sum(axis=2, keepdims=True),
        "values": np.stack((values, -values), axis=1)[:, None],
        "mask": np.ones((64, 1), np.float32),
    }
    losses = [dict(learner.step(batch)) for _ in range(60)]
    assert losses[-1]["value_loss"] < 0.5 * losses[0]["value_loss"]
    assert losses[-1]["policy_kl"] < 0.8 * losses[0]["policy_kl"]


# Backends


def expected_outputs(weights: dict[str, np.ndarray], board: Shapes, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    net = build_net(NET, board)
    load_weights(net, weights)
    with torch.no_grad():
        priors, values = InferenceNet(net)(torch.from_numpy(codes))
    return priors.numpy(), values.numpy()


def make(name: str, board: Shapes, dtype: str):
    if name == "openvino":
        pytest.importorskip("openvino")
        from hexpipe.nets.backend_openvino import OpenVinoBackend

        return OpenVinoBackend(NET, board, dtype)
    if name == "cuda_graphs":
        return CudaGraphsBackend(NET, board, dtype, "cpu", max_batch=16)
    return {"eager": EagerBackend, "frozen": FrozenBackend}[name](NET, board, dtype)


def check_backend(backend, board: Shapes, seeds: tuple[int, ...], tolerance: float) -> None:
    for seed in seeds:  # the second load must leave nothing of the first
        weights = net_weights(shaken_net(board, seed))
        backend.load(weights)
        for count in (1, 5, 40):
            codes = random_codes(board, count, seed)
            out = Answers.allocate(count, board)
            backend.infer(codes, out)
            for got, want in zip(out.parts(), expected_outputs(weights, board, codes), strict=True):
                assert want.std() > 0.01
                np.testing.assert_allclose(got, want, atol=tolerance)


@pytest.mark.parametrize(("size", "swap"), [(5, False), (6, True), (11, True)])
@pytest.mark.parametrize("name", ["eager", "frozen", "openvino", "cuda_graphs"])
def test_backends_equal_the_training_net(name: str, size: int, swap: bool) -> None:
    board = shapes(size, swap)
    check_backend(make(name, board, "float32"), board, (3, 7), 1e-4)


@pytest.mark.parametrize("name", ["eager", "frozen", "openvino", "cuda_graphs"])
def test_bfloat16_is_close(name: str) -> None:
    check_backend(make(name, shapes(5), "bfloat16"), shapes(5), (1,), 0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_graphs_equal_the_training_net() -> None:
    board = shapes(11, swap=True)
    check_backend(CudaGraphsBackend(NET, board, "float32", "cuda:0", max_batch=64), board, (1, 2), 2e-3)


def test_winograd_is_left_out_or_refused() -> None:
    choice = choose_backend(NET, shapes(5), InferenceSettings(max_batch=4), "cpu", [4], budget_seconds=0.0)
    assert "winograd" not in {row.backend for row in choice.table}
    with refused(SettingsError, "net.backbone=transformer", kind="conflict", setting="inference.backend"):
        choose_backend(NET, shapes(5), InferenceSettings(backend="winograd"))
    with pytest.raises(ValueError, match="residual nets"):
        WinogradBackend(NET, shapes(5))


# Settings, checkpoints, benchmarks


@pytest.mark.parametrize(
    ("overrides", "kind", "setting", "words"),
    [
        ({"net.heads": 3}, "conflict", "net.channels", "24"),
        ({"net.heads": 8}, "conflict", "net.channels", "64"),
        ({"net.kv_latent": 33}, "range", "net.kv_latent", "32"),
        ({"net.backbone": "perceptron"}, "type", "net.backbone", "'perceptron'"),
    ],
)
def test_settings_that_make_no_transformer_are_refused(
    overrides: dict[str, object], kind: str, setting: str, words: str
) -> None:
    with refused(SettingsError, words, kind=kind, setting=setting) as caught:
        load_settings("quick", {"net.backbone": "transformer", **overrides})
    assert "\n" not in str(caught.value)
    load_settings("quick", {key: value for key, value in overrides.items() if key != "net.backbone"})  # a resnet


def test_a_checkpoint_round_trip_and_the_wrong_trunk(tmp_path: Path) -> None:
    settings = load_settings("quick", {f"net.{name}": value for name, value in NET.model_dump().items()})
    learner = Learner(settings, shapes(5))
    checkpoint = load_checkpoint(learner.save(tmp_path))
    assert checkpoint.settings.net == NET
    again = Learner(settings, shapes(5))
    with torch.no_grad():
        for parameter in again.net.parameters():
            parameter.zero_()
    again.init_from(checkpoint)
    for name, weight in net_weights(learner.net).items():
        np.testing.assert_array_equal(weight, net_weights(again.net)[name])
    residual = Learner(load_settings("quick", {"net.channels": 48, "net.blocks": 2}), shapes(5))
    with refused(CheckpointError, "resnet", kind="foreign"):
        residual.init_from(checkpoint)
