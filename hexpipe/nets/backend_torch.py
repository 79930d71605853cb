"""torch on a CPU: eager."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.backends import FloatArray, write_outputs
from hexpipe.nets.factory import HexNet, InferenceNet, fold, fold_into, load_weights


class EagerBackend:
    """The folded net, run op by op; works everywhere."""

    name = "eager"
    dtype = "float32"

    def __init__(self, settings: NetSettings, shapes: Shapes, device: str = "cpu") -> None:
        self._training = HexNet(settings, shapes)
        self._device = torch.device(device)
        self._plain = fold(self._training).to(self._device)
        self._net = InferenceNet(self._plain)

    def load(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        load_weights(self._training, weights)
        fold_into(self._training, self._plain)

    def infer(self, codes: NDArray[np.int8], priors_out: FloatArray, values_out: FloatArray) -> None:
        with torch.inference_mode():
            priors, values = self._net(torch.from_numpy(codes).to(self._device))
            write_outputs(priors.cpu().numpy(), values.cpu().numpy(), priors_out, values_out, self.name)
