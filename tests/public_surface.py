"""What users of hexpipe rely on, as data: `python -m tests.public_surface > FILE` in a checkout writes that of it."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from hexpipe.cli.main import group, run
from hexpipe.config import flatten, load_settings
from hexpipe.watch.progress import ProgressMeter, as_metrics
from tests.boards import make_board
from tests.old_runs import unpack

DOCUMENTS = ("README.md", "EFFICIENCY.md", "hexpipe/games/README.md")
POSITION = '{"n": 5, "moves": [], "to_move": "black", "value": 1, "winning_moves": ["c3"]}\n'
COUNTED = (
    "pid", "total_games", "session_games", "league_window", "league_share", "stage", "steps", "replay_budget",
    "learning_rate", "rating_step", "rated", "threat_loss", "focus_loss", "started", "solver_score", "solver_policy",
    "skipped_steps", "recoveries", "batches", "leaves",
)  # fmt: skip
"""Of a process's row, what makes figures appear; a version may lack some."""
JSON = {
    "settings": ["settings"],
    "solve": ["solve", "--size", "3", "a1"],
    "convert": ["convert", "#5,a1b2"],
    "import": ["import", "#5,a1c3b2:rb", "--run-dir", "COPY"],
    "runs": ["runs", "RUN"],
    "games": ["games", "RUN", "--newest", "1"],
    "score": ["score", "RUN", "--positions", "POSITIONS", "--simulations", "4"],
    "match": ["match", "random", "solver", "--size", "3", "--pairs", "1", "--error", "0"],
    "tournament": ["tournament", "random", "solver", "--size", "3", "--pairs", "1", "--error", "0"],
    "memory-report": ["memory-report", "--estimate"],
    "bench rules": ["bench", "rules", "--seconds", "0.1", "--size", "5"],
}


def commands() -> dict[str, list[str]]:
    """The options and arguments of every command, of benchmarks too."""
    found: dict[str, list[str]] = {}

    def add(name: str, command: click.Command) -> None:
        words = [word for part in command.params for word in ([*part.opts, *part.secondary_opts])]
        found[name] = sorted(words)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for inner in command.list_commands(context):
                below = command.get_command(context, inner)
                assert below is not None
                add(f"{name} {inner}", below)

    add("hexpipe", group)
    return found


def json_keys() -> dict[str, list[str]]:
    """The keys of what commands print with --json, those within others after a dot."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        parent = Path(folder)
        (parent / "copy").mkdir()
        (parent / "positions.jsonl").write_text(POSITION, encoding="utf-8")
        names = {"RUN": unpack("hex-5x5", parent), "COPY": unpack("hex-5x5", parent / "copy")}
        names |= {"POSITIONS": parent / "positions.jsonl"}
        for name, words in JSON.items():
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                assert run([str(names.get(word, word)) for word in words] + ["--json"]) == 0, name
            found[name] = sorted(_keys(json.loads(out.getvalue().splitlines()[-1])))
    return found


def _keys(value: Any, before: str = "") -> set[str]:
    if isinstance(value, list):
        return set().union(*(_keys(inner, before) for inner in value))
    if not isinstance(value, dict):
        return set()
    below = (_keys(inner, f"{before}{key}.") for key, inner in value.items())
    return {f"{before}{key}" for key in value}.union(*below)


def metrics_columns() -> list[str]:
    """The columns of metrics.jsonl of a run that has everything; TensorBoard's are run/NAME and those with a stroke."""
    stages = {"game.name": "inarow", "curriculum.stages": [[3, 3], [5, 4]], "limits.minutes": 5}
    names: set[str] = set()
    for more in (stages, {"reanalyze.ratio": 1}):
        settings = load_settings("quick", more)
        processes = ["generator-0", "inference-0", "replay-0", "learner-0", "rating-0", "node-0"]
        stats, state = make_board(processes)
        state.stage = 1
        for row in stats.rows().values():
            for column in COUNTED:
                with contextlib.suppress(KeyError, IndexError, ValueError):
                    row[column] = 1
        meter = ProgressMeter(stats, state, settings, 0)
        meter.read()
        meter._history[0] = (meter._history[0][0] - 10.0, dict.fromkeys(meter._history[0][1], 0.0))
        names |= set(as_metrics(meter.read()))
    return sorted(names)


def importable(root: Path) -> list[str]:
    """The dotted names of hexpipe's in the documents: in backticks, and imported in their code."""
    found: set[str] = set()
    for name in DOCUMENTS:
        text = (root / name).read_text(encoding="utf-8")
        found |= set(re.findall(r"`(hexpipe\.\w[\w.]*)", text))
        for module, names in re.findall(r"^from (hexpipe[\w.]*) import (.+)$", text, re.MULTILINE):
            found |= {f"{module}.{word.strip()}" for word in names.partition("#")[0].split(",")}
    return sorted(found)


def surface(root: Path) -> dict[str, Any]:
    """All of it, of the checkout ``root``."""
    return {
        "commands": commands(),
        "json": json_keys(),
        "metrics": metrics_columns(),
        "names": importable(root),
        "settings": sorted(flatten(load_settings())),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(surface(Path(sys.argv[1])), indent=1) + "\n")
