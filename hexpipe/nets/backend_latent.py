"""MuZero's network for a search: latents stay in one pool on the device, with two sets of weights (double buffering).

A latent is a row of the pool. The caller tracks which of the two sets made it (`inference.latents`): a search belongs
to the weights that made its root.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hexpipe.answers import Answers
from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.backend_torch import DTYPES, Trace, named_answers
from hexpipe.nets.backends import write_outputs
from hexpipe.nets.factory import folded_muzero_net
from hexpipe.nets.muzero_network import MuZeroNet

WEIGHT_SLOTS = 2
_TRACED_ROWS = 8


class _Initial(nn.Module):
    def __init__(self, net: MuZeroNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, codes: Tensor) -> tuple[Tensor, ...]:
        return self.net.initial(codes)


class _Recurrent(nn.Module):
    def __init__(self, net: MuZeroNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, latent: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        return self.net.recurrent(latent, actions)


class LatentBackend:
    """Two folded nets (traced and frozen on a CPU) over a pool float [rows, channels, n, n]. Not thread-safe.

    ``dtype``: of the arithmetic and the pool; unset: bfloat16 on a GPU, float32 on a CPU. ``eager``: do not freeze.
    """

    def __init__(
        self,
        settings: NetSettings,
        shapes: Shapes,
        rows: int,
        dtype: str | None = None,
        device: str = "cpu",
        eager: bool = False,
    ) -> None:
        dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
        self.name = "eager" if eager or device != "cpu" else "frozen"
        self.dtype = dtype
        self._settings, self._shapes = settings, shapes
        self._device = torch.device(device)
        board = settings.channels, shapes.view_size, shapes.view_width
        self.pool = torch.zeros(rows, *board, dtype=DTYPES[dtype], device=self._device)
        latents, actions = torch.zeros(_TRACED_ROWS, *self.pool.shape[1:]), torch.zeros(_TRACED_ROWS, dtype=torch.int64)
        self._traces = (Trace(torch.zeros(_TRACED_ROWS, shapes.code_length, dtype=torch.int8)), Trace(latents, actions))
        prepared = self._prepared(None)
        self._nets = [prepared] * WEIGHT_SLOTS

    @property
    def pool_bytes(self) -> int:
        """Bytes of the latents."""
        return self.pool.numel() * self.pool.element_size()

    def load(self, weights: Mapping[str, NDArray[np.float32]], slot: int = 0) -> None:
        """Load new weights into ``slot``. CheckpointError if they do not fit."""
        self._nets[slot] = self._prepared(weights)

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        """Evaluate as `Backend.infer` with slot 0, without keeping latents."""
        with torch.inference_mode():
            _, *outputs = self._nets[0][0](self._on_device(codes))
            write_outputs(named_answers(outputs, self._shapes), out, self.name)

    def initial(self, slot: int, codes: NDArray[np.int8], rows: NDArray[np.integer], out: Answers) -> None:
        """Evaluate roots: codes int8 [R, C] into ``out``, without rewards, their latents into pool ``rows``."""
        with torch.inference_mode():
            latent, *outputs = self._nets[slot][0](self._on_device(codes))
            self.pool.index_copy_(0, self._on_device(rows, np.int64), latent)
            write_outputs(named_answers(outputs, self._shapes), out, self.name)

    def recurrent(
        self,
        slot: int,
        parents: NDArray[np.integer],
        actions: NDArray[np.integer],
        rows: NDArray[np.integer],
        out: Answers,
    ) -> None:
        """Evaluate the children by ``actions`` [K] of the latents in pool rows ``parents`` [K] into ``out``.

        Their latents go into pool ``rows`` [K].
        """
        with torch.inference_mode():
            latents = self.pool.index_select(0, self._on_device(parents, np.int64))
            following, *outputs = self._nets[slot][1](latents, self._on_device(actions, np.int64))
            self.pool.index_copy_(0, self._on_device(rows, np.int64), following)
            write_outputs(named_answers(outputs, self._shapes, learned=True), out, self.name)

    def _on_device(self, array: NDArray[np.generic], dtype: type | None = None) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype)).to(self._device)

    def _prepared(self, weights: Mapping[str, NDArray[np.float32]] | None) -> tuple[nn.Module, nn.Module]:
        net = folded_muzero_net(self._settings, self._shapes, weights).eval().to(self._device, DTYPES[self.dtype])
        initial, recurrent = _Initial(net).eval(), _Recurrent(net).eval()
        if self.name != "frozen":
            return initial, recurrent
        return self._traces[0].freeze(initial), self._traces[1].freeze(recurrent)
