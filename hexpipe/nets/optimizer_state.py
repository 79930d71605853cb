"""A torch optimizer's state as named tensors and back, so that a checkpoint needs no pickle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from hexpipe.errors import CheckpointError


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The state by "parameter number.state name" (Adam: step, exp_avg, exp_avg_sq); learning rates are not state."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": torch.as_tensor(value) for index, own in state.items() for name, value in own.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, NDArray[np.generic]]) -> None:
    """Load what `optimizer_tensors` gave; CheckpointError if it is of other parameters."""
    document = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, array in tensors.items():
        number, _, name = key.partition(".")
        index = int(number) if number.isdecimal() else len(parameters)
        if index >= len(parameters) or (array.ndim and array.shape != tuple(parameters[index].shape)):
            raise CheckpointError(f"the optimizer state does not fit ({key!r}); use the net settings of its run")
        state.setdefault(index, {})[name] = torch.from_numpy(np.array(array))
    optimizer.load_state_dict({"state": state, "param_groups": document["param_groups"]})
