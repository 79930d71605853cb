"""The optimiser: Muon for the matrices of the trunk, AdamW for all else; its state as named tensors.

Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks") moves a matrix by the nearest
orthogonal one to its averaged gradient, so that no direction waits for another; a convolution is the matrix of its
filters. AdamW (Loshchilov and Hutter 2019) is torch's own function, with fused kernels.

The classes of ``torch.optim`` import torch's compiler, which nothing here uses: 80 MB of a learner, and a second or
more of its start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adamw import adamw

from hexpipe.errors import CheckpointError

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8
_MOMENTUM = 0.95
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # of the paper: singular values come near 1 in five iterations
_ITERATIONS = 5
_ADAMW, _MUON = ("step", "exp_avg", "exp_avg_sq"), ("momentum",)


class Group(NamedTuple):
    """Parameters that are updated alike. ``weight_decay`` is decoupled."""

    parameters: Sequence[nn.Parameter]
    weight_decay: float


class Optimizer:
    """Updates ``groups``; in each, those of ``hidden`` are matrices of the trunk, for Muon.

    ``learning_rate`` is AdamW's, ``muon_rate`` Muon's; both may be set before any step.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        learning_rate: float,
        hidden: Sequence[nn.Parameter] = (),
        muon_rate: float = 0.0,
    ) -> None:
        self.groups = list(groups)
        self.learning_rate, self.muon_rate = learning_rate, muon_rate
        self._hidden = set(hidden)
        self._state: dict[nn.Parameter, dict[str, Tensor]] = {}

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All parameters, in the order in which the state numbers them."""
        return [parameter for group in self.groups for parameter in group.parameters]

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, skip: Tensor | None = None) -> None:
        """Update the parameters that have a gradient; where ``skip``, a scalar bool on their device, is true, change
        nothing."""
        for parameters, weight_decay in self.groups:
            trained = [parameter for parameter in parameters if parameter.grad is not None]
            self._adamw([p for p in trained if p not in self._hidden], weight_decay, skip)
            hidden = sorted((p for p in trained if p in self._hidden), key=lambda p: tuple(p.shape))
            for _, alike in groupby(hidden, key=lambda p: p.shape):
                self._muon(list(alike), weight_decay, skip)

    def _adamw(self, parameters: list[nn.Parameter], weight_decay: float, skip: Tensor | None) -> None:
        states = [self._state_of(parameter) for parameter in parameters]
        adamw(
            list(parameters),
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [own["exp_avg"] for own in states],
            [own["exp_avg_sq"] for own in states],
            [],
            [own["step"] for own in states],
            fused=True,
            found_inf=None if skip is None else skip.float(),
            amsgrad=False,
            beta1=_BETA1,
            beta2=_BETA2,
            lr=self.learning_rate,
            weight_decay=weight_decay,
            eps=_EPS,
            maximize=False,
        )

    def _muon(self, parameters: list[nn.Parameter], weight_decay: float, skip: Tensor | None) -> None:
        """Update parameters of one shape: their matrices are made orthogonal together."""
        momenta = [self._state_of(parameter)["momentum"] for parameter in parameters]
        gradients = torch.stack([_as_matrix(p.grad) for p in parameters if p.grad is not None])
        before = torch.stack([_as_matrix(momentum) for momentum in momenta])
        after = before.lerp(gradients, 1 - _MOMENTUM)
        updates = orthogonal(gradients.lerp(after, _MOMENTUM))
        rows, columns = updates.shape[1:]
        # with this a matrix of more outputs than inputs changes each output by as much as a square one does
        updates *= -self.muon_rate * max(1.0, rows / columns) ** 0.5
        decay = torch.full((), -self.muon_rate * weight_decay, device=updates.device)  # filled there: nothing waits
        if skip is not None:
            after, updates = torch.where(skip, before, after), updates.masked_fill_(skip, 0.0)
            decay = decay.masked_fill(skip, 0.0)
        shape = parameters[0].shape
        torch._foreach_copy_(momenta, [_from_matrix(matrix, shape) for matrix in after])
        tensors: list[Tensor] = [*parameters]
        torch._foreach_mul_(tensors, 1.0 + decay)
        torch._foreach_add_(tensors, [_from_matrix(matrix, shape) for matrix in updates])

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        if parameter not in self._state:
            self._state[parameter] = {
                name: torch.zeros((), device=parameter.device) if name == "step" else torch.zeros_like(parameter)
                for name in self._names(parameter)
            }
        return self._state[parameter]

    def _names(self, parameter: nn.Parameter) -> tuple[str, ...]:
        return _MUON if parameter in self._hidden else _ADAMW

    def tensors(self) -> dict[str, Tensor]:
        """Return the state by "number of the parameter.name", float32, without rates.

        AdamW's names are step, exp_avg and exp_avg_sq, Muon's is momentum.
        """
        return {
            f"{number}.{name}": tensor
            for number, parameter in enumerate(self.parameters)
            for name, tensor in self._state.get(parameter, {}).items()
        }

    def restore(self, tensors: Mapping[str, NDArray[np.generic]]) -> None:
        """Load the state of `tensors`; CheckpointError if it is of other parameters, or not whole.

        A parameter that the other method has trained until now begins anew.
        """
        parameters = self.parameters
        found: dict[int, dict[str, Tensor]] = {}
        for key, array in tensors.items():
            text, _, name = key.partition(".")
            number = int(text) if text.isdecimal() and text.isascii() and len(text) < 9 else len(parameters)
            shape = () if name == "step" else tuple(parameters[number].shape) if number < len(parameters) else None
            known = number < len(parameters) and text == str(number) and name in (*_ADAMW, *_MUON)
            if not known or array.shape != shape or array.dtype.kind != "f":
                raise CheckpointError(
                    f"the optimizer state does not fit ({key[:80]!r}); use the net settings of its run", kind="foreign"
                )
            found.setdefault(number, {})[name] = torch.from_numpy(np.array(array))
        restored: dict[nn.Parameter, dict[str, Tensor]] = {}
        for number, own in found.items():
            if own.keys() not in ({*_ADAMW}, {*_MUON}):
                raise CheckpointError(
                    f"the optimizer state of parameter {number} is not whole; take another checkpoint", kind="damaged"
                )
            parameter = parameters[number]
            if own.keys() == {*self._names(parameter)}:
                # the fused step reads a parameter and its averages as flat memory: all in the parameter's own layout
                restored[parameter] = {
                    name: torch.zeros((), device=parameter.device).copy_(tensor)
                    if name == "step"
                    else torch.empty_like(parameter).detach().copy_(tensor)
                    for name, tensor in own.items()
                }
        self._state = restored


def _as_matrix(tensor: Tensor) -> Tensor:
    """Return a parameter [outputs, inputs, ...] as [outputs, ... * inputs]: for a convolution in the layout of the
    learner (channels last) that is its memory, which is not copied."""
    return tensor.movedim(1, -1).flatten(1)


def _from_matrix(matrix: Tensor, shape: torch.Size) -> Tensor:
    """Return what `_as_matrix` has made of a parameter of ``shape``."""
    outputs, inputs, *kernel = shape
    return matrix.view(outputs, *kernel, inputs).movedim(-1, 1)


def orthogonal(matrices: Tensor) -> Tensor:
    """Return the nearest orthogonal matrices to float32 [k, rows, columns], nearly: singular values of 0.7 to 1.2.

    By the quintic Newton-Schulz iteration of the Muon paper, on an accelerator in bfloat16 as there.
    """
    a, b, c = _NEWTON_SCHULZ
    x = matrices if matrices.device.type == "cpu" else matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    found: Tensor = x.mT if tall else x
    return found.float()


def make_optimizer(net: nn.Module, learning_rate: float, weight_decay: float, muon_rate: float = 0.0) -> Optimizer:
    """Return the optimiser of a net in training; gains and biases are not decayed.

    With a ``muon_rate`` of 0 AdamW updates all. Heads and what goes into the trunk are AdamW's in any case.
    """
    named = dict(net.named_parameters())
    decayed, others = ([p for p in named.values() if (p.ndim > 1) is wide] for wide in (True, False))
    hidden = [p for name, p in named.items() if p.ndim > 1 and ".blocks." in name] if muon_rate else []
    return Optimizer([Group(decayed, weight_decay), Group(others, 0.0)], learning_rate, hidden, muon_rate)
