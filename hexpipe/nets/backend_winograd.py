"""The net on a CPU core without matrix units: Winograd convolutions between batched matrix products.

A 3x3 convolution takes 64 products a channel pair for a 6x6 piece instead of 324, and 36 instead of 144 for a 4x4 one,
so that float32 on AVX2 beats any direct convolution. The products and the heads are numpy's, the rest are numba
kernels; torch is not imported. Outputs agree with the plain net to about 1e-5.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hexpipe import kernel_cache
from hexpipe.answers import Answers
from hexpipe.config import NetSettings, Shapes
from hexpipe.nets import winograd_kernels as kernels
from hexpipe.nets.backends import write_outputs
from hexpipe.nets.net_template import check_shapes
from hexpipe.nets.plain_net import Heads, edge_planes, expand_codes, folded_weights

CHUNK_TILES = 128  # tiles in one pass of the trunk: large enough products that stay in the cache

# G of F(m x m, 3x3) by m, rows in the order of the kernels' points.
FILTER_TRANSFORMS = {
    4: np.array(
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ]
    ),
    6: np.array(
        [
            [1, 0, 0],
            [-2 / 9, -2 / 9, -2 / 9],
            [-2 / 9, 2 / 9, -2 / 9],
            [1 / 90, 1 / 45, 2 / 45],
            [1 / 90, -1 / 45, 2 / 45],
            [32 / 45, 16 / 45, 8 / 45],
            [32 / 45, -16 / 45, 8 / 45],
            [0, 0, 1],
        ]
    ),
}
Conv = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Transformed filters [points, inputs, outputs] and biases [boards, K, BLOCK]."""


class WinogradBackend:
    """The net on one thread (the products use numpy's setting); any batch size."""

    name = "winograd"

    def __init__(self, settings: NetSettings, shapes: Shapes, dtype: str = "float32", device: str = "cpu") -> None:
        if (dtype, device) != ("float32", "cpu"):
            raise ValueError(f"the Winograd backend is float32 on the CPU, not {dtype} on {device}")
        if settings.backbone != "resnet":
            raise ValueError(f"the Winograd backend runs residual nets, not a {settings.backbone}")
        check_shapes(shapes)
        kernel_cache.need("nets")
        self.dtype = dtype
        self._settings, self._shapes = settings, shapes
        self._width = width = -(-settings.channels // kernels.BLOCK) * kernels.BLOCK  # padded to whole blocks
        self._rows, self._columns = rows, columns = shapes.view_size, shapes.view_width
        self._tile = tile = best_tile(rows, columns)
        down, right, points = -(-rows // tile), -(-columns // tile), (tile + 2) ** 2
        self._board_tiles = down * right
        self._chunk = max(1, CHUNK_TILES // self._board_tiles)  # boards
        blocks = (width // kernels.BLOCK, kernels.BLOCK)
        activations = (self._chunk, blocks[0], tile * down + 2, tile * right + 2, kernels.BLOCK)
        # Borders and padding are zero from the start and stay so: the kernels never write them.
        self._x, self._inner = np.zeros(activations, np.float32), np.zeros(activations, np.float32)
        self._tiles = np.zeros((self._chunk * self._board_tiles, points, width), np.float32)
        # one more row than is used: with a power of two as stride all points would share a few cache sets
        self._products = np.zeros((points, self._chunk * self._board_tiles + 1, width), np.float32)
        self._scratch = np.zeros((2, 64 * kernels.BLOCK), np.float32)
        self._kinds = np.zeros((rows + 2, columns + 2), np.int32)
        self._pooled = np.zeros((self._chunk, 2, *blocks), np.float32)
        self._flat = np.zeros((self._chunk, rows, columns, *blocks), np.float32)
        self._edges = edge_planes(shapes)
        self._take(folded_weights(settings, shapes))

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._take(folded_weights(self._settings, self._shapes, weights))

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        for first in range(0, len(codes), self._chunk):
            part = slice(first, first + self._chunk)
            write_outputs(self._answers(codes[part]), out.at(part), self.name)

    def _answers(self, codes: NDArray[np.int8]) -> Answers:
        count, board = len(codes), (self._rows, self._columns)
        scratch_a, scratch_b = self._scratch
        x, inner, tiles = self._x, self._inner, _blocked(self._tiles)
        if self._shapes.turns_frame:
            kernels.stem(codes, self._stem_table, self._stem_bias, x, self._rows, self._kinds)
        else:
            self._convolve_planes(codes)
        kernels.input_transform(x, tiles, count, scratch_a, scratch_b)
        for block, (conv1, conv2) in enumerate(self._convs):
            products, bias = self._multiply(conv1[0], count), conv1[1]
            kernels.output_transform(products, bias, False, inner, *board, tiles, count, scratch_a, scratch_b)
            products, bias = self._multiply(conv2[0], count), conv2[1]
            if block in self._pooling:
                extra = self._padded(self._heads.pool_bias(block, self._pool(inner, count)))
                bias = bias[:count] + extra.reshape(count, -1, kernels.BLOCK)
            kernels.output_transform(products, bias, True, x, *board, tiles, count, scratch_a, scratch_b)
        kernels.unblock(x, *board, self._flat, count)
        last = self._flat[:count].reshape(count, self._shapes.view_cells, -1)[:, :, : self._settings.channels]
        return self._heads.answers(codes, last, self._pool(x, count))

    def _convolve_planes(self, codes: NDArray[np.int8]) -> None:
        """Apply the first convolution and its ReLU by a matrix product, for planes that are not Hex's."""
        planes = expand_codes(codes, self._shapes, self._edges)
        windows = np.lib.stride_tricks.sliding_window_view(planes, (3, 3), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
        first = windows.reshape(*windows.shape[:3], -1) @ self._stem_filters + self._stem_filters_bias
        cells = self._padded(np.maximum(first, 0))
        blocked = cells.reshape(*cells.shape[:3], -1, kernels.BLOCK).transpose(0, 3, 1, 2, 4)
        self._x[: len(codes), :, 1 : self._rows + 1, 1 : self._columns + 1] = blocked

    def _multiply(self, filters: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Return the batched products of the tiles of ``count`` boards: float32 [points, tiles, K, BLOCK]."""
        used = count * self._board_tiles
        np.matmul(self._tiles[:used].transpose(1, 0, 2), filters, out=self._products[:, :used])
        return _blocked(self._products)

    def _pool(self, x: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Compute `resnet.global_pool`: [count, 2 * channels]."""
        kernels.pool(x, self._rows, self._columns, self._pooled, count)
        return self._pooled[:count].reshape(count, 2, -1)[:, :, : self._settings.channels].reshape(count, -1)

    def _take(self, weights: dict[str, NDArray[np.float32]]) -> None:
        """Convert the folded trunk to the kernels' layout; the heads stay as they are."""
        stem, bias = weights["trunk.stem.weight"], weights["trunk.stem.bias"]
        if self._shapes.turns_frame:
            self._stem_bias = self._padded(bias).reshape(-1, kernels.BLOCK)
            table = self._padded(stem_table(stem)).reshape(9, 9, -1, kernels.BLOCK)
            self._stem_table = np.ascontiguousarray(table.transpose(2, 0, 1, 3))
        else:
            self._stem_filters, self._stem_filters_bias = stem.reshape(len(stem), -1).T, bias
        self._convs = []
        for index in range(self._settings.blocks):
            conv1, conv2 = (
                self._conv(weights[f"trunk.blocks.{index}.{conv}.weight"], weights[f"trunk.blocks.{index}.{conv}.bias"])
                for conv in ("conv1", "conv2")
            )
            self._convs.append((conv1, conv2))
        self._pooling = {
            index for index in range(self._settings.blocks) if f"trunk.blocks.{index}.pool_bias.weight" in weights
        }
        self._heads = Heads(weights, self._settings, self._shapes)

    def _conv(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> Conv:
        filters = np.zeros(((self._tile + 2) ** 2, self._width, self._width), np.float32)
        filters[:, : weight.shape[1], : weight.shape[0]] = transformed_filters(weight, self._tile)
        return filters, np.tile(self._padded(bias).reshape(-1, kernels.BLOCK), (self._chunk, 1, 1))

    def _padded(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pad the last axis, channels, with zeros."""
        missing = self._width - array.shape[-1]
        padded: NDArray[np.float32] = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])
        return padded


def _blocked(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the kernels' view of channels: [..., K, BLOCK]."""
    return array.reshape(*array.shape[:-1], -1, kernels.BLOCK)


def best_tile(rows: int, columns: int) -> int:
    """Return the tile, 6 or 4 cells a side, that covers a board with fewer products; 4, the faster, on a tie."""
    return min((4, 6), key=lambda tile: -(-rows // tile) * -(-columns // tile) * (tile + 2) ** 2)


def transformed_filters(weight: NDArray[np.float32], tile: int) -> NDArray[np.float32]:
    """Compute G w G^T of each filter: weight [O, I, 3, 3] -> float32 [(tile + 2)^2, I, O]; in float64."""
    transform = FILTER_TRANSFORMS[tile]
    points = np.einsum("pr,oirc,qc->pqio", transform, weight.astype(np.float64), transform, optimize=True)
    return np.asarray(points.reshape(-1, weight.shape[1], weight.shape[0]), np.float32)


def stem_table(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each tap's contribution by the neighbour's kind (`kernels.stem`): [O, 4, 3, 3] -> [9 taps, 9 kinds, O]."""
    mine, theirs, empty, swap = np.ascontiguousarray(weight.transpose(1, 2, 3, 0)).reshape(4, 9, -1)
    kinds = [empty, mine, theirs, empty + swap, mine + swap, theirs + swap, mine, theirs, mine + theirs]
    return np.stack(kinds, axis=1)
