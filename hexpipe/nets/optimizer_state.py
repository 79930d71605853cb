"""A torch optimizer's state as named tensors and back, so that a checkpoint needs no pickle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from hexpipe.errors import CheckpointError

_ADAM = {"step", "exp_avg", "exp_avg_sq"}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the state by "parameter number.state name" (Adam: step, exp_avg, exp_avg_sq), without learning rates."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": torch.as_tensor(value) for index, own in state.items() for name, value in own.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, NDArray[np.generic]]) -> None:
    """Load the state of `optimizer_tensors`; CheckpointError if it is of other parameters, or not Adam's."""
    document = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    indices = {str(index): index for index in range(len(parameters))}
    state: dict[int, dict[str, Tensor]] = {}
    for key, array in tensors.items():
        number, _, name = key.partition(".")
        index = indices.get(number)
        shape = () if name == "step" else None if index is None else tuple(parameters[index].shape)
        if index is None or name not in _ADAM or array.shape != shape or array.dtype.kind != "f":
            raise CheckpointError(
                f"the optimizer state does not fit ({key[:80]!r}); use the net settings of its run", kind="foreign"
            )
        state.setdefault(index, {})[name] = torch.from_numpy(np.array(array))
    for index, own in state.items():
        if own.keys() != _ADAM:
            raise CheckpointError(
                f"the optimizer state of parameter {index} is not whole; take another checkpoint", kind="damaged"
            )
    optimizer.load_state_dict({"state": state, "param_groups": document["param_groups"]})
