"""The net on a CPU (or one GPU, without graphs) by torch: eager, and traced and frozen.

Both keep to the process's number of threads: run one-thread processes (design decision 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hexpipe.answers import Answers
from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.backends import write_outputs
from hexpipe.nets.factory import InferenceNet, folded_net

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def placed(net: InferenceNet, device: torch.device, dtype: str) -> InferenceNet:
    """Move ``net`` to ``device``, its arithmetic in ``dtype``, its convolutions channels last (in place)."""
    net.eval().to(device, DTYPES[dtype])
    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    net.net.edges = net.net.edges.contiguous(memory_format=torch.channels_last)
    return net


def named_answers(outputs: Iterable[Tensor], shapes: Shapes, learned: bool = False) -> Answers:
    """Return ``outputs`` of a net, in their order, as Answers on the host; floats as float32."""
    plain = (part.float() if part.is_floating_point() else part for part in outputs)
    return Answers.named((part.cpu().numpy() for part in plain), shapes, learned)


class EagerBackend:
    """The folded net, channels last, run op by op; works everywhere."""

    name = "eager"

    def __init__(self, settings: NetSettings, shapes: Shapes, dtype: str = "float32", device: str = "cpu") -> None:
        self.dtype = dtype
        self._settings, self._shapes = settings, shapes
        self._device = torch.device(device)
        self._net = self._prepared(None)

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._net = self._prepared(weights)

    def infer(self, codes: NDArray[np.int8], out: Answers) -> None:
        with torch.inference_mode():
            outputs = self._net(torch.from_numpy(codes).to(self._device))
            write_outputs(named_answers(outputs, self._shapes), out, self.name)

    def _prepared(self, weights: Mapping[str, NDArray[np.float32]] | None) -> torch.nn.Module:
        plain = folded_net(self._settings, self._shapes, weights)
        return placed(InferenceNet(plain), self._device, self.dtype)


class FrozenBackend(EagerBackend):
    """The net traced, frozen and optimised by torch.jit: weights become constants, so new weights are traced again."""

    name = "frozen"

    def _prepared(self, weights: Mapping[str, NDArray[np.float32]] | None) -> torch.nn.Module:
        net = super()._prepared(weights)
        codes = torch.zeros(8, self._shapes.code_length, dtype=torch.int8, device=self._device)
        with torch.no_grad():
            traced: torch.jit.ScriptModule = torch.jit.trace(net, codes, check_trace=False)  # type: ignore[no-untyped-call]
            return torch.jit.optimize_for_inference(torch.jit.freeze(traced))
