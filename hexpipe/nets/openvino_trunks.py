"""The trunks and the memory as OpenVINO graphs, from the weights of a folded net.

OpenVINO is optional: the extra ``openvino``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openvino import opset13 as ops

from hexpipe.config import NetSettings
from hexpipe.nets.net_template import DELTA, NEIGHBOURS, NORM_EPS
from hexpipe.nets.plain_net import rotary_turns

_OVER_BOARD = np.array([2, 3])
_EMPTY = np.float32(-1e9)  # added to the cosine of an empty place


class Layers:
    """Layers by the names of the modules that hold their weights."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._weights = weights

    def __contains__(self, name: str) -> bool:
        return f"{name}.weight" in self._weights

    def array(self, name: str) -> NDArray[np.float32]:
        """Return an array by its own name."""
        return self._weights[name]

    def conv(self, x: Any, name: str, padding: int) -> Any:
        """Return a convolution with a bias: [B, I, H, W] -> [B, O, H', W']."""
        filters = ops.constant(self._weights[f"{name}.weight"])
        y = ops.convolution(x, filters, [1, 1], [padding, padding], [padding, padding], [1, 1])
        return ops.add(y, ops.constant(self._weights[f"{name}.bias"].reshape(1, -1, 1, 1)))

    def linear(self, x: Any, name: str) -> Any:
        """Return a linear layer, with a bias if it has one: [..., I] -> [..., O]."""
        y = ops.matmul(x, ops.constant(self._weights[f"{name}.weight"]), False, True)
        bias = self._weights.get(f"{name}.bias")
        return y if bias is None else ops.add(y, ops.constant(bias))

    def norm(self, x: Any, name: str) -> Any:
        """Build `torch.nn.RMSNorm` over the last axis."""
        mean = ops.reduce_mean(ops.power(x, np.float32(2)), np.array([-1]), True)
        scaled = ops.multiply(x, ops.divide(np.float32(1), ops.sqrt(ops.add(mean, np.float32(NORM_EPS)))))
        return ops.multiply(scaled, ops.constant(self._weights[f"{name}.weight"]))


def pooled(x: Any) -> Any:
    """Build `resnet.global_pool`."""
    return ops.concat([ops.reduce_mean(x, _OVER_BOARD), ops.reduce_max(x, _OVER_BOARD)], 1)


def over_cells(x: Any) -> Any:
    """Reshape [B, C] to [B, C, 1, 1]."""
    return ops.unsqueeze(x, _OVER_BOARD)


def recalled(layers: Layers, features: Any) -> Any:
    """Build `engram.Engram` over features [B, 2C]; the memory is a constant of the graph, like the weights."""
    keys, all_values, priorities = (layers.array(f"engram.{part}") for part in ("keys", "values", "priorities"))
    gate, sharpness = np.tanh(layers.array("engram.gate")), np.exp(layers.array("engram.log_sharpness"))
    neighbours = min(NEIGHBOURS, len(keys))
    queries = ops.normalize_l2(layers.linear(features, "engram.project"), np.array([1]), 1e-24, "max")
    cosines = ops.matmul(queries, ops.constant(keys), False, True)
    # an empty place ranks last, with weight 0; if all are empty nothing is added
    values = np.where(priorities[:, None] > 0, all_values, np.float32(0))
    empty = np.where(priorities > 0, np.float32(0), _EMPTY)
    places = ops.topk(ops.add(cosines, ops.constant(empty)), np.int64(neighbours), 1, "max", "value", "i32").output(1)
    near = ops.gather(ops.constant(keys), places, np.int64(0))
    apart = ops.subtract(ops.unsqueeze(queries, np.array([1])), near)
    distances = ops.reduce_sum(ops.multiply(apart, apart), np.array([2]))
    logits = ops.multiply(ops.log(ops.add(distances, np.float32(DELTA))), -sharpness)
    weighed = empty + np.log(np.where(priorities > 0, priorities, np.float32(1)))
    logits = ops.add(logits, ops.gather(ops.constant(weighed), places, np.int64(0)))
    weights = ops.unsqueeze(ops.softmax(logits, 1), np.array([1]))  # [B, 1, k]
    found = ops.gather(ops.constant(values), places, np.int64(0))  # [B, k, S]
    remembered = ops.squeeze(ops.matmul(weights, found, False, False), np.array([1]))
    return ops.add(features, ops.multiply(layers.linear(remembered, "engram.read_out"), gate))


def residual_trunk(layers: Layers, planes: Any, settings: NetSettings) -> Any:
    """Build `resnet.Trunk`."""
    x = ops.relu(layers.conv(planes, "trunk.stem", 0))
    for index in range(settings.blocks):
        name = f"trunk.blocks.{index}"
        inner = ops.relu(layers.conv(x, f"{name}.conv1", 1))
        if f"{name}.pool_bias" in layers:
            x = ops.add(x, over_cells(layers.linear(pooled(inner), f"{name}.pool_bias")))
        x = ops.relu(ops.add(layers.conv(inner, f"{name}.conv2", 1), x))
    return x


def transformer_trunk(layers: Layers, planes: Any, settings: NetSettings, rows: int, columns: int) -> Any:
    """Build `transformer_backbone.TransformerTrunk` for boards of ``rows`` and ``columns``."""
    board = layers.conv(planes, "trunk.stem", 0)
    tokens = _transposed(ops.reshape(board, np.array([0, 0, rows * columns]), True), 0, 2, 1)
    rotary = settings.channels // settings.heads // 2
    turns = [ops.constant(part) for part in rotary_turns(rows, columns, rotary)]
    for index in range(settings.blocks):
        name = f"trunk.blocks.{index}"
        x = layers.norm(tokens, f"{name}.attention_norm")
        tokens = ops.add(tokens, _attention(layers, x, f"{name}.attention", settings, turns))
        x = layers.linear(layers.norm(tokens, f"{name}.ffn_norm"), f"{name}.ffn.gate_up")
        gate, up = _parts(x, *(2 * [settings.ffn_multiplier * settings.channels]))
        tokens = ops.add(tokens, layers.linear(ops.multiply(ops.swish(gate), up), f"{name}.ffn.down"))
    board = _transposed(layers.norm(tokens, "trunk.norm"), 0, 2, 1)
    return ops.reshape(board, np.array([0, 0, rows, columns]), True)


def _attention(layers: Layers, x: Any, name: str, settings: NetSettings, turns: list[Any]) -> Any:
    """Build `transformer_backbone.LatentAttention`."""
    channels, heads = settings.channels, settings.heads
    width = channels // heads
    half = width // 2

    def by_head(y: Any) -> Any:  # [B, N, heads * D] -> [B, heads, N, D]
        return _transposed(ops.reshape(y, np.array([0, 0, heads, -1]), True), 0, 2, 1, 3)

    queries, latent, shared = _parts(layers.linear(x, f"{name}.inputs"), channels, settings.latent_rank, half)
    plain, turned = _parts(by_head(queries), half, half)
    queries = ops.concat([plain, _rotated(turned, half, turns)], -1)
    up = layers.linear(layers.norm(latent, f"{name}.latent_norm"), f"{name}.up")
    plain, values = _parts(by_head(up), half, width)
    shared = ops.unsqueeze(_rotated(shared, half, turns), np.array([1]))
    keys = ops.concat([plain, ops.concat([shared] * heads, 1)], -1)
    logits = ops.multiply(ops.matmul(queries, keys, False, True), np.float32(width**-0.5))
    mixed = _transposed(ops.matmul(ops.softmax(logits, -1), values, False, False), 0, 2, 1, 3)
    return layers.linear(ops.reshape(mixed, np.array([0, 0, channels]), True), f"{name}.output")


def _rotated(x: Any, rotary: int, turns: list[Any]) -> Any:
    """Build `transformer_backbone.rotate`."""
    cos, sin = turns
    a, b = _parts(x, rotary // 2, rotary // 2)
    first = ops.subtract(ops.multiply(a, cos), ops.multiply(b, sin))
    return ops.concat([first, ops.add(ops.multiply(b, cos), ops.multiply(a, sin))], -1)


def _parts(x: Any, *widths: int) -> list[Any]:
    """Split the last axis."""
    return list(ops.variadic_split(x, np.int64(-1), np.array(widths)).outputs())


def _transposed(x: Any, *order: int) -> Any:
    return ops.transpose(x, np.array(order))
