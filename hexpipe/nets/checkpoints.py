"""Checkpoints: a folder of safetensors files and one JSON file, written atomically, never unpickled. No torch needed.

RUN/checkpoints/step-00001234/{checkpoint.json, model.safetensors, ema.safetensors, optimizer.safetensors}
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from hexpipe.config import Settings, Shapes, dump_settings, settings_from_json
from hexpipe.errors import CheckpointError, DiskFullError, RunFolderError, SettingsError, is_disk_full

FORMAT = "hexpipe-checkpoint"
FORMAT_VERSION = 1
_STEP_FOLDER = re.compile(r"step-(\d{8,})(\.old)?")
_WHAT_TO_NAME = "name a run folder or one of its checkpoints/step-* folders"
_GROUP = re.compile(r"[a-z_]+")
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds; ``groups`` are arrays by group ("model", "ema", "optimizer") and name."""

    path: Path
    meta: dict[str, Any]
    groups: dict[str, Arrays]

    @property
    def step(self) -> int:
        """Training steps done."""
        return int(self.meta["step"])

    @property
    def number(self) -> int:
        """The how many-th checkpoint of its run it is, from 1; 0 where its writer did not count."""
        return int(self.meta.get("number", 0))

    @property
    def settings(self) -> Settings:
        """The settings of the run that wrote it."""
        return settings_from_json(json.dumps(self.meta["settings"]))

    @property
    def shapes(self) -> Shapes:
        """The array sizes of the game it was trained on."""
        return Shapes(**self.meta["shapes"])

    @property
    def play_weights(self) -> Arrays:
        """The weights that play: the averaged ones ("ema") where they were saved, else the model's."""
        return self.groups["ema"] if "ema" in self.groups else self.groups["model"]


def checkpoint_meta(settings: Settings, shapes: Shapes, step: int) -> dict[str, Any]:
    """What `save_checkpoint` must be told beside the tensors; callers may add keys of their own."""
    try:
        code_version = version("hexpipe")
    except PackageNotFoundError:
        code_version = "unknown"  # run from a source tree that was never installed
    return {
        "step": step,
        "settings": json.loads(dump_settings(settings)),
        "shapes": asdict(shapes),
        "code_version": code_version,
    }


def save_checkpoint(run_dir: Path, groups: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any]) -> Path:
    """Write RUN/checkpoints/step-XXXXXXXX and return it. One process writes into a run folder.

    ``groups`` holds numpy arrays or torch tensors by group and name; ``meta`` is what `checkpoint_meta` makes; the
    checkpoint's number is added. The folder appears whole or not at all. RunFolderError if it cannot be
    written, DiskFullError if there is no room.
    """
    parent = run_dir / "checkpoints"
    final = parent / f"step-{int(meta['step']):08d}"
    temporary = parent / f".tmp-{final.name}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(parent)
        temporary.mkdir()
        files = {group: _write_group(temporary, group, tensors) for group, tensors in groups.items()}
        number = _next_number(run_dir, final)
        document = {"format": FORMAT, "format_version": FORMAT_VERSION, **meta, "number": number, "groups": files}
        _write_synced(temporary / "checkpoint.json", (json.dumps(document, indent=2) + "\n").encode())
        _sync_folder(temporary)
        aside = parent / f"{final.name}.old"
        if final.exists():  # the same step again (a resumed run): the listing knows .old, so no moment is without one
            final.rename(aside)
        temporary.rename(final)
        _sync_folder(parent)
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        if is_disk_full(error):
            shutil.rmtree(temporary, ignore_errors=True)
            raise DiskFullError(f"the checkpoint cannot be written to {final}: free some room on its disk") from error
        raise RunFolderError(
            f"the checkpoint cannot be written to {final} ({error.strerror or error}); "
            "make the run folder writable or free some space"
        ) from error
    return final


def load_checkpoint(path: Path, groups: Collection[str] | None = None) -> Checkpoint:
    """Read a checkpoint from its own folder, or the newest one of a run folder.

    ``groups`` names the groups to read (those that are not there are left out); all by default. CheckpointError, in one
    line, if there is none, or it is damaged, foreign, or of a newer format.
    """
    folder = _find_folder(Path(path))
    meta = _read_meta(folder)
    loaded: dict[str, Arrays] = {}
    for group, entry in meta["groups"].items():
        if groups is None or group in groups:
            loaded[group] = _read_group(folder / f"{group}.safetensors", entry)
    return Checkpoint(folder, meta, loaded)


def list_checkpoints(run_dir: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first."""
    parent = Path(run_dir) / "checkpoints"
    if not parent.is_dir():
        return []
    found = [(match, entry) for entry in parent.iterdir() if (match := _STEP_FOLDER.fullmatch(entry.name))]
    return [entry for _, entry in sorted(found, key=lambda pair: (int(pair[0][1]), pair[0][2] is None))]


def step_of(folder: Path) -> int:
    """The training step that a folder of `list_checkpoints` is named after."""
    match = _STEP_FOLDER.fullmatch(folder.name)
    if match is None:
        raise ValueError(f"{folder} is no checkpoint's folder")
    return int(match[1])


def latest_checkpoint(run_dir: Path) -> Path | None:
    """The newest checkpoint folder of a run, None if there is none."""
    found = list_checkpoints(run_dir)
    return found[-1] if found else None


def prune(run_dir: Path, keep: int, keep_every: int = 0) -> list[Path]:
    """Delete all but the ``keep`` newest checkpoints of a run and every ``keep_every``-th (0: none), counted from the
    run's first; returns what was deleted."""
    if keep < 1:
        raise ValueError(f"keep is {keep}: at least one checkpoint must stay")
    doomed = [path for path in list_checkpoints(run_dir)[:-keep] if not (keep_every and _is_kept(path, keep_every))]
    try:
        for folder in doomed:
            shutil.rmtree(folder)
    except OSError as error:
        raise RunFolderError(f"an old checkpoint cannot be deleted ({error}); make the run folder writable") from error
    return doomed


def _next_number(run_dir: Path, final: Path) -> int:
    """The number of the checkpoint that is about to be ``final``: one more than that before it, or its own again."""
    before = latest_checkpoint(run_dir)
    if before is None:
        return 1
    return _number(before) + (before.name.removesuffix(".old") != final.name)


def _is_kept(folder: Path, keep_every: int) -> bool:
    number = _number(folder)
    return number > 0 and number % keep_every == 0


def _number(folder: Path) -> int:
    """A checkpoint's number; 0 where that cannot be read: whoever wants to load it is told more."""
    try:
        return int(_read_meta(folder).get("number", 0))
    except CheckpointError:
        return 0


def _write_group(folder: Path, group: str, tensors: Mapping[str, Any]) -> dict[str, int]:
    if not _GROUP.fullmatch(group):
        raise ValueError(f"{group!r} is no name for a group of tensors")
    arrays = {name: np.ascontiguousarray(_as_array(tensor)).reshape(tensor.shape) for name, tensor in tensors.items()}
    data = safetensors_numpy.save(arrays)
    _write_synced(folder / f"{group}.safetensors", data)
    return {"bytes": len(data), "crc32": zlib.crc32(data)}


def _as_array(tensor: Any) -> NDArray[Any]:
    if isinstance(tensor, np.ndarray):
        return tensor
    array: NDArray[Any] = tensor.detach().cpu().numpy()  # a torch tensor; torch itself is not imported here
    return array


def _read_group(file: Path, entry: Mapping[str, int]) -> Arrays:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read ({error.strerror}); take another checkpoint") from error
    if len(data) != entry["bytes"] or zlib.crc32(data) != entry["crc32"]:
        raise CheckpointError(f"{file} is damaged (its size or checksum is wrong); take an older checkpoint")
    try:
        return dict(safetensors_numpy.load(data))
    except SafetensorError as error:
        raise CheckpointError(f"{file} is no safetensors file ({error}); take another checkpoint") from error


def _find_folder(path: Path) -> Path:
    if (path / "checkpoint.json").is_file() or _STEP_FOLDER.fullmatch(path.name):
        return path
    newest = latest_checkpoint(path)
    if newest is None:
        raise CheckpointError(f"there is no checkpoint in {path}; {_WHAT_TO_NAME}")
    return newest


def _read_meta(folder: Path) -> dict[str, Any]:
    file = folder / "checkpoint.json"
    try:
        meta = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read ({error.strerror}); take another checkpoint") from error
    except ValueError as error:
        raise CheckpointError(f"{file} is damaged (no JSON: {error}); take an older checkpoint") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise CheckpointError(f"{folder} is no hexpipe checkpoint; {_WHAT_TO_NAME}")
    if meta.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{folder} has checkpoint format {meta.get('format_version')}, this hexpipe reads {FORMAT_VERSION}; "
            "use the hexpipe version that wrote it"
        )
    try:
        if not all(isinstance(meta[key], kind) for key, kind in (("step", int), ("groups", dict), ("shapes", dict))):
            raise TypeError("a value of the wrong kind")
        for group, entry in meta["groups"].items():
            if not _GROUP.fullmatch(group):
                raise ValueError(f"{group!r} is no name for a group of tensors")
            int(entry["bytes"]), int(entry["crc32"])
        Shapes(**meta["shapes"])
        settings_from_json(json.dumps(meta["settings"]))
    except (KeyError, TypeError, ValueError, SettingsError) as error:
        raise CheckpointError(f"{file} is damaged ({error}); take an older checkpoint") from error
    return meta


def _write_synced(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(parent: Path) -> None:
    """Half-written folders of a process that was killed while it saved."""
    for entry in parent.glob(".tmp-step-*"):
        shutil.rmtree(entry)
