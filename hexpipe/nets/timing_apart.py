"""Timing of backends in a process of its own, so that what they load is in memory only where it is used.

``python -m hexpipe.nets.timing_apart`` reads the request of `timed_apart` and writes the speeds, both JSON.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict

from hexpipe.config import NetSettings, Shapes
from hexpipe.errors import HexpipeError
from hexpipe.module_process import ask_module
from hexpipe.nets.choose_backend import Kind, Speeds, build_backend, time_backends, warm_up

log = logging.getLogger(__name__)


def timed_apart(
    kinds: Sequence[Kind], net: NetSettings, shapes: Shapes, max_batch: int, sizes: Sequence[int], seconds: float
) -> Speeds:
    """Return the speeds of CPU backends of ``kinds`` at batches of ``sizes``, measured for about ``seconds``.

    None, with a line in the log, where they do not run.
    """
    what = {"net": net.model_dump(), "shapes": asdict(shapes), "kinds": kinds}
    how = {"max_batch": max_batch, "sizes": sizes, "seconds": seconds}
    try:
        found = json.loads(ask_module(__name__, {**what, **how}))
    except HexpipeError as error:
        log.warning("%s cannot be timed: %s", ", ".join(" ".join(kind) for kind in kinds), error)
        return {}
    return {((name, dtype), size): speed for name, dtype, size, speed in found}


def main() -> None:
    """Build and time what standard input asks for."""
    request = json.load(sys.stdin)
    net, shapes = NetSettings(**request["net"]), Shapes(**request["shapes"])
    kinds = [(name, dtype) for name, dtype in request["kinds"]]
    built = {kind: build_backend(kind, net, shapes, "cpu", request["max_batch"]) for kind in kinds}
    for backend in built.values():
        warm_up(backend, shapes, request["sizes"][0])
    speeds = time_backends(built, shapes, request["sizes"], "cpu", request["seconds"])
    json.dump([(*kind, size, speed) for (kind, size), speed in speeds.items()], sys.stdout)


if __name__ == "__main__":
    main()
