"""A question to one of hexpipe's own modules in a process that ends with its answer, and takes what it loaded along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from hexpipe.errors import HexpipeError

_TURN_SECONDS = 0.5


def ask_module(module: str, request: Any, meanwhile: Callable[[], None] | None = None) -> bytes:
    """Run ``python -m module`` with ``request`` as JSON on its standard input; return its standard output.

    ``meanwhile`` is called twice a second until it answers; what that raises ends the process. HexpipeError, with the
    last line that it wrote to its standard error, where it fails.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with process:
        try:
            answer, errors = _communicate(process, json.dumps(request).encode(), meanwhile)
        except BaseException:
            process.kill()  # or leaving the block would wait for its answer
            raise
    if process.returncode:
        words = errors.decode(errors="replace").strip().splitlines()
        raise HexpipeError(words[-1] if words else f"exit code {process.returncode}")
    return answer


def _communicate(
    process: subprocess.Popen[bytes], request: bytes, meanwhile: Callable[[], None] | None
) -> tuple[bytes, bytes]:
    unsent: bytes | None = request  # a second call goes on with the first one's input, and takes none
    while True:
        try:
            return process.communicate(unsent, timeout=None if meanwhile is None else _TURN_SECONDS)
        except subprocess.TimeoutExpired:
            unsent = None
            if meanwhile is not None:
                meanwhile()
