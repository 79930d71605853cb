"""Put a run's net into the box: the checkpoint that comes with hexpipe (`hexpipe.nets.box`).

    python -P tests/box.py CHECKPOINT --command "hexpipe run ..." --hours H --seed N --figure "NAME=VALUE" ...

Only the playing weights are kept. ``--command`` (again for each part of the training), the processor hours of all of
them, the seeds, and what was measured go into "made" of its checkpoint.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hexpipe.nets.box import BOX
from hexpipe.nets.checkpoint_files import write_group
from hexpipe.nets.checkpoints import FORMAT, FORMAT_VERSION, load_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--command", action="append", required=True)
    parser.add_argument("--hours", type=float, required=True, help="processor hours")
    parser.add_argument("--seed", type=int, action="append", required=True)
    parser.add_argument("--figure", action="append", default=[])
    args = parser.parse_args()
    checkpoint = load_checkpoint(args.checkpoint, groups=("model", "ema"))
    checkpoint.check_fit()
    made = {
        "commands": args.command,
        "processor_hours": args.hours,
        "seeds": args.seed,
        "figures": dict(figure.split("=", 1) for figure in args.figure),
    }
    kept = ("step", "settings", "shapes", "code_version")
    BOX.mkdir(exist_ok=True)
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **{name: checkpoint.meta[name] for name in kept},
        "made": made,
        "groups": {"ema": write_group(BOX, "ema", checkpoint.play_weights)},
    }
    (BOX / "checkpoint.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
