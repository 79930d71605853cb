"""RUN/metrics.jsonl and RUN/tensorboard: the figures of a run over time. Imports no torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_BESIDE = ("time", "elapsed")


class MetricsWriter:
    """Appends one line of figures to metrics.jsonl and the same numbers to TensorBoard event files."""

    def __init__(self, run_dir: Path) -> None:
        # imported here: it takes 0.4 s, which a run has only once its children are starting
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._events = EventFileWriter(os.fspath(run_dir / "tensorboard"))
        self._lines = (run_dir / "metrics.jsonl").open("a", encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        """Write one dict of numbers by name; "steps" is TensorBoard's axis."""
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        scalars = [
            self._summary.Value(tag=name if "/" in name else f"run/{name}", simple_value=float(value))
            for name, value in line.items()
            if name not in _BESIDE
        ]
        step = int(line.get("steps", 0))
        self._events.add_event(self._event(wall_time=line["time"], step=step, summary=self._summary(value=scalars)))

    def close(self) -> None:
        """Write out what is buffered."""
        self._events.close()
        self._lines.close()
