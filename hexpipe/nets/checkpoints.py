"""Checkpoints: a folder of safetensors files and one JSON file, written atomically, never unpickled. No torch needed.

RUN/checkpoints/step-00001234/{checkpoint.json, model.safetensors, ema.safetensors, optimizer.safetensors}
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hexpipe.config import Settings, Shapes, dump_settings, settings_from_json
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

    def check_fit(self) -> None:
        """CheckpointError, in one line, where the weights are not those of a net of its settings. To be asked before
        such a net is built: what the settings say may take any amount of memory, files take what they are long."""
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
        if final.exists():  # the same step again (a resumed run): the listing knows .old, so no moment is without one
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

    ``groups`` names the groups to read (those that are not there are left out); all by default. CheckpointError, in one
    line, if there is none, or it is damaged, foreign, or of a newer format.
    """
    folder = _find_folder(Path(path))
    meta = _read_meta(folder)
    loaded: dict[str, Arrays] = {}
    for group, entry in meta["groups"].items():
        if groups is None or group in groups:
            loaded[group] = read_group(folder / f"{group}.safetensors", entry)
    return Checkpoint(folder, meta, loaded)


def list_checkpoints(run_dir: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first; links to folders elsewhere are none. RunFolderError where they are
    all elsewhere."""
    parent = Path(run_dir) / "checkpoints"
    if not check_own(parent, folder=True):
        return []
    entries = [entry for entry in parent.iterdir() if not entry.is_symlink()]
    found = [(match, entry) for entry in entries if (match := _STEP_FOLDER.fullmatch(entry.name))]
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


def newest_whole(run_dir: Path, tell: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint of a run that is whole, all of it read; None where the run has none at all.

    Reading is the check: of every file the length and the checksum, and that its tensors are tensors. Damaged ones that
    are newer are moved aside, so that nobody takes them for the newest and none is deleted for their sake; ``tell`` is
    called with a line about each. CheckpointError if none is whole, or one cannot be read just now (no right to, no
    memory left, another version's); then all stay where they are.
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
    """Delete all but the ``keep`` newest checkpoints of a run and every ``keep_every``-th (0: none), counted from the
    run's first; returns what was deleted."""
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
    """Give a damaged checkpoint a name that is no checkpoint's; returns its new path."""
    name, number = f"damaged-{folder.name}", 1
    while (folder.parent / name).exists():
        number += 1
        name = f"damaged-{folder.name}-{number}"
    try:
        return folder.rename(folder.parent / name)
    except FileNotFoundError:  # another of the learners that begin together has done it
        return folder.parent / name
    except OSError as error:
        words = f"the damaged checkpoint {folder} cannot be renamed ({error.strerror}); make the run folder writable"
        raise RunFolderError(words, kind="access", path=folder) from error


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
    """Raises one of many errors where a value that loading relies on is missing or cannot be."""
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
        elif not isinstance(value, bool):
            raise TypeError(f"{field.name} is no truth value")
    settings_from_json(json.dumps(meta["settings"]))


def _check_count(name: str, value: Any, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{name} is no number from 0 to {most}")


def _remove_leftovers(parent: Path) -> None:
    """Half-written folders of a process that was killed while it saved."""
    for entry in parent.glob(".tmp-step-*"):
        check_own(entry, folder=True)
        shutil.rmtree(entry)
