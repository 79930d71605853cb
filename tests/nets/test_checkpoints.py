from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from hexpipe.config import Shapes, load_settings
from hexpipe.errors import CheckpointError, DamagedCheckpointError, RunFolderError
from hexpipe.nets import checkpoint_files, checkpoints
from hexpipe.nets.checkpoints import (
    checkpoint_meta,
    latest_checkpoint,
    list_checkpoints,
    load_checkpoint,
    newest_whole,
    prune,
    save_checkpoint,
)
from tests.refusals import refused

SETTINGS = load_settings("quick", {"net.blocks": 1, "net.channels": 8})
SHAPES = Shapes(board_size=5, num_actions=25, num_seats=2, code_length=25)
TENSORS = {"a.b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "step": np.array(7, np.float32)}


def save(run: Path, step: int, **extra: object) -> Path:
    groups = {"model": TENSORS, "ema": {"x": torch.full((3,), float(step))}}
    return save_checkpoint(run, groups, {**checkpoint_meta(SETTINGS, SHAPES, step), **extra})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    folder = save(tmp_path, 1234, run_name="x")
    assert folder == tmp_path / "checkpoints" / "step-00001234"
    assert {entry.name for entry in folder.iterdir()} == {"checkpoint.json", "ema.safetensors", "model.safetensors"}
    for path in (folder, tmp_path):
        checkpoint = load_checkpoint(path)
        assert (checkpoint.path, checkpoint.step, checkpoint.meta["run_name"]) == (folder, 1234, "x")
        assert checkpoint.settings == SETTINGS
        assert checkpoint.shapes == SHAPES
        assert checkpoint.groups["model"].keys() == TENSORS.keys()
        for name, array in TENSORS.items():
            np.testing.assert_array_equal(checkpoint.groups["model"][name], array)
            assert checkpoint.groups["model"][name].shape == array.shape
        np.testing.assert_array_equal(checkpoint.play_weights["x"], np.full(3, 1234, np.float32))
    only = load_checkpoint(folder, ["model", "optimizer"])
    assert only.groups.keys() == {"model"}
    assert only.play_weights.keys() == TENSORS.keys()


def test_newest_and_pruning(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    folders = [save(tmp_path, step) for step in (5, 30, 200, 123456789)]
    (tmp_path / "checkpoints" / "step-notes").mkdir()
    assert list_checkpoints(tmp_path) == folders
    assert latest_checkpoint(tmp_path) == folders[-1]
    assert prune(tmp_path, 2) == folders[:2]
    assert list_checkpoints(tmp_path) == folders[2:]


def test_every_so_many_th_checkpoint_is_kept(tmp_path: Path) -> None:
    """Whatever was deleted between two of them, and over a resume that writes its first step again."""
    for step in range(10, 100, 10):
        save(tmp_path, step)
        if step == 50:
            save(tmp_path, step)
        prune(tmp_path, 2, 3)
    assert [load_checkpoint(path).step for path in list_checkpoints(tmp_path)] == [30, 60, 80, 90]
    assert [load_checkpoint(path).number for path in list_checkpoints(tmp_path)] == [3, 6, 8, 9]
    damage = list_checkpoints(tmp_path)[0] / "checkpoint.json"
    damage.write_text("{")
    assert prune(tmp_path, 2, 3) == [damage.parent], "what cannot be read is no opponent for anyone"
    assert [path.name for path in prune(tmp_path, 1)] == ["step-00000060", "step-00000080"]


def test_the_same_step_replaces_the_old_one(tmp_path: Path) -> None:
    save(tmp_path, 5, note="old")
    save(tmp_path, 5, note="new")
    assert [entry.name for entry in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]
    assert load_checkpoint(tmp_path).meta["note"] == "new"


def test_a_replacement_that_was_interrupted_leaves_the_old_one(tmp_path: Path) -> None:
    folder = save(tmp_path, 5, note="old")
    folder.rename(folder.with_name("step-00000005.old"))  # killed between its two renames
    assert load_checkpoint(tmp_path).meta["note"] == "old"


def test_a_save_that_was_interrupted_is_not_seen_and_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "sync_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 2)
    assert load_checkpoint(tmp_path).step == 1
    save(tmp_path, 3)
    assert sorted(entry.name for entry in (tmp_path / "checkpoints").iterdir()) == ["step-00000001", "step-00000003"]


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And that before the one that it replaces goes: no power cut leaves less than the older one."""
    save(tmp_path, 5, note="old")
    done: list[str] = []
    sync, rename, rmtree = os.fsync, Path.rename, shutil.rmtree

    def told_sync(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        sync(descriptor)

    def told_rename(path: Path, target: Path) -> Path:
        done.append(f"{path.name} -> {target.name}")
        return rename(path, target)

    def told_rmtree(path: Path, ignore_errors: bool = False) -> None:
        done.append(f"delete {path.name}")
        rmtree(path, ignore_errors)

    monkeypatch.setattr(os, "fsync", told_sync)
    monkeypatch.setattr(Path, "rename", told_rename)
    monkeypatch.setattr(shutil, "rmtree", told_rmtree)
    save(tmp_path, 5, note="new")
    name = "step-00000005"
    files = ["model.safetensors", "ema.safetensors", "checkpoint.json", f".tmp-{name}"]
    assert done == [
        *(f"sync {file}" for file in files),
        f"{name} -> {name}.old",
        f".tmp-{name} -> {name}",
        "sync checkpoints",
        f"delete {name}.old",
    ]
    done.clear()
    save(tmp_path / "new", 1)
    assert done[0] == "sync new", "the name of the folder of checkpoints"


def damage_bytes(folder: Path) -> None:
    data = bytearray((folder / "ema.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "ema.safetensors").write_bytes(data)


def cut_short(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-5])


def edit(folder: Path, **changes: object) -> None:
    document = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps({**document, **changes}))


@pytest.mark.parametrize(
    ("harm", "kind", "file"),
    [
        (damage_bytes, "damaged", "ema.safetensors"),
        (cut_short, "damaged", "model.safetensors"),
        (lambda folder: (folder / "model.safetensors").unlink(), "damaged", "model.safetensors"),
        (lambda folder: (folder / "checkpoint.json").write_text("{"), "damaged", "checkpoint.json"),
        (lambda folder: (folder / "checkpoint.json").write_bytes(b"\xff\xfe"), "damaged", "checkpoint.json"),
        (lambda folder: (folder / "checkpoint.json").write_text("[]"), "foreign", ""),
        (lambda folder: (folder / "checkpoint.json").unlink(), "damaged", "checkpoint.json"),
        (lambda folder: edit(folder, format="other"), "foreign", ""),
        (lambda folder: edit(folder, format_version=99), "version", ""),
        (lambda folder: edit(folder, shapes={"board_size": 5}), "damaged", "checkpoint.json"),
        (lambda folder: edit(folder, settings={"net": {"blocks": -1}}), "damaged", "checkpoint.json"),
        (lambda folder: edit(folder, groups={"model": {}}), "damaged", "checkpoint.json"),
        (lambda folder: edit(folder, groups={"../../evil": {"bytes": 1, "crc32": 1}}), "damaged", "checkpoint.json"),
    ],
)
def test_damage_is_told_in_one_line(tmp_path: Path, harm, kind: str, file: str) -> None:
    folder = save(tmp_path, 1)
    harm(folder)
    with refused(CheckpointError, kind=kind, path=folder / file) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


def fill_with_zeros(folder: Path) -> None:
    """As a power cut leaves a file whose blocks were never written."""
    file = folder / "optimizer.safetensors"
    file.write_bytes(bytes(file.stat().st_size))


HARMS = {
    "cut": cut_short,
    "a bit": damage_bytes,
    "zeros": fill_with_zeros,
    "half deleted": lambda folder: (folder / "model.safetensors").unlink(),
    "no document": lambda folder: (folder / "checkpoint.json").unlink(),
    "half a document": lambda folder: (folder / "checkpoint.json").write_bytes(
        (folder / "checkpoint.json").read_bytes()[:500]
    ),
    "empty": lambda folder: [entry.unlink() for entry in folder.iterdir()],
}


def whole_run(run: Path, *steps: int) -> list[Path]:
    groups = {"model": TENSORS, "ema": {"x": np.zeros(3, np.float32)}, "optimizer": {"0.step": np.ones(2, np.float32)}}
    return [save_checkpoint(run, groups, checkpoint_meta(SETTINGS, SHAPES, step)) for step in steps]


@pytest.mark.parametrize("harm", HARMS)
def test_the_newest_whole_one_is_taken_and_damaged_ones_are_named_and_kept(tmp_path: Path, harm: str) -> None:
    folders = whole_run(tmp_path, 10, 20, 30, 40)
    for folder in folders[2:]:
        HARMS[harm](folder)
    lines: list[str] = []
    found = newest_whole(tmp_path, lines.append)
    assert found is not None
    assert (found.path, found.step) == (folders[1], 20)
    assert found.groups.keys() == {"model", "ema", "optimizer"}
    assert [line.split(":")[0] for line in lines] == [
        f"passed over {name}, which is kept as damaged-{name}" for name in ("step-00000040", "step-00000030")
    ]
    assert all("\n" not in line and ("is damaged" in line or "cannot be read" in line) for line in lines)
    assert list_checkpoints(tmp_path) == folders[:2], "nobody takes a damaged one for the newest"
    assert newest_whole(tmp_path, lines.append) is not None
    assert len(lines) == 2, "they are told of once"
    whole_run(tmp_path, 40)
    HARMS[harm](folders[3])
    assert newest_whole(tmp_path, lines.append) is not None
    assert (tmp_path / "checkpoints" / "damaged-step-00000040-2").is_dir()
    assert (tmp_path / "checkpoints" / "damaged-step-00000040").is_dir()


def test_without_a_whole_one_nothing_begins_anew(tmp_path: Path) -> None:
    assert newest_whole(tmp_path, pytest.fail) is None
    folders = whole_run(tmp_path, 10, 20)
    for folder in folders:
        cut_short(folder)
    with refused(CheckpointError, "step-00000020", kind="damaged", path=tmp_path) as caught:
        newest_whole(tmp_path, pytest.fail)
    assert "\n" not in str(caught.value)
    assert list_checkpoints(tmp_path) == folders


def test_what_may_be_read_another_time_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = whole_run(tmp_path, 10, 20)
    edit(folders[1], format_version=99)
    with refused(CheckpointError, kind="version", path=folders[1]):
        newest_whole(tmp_path, pytest.fail)
    edit(folders[1], format_version=checkpoints.FORMAT_VERSION)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, "available_memory", lambda: 100)
        with refused(CheckpointError, "100", kind="full"):
            newest_whole(tmp_path, pytest.fail)
    assert list_checkpoints(tmp_path) == folders
    found = newest_whole(tmp_path, pytest.fail)
    assert found is not None
    assert found.path == folders[1]


def test_no_checkpoint_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with refused(CheckpointError, kind="missing", path=path):
            load_checkpoint(path)


def test_a_foreign_tensor_file_with_the_right_checksum_is_told(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    data = b"no tensors at all"
    (folder / "ema.safetensors").write_bytes(data)
    edit(folder, groups={"ema": {"bytes": len(data), "crc32": zlib.crc32(data)}})
    with refused(DamagedCheckpointError, kind="damaged", path=folder / "ema.safetensors"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(torch.bfloat16, "bfloat16"), (torch.float8_e4m3fn, "float8 (e4m3)"), (torch.float8_e5m2, "float8 (e5m2)")],
)
def test_numbers_that_numpy_has_not_are_named_as_what_they_are(tmp_path: Path, dtype: torch.dtype, name: str) -> None:
    folder = save(tmp_path, 1)
    data = safetensors.torch.save({"weight": torch.ones(4).to(dtype)})
    (folder / "ema.safetensors").write_bytes(data)
    edit(folder, groups={"ema": {"bytes": len(data), "crc32": zlib.crc32(data)}})
    with refused(CheckpointError, name, "float32", kind="type", path=folder / "ema.safetensors") as caught:
        load_checkpoint(folder)
    assert not isinstance(caught.value, DamagedCheckpointError), "it is whole, and stays where it is"


def test_arrays_that_are_not_contiguous_are_written_as_what_they_hold(tmp_path: Path) -> None:
    """Transposed, strided, of Fortran's order and channels last, of numpy and of torch: safetensors 0.8.0 writes such
    memory as it lies."""
    square = np.arange(12, dtype=np.float32).reshape(3, 4)
    image = torch.arange(120, dtype=torch.float32).reshape(2, 3, 4, 5)
    tensors = {
        "transposed": square.T,
        "strided": square[::2, ::-1],
        "fortran": np.asfortranarray(square),
        "last": image.contiguous(memory_format=torch.channels_last),
        "permuted": image.permute(3, 0, 2, 1),
        "scalar": np.array(3, np.float32),
    }
    entry = checkpoint_files.write_group(tmp_path, "ema", tensors)
    read = checkpoint_files.read_group(tmp_path / "ema.safetensors", entry)
    for key, tensor in tensors.items():
        assert np.array_equal(read[key], np.asarray(tensor)), key
    assert read.keys() == tensors.keys()


@pytest.mark.skipif(os.name != "posix", reason="needs file permissions")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file in the way: stands for every error of the system")
    with refused(RunFolderError, kind="foreign", path=tmp_path / "checkpoints"):
        save(tmp_path, 1)


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    code = (
        "import sys; from pathlib import Path; from hexpipe.nets.checkpoints import load_checkpoint; "
        f"load_checkpoint(Path({str(folder)!r})); assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_a_copied_folder_loads(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    copied = tmp_path / "exported-model"
    shutil.copytree(folder, copied)
    assert load_checkpoint(copied).step == 1
