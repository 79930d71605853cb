"""Timing of backends in a process of its own, so that what they load is in memory only where it is used.

``python -m hexpipe.nets.timing_apart`` reads the request of `timed_apart` and writes the speeds, both JSON.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

from hexpipe.config import NetSettings, Shapes
from hexpipe.nets.choose_backend import Kind, Speeds, build_backend, time_backends, warm_up

log = logging.getLogger(__name__)


def timed_apart(
    kinds: Sequence[Kind], net: NetSettings, shapes: Shapes, max_batch: int, sizes: Sequence[int], seconds: float
) -> Speeds:
    """Return the speeds of CPU backends of ``kinds`` at batches of ``sizes``, measured for about ``seconds``.

    None, with a line in the log, where they do not run.
    """
    request = {"net": net.model_dump(), "shapes": asdict(shapes), "kinds": kinds, "sizes": sizes}
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        input=json.dumps({**request, "max_batch": max_batch, "seconds": seconds}).encode(),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        names = ", ".join(" ".join(kind) for kind in kinds)
        log.warning("%s cannot be timed: %s", names, words[-1] if words else f"exit code {done.returncode}")
        return {}
    return {((name, dtype), size): speed for name, dtype, size, speed in json.loads(done.stdout)}


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
