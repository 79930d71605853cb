"""A checkpoint's net as ONNX, for programs without torch; verified against torch.

onnx, onnxscript and onnxruntime are an extra: hexpipe[export].
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hexpipe.errors import CheckpointError, SettingsError, UsageError, install_command
from hexpipe.nets.checkpoints import Checkpoint
from hexpipe.nets.choose_backend import random_codes
from hexpipe.nets.factory import InferenceNet, folded_muzero_net, folded_net
from hexpipe.plain_files import write_output

TOLERANCE = 1e-4
_BATCHES = (1, 2, 7)  # verified; any size is accepted


class _Root(nn.Module):
    """The priors and values of roots, without their latents."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        _, priors, values = self.net.initial(codes)[:3]
        return priors, values


def export_onnx(checkpoint: Checkpoint, path: Path) -> float:
    """Write the net for play of ``checkpoint`` to ``path``; return its largest difference from torch's answers.

    Input ``codes`` int8 [B, C] (see `config.Shapes`), outputs ``priors`` float32 [B, A], illegal moves 0, and
    ``values`` float32 [B, S] in [-1, 1] relative to the mover; any B. For a net with learned dynamics these are the
    answers about roots. Raises SettingsError without the packages, UsageError if the file cannot be written, and
    CheckpointError if ONNX's answers are not torch's.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  needed by torch's exporter
    except ImportError as error:
        raise SettingsError(
            f"exporting needs {error.name}: {install_command('onnx', 'onnxruntime', 'onnxscript')}", kind="missing"
        ) from error
    checkpoint.check_fit()
    settings, shapes = checkpoint.settings, checkpoint.shapes
    net: nn.Module
    if settings.algorithm == "muzero":
        net = _Root(folded_muzero_net(settings.net, shapes, checkpoint.play_weights)).eval()
    else:
        net = InferenceNet(folded_net(settings.net, shapes, checkpoint.play_weights)).eval()
    codes = torch.from_numpy(random_codes(shapes, 3))
    # its messages about optional packages and its own deprecations do not concern the user
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            net,
            (codes,),
            dynamo=True,
            verbose=False,
            input_names=["codes"],
            output_names=["priors", "values"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=65536)},),
        )
    if program is None:
        raise CheckpointError("torch has exported nothing: report this as a bug")
    model = program.model_proto
    facts = {"game": settings.game.title, "step": checkpoint.step, "board_size": shapes.board_size}
    onnx.helper.set_model_props(model, {f"hexpipe.{name}": str(value) for name, value in facts.items()})
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    worst = max(_difference(net, session, random_codes(shapes, batch, seed=batch)) for batch in _BATCHES)
    if not worst <= TOLERANCE:
        raise CheckpointError(f"ONNX's answers differ from torch's by {worst:g}: report this as a bug")
    try:
        write_output(path, data)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}): name another file", kind="access", path=path
        ) from error
    return worst


def _difference(net: nn.Module, session: Any, codes: NDArray[np.int8]) -> float:
    with torch.no_grad():
        wanted = net(torch.from_numpy(codes))
    found = session.run(None, {"codes": codes})
    return max(float(np.abs(a - b.numpy()).max()) for a, b in zip(found, wanted, strict=False))
