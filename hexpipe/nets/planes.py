"""Conversion of int8 codes to input planes, on the device that runs the net.

Planes are comparisons of codes, or numbers (`Shapes.planes`). Where seats own the board's edges and see it transposed
(Hex: `Shapes.turns_frame`) they are the mover's stones, the opponent's, empty, and "the extra action (swap) is legal";
the border ring shows whose edges are whose. Else, unless a game declares its own, they are one for each seat from the
mover on, empty, and off the board or closed; with an action that is no cell, "it is legal"; and with a thumbnail of the
board, one more for each seat and one of the view's extent. The ring is off the board, or in the last plane of declared
ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hexpipe.config import NUMBERS, Shapes
from hexpipe.nets import plain_net
from hexpipe.nets.net_template import FULL_BUCKET


def edge_planes(shapes: Shapes) -> Tensor:
    """Return `plain_net.edge_planes` as a tensor."""
    return torch.from_numpy(plain_net.edge_planes(shapes))


def expand_codes(codes: Tensor, shapes: Shapes, edges: Tensor | None = None) -> Tensor:
    """Expand ``codes`` int8 [B, C] to input planes [B, P, h+2, w+2], in the dtype of ``edges`` (or float32).

    ``edges`` is the result of `edge_planes`, kept on the device by the caller.
    """
    if edges is None:
        edges = edge_planes(shapes).to(codes.device)
    rows, columns = shapes.view_size, shapes.view_width
    board = (-1, 1, rows, columns)
    parts = []
    for plane in shapes.planes:
        own = codes[:, plane.codes(shapes.view_cells)]
        shown = float16_numbers(own) if plane.code == NUMBERS else own == plane.code
        shown = shown.to(edges.dtype)
        parts.append(shown[:, :, None, None].expand(-1, 1, rows, columns) if plane.whole else shown.reshape(board))
    planes = torch.cat(parts, dim=1)
    if shapes.thumbnail:
        small = codes[:, shapes.num_actions :].reshape(-1, shapes.num_seats + 1, rows, columns).to(edges.dtype)
        planes = torch.cat((planes, small[:, :-1] / FULL_BUCKET, small[:, -1:]), dim=1)
    return torch.nn.functional.pad(planes, (1, 1, 1, 1)) + edges


def float16_numbers(codes: Tensor) -> Tensor:
    """Return the finite float16 numbers whose bytes are ``codes`` int8 [B, 2 * N], as float32 [B, N].

    Arithmetic, because neither torch.jit.trace nor an export to ONNX knows `Tensor.view` of another dtype (2.13.0).
    """
    low, high = (codes[:, first::2].to(torch.int32) & 255 for first in (0, 1))
    exponent, fraction = (high >> 2) & 31, ((high & 3) << 8) + low
    power = torch.pow(2.0, (exponent.clamp(min=1) - 25).to(torch.float32))
    magnitude = (fraction + 1024 * (exponent > 0)).to(torch.float32) * power
    return torch.where(high > 127, -magnitude, magnitude)


def illegal_mask(codes: Tensor, shapes: Shapes) -> Tensor:
    """Return a mask bool [B, A] of illegal actions from codes int8 [B, C]: a cell that is taken or off, a flag of 0."""
    if shapes.declared:
        return codes[:, shapes.code_length - shapes.num_actions :] != 1
    view_cells = shapes.view_cells
    cells = codes[:, :view_cells] != 0
    if not shapes.num_others:
        return cells
    return torch.cat((cells, codes[:, view_cells : shapes.num_actions] == 0), dim=1)
