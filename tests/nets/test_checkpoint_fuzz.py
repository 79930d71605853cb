"""Checkpoints that a stranger, a full disk or a power cut has made: each is refused in one line, or it is whole.

    python -P -m pytest tests/nets/test_checkpoint_fuzz.py -m slow -s

prints the figures of the long form.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

from hexpipe.config import Settings, Shapes, load_settings
from hexpipe.errors import CheckpointError
from hexpipe.learner.learner import Learner
from hexpipe.learner.step_budget import StepBudget
from hexpipe.nets.checkpoints import load_checkpoint
from tests.fuzzing import ODD_TEXTS, ODD_VALUES, Tally, damaged_bytes, damaged_document
from tests.learner.test_learner import _batch

SHORT, LONG = 700, 100_000
SHAPES = Shapes(3, 9, 2, 9)
TINY = {"game.board_size": 3, "net.blocks": 1, "net.channels": 8, "net.value_hidden": 8, "learner.batch_size": 16}
GROUPS = ("model", "ema", "optimizer")
Files = dict[str, bytes]


def settings() -> Settings:
    return load_settings("quick", TINY)


class Folder:
    """A checkpoint's folder that is whole again for each input, and what lies around it."""

    def __init__(self, parent: Path) -> None:
        self.learner = Learner(settings(), SHAPES)
        self.learner.step(_batch(0))
        self.budget = StepBudget.from_settings(settings())
        self.path = self.learner.save(parent / "run", {"pacing": self.budget.state(100, 1)})
        self.whole: Files = {file.name: file.read_bytes() for file in self.path.iterdir()}
        self.outside = parent / "outside"
        self.outside.mkdir()
        (self.outside / "secret").write_text('{"format": "hexpipe-checkpoint"}')
        self.before = self.seen()

    def seen(self) -> dict[str, tuple[int, int, int]]:
        """Everything outside of the folder."""
        entries = [*self.outside.iterdir(), *self.path.parent.parent.glob("*"), *self.path.parent.glob("*")]
        return {str(e): (e.lstat().st_ino, e.lstat().st_size, e.lstat().st_mtime_ns) for e in entries if e != self.path}

    def restore(self) -> None:
        for name, data in self.whole.items():
            file = self.path / name
            if file.is_symlink() or not file.is_file():
                remove(file)
            file.write_bytes(data)

    def load(self) -> None:
        """As a resume does."""
        checkpoint = load_checkpoint(self.path)
        assert checkpoint.settings is not None
        assert checkpoint.shapes.num_actions >= 0
        assert checkpoint.number >= 0
        self.learner.restore(checkpoint)
        if checkpoint.meta.get("pacing") is not None:
            self.budget.restore(checkpoint.meta["pacing"], 100)

    def reseal(self, *groups: str) -> None:
        """Let checkpoint.json say the lengths and checksums that files have now: a stranger can do that too."""
        document = json.loads(self.whole["checkpoint.json"])
        for group in groups:
            data = (self.path / f"{group}.safetensors").read_bytes()
            document["groups"][group] = {"bytes": len(data), "crc32": zlib.crc32(data)}
        (self.path / "checkpoint.json").write_text(json.dumps(document))


def remove(file: Path) -> None:
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    else:
        file.unlink(missing_ok=True)


# Damage of the tensors' files


def lengths(random: Random, data: bytes) -> bytes:
    """Cut at each kind of place: in the length, in the header, at its end, in the tensors."""
    header = 8 + struct.unpack("<Q", data[:8])[0]
    return data[: random.choice([0, 1, 7, 8, 9, header // 2, header - 1, header, header + 1, len(data) - 1])]


def header_length(random: Random, data: bytes) -> bytes:
    size = struct.unpack("<Q", data[:8])[0]
    sizes = [0, 1, 2, size - 1, size + 1, len(data) - 8, len(data), 10**8, 10**8 + 1, 2**31, 2**63, 2**64 - 1]
    return struct.pack("<Q", random.choice([*sizes, random.getrandbits(64)])) + data[8:]


def with_header(data: bytes, header: bytes) -> bytes:
    size = struct.unpack("<Q", data[:8])[0]
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


def header_text(random: Random, data: bytes) -> bytes:
    size = struct.unpack("<Q", data[:8])[0]
    header = damaged_document(random, data[8 : 8 + size])
    return with_header(data, random.choice([header, random.choice(ODD_TEXTS)]))


def header_entries(random: Random, data: bytes) -> bytes:
    """Wrong dtypes, shapes that are huge or no shapes, offsets that overlap, run backwards or point elsewhere."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    entry = header[random.choice([name for name in header if name != "__metadata__"])]
    begin, end = entry["data_offsets"]
    big = random.choice([2**31, 2**32, 2**62, 2**63 - 1, 2**64 - 1])
    change: dict[str, list[Any]] = {
        "dtype": ["BF16", "F8_E4M3", "F8_E5M2", "F64", "F16", "I64", "U8", "BOOL", "C64", "F4", "x", "", None, 5, []],
        "shape": [[], [big], [big, 0], [0], [0, big], [-1], [1.5], ["3"], [[3]], None, 7, [1] * 40, [1] * 5000,
                  [big] * 3, entry["shape"][::-1], [*entry["shape"], 1]],
        "data_offsets": [[end, begin], [0, end], [begin, begin], [begin, end + 1], [begin, big], [-1, 5], [begin],
                         [begin, end, end], [0.5, 1], None, [big, big], [0, len(data)]],
    }  # fmt: skip
    key = random.choice(list(change))
    entry[key] = random.choice(change[key])
    return with_header(data, json.dumps(header).encode())


def tensors(random: Random, data: bytes) -> bytes:
    """Tensors in a whole file that are of another kind, shape or name, too many or too few, or no numbers."""
    arrays = dict(safetensors_numpy.load(data))
    name = random.choice(list(arrays))
    array = arrays[name]
    kind = random.randrange(6)
    if kind == 0:
        arrays[name] = array.astype(random.choice(["float64", "float16", "int64", "uint8", "bool", "complex64"]))
    elif kind == 1:
        arrays[name] = random.choice([array.reshape(-1), array[None], array.T.copy(), array.ravel()[:0]])
    elif kind == 2:
        arrays[name] = np.full(array.shape, random.choice([np.nan, np.inf, -np.inf]), array.dtype)
    elif kind == 3:
        del arrays[name]
    elif kind == 4:
        names = ["../../evil", "/etc/passwd", "\x00", "", "9" * 5000, "9" * 5000 + ".step", "0.evil", "-1.step",
                 "²3.step", "0", ".", "0.step.step", "x" * 100_000]  # fmt: skip
        arrays[random.choice(names)] = array
    else:
        return bytes(safetensors_numpy.save(arrays, metadata={"evil": "x" * 100, "format": "pt"}))
    return bytes(safetensors_numpy.save(arrays))


CONTENTS = [lengths, header_length, header_text, header_entries, tensors, damaged_bytes]


def harm_contents(random: Random, folder: Folder) -> str:
    group, how = random.choice(GROUPS), random.choice(CONTENTS)
    file = folder.path / f"{group}.safetensors"
    file.write_bytes(how(random, folder.whole[file.name]))
    if random.random() < 0.85:
        folder.reseal(group)
    return f"{how.__name__} of {group}"


def harm_document(random: Random, folder: Folder) -> str:
    (folder.path / "checkpoint.json").write_bytes(damaged_document(random, folder.whole["checkpoint.json"]))
    return "checkpoint.json"


def harm_values(random: Random, folder: Folder) -> str:
    """What loading relies on, one by one."""
    document = json.loads(folder.whole["checkpoint.json"])
    place = random.choice([(), ("groups",), ("groups", "model"), ("shapes",), ("pacing",), ("settings",)])
    target = document
    for key in place:
        target = target[key]
    key = random.choice(list(target))
    target[key] = random.choice(ODD_VALUES)
    (folder.path / "checkpoint.json").write_text(json.dumps(document))
    return f"{place} {key}: {str(target[key])[:80]!r}"


KINDS = ["gone", "folder", "pipe", "socket", "link", "dangling", "loop", "zeros", "null", "huge", "twin"]


def harm_file(random: Random, folder: Folder) -> str:
    """Something else where a file should be."""
    file = folder.path / random.choice(list(folder.whole))
    file.unlink()
    kind = random.choice(KINDS)
    links = {"link": folder.outside / "secret", "dangling": folder.outside / "none", "loop": file, "zeros": "/dev/zero",
             "null": "/dev/null", "twin": folder.path / "ema.safetensors"}  # fmt: skip
    if kind in links:
        file.symlink_to(links[kind])
    elif kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            os.chdir(file.parent)  # its address must be short
            made.bind(file.name)
    elif kind == "huge":
        with file.open("wb") as stream:
            stream.truncate(2**43)
        if file.suffix == ".safetensors":
            document = json.loads(folder.whole["checkpoint.json"])
            document["groups"][file.stem]["bytes"] = 2**43
            (folder.path / "checkpoint.json").write_text(json.dumps(document))
    return f"{file.name}: {kind}"


Harm = Callable[[Random, Folder], str]
HARMS: list[Harm] = [harm_contents] * 6 + [harm_document] * 2 + [harm_values] * 2 + [harm_file]


class Opened:
    """The paths that this process opens while it looks."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.looking = False
        sys.addaudithook(self._hear)

    def during(self, load: Callable[[], None]) -> None:
        self.looking = True
        try:
            load()
        finally:
            self.looking = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.looking and event == "open" and isinstance(arguments[0], str):
            self.paths.append(arguments[0])


@pytest.fixture(scope="module")
def opened() -> Opened:
    return Opened()


@pytest.fixture
def _where_it_was() -> Iterator[None]:
    before = Path.cwd()
    yield
    os.chdir(before)


def fuzz(parent: Path, opened: Opened, inputs: int) -> Tally:
    folder, tally = Folder(parent), Tally(CheckpointError)
    folder.load()  # what is imported late
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(inputs):
        random = Random(seed)
        what = random.choice(HARMS)(random, folder)
        tally.add(f"input {seed}, {what}", lambda: opened.during(folder.load))
        folder.restore()
    strangers = {path for path in opened.paths if not path.startswith((str(folder.path), "/proc/", "/sys/fs/cgroup/"))}
    assert not strangers, "nothing but the folder's files is opened"
    opened.paths.clear()
    assert folder.seen() == folder.before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 300_000, "kB"
    folder.load()
    return tally


@pytest.mark.usefixtures("_where_it_was")
def test_no_checkpoint_does_harm(tmp_path: Path, opened: Opened) -> None:
    tally = fuzz(tmp_path, opened, SHORT)
    assert not tally.crashes, f"{len(tally.crashes)} of {SHORT}, such as\n" + "\n".join(tally.crashes[:3])
    assert tally.counts["refused"] > 0.7 * SHORT
    assert tally.counts["loaded"] > 0, "some damage does no harm"


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("_where_it_was")
def test_no_checkpoint_does_harm_in_the_long_run(tmp_path: Path, opened: Opened) -> None:
    tally = fuzz(tmp_path, opened, LONG)
    sys.stdout.write(f"\n{tally}\n")
    assert not tally.crashes, "\n".join(tally.crashes[:20])
