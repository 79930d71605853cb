"""From int8 codes to input planes, on the device that runs the net."""

from __future__ import annotations

import torch
from torch import Tensor

from hexpipe.config import Shapes

NUM_PLANES = 4  # mine, theirs, empty, the extra action (swap) is legal


def edge_planes(board_size: int) -> Tensor:
    """The border ring that the first convolution sees: float32 [1, NUM_PLANES, n+2, n+2], zero inside.

    The mover owns the top and bottom edge, the opponent the left and right one; a corner belongs to both.
    """
    edges = torch.zeros(1, NUM_PLANES, board_size + 2, board_size + 2)
    edges[:, 0, 0, :] = edges[:, 0, -1, :] = 1
    edges[:, 1, :, 0] = edges[:, 1, :, -1] = 1
    return edges


def expand_codes(codes: Tensor, board_size: int, edges: Tensor | None = None) -> Tensor:
    """Input planes [B, NUM_PLANES, n+2, n+2] of ``codes`` int8 [B, C], in the dtype of ``edges`` (or float32).

    ``edges`` is what `edge_planes` returns, kept on the device by the caller. The swap plane is all zero for codes
    without a flag, so that one set of weights serves both.
    """
    if edges is None:
        edges = edge_planes(board_size).to(codes.device)
    num_cells = board_size * board_size
    cells = codes[:, :num_cells].reshape(-1, 1, board_size, board_size)
    flag = torch.any(codes[:, num_cells:] == 1, dim=1)  # of no flag at all: False
    swap = flag.reshape(-1, 1, 1, 1).expand(-1, 1, board_size, board_size)
    planes = torch.cat((cells == 1, cells == 2, cells == 0, swap), dim=1)
    return torch.nn.functional.pad(planes.to(edges.dtype), (1, 1, 1, 1)) + edges


def illegal_mask(codes: Tensor, num_cells: int) -> Tensor:
    """True where an action is illegal: bool [B, A], from ``codes`` int8 [B, C] (a cell is taken, a flag is 0)."""
    return torch.cat((codes[:, :num_cells] != 0, codes[:, num_cells:] == 0), dim=1)


def check_shapes(shapes: Shapes) -> None:
    """ValueError if ``shapes`` are not those that these planes can show (a board and at most one more action)."""
    extra = shapes.num_actions - shapes.view_cells
    whole = shapes.view_size == shapes.board_size and shapes.code_length == shapes.num_actions
    if extra not in (0, 1) or not whole:
        raise ValueError(f"the planes show a whole board and at most one more action, not {shapes}")
