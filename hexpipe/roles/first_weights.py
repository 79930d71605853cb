"""The initial weights of a run, before there is a learner, and later when it has long gone on.

``python -m hexpipe.roles.first_weights`` writes those of a seed to its standard output (see `_of_seed_elsewhere`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import numpy as safetensors_numpy

from hexpipe.config import NetSettings, Settings, Shapes
from hexpipe.errors import CheckpointError, HexpipeError
from hexpipe.module_process import ask_module
from hexpipe.nets.checkpoints import load_checkpoint

if TYPE_CHECKING:  # the module of segments imports much that neither this nor its process needs
    from hexpipe.nets.plain_net import Weights
    from hexpipe.roles.segments import Start


def first_weights(settings: Settings, shapes: Shapes, start: Start) -> tuple[int, Weights]:
    """Return (training steps, weights for play) at a run's start: those that the `Learner` will begin with.

    They are ready sooner than a Learner: servers and generators wait for them.
    """
    if start.resume is not None:
        checkpoint = load_checkpoint(start.resume, groups=("model", "ema"))
        return checkpoint.step, checkpoint.play_weights
    if start.init_from is not None:
        return 0, load_checkpoint(start.init_from, groups=("model", "ema")).play_weights
    return 0, _of_seed(settings.net, shapes, settings.seed)


def weights_of_step_0(
    settings: Settings, shapes: Shapes, meta: Mapping[str, Any], meanwhile: Callable[[], None] | None = None
) -> Weights:
    """Return the initial weights of the run whose later checkpoint has ``meta``. This process imports no torch.

    It takes seconds, or a busy machine half a minute; ``meanwhile`` is called twice a second. CheckpointError where it
    does not tell, or the checkpoint that the run was started from is gone.
    """
    match meta.get("first_weights"):
        case {"seed": int(seed)} if 0 <= seed < 2**32:
            return _of_seed_elsewhere(settings.net, shapes, seed, meanwhile)
        case {"checkpoint": str(path)}:
            return load_checkpoint(Path(path), groups=("model", "ema")).play_weights
    raise CheckpointError("nothing says what this run began with", kind="missing")


def _of_seed(net: NetSettings, shapes: Shapes, seed: int) -> Weights:
    import torch

    from hexpipe.nets.factory import build_net, net_weights

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return net_weights(build_net(net, shapes))


def _of_seed_elsewhere(net: NetSettings, shapes: Shapes, seed: int, meanwhile: Callable[[], None] | None) -> Weights:
    """Return `_of_seed` from a process of its own, whose torch goes with it: 200 MB."""
    request = {"net": net.model_dump(), "shapes": asdict(shapes), "seed": seed}
    try:
        made = ask_module(__name__, request, meanwhile)
    except HexpipeError as error:
        raise CheckpointError(f"the weights of step 0 could not be made ({error})", kind="missing") from error
    return dict(safetensors_numpy.load(made))


def main() -> None:
    """Read the net's settings, the shapes and a seed as JSON, and write the weights as safetensors."""
    request = json.load(sys.stdin)
    net, shapes = NetSettings(**request["net"]), Shapes(**request["shapes"])
    sys.stdout.buffer.write(safetensors_numpy.save(dict(_of_seed(net, shapes, request["seed"]))))


if __name__ == "__main__":
    main()
