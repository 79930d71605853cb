"""A run's folder whose files somebody else has made: each is refused in one line, or told of as far as it can be.

    python -P -m pytest tests/test_run_folder_fuzz.py -m slow -s

prints the figures of the long form.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from random import Random

import pytest

from hexpipe.cli.runs import describe
from hexpipe.config import dump_settings, load_settings, settings_from_json
from hexpipe.errors import RunFolderError, SettingsError, SharedMemoryError
from hexpipe.games.hex import Hex
from hexpipe.pipeline.memory_report import live_report
from hexpipe.pipeline.train_async import _next_session
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.run_folder import RunFolder, live_run, read_settings
from hexpipe.shm import spawn_context
from hexpipe.watch.plots import read_metrics
from tests.fuzzing import Tally, damaged_document
from tests.refusals import refused
from tests.replay.reference import tiny_settings

SHORT, LONG = 150, 20_000
REFUSALS = (SettingsError, RunFolderError, SharedMemoryError)
STAGES = {"game.name": "inarow", "curriculum.stages": [[15, 5], [30, 6]]}


def fuzz(parent: Path, inputs: int) -> Tally:
    """Files of a run that is alive, as far as run.json says: this process, with a segment that it has."""
    tally = Tally(REFUSALS)
    buffer = ReplayBuffer.create(tiny_settings(), Hex(6), lock=spawn_context().Lock())
    texts = [dump_settings(load_settings("quick", more)).encode() for more in ({}, STAGES)]
    with RunFolder.open(parent / "run", resume=False) as folder:
        segment = {"name": "replay", "fd": buffer.segment.fd, "bytes": buffer.segment.nbytes}
        segments = [{**segment, "layout": buffer.segment.describe()}]
        folder.write_run({"segments": segments, "processes": {"learner-0": os.getpid()}})
        folder.write_settings(load_settings())
        assert live_report(folder.path)["replay"]["total_games"] == 0
        lines = "".join(json.dumps({"time": 1.5 + k, "games": k, "steps": 2 * k, "loss": 0.5}) + "\n" for k in range(5))
        whole = {"run.json": (folder.path / "run.json").read_bytes(), "metrics.jsonl": lines.encode()}
        whole |= {"session.json": b"3\n"}
        for seed in range(inputs):
            random = Random(seed)
            whole["settings.json"] = random.choice(texts)
            for name, data in whole.items():
                (folder.path / name).write_bytes(data)
            name = random.choice(["settings.json", "run.json", "run.json", "metrics.jsonl", "session.json"])
            file, what = folder.path / name, f"input {seed}, {name}"
            if name != "metrics.jsonl" and random.random() < 0.05:
                file.unlink()
                os.mkfifo(file) if random.random() < 0.5 else file.symlink_to("/dev/zero")
            elif name == "metrics.jsonl":
                damaged = [damaged_document(random, line) for line in whole[name].splitlines()]
                file.write_bytes(b"\n".join(random.choice([damaged, lines.encode().splitlines()])))
            else:
                file.write_bytes(damaged_document(random, whole[name]))
            tally.add(what, lambda: read_settings(folder.path))
            tally.add(what, lambda: json.dumps(describe(folder.path), allow_nan=False))
            tally.add(what, lambda: live_report(folder.path) if live_run(folder.path) else None)
            tally.add(what, lambda: json.dumps(read_metrics(folder.path), allow_nan=False))
            file.unlink() if file.is_symlink() or not file.is_file() else None
            tally.add(what, lambda: _next_session(folder, load_settings()))
    buffer.segment.close()
    return tally


def test_no_run_folder_does_harm(tmp_path: Path) -> None:
    tally = fuzz(tmp_path, SHORT)
    assert not tally.crashes, f"{len(tally.crashes)} of {SHORT}, such as\n" + "\n".join(tally.crashes[:3])
    assert tally.counts["refused"] > SHORT / 10


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_run_folder_does_harm_in_the_long_run(tmp_path: Path) -> None:
    tally = fuzz(tmp_path, LONG)
    sys.stdout.write(f"\n{tally}\n")
    assert not tally.crashes, "\n".join(tally.crashes[:20])


@pytest.mark.parametrize("value", ["Infinity", "NaN", "-Infinity"])
def test_settings_are_finite(value: str) -> None:
    with pytest.raises(SettingsError):
        load_settings("quick", {"limits.minutes": float(value)})
    text = dump_settings(load_settings()).replace('"minutes": 10.0', f'"minutes": {value}')
    with refused(SettingsError, value, kind="damaged"):
        settings_from_json(text)
