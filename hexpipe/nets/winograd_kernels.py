"""Kernels of the Winograd backend: all that lies between its matrix products.

F(m x m, 3x3) of Lavin and Gray 2016, "Fast algorithms for convolutional neural networks". m = 6 (interpolation points
0, 1, -1, 2, -2, 1/2, -1/2 and infinity): an 8x8 piece of input gives a 6x6 piece of output with 64 products a pair of
channels, where the plain convolution takes 324. m = 4 (without the halves): 6x6 gives 4x4 with 36 where 144 are plain,
for boards that 6x6 pieces would stand far over.

Activations lie in blocks of BLOCK channels with a border of zeros: float32 [N, K, H, W, BLOCK], K blocks, H = m*s + 2
and W = m*t + 2 for s rows of t tiles. Transformed tiles are float32 [N*s*t, P, K, BLOCK], P = (m + 2)^2 points, their
products [P, N*s*t, K, BLOCK] (each order is the quicker one for the matrix product); P says what m is. The scratch
arrays ``a`` and ``b`` are float32 [64 * BLOCK]. Boards have ``rows`` rows and ``cols`` columns.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic
from numpy.typing import NDArray

BLOCK = 16  # channels in a block: two AVX2 registers, and a trip count that the compiler knows
F32 = NDArray[np.float32]


def _block_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Pointer to BLOCK floats of a flat array, from ``index``."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(ir.FloatType(), BLOCK).as_pointer())


@intrinsic
def _copy_block(typing_context: Any, target: Any, to: Any, source: Any, start: Any) -> Any:
    """target[to : to + BLOCK] = source[start : start + BLOCK], flat float32 arrays, unchecked, in vector registers.

    As a loop of constant length it would be unrolled into scalar moves or a call of memcpy, eight times slower.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target_type, _, source_type, _ = signature.args
        value = builder.load(_block_pointer(context, builder, source_type, arguments[2], arguments[3]), align=4)
        builder.store(value, _block_pointer(context, builder, target_type, arguments[0], arguments[1]), align=4)
        return context.get_dummy_value()

    return numba.types.void(target, numba.types.intp, source, numba.types.intp), generate


@intrinsic
def _add_block(typing_context: Any, target: Any, to: Any, source: Any, start: Any) -> Any:
    """target[to : to + BLOCK] += source[start : start + BLOCK], as `_copy_block`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target_type, _, source_type, _ = signature.args
        pointer = _block_pointer(context, builder, target_type, arguments[0], arguments[1])
        value = builder.load(_block_pointer(context, builder, source_type, arguments[2], arguments[3]), align=4)
        builder.store(builder.fadd(builder.load(pointer, align=4), value), pointer, align=4)
        return context.get_dummy_value()

    return numba.types.void(target, numba.types.intp, source, numba.types.intp), generate


@numba.njit(cache=True, nogil=True, fastmath=True)
def _input_lines_8(source: F32, target: F32) -> None:
    """B^T along each of the 8 lines of an 8x8 piece, and the piece transposed: twice is the whole transform."""
    for line in range(8):
        i, o = line * 8 * BLOCK, line * BLOCK
        for c in range(BLOCK):
            d0, d1, d2, d3 = source[i + c], source[i + 16 + c], source[i + 32 + c], source[i + 48 + c]
            d4, d5, d6, d7 = source[i + 64 + c], source[i + 80 + c], source[i + 96 + c], source[i + 112 + c]
            even1, odd1 = d2 + d6 - np.float32(4.25) * d4, d1 + d5 - np.float32(4.25) * d3
            even2 = d6 + np.float32(0.25) * d2 - np.float32(1.25) * d4
            odd2 = np.float32(0.5) * d1 - np.float32(2.5) * d3 + np.float32(2.0) * d5
            even3 = d6 + np.float32(4.0) * d2 - np.float32(5.0) * d4
            odd3 = np.float32(2.0) * d1 - np.float32(2.5) * d3 + np.float32(0.5) * d5
            target[o + c] = d0 - d6 + np.float32(5.25) * (d4 - d2)
            target[o + 128 + c] = even1 + odd1
            target[o + 256 + c] = even1 - odd1
            target[o + 384 + c] = even2 + odd2
            target[o + 512 + c] = even2 - odd2
            target[o + 640 + c] = even3 + odd3
            target[o + 768 + c] = even3 - odd3
            target[o + 896 + c] = d7 - d1 + np.float32(5.25) * (d3 - d5)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _output_lines_8(source: F32, target: F32, lines: int) -> None:
    """A^T along the first ``lines`` lines (8 products to 6 cells), and the piece transposed."""
    for line in range(lines):
        i, o = line * 8 * BLOCK, line * BLOCK
        for c in range(BLOCK):
            sum1, diff1 = source[i + 16 + c] + source[i + 32 + c], source[i + 16 + c] - source[i + 32 + c]
            sum2, diff2 = source[i + 48 + c] + source[i + 64 + c], source[i + 48 + c] - source[i + 64 + c]
            sum3, diff3 = source[i + 80 + c] + source[i + 96 + c], source[i + 80 + c] - source[i + 96 + c]
            target[o + c] = source[i + c] + sum1 + sum2 + sum3
            target[o + 128 + c] = diff1 + np.float32(2.0) * diff2 + np.float32(0.5) * diff3
            target[o + 256 + c] = sum1 + np.float32(4.0) * sum2 + np.float32(0.25) * sum3
            target[o + 384 + c] = diff1 + np.float32(8.0) * diff2 + np.float32(0.125) * diff3
            target[o + 512 + c] = sum1 + np.float32(16.0) * sum2 + np.float32(0.0625) * sum3
            target[o + 640 + c] = diff1 + np.float32(32.0) * diff2 + np.float32(0.03125) * diff3 + source[i + 112 + c]


@numba.njit(cache=True, nogil=True, fastmath=True)
def _input_lines_6(source: F32, target: F32) -> None:
    """`_input_lines_8` for the 6 lines of a 6x6 piece."""
    for line in range(6):
        i, o = line * 6 * BLOCK, line * BLOCK
        for c in range(BLOCK):
            d0, d1, d2 = source[i + c], source[i + 16 + c], source[i + 32 + c]
            d3, d4, d5 = source[i + 48 + c], source[i + 64 + c], source[i + 80 + c]
            even1, odd1 = d4 - np.float32(4.0) * d2, d3 - np.float32(4.0) * d1
            even2, odd2 = d4 - d2, np.float32(2.0) * (d3 - d1)
            target[o + c] = np.float32(4.0) * d0 - np.float32(5.0) * d2 + d4
            target[o + 96 + c] = even1 + odd1
            target[o + 192 + c] = even1 - odd1
            target[o + 288 + c] = even2 + odd2
            target[o + 384 + c] = even2 - odd2
            target[o + 480 + c] = np.float32(4.0) * d1 - np.float32(5.0) * d3 + d5


@numba.njit(cache=True, nogil=True, fastmath=True)
def _output_lines_6(source: F32, target: F32, lines: int) -> None:
    """`_output_lines_8` for lines of 6 products to 4 cells."""
    for line in range(lines):
        i, o = line * 6 * BLOCK, line * BLOCK
        for c in range(BLOCK):
            sum1, diff1 = source[i + 16 + c] + source[i + 32 + c], source[i + 16 + c] - source[i + 32 + c]
            sum2, diff2 = source[i + 48 + c] + source[i + 64 + c], source[i + 48 + c] - source[i + 64 + c]
            target[o + c] = source[i + c] + sum1 + sum2
            target[o + 96 + c] = diff1 + np.float32(2.0) * diff2
            target[o + 192 + c] = sum1 + np.float32(4.0) * sum2
            target[o + 288 + c] = diff1 + np.float32(8.0) * diff2 + source[i + 80 + c]


@numba.njit(cache=True, nogil=True, fastmath=True)
def board_to_tiles(x: F32, board: int, tiles: F32, a: F32, b: F32) -> None:
    """Transform the tiles of one board of ``x`` into ``tiles``."""
    blocks, height, width, points = x.shape[1], x.shape[2], x.shape[3], tiles.shape[1]
    piece = 8 if points == 64 else 6
    step = piece - 2
    side = (width - 2) // step
    count = (height - 2) // step * side
    flat_x, flat_tiles = x.reshape(x.size), tiles.reshape(tiles.size)
    for tile in range(count):
        for k in range(blocks):
            first = ((board * blocks + k) * height + step * (tile // side)) * width + step * (tile % side)
            for row in range(piece):
                for col in range(piece):
                    _copy_block(a, (row * piece + col) * BLOCK, flat_x, (first + row * width + col) * BLOCK)
            if piece == 8:
                _input_lines_8(a, b)
                _input_lines_8(b, a)
            else:
                _input_lines_6(a, b)
                _input_lines_6(b, a)
            first = (board * count + tile) * points * blocks + k
            for point in range(points):
                _copy_block(flat_tiles, (first + point * blocks) * BLOCK, a, point * BLOCK)


@numba.njit(cache=True, nogil=True, fastmath=True)
def board_from_tiles(
    products: F32, board: int, bias: F32, residual: bool, x: F32, rows: int, cols: int, a: F32, b: F32
) -> None:
    """relu(convolution + bias [+ x]) of a board into ``x``, from the ``products`` of its tiles; bias [N, K, BLOCK]."""
    blocks, height, width, points = x.shape[1], x.shape[2], x.shape[3], products.shape[0]
    piece = 8 if points == 64 else 6
    step = piece - 2
    side = (width - 2) // step
    count = (height - 2) // step * side
    flat_x, flat_products, flat_bias = x.reshape(x.size), products.reshape(products.size), bias.reshape(bias.size)
    for tile in range(count):
        top, left = step * (tile // side), step * (tile % side)
        for k in range(blocks):
            first = (board * count + tile) * blocks + k
            for point in range(points):
                _copy_block(a, point * BLOCK, flat_products, (first + point * products.shape[1] * blocks) * BLOCK)
            if piece == 8:
                _output_lines_8(a, b, 8)
                _output_lines_8(b, a, 6)
            else:
                _output_lines_6(a, b, 6)
                _output_lines_6(b, a, 4)
            shown = min(step, cols - left)
            for row in range(min(step, rows - top)):
                first = (((board * blocks + k) * height + top + row + 1) * width + left + 1) * BLOCK
                for col in range(shown):
                    _add_block(a, (row * piece + col) * BLOCK, flat_bias, (board * blocks + k) * BLOCK)
                cells = flat_x[first : first + shown * BLOCK]
                own = a[row * piece * BLOCK : row * piece * BLOCK + shown * BLOCK]
                if residual:
                    for i in range(cells.size):
                        cells[i] = max(np.float32(0.0), cells[i] + own[i])
                else:
                    for i in range(cells.size):
                        cells[i] = max(np.float32(0.0), own[i])


@numba.njit(cache=True, nogil=True, fastmath=True)
def input_transform(x: F32, tiles: F32, count: int, a: F32, b: F32) -> None:
    """Tiles of the first ``count`` boards of ``x``."""
    for board in range(count):
        board_to_tiles(x, board, tiles, a, b)


@numba.njit(cache=True, nogil=True, fastmath=True)
def output_transform(
    products: F32, bias: F32, residual: bool, x: F32, rows: int, cols: int, tiles: F32, count: int, a: F32, b: F32
) -> None:
    """End one convolution (into ``x``) and begin the next (into ``tiles``), board by board while it is in the cache."""
    for board in range(count):
        board_from_tiles(products, board, bias, residual, x, rows, cols, a, b)
        board_to_tiles(x, board, tiles, a, b)


@numba.njit(cache=True, nogil=True, fastmath=True)
def stem(codes: NDArray[np.int8], table: F32, bias: F32, x: F32, size: int, kinds: NDArray[np.int32]) -> None:
    """The first convolution and its ReLU by table [K, 9 taps, 9 kinds, BLOCK] and bias [K, BLOCK]; codes int8 [N, C].

    Kinds: 0 to 2 a cell's code, 3 to 5 the same with the swap flag set, 6 the mover's edge, 7 the opponent's, 8 a
    corner. ``kinds`` is scratch, int32 [n+2, n+2].
    """
    blocks, width = x.shape[1], x.shape[2]
    flat_x, flat_table, flat_bias = x.reshape(x.size), table.reshape(table.size), bias.reshape(bias.size)
    for board in range(codes.shape[0]):
        flag = 3 if codes.shape[1] > size * size and codes[board, size * size] == 1 else 0
        for row in range(size + 2):
            for col in range(size + 2):
                across, along = row in (0, size + 1), col in (0, size + 1)
                if across or along:
                    kinds[row, col] = 5 + int(across) + 2 * int(along)
                else:
                    kinds[row, col] = flag + codes[board, (row - 1) * size + col - 1]
        for k in range(blocks):
            for row in range(size):
                first = (((board * blocks + k) * width + row + 1) * width + 1) * BLOCK
                for col in range(size):
                    _copy_block(flat_x, first + col * BLOCK, flat_bias, k * BLOCK)
                for tap in range(9):
                    for col in range(size):
                        kind = kinds[row + tap // 3, col + tap % 3]
                        _add_block(flat_x, first + col * BLOCK, flat_table, ((k * 9 + tap) * 9 + kind) * BLOCK)
                cells = flat_x[first : first + size * BLOCK]
                for i in range(cells.size):
                    cells[i] = max(np.float32(0.0), cells[i])


@numba.njit(cache=True, nogil=True, fastmath=True)
def pool(x: F32, rows: int, cols: int, pooled: F32, count: int) -> None:
    """Mean and maximum over the board into pooled float32 [N, 2, K, BLOCK]; activations are never negative."""
    blocks, height, width = x.shape[1], x.shape[2], x.shape[3]
    flat_x = x.reshape(x.size)
    sums, tops = np.empty(cols * BLOCK, np.float32), np.empty(cols * BLOCK, np.float32)
    for board in range(count):
        for k in range(blocks):
            sums[:] = np.float32(0.0)
            tops[:] = np.float32(0.0)
            for row in range(rows):
                first = (((board * blocks + k) * height + row + 1) * width + 1) * BLOCK
                cells = flat_x[first : first + cols * BLOCK]
                for i in range(cells.size):
                    sums[i] += cells[i]
                    tops[i] = max(tops[i], cells[i])
            for c in range(BLOCK):
                total, top = np.float32(0.0), np.float32(0.0)
                for col in range(cols):
                    total += sums[col * BLOCK + c]
                    top = max(top, tops[col * BLOCK + c])
                pooled[board, 0, k, c] = total / np.float32(rows * cols)
                pooled[board, 1, k, c] = top


@numba.njit(cache=True, nogil=True, fastmath=True)
def unblock(x: F32, rows: int, cols: int, flat: F32, count: int) -> None:
    """Activations without border and blocks: flat float32 [N, h, w, K, BLOCK]."""
    blocks, height, width = x.shape[1], x.shape[2], x.shape[3]
    flat_x, out = x.reshape(x.size), flat.reshape(flat.size)
    for board in range(count):
        for k in range(blocks):
            for row in range(rows):
                first = ((board * blocks + k) * height + row + 1) * width + 1
                target = (board * rows + row) * cols * blocks + k
                for col in range(cols):
                    _copy_block(out, (target + col * blocks) * BLOCK, flat_x, (first + col) * BLOCK)
