"""Checkpoints: a folder of safetensors files and one JSON file, written atomically, never unpickled. No torch needed.

RUN/checkpoints/step-00001234/{checkpoint.json, model.safetensors, ema.safetensors, optimizer.safetensors}
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hexpipe.config import MAX_PLANES, NUMBERS, Plane, Settings, Shapes, dump_settings, settings_from_json
from hexpipe.errors import (
    CheckpointError,
    DamagedCheckpointError,
    DiskFullError,
    RunFolderError,
    SettingsError,
    is_disk_full,
)
from hexpipe.nets.checkpoint_files import Arrays, brief, read_group, read_meta, write_group
from hexpipe.nets.net_template import check_fit, net_template
from hexpipe.plain_files import check_own, sync_folder, write_synced

FORMAT = "hexpipe-checkpoint"
FORMAT_VERSION = 1
_STEP_FOLDER = re.compile(r"step-([0-9]{8,})(\.old)?")
_WHAT_TO_NAME = "name a run folder or one of its checkpoints/step-* folders"
_GROUP = re.compile(r"[a-z_]{1,40}")
_MOST_COUNT = 2**53
_MOST_SHAPE = 2**20  # no board has as many cells, actions or codes


@dataclass(frozen=True)
class Checkpoint:
    """Contents of a checkpoint folder; ``groups`` are arrays by group ("model", "ema", "optimizer") and name."""

    path: Path
    meta: dict[str, Any]
    groups: dict[str, Arrays]

    @property
    def step(self) -> int:
        """Number of training steps done."""
        return int(self.meta["step"])

    @property
    def number(self) -> int:
        """Number of the checkpoint in its run, from 1; 0 if its writer did not count."""
        return int(self.meta.get("number", 0))

    @property
    def settings(self) -> Settings:
        """Settings of the run that wrote it."""
        return settings_from_json(json.dumps(self.meta["settings"]))

    @property
    def shapes(self) -> Shapes:
        """Array sizes of the game it was trained on."""
        return Shapes(**self.meta["shapes"])

    def check_fit(self) -> None:
        """Raise CheckpointError, in one line, if the weights are not those of a net of its settings.

        To be called before such a net is built: its settings may demand any amount of memory, its files are bounded by
        their length.
        """
        settings = self.settings.net
        wanted = dict(net_template(settings, self.shapes))
        for group in ("model", "ema"):
            if group in self.groups:
                try:
                    check_fit(wanted, self.groups[group], settings)
                except CheckpointError as error:
                    raise CheckpointError(f"{self.path}: {error}", kind=error.kind, path=self.path) from error

    @property
    def play_weights(self) -> Arrays:
        """Weights for play: the averaged ones ("ema") if they were saved, else the model's."""
        return self.groups["ema"] if "ema" in self.groups else self.groups["model"]


def checkpoint_meta(settings: Settings, shapes: Shapes, step: int) -> dict[str, Any]:
    """Return the meta for `save_checkpoint`; callers may add further keys."""
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
    """Write RUN/checkpoints/step-XXXXXXXX and return it. Only one process may write into a run folder.

    ``groups`` holds numpy arrays or torch tensors by group and name; ``meta`` is made by `checkpoint_meta`; the
    checkpoint's number is added. The folder appears atomically. RunFolderError if it cannot be written, DiskFullError
    if there is no room.
    """
    parent = run_dir / "checkpoints"
    final = parent / f"step-{int(meta['step']):08d}"
    temporary = parent / f".tmp-{final.name}"
    try:
        if not check_own(parent, folder=True):
            parent.mkdir(parents=True)
            sync_folder(run_dir)
        _remove_leftovers(parent)
        temporary.mkdir()
        files = {group: write_group(temporary, group, tensors) for group, tensors in groups.items()}
        number = _next_number(run_dir, final)
        document = {"format": FORMAT, "format_version": FORMAT_VERSION, **meta, "number": number, "groups": files}
        write_synced(temporary / "checkpoint.json", (json.dumps(document, indent=2) + "\n").encode())
        sync_folder(temporary)
        aside = parent / f"{final.name}.old"
        if final.exists():  # the same step again (a resumed run): the listing includes .old, so there is always one
            final.rename(aside)
        temporary.rename(final)
        sync_folder(parent)
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        if is_disk_full(error):
            shutil.rmtree(temporary, ignore_errors=True)
            raise DiskFullError(
                f"the checkpoint cannot be written to {final}: free some room on its disk", path=final
            ) from error
        words = (
            f"the checkpoint cannot be written to {final} ({error.strerror or error}); "
            "make the run folder writable or free some space"
        )
        raise RunFolderError(words, kind="access", path=final) from error
    return final


def load_checkpoint(path: Path, groups: Collection[str] | None = None) -> Checkpoint:
    """Read a checkpoint from its own folder, or the newest one of a run folder.

    ``groups`` names the groups to read (missing ones are left out); all by default. CheckpointError, in one line, if
    there is none, or it is damaged, foreign, or of a newer format.
    """
    folder = _find_folder(Path(path))
    meta = _read_meta(folder)
    loaded: dict[str, Arrays] = {}
    for group, entry in meta["groups"].items():
        if groups is None or group in groups:
            loaded[group] = read_group(folder / f"{group}.safetensors", entry)
    return Checkpoint(folder, meta, loaded)


def list_checkpoints(run_dir: Path) -> list[Path]:
    """Return the checkpoint folders of a run, oldest first; links to folders elsewhere are skipped.

    RunFolderError if they are all elsewhere.
    """
    parent = Path(run_dir) / "checkpoints"
    if not check_own(parent, folder=True):
        return []
    entries = [entry for entry in parent.iterdir() if not entry.is_symlink()]
    found = [(match, entry) for entry in entries if (match := _STEP_FOLDER.fullmatch(entry.name))]
    return [entry for _, entry in sorted(found, key=lambda pair: (int(pair[0][1]), pair[0][2] is None))]


def step_of(folder: Path) -> int:
    """Return the training step in the name of a folder of `list_checkpoints`."""
    match = _STEP_FOLDER.fullmatch(folder.name)
    if match is None:
        raise ValueError(f"{folder} is no checkpoint's folder")
    return int(match[1])


def latest_checkpoint(run_dir: Path) -> Path | None:
    """Return the newest checkpoint folder of a run, None if there is none."""
    found = list_checkpoints(run_dir)
    return found[-1] if found else None


def newest_whole(run_dir: Path, tell: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest intact checkpoint of a run, with all its groups; None if the run has none at all.

    Reading is the check: of every file's length and checksum, and of its tensors. Damaged newer ones are moved aside,
    so that they do not count as the newest and cause no deletion of others; ``tell`` gets a line about each.
    CheckpointError if none is intact, or one cannot be read just now (no permission, no memory, another version's);
    then all stay in place.
    """
    damaged: list[tuple[Path, str]] = []
    for folder in reversed(list_checkpoints(run_dir)):
        try:
            checkpoint = load_checkpoint(folder)
        except DamagedCheckpointError as error:
            damaged.append((folder, str(error)))
            continue
        for path, why in damaged:
            tell(f"passed over {path.name}, which is kept as {_set_aside(path).name}: {why}")
        return checkpoint
    if damaged:
        words = (
            f"no checkpoint in {run_dir} is whole (of the newest: {damaged[0][1]}); restore one from a copy, or remove "
            f"{run_dir / 'checkpoints'} to train a new net on this run's games"
        )
        raise CheckpointError(words, kind="damaged", path=run_dir)
    return None


def prune(run_dir: Path, keep: int, keep_every: int = 0) -> list[Path]:
    """Delete all but the ``keep`` newest checkpoints of a run and every ``keep_every``-th (0: none); return the
    deleted.

    The latter are counted from the run's first.
    """
    if keep < 1:
        raise ValueError(f"keep is {keep}: at least one checkpoint must stay")
    doomed = [path for path in list_checkpoints(run_dir)[:-keep] if not (keep_every and _is_kept(path, keep_every))]
    try:
        for folder in doomed:
            shutil.rmtree(folder)
    except OSError as error:
        raise RunFolderError(
            f"an old checkpoint cannot be deleted ({error}); make the run folder writable", kind="access"
        ) from error
    return doomed


def _set_aside(folder: Path) -> Path:
    """Rename a damaged checkpoint so that it no longer counts as one; return its new path."""
    name, number = f"damaged-{folder.name}", 1
    while (folder.parent / name).exists():
        number += 1
        name = f"damaged-{folder.name}-{number}"
    try:
        return folder.rename(folder.parent / name)
    except FileNotFoundError:  # another learner that started with this one has done it
        return folder.parent / name
    except OSError as error:
        words = f"the damaged checkpoint {folder} cannot be renamed ({error.strerror}); make the run folder writable"
        raise RunFolderError(words, kind="access", path=folder) from error


def _next_number(run_dir: Path, final: Path) -> int:
    """Return the number of the checkpoint about to be ``final``: one more than the one before, or its own when
    rewritten."""
    before = latest_checkpoint(run_dir)
    if before is None:
        return 1
    return _number(before) + (before.name.removesuffix(".old") != final.name)


def _is_kept(folder: Path, keep_every: int) -> bool:
    number = _number(folder)
    return number > 0 and number % keep_every == 0


def _number(folder: Path) -> int:
    """Return a checkpoint's number; 0 if it cannot be read, which loading reports in detail."""
    try:
        return int(_read_meta(folder).get("number", 0))
    except CheckpointError:
        return 0


def _find_folder(path: Path) -> Path:
    try:
        if (path / "checkpoint.json").is_file() or _STEP_FOLDER.fullmatch(path.name):
            return path
        newest = latest_checkpoint(path)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror or error}); {_WHAT_TO_NAME}", kind="access", path=path
        ) from error
    if newest is None:
        raise CheckpointError(f"there is no checkpoint in {path}; {_WHAT_TO_NAME}", kind="missing", path=path)
    return newest


def _read_meta(folder: Path) -> dict[str, Any]:
    file = folder / "checkpoint.json"
    meta = read_meta(file)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise DamagedCheckpointError(f"{folder} is no hexpipe checkpoint; {_WHAT_TO_NAME}", kind="foreign", path=folder)
    if meta.get("format_version") != FORMAT_VERSION:
        words = (
            f"{folder} has checkpoint format {str(meta.get('format_version'))[:20]!r}, this hexpipe reads "
            f"{FORMAT_VERSION}; use the hexpipe version that wrote it"
        )
        raise CheckpointError(words, kind="version", path=folder)
    try:
        _check_meta(meta)
    except (KeyError, TypeError, ValueError, SettingsError) as error:
        raise DamagedCheckpointError(
            f"{file} is damaged ({brief(error)}); take an older checkpoint", path=file
        ) from error
    return meta


def _check_meta(meta: Mapping[str, Any]) -> None:
    """Raise one of many errors if a value that loading relies on is missing or invalid."""
    for key, kind in (("groups", dict), ("shapes", dict), ("settings", dict)):
        if not isinstance(meta[key], kind):
            raise TypeError(f"{key} is of the wrong kind")
    _check_count("step", meta["step"], _MOST_COUNT)
    _check_count("number", meta.get("number", 0), _MOST_COUNT)
    for group, entry in meta["groups"].items():
        if not _GROUP.fullmatch(group):
            raise ValueError(f"{group!r} is no name for a group of tensors")
        for key in ("bytes", "crc32"):
            _check_count(f"{group}: {key}", entry[key], _MOST_COUNT)
    if not {"model", "ema"} & meta["groups"].keys():
        raise ValueError("it has no weights")
    shapes = Shapes(**meta["shapes"])
    for field in fields(Shapes):
        value = getattr(shapes, field.name)
        if field.type == "int":
            _check_count(field.name, value, _MOST_SHAPE)
        elif field.name == "declared":
            _check_planes(value)
        elif not isinstance(value, bool):
            raise TypeError(f"{field.name} is no truth value")
    settings_from_json(json.dumps(meta["settings"]))


def _check_planes(planes: Sequence[Plane]) -> None:
    _check_count("the number of declared planes", len(planes), MAX_PLANES)
    for plane in planes:
        _check_count("where a declared plane begins", plane.at, _MOST_SHAPE)
        if plane.code != NUMBERS:
            _check_count("the code of a declared plane", plane.code, 127)
        if not isinstance(plane.whole, bool):
            raise TypeError("whether a declared plane is whole is no truth value")


def _check_count(name: str, value: Any, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{name} is no number from 0 to {most}")


def _remove_leftovers(parent: Path) -> None:
    """Remove half-written folders of a process that was killed while it saved."""
    for entry in parent.glob(".tmp-step-*"):
        check_own(entry, folder=True)
        shutil.rmtree(entry)
