"""A question to one of hexpipe's own modules in a process that ends with its answer, and takes what it loaded along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from hexpipe.errors import HexpipeError


def ask_module(module: str, request: Any) -> bytes:
    """Run ``python -m module`` with ``request`` as JSON on its standard input; return its standard output.

    HexpipeError, with the last line that it wrote to its standard error, where it fails.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", module],
        input=json.dumps(request).encode(),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise HexpipeError(words[-1] if words else f"exit code {done.returncode}")
    return done.stdout
