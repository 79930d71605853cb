"""The net for play in numpy, without torch: folded weights, input planes, heads, the memory.

A server that runs the trunk by OpenVINO or the Winograd kernels needs no more, and importing torch would cost it
seconds and 200 MB. The nets of `factory` are the reference: tests hold all of this against them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.config import NUMBERS, NetSettings, Shapes
from hexpipe.nets.net_template import (
    DELTA,
    FULL_BUCKET,
    ILLEGAL_LOGIT,
    MIDDLE_FIRST,
    NEIGHBOURS,
    ROTARY_BASE,
    check_fit,
    net_template,
)

FloatArray = NDArray[np.float32]
Weights = Mapping[str, FloatArray]


def folded_weights(settings: NetSettings, shapes: Shapes, weights: Weights | None = None) -> dict[str, FloatArray]:
    """Return the weights of plain convolutions that compute the same as ``weights``, float32; without any, some to be
    timed with. CheckpointError if they do not fit."""
    template = net_template(settings, shapes)
    if weights is None:
        weights = {name: _some(shape) for name, shape in template}
    check_fit(dict(template), weights, settings)
    folded: dict[str, FloatArray] = {}
    for name, array in weights.items():
        owner, _, part = name.rpartition(".")
        if part != "gain":
            plain = np.asarray(array, np.float32)
            gain = weights.get(f"{owner}.gain") if part == "weight" else None
            folded[name] = plain if gain is None else standardised(plain, np.asarray(gain, np.float32))
    return folded


def _some(shape: tuple[int, ...]) -> FloatArray:
    """Return small numbers, no two alike in a row."""
    numbers: FloatArray = (0.05 * np.sin(np.arange(math.prod(shape)))).astype(np.float32).reshape(shape)
    return numbers


def standardised(weight: FloatArray, gain: FloatArray) -> FloatArray:
    """Compute `resnet.StandardisedConv2d.standardised` of weight [O, I, k, k] and gain [O]."""
    centred = weight - weight.mean(axis=(1, 2, 3), keepdims=True)
    norm = 1.0 / np.sqrt(np.square(centred).sum(axis=(1, 2, 3), keepdims=True) + np.float32(1e-8))
    scaled: FloatArray = centred * (norm * gain[:, None, None, None])
    return scaled


def edge_planes(shapes: Shapes) -> FloatArray:
    """Return the border ring for the first convolution: float32 [1, P, h+2, w+2], zero inside.

    A mover that owns edges has the top and bottom one, the opponent the left and right one; a corner belongs to both.
    """
    edges = np.zeros((1, shapes.num_planes, shapes.view_size + 2, shapes.view_width + 2), np.float32)
    if shapes.turns_frame:
        edges[:, 0, [0, -1], :] = 1
        edges[:, 1, :, [0, -1]] = 1
    else:
        off = len(shapes.planes) - 1 if shapes.declared else shapes.num_seats + 1
        edges[:, off, [0, -1], :] = 1
        edges[:, off, :, [0, -1]] = 1
    return edges


def expand_codes(codes: NDArray[np.int8], shapes: Shapes, edges: FloatArray) -> FloatArray:
    """Compute `planes.expand_codes`: codes int8 [B, C] -> planes float32 [B, P, h+2, w+2]."""
    rows, columns = shapes.view_size, shapes.view_width
    planes = np.repeat(edges, len(codes), axis=0)
    inside = planes[:, :, 1:-1, 1:-1]
    for number, plane in enumerate(shapes.planes):
        own = codes[:, plane.codes(shapes.view_cells)]
        shown = np.ascontiguousarray(own).view(np.float16) if plane.code == NUMBERS else own == plane.code
        inside[:, number] += shown[:, :, None] if plane.whole else shown.reshape(-1, rows, columns)
    if shapes.thumbnail:
        small = codes[:, shapes.num_actions :].reshape(-1, shapes.num_seats + 1, rows, columns).astype(np.float32)
        small[:, :-1] /= np.float32(FULL_BUCKET)
        inside[:, -small.shape[1] :] += small
    return planes


def legal_codes(codes: NDArray[np.int8], shapes: Shapes) -> NDArray[np.bool_]:
    """Return which actions are legal, bool [B, A]: what `planes.illegal_mask` does not say is not."""
    if shapes.declared:
        listed: NDArray[np.bool_] = codes[:, shapes.code_length - shapes.num_actions :] == 1
        return listed
    cells: NDArray[np.bool_] = codes[:, : shapes.view_cells] == 0
    return np.concatenate((cells, codes[:, shapes.view_cells : shapes.num_actions] == 1), axis=1)


def middle_first(size: int) -> FloatArray:
    """Return what is subtracted from each bucket's logit of a thumbnail of ``size``, see `heads.FocusHead`: [V * V]."""
    steps = np.abs(np.arange(size) - size // 2)
    far: FloatArray = (MIDDLE_FIRST * np.maximum(steps[:, None], steps)).astype(np.float32).ravel()
    return far


def rotary_turns(rows: int, columns: int, rotary: int) -> tuple[FloatArray, FloatArray]:
    """Return cosines and sines [h * w, R / 2] of the rotations of a board's cells for ``rotary`` channels R (a multiple
    of 4).

    The first half of the R/2 pairs rotates by the row, the second by the column.
    """
    pairs = rotary // 4
    frequencies = np.float32(ROTARY_BASE) ** (-np.arange(pairs, dtype=np.float32) / np.float32(pairs))
    down, right = (np.arange(side, dtype=np.float32)[:, None] * frequencies for side in (rows, columns))
    board = rows, columns, pairs
    both = np.concatenate((np.broadcast_to(down[:, None], board), np.broadcast_to(right, board)), axis=2)
    both = both.reshape(rows * columns, 2 * pairs)
    return np.cos(both), np.sin(both)


class Heads:
    """The heads and the memory of folded ``weights``.

    Answers that are not finite are a checkpoint's fault and found where all backends' are, without numpy's warnings.
    """

    def __init__(self, weights: Weights, settings: NetSettings, shapes: Shapes) -> None:
        self._weights, self._shapes = weights, shapes
        self._neighbours = min(NEIGHBOURS, settings.engram)
        self._from_middle = middle_first(shapes.view_size)

    @np.errstate(over="ignore", invalid="ignore")
    def answers(self, codes: NDArray[np.int8], cells: FloatArray, pooled: FloatArray) -> Answers:
        """Compute the answers to ``codes`` int8 [B, C] from the trunk's output ``cells`` float32 [B, n*n, channels] and
        its `resnet.global_pool` ``pooled`` float32 [B, 2 * channels]."""
        shapes = self._shapes
        if self._neighbours:
            pooled = self._recalled(pooled)
        if not shapes.cell_actions:
            features = self._features("policy", cells, pooled).transpose(0, 2, 1)
            logits = self._linear(features.reshape(len(cells), -1), "policy.logits")
        else:
            logits = self._cell_logits("policy", cells, pooled)
        if shapes.cell_actions and shapes.num_others:
            others = self._linear(np.maximum(self._linear(pooled, "policy.swap_hidden"), 0), "policy.swap_logit")
            logits = np.concatenate((logits, others), axis=1)
        priors = softmax(np.where(legal_codes(codes, shapes), logits, np.float32(ILLEGAL_LOGIT)))
        value_logits = self._linear(np.maximum(self._linear(pooled, "value.hidden"), 0), "value.logits")
        two = shapes.num_seats == 2
        outputs = [priors, 2 * softmax(value_logits) - 1 if two else np.tanh(np.float32(0.5) * value_logits)]
        if shapes.thumbnail:
            looks = self._cell_logits("side.focus", cells, pooled) - self._from_middle
            outputs.append(looks.argmax(axis=1).astype(np.int16))
        return Answers.named(iter(outputs), shapes)

    @np.errstate(over="ignore", invalid="ignore")
    def pool_bias(self, block: int, pooled: FloatArray) -> FloatArray:
        """Compute the bias [B, channels] that a block of the trunk adds from its pooled activations."""
        return self._linear(pooled, f"trunk.blocks.{block}.pool_bias")

    def _cell_logits(self, name: str, cells: FloatArray, pooled: FloatArray) -> FloatArray:
        """Compute `heads.CellHead`: [B, planes * cells]."""
        weights, hidden = self._weights, self._features(name, cells, pooled)
        # a product with a vector for each plane: a matrix of one column is no faster, and rounds in another order
        planes = [
            np.matmul(hidden, plane[:, 0, 0], dtype=np.float32) + bias
            for plane, bias in zip(
                weights[f"{name}.cell_logits.weight"], weights[f"{name}.cell_logits.bias"], strict=True
            )
        ]
        logits: FloatArray = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=1)
        return logits

    def _features(self, name: str, cells: FloatArray, pooled: FloatArray) -> FloatArray:
        """Compute `heads.CellFeatures`: [B, cells, hidden]."""
        weights = self._weights
        hidden: FloatArray = cells @ weights[f"{name}.conv.weight"][:, :, 0, 0].T
        hidden += (pooled @ weights[f"{name}.pool_bias.weight"].T + weights[f"{name}.conv.bias"])[:, None]
        return np.maximum(hidden, 0, out=hidden)

    def _linear(self, x: FloatArray, name: str) -> FloatArray:
        product: FloatArray = x @ self._weights[f"{name}.weight"].T
        product += self._weights[f"{name}.bias"]
        return product

    def _recalled(self, pooled: FloatArray) -> FloatArray:
        """Compute `engram.Engram`: pooled features with what is remembered of like ones added."""
        weights = {part: self._weights[f"engram.{part}"] for part in ("keys", "values", "priorities", "gate")}
        queries = pooled @ self._weights["engram.project.weight"].T
        queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), np.float32(1e-12))
        hidden = np.where(weights["priorities"] > 0, np.float32(0), np.float32(-np.inf))
        cosines = queries @ weights["keys"].T + hidden
        places = np.argpartition(-cosines, self._neighbours - 1, axis=1)[:, : self._neighbours]
        priorities, keys = weights["priorities"][places], weights["keys"][places]
        usable = priorities > 0
        distances = np.square(queries[:, None] - keys).sum(axis=2)
        sharpness = np.exp(self._weights["engram.log_sharpness"])
        logits = np.log(np.where(usable, priorities, np.float32(1))) - sharpness * np.log(distances + np.float32(DELTA))
        shares = softmax(np.where(usable, logits, np.float32(ILLEGAL_LOGIT))) * usable  # all 0 with nothing to read
        remembered = np.einsum("bk,bkv->bv", shares, weights["values"][places])
        read: FloatArray = np.matmul(remembered, self._weights["engram.read_out.weight"].T, dtype=np.float32)
        read *= np.tanh(weights["gate"])
        return pooled + read


def softmax(logits: FloatArray) -> FloatArray:
    """Compute the softmax of each row."""
    shares: FloatArray = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
