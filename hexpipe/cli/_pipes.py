"""The pipes of commands that are driven by a program."""

from __future__ import annotations

import io
import os
import sys
from typing import BinaryIO

from hexpipe.errors import UsageError


def standard_input() -> BinaryIO:
    """Standard input in bytes, by a file of its own: Python aborts where a thread still reads `sys.stdin` at the end.

    UsageError where it is closed.
    """
    if sys.stdin is None:
        raise UsageError("standard input is closed: this command is told there what to do")
    try:
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    except io.UnsupportedOperation:  # it was replaced, as tests do
        return sys.stdin.buffer
    except (OSError, ValueError) as error:
        raise UsageError(f"standard input cannot be read ({error}): this command is told there what to do") from error


def standard_output() -> BinaryIO:
    """Standard output in bytes; UsageError where it is closed."""
    if sys.stdout is None:
        raise UsageError("standard output is closed: this command answers there")
    return sys.stdout.buffer
