"""Conversion of int8 codes to input planes, on the device that runs the net.

Where seats own the board's edges and see it transposed (Hex: `Shapes.turns_frame`) the planes are the mover's stones,
the opponent's, empty, and "the extra action (swap) is legal"; the border ring shows whose edges are whose. Otherwise
they are one for each seat from the mover on, empty, and off the board or closed, which includes the ring; with an
action that is no cell, "it is legal"; and with a thumbnail of the board, one more for each seat and one of the view's
extent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hexpipe.config import Shapes
from hexpipe.nets import plain_net
from hexpipe.nets.net_template import FULL_BUCKET, OFF_BOARD


def edge_planes(shapes: Shapes) -> Tensor:
    """Return `plain_net.edge_planes` as a tensor."""
    return torch.from_numpy(plain_net.edge_planes(shapes))


def expand_codes(codes: Tensor, shapes: Shapes, edges: Tensor | None = None) -> Tensor:
    """Expand ``codes`` int8 [B, C] to input planes [B, P, n+2, n+2], in the dtype of ``edges`` (or float32).

    ``edges`` is the result of `edge_planes`, kept on the device by the caller. The swap plane is all zero for codes
    without a flag, so that one set of weights serves both.
    """
    if edges is None:
        edges = edge_planes(shapes).to(codes.device)
    n, view_cells, num_actions = shapes.view_size, shapes.view_cells, shapes.num_actions
    cells = codes[:, :view_cells].reshape(-1, 1, n, n)
    parts = [cells == seat for seat in range(1, shapes.num_seats + 1)] + [cells == 0]
    if not shapes.turns_frame:
        parts.append(cells == OFF_BOARD)
    if num_actions > view_cells:
        flag = torch.any(codes[:, view_cells:num_actions] == 1, dim=1)
        parts.append(flag.reshape(-1, 1, 1, 1).expand(-1, 1, n, n))
    elif shapes.turns_frame:  # no swap: the plane is there anyway, and zero
        parts.append(torch.zeros_like(cells, dtype=torch.bool))
    planes = torch.cat(parts, dim=1).to(edges.dtype)
    if shapes.thumbnail:
        small = codes[:, num_actions:].reshape(-1, shapes.num_seats + 1, n, n).to(edges.dtype)
        planes = torch.cat((planes, small[:, :-1] / FULL_BUCKET, small[:, -1:]), dim=1)
    return torch.nn.functional.pad(planes, (1, 1, 1, 1)) + edges


def illegal_mask(codes: Tensor, shapes: Shapes) -> Tensor:
    """Return a mask bool [B, A] of illegal actions (a cell is taken or off, a flag is 0), from codes int8 [B, C]."""
    view_cells = shapes.view_cells
    cells = codes[:, :view_cells] != 0
    if shapes.num_actions == view_cells:
        return cells
    return torch.cat((cells, codes[:, view_cells : shapes.num_actions] == 0), dim=1)
