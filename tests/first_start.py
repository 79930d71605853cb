"""How long a user waits at the very first command: python3 tests/first_start.py CHECKOUT [CHECKOUT...] [--turns 2].

Clones each checkout in turn (A B A B), lets it make its environment from nothing, and times two commands, each in an
environment of its own: `bin/hexpipe convert "#5,a1" --to moves` to its end, and `bin/hexpipe run` to its first finished
game. Packages and kernels are the seconds that the scripts themselves tell. Prints a line of JSON for each. CPU seconds
are of all processes; on a machine with other work they say more than the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

CONVERT = ["convert", "#5,a1", "--to", "moves"]
LIMIT_SECONDS = 900


def first_command(clone: Path, arguments: list[str], run: Path | None = None) -> dict[str, Any]:
    """The figures of one command in a new clone; with ``run`` it is ended at the first game of that run folder."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HEXPIPE_", "NUMBA_", "PYTHON"))}
    cpu, began = _cpu(), time.monotonic()
    with (clone / "output").open("w+") as output:
        process = subprocess.Popen(
            [clone / "bin" / "hexpipe", *arguments],
            env=environment,
            cwd=clone,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        while process.poll() is None and not (run and _games(run)) and time.monotonic() - began < LIMIT_SECONDS:
            time.sleep(0.05)
        seconds, ended = time.monotonic() - began, process.poll()
        if ended is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
        output.seek(0)
        text = output.read()
    if (run and not _games(run)) or (not run and ended):
        sys.exit(f"{arguments[0]} failed:\n{text}")
    told = {part: re.findall(rf"the {part} (?:is|are) ready \((\d+) s\)", text) for part in ("environment", "kernels")}
    return {
        "command": arguments[0],
        "seconds": round(seconds, 1),
        "packages_s": sum(map(int, told["environment"])),
        "kernels_s": sum(map(int, told["kernels"])),
        "cpu_s": round(_cpu() - cpu, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def _games(run: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{run}/archive.sqlite?mode=ro", uri=True)) as archive:
            return int(archive.execute("SELECT count(*) FROM games").fetchone()[0])
    except sqlite3.Error:  # not there yet
        return 0


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, a line of JSON for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="+", type=Path)
    parser.add_argument("--turns", type=int, default=2)
    chosen = parser.parse_args()
    for turn in range(chosen.turns):
        for checkout in chosen.checkouts:
            for arguments, name in ((CONVERT, None), (["run", "--run-dir", "run"], "run")):
                with tempfile.TemporaryDirectory(prefix="hexpipe-first-") as folder:
                    clone = Path(folder) / "clone"
                    subprocess.run(["git", "clone", "-q", checkout.resolve(), clone], check=True)
                    figures = first_command(clone, arguments, name and clone / name)
                    print(json.dumps({"turn": turn, "checkout": str(checkout), **figures}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
