"""Check of user scripts that spawn processes without `if __name__ == "__main__":`, and so would run again in each
child."""

from __future__ import annotations

import multiprocessing
import os
import sys
from contextlib import suppress
from pathlib import Path

from hexpipe.errors import UsageError

NO_GUARD_EXIT = 78  # EX_CONFIG of sysexits.h
NO_GUARD = (
    'the script that starts this has no `if __name__ == "__main__":` around what it does, and every process of it runs '
    "the script again: put its last lines under one"
)


def check_main_guard() -> None:
    """Raise UsageError before processes are spawned from a script that has no guard.

    A process that is itself being spawned, and gets here because the guard does not cover this call, ends with
    `NO_GUARD_EXIT`.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(NO_GUARD_EXIT)
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) is not None:  # interactive, or `python -m`
        return
    with suppress(OSError, UnicodeDecodeError):
        source = Path(path).read_text(encoding="utf-8")
        if not any(word in source for word in ("__name__", "parent_process", "current_process")):
            raise UsageError(NO_GUARD)
