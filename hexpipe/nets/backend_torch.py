"""The net on a CPU (or one GPU, without graphs) by torch: eager, and traced and frozen.

Both keep to the process's number of threads: run one-thread processes (design decision 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

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


class Trace:
    """A net traced by torch.jit once and frozen with each set of weights: tracing is most of the time of a load."""

    def __init__(self, *example: Tensor) -> None:
        self._example = example
        self._traced: torch.jit.ScriptModule | None = None

    def freeze(self, net: torch.nn.Module) -> torch.nn.Module:
        """Return ``net``, which differs from those before it in its tensors alone, with its weights as constants."""
        with torch.no_grad():
            if self._traced is None:
                self._traced = torch.jit.trace(net, self._example, check_trace=False)  # type: ignore[no-untyped-call]
            tensors = (net.named_parameters(remove_duplicate=False), net.named_buffers(remove_duplicate=False))
            for name, tensor in chain(*tensors):
                owner, _, attribute = name.rpartition(".")
                setattr(self._traced.get_submodule(owner), attribute, tensor)
            return torch.jit.optimize_for_inference(torch.jit.freeze(self._traced))


class FrozenBackend(EagerBackend):
    """The net traced, frozen and optimised by torch.jit: weights are constants."""

    name = "frozen"

    def __init__(self, settings: NetSettings, shapes: Shapes, dtype: str = "float32", device: str = "cpu") -> None:
        self._trace = Trace(torch.zeros(8, shapes.code_length, dtype=torch.int8, device=device))
        super().__init__(settings, shapes, dtype, device)

    def _prepared(self, weights: Mapping[str, NDArray[np.float32]] | None) -> torch.nn.Module:
        return self._trace.freeze(super()._prepared(weights))
