"""Whether training still ends in the same bits: sha256 of what four short trainings leave, by the code of CHECKOUT.

    python tests/same_bits.py [CHECKOUT] [--only NAME]

Trains Hex, MuZero, a league whose old games are searched anew, and a game of three seats with stages, each by
`CHECKOUT/bin/hexpipe train` in a temporary folder, and prints a hash of the newest checkpoint's tensors (model, ema,
optimizer) and one of the archive's games. Run it before and after a change that should change nothing, on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import subprocess
import tempfile
from pathlib import Path

SMALL = ["--simulations", "8", "--set", "net.blocks=1", "--set", "net.channels=8", "--set", "learner.batch_size=32"]
SMALL += ["--set", "replay.min_games=20", "--set", "selfplay.games_per_worker=16"]
TRAININGS = {
    "hex": ["--size", "5", "--steps", "60"],
    "muzero": ["--game", "inarow", "--size", "3", "--algorithm", "muzero", "--steps", "40"],
    "league": ["--size", "4", "--games", "230", "--set", "league.share=0.3", "--set", "reanalyze.ratio=0.5"],
    "three-seats": ["--game", "inarow", "--size", "8", "--set", "game.players=3", "--set", "game.win_length=4",
    "--set", "curriculum.stages=[[6,3],[8,4]]", "--set", "curriculum.stage_games=30", "--games", "70"],
}  # fmt: skip


def hashes(checkout: Path, options: list[str], folder: Path) -> tuple[str, str, int]:
    """Train by ``options`` in ``folder``; hashes of the newest checkpoint's tensors and of the games, and how many."""
    command = [str(checkout / "bin/hexpipe"), "train", "--seed", "3", "--run-dir", str(folder), *SMALL, *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    newest = max((folder / "checkpoints").iterdir())
    tensors = hashlib.sha256()
    for path in sorted(newest.rglob("*")) if newest.is_dir() else [newest]:
        if path.suffix == ".safetensors":
            data = path.read_bytes()
            length = int.from_bytes(data[:8], "little")  # the header has times and versions
            tensors.update(path.name.encode() + data[8 + length :])
    games = hashlib.sha256()
    with sqlite3.connect(f"file:{folder / 'archive.sqlite'}?mode=ro", uri=True) as archive:
        rows = archive.execute("SELECT record FROM games ORDER BY id").fetchall()
    archive.close()
    for (record,) in rows:
        games.update(record)
    return tensors.hexdigest(), games.hexdigest(), len(rows)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="?", default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--only", choices=TRAININGS)
    given = parser.parse_args()
    for name, options in TRAININGS.items():
        if given.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                tensors, games, count = hashes(given.checkout.resolve(), options, Path(folder) / "run")
            print(f"{name:12} tensors {tensors[:16]}  {count:4} games {games[:16]}")  # noqa: T201


if __name__ == "__main__":
    main()
