from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from hexpipe.config import load_settings
from hexpipe.errors import RunFolderError, SettingsError
from hexpipe.run_folder import (
    RunFolder,
    check_resume,
    default_run_folder,
    find_runs,
    held_if_dead,
    live_run,
    read_settings,
    resume_arguments,
    shared_leftovers,
)
from tests.refusals import refused


def test_a_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunFolder.open(path, resume=False) as folder:
        folder.write_settings(load_settings())
        folder.write_run({"processes": {}})
        document = live_run(path)
        assert document is not None
        with refused(RunFolderError, f"process {document['pid']}", kind="busy", path=path):
            RunFolder.open(path, resume=True)
        with held_if_dead(path) as dead:
            assert not dead
    assert live_run(path) is None
    with held_if_dead(path) as dead:
        assert dead
    with refused(RunFolderError, kind="conflict", path=path):
        RunFolder.open(path, resume=False)
    with RunFolder.open(path, resume=True):
        assert read_settings(path) == load_settings()


def test_a_dead_run_of_the_same_pid_is_not_alive(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", resume=False) as folder:
        folder.write_run({})
        text = (folder.path / "run.json").read_text()
        document = live_run(folder.path)
        assert document is not None
        (folder.path / "run.json").write_text(text.replace(str(document["create_time"]), "12.5"))
        assert live_run(folder.path) is None


def test_changes_at_resume() -> None:
    old = load_settings("quick")
    assert check_resume(old, old, True) == {}
    new = load_settings("quick", {"learner.replay_ratio": 8, "net.blocks": 5})
    assert set(check_resume(old, new, False)) == {"learner.replay_ratio", "net.blocks"}
    with refused(SettingsError, "4", "5", kind="conflict", setting="net.blocks"):
        check_resume(old, new, True)
    with refused(SettingsError, "5", "6", kind="conflict", setting="game.board_size"):
        check_resume(old, load_settings("quick", {"game.board_size": 6}), False)


def test_default_folders_do_not_clash(tmp_path: Path) -> None:
    first = default_run_folder("quick", tmp_path)
    first.mkdir(parents=True)
    (first / "lock").write_text("")
    second = default_run_folder("quick", tmp_path)
    assert second != first
    assert find_runs(tmp_path) == [first]


def test_only_old_files_of_ours_are_leftovers(tmp_path: Path) -> None:
    (tmp_path / "hexpipe-replay-x").write_text("")
    (tmp_path / "other").write_text("")
    assert shared_leftovers(tmp_path) == []
    assert [leftover.path.name for leftover in shared_leftovers(tmp_path, minimum_age=-1.0)] == ["hexpipe-replay-x"]


def test_hints_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "it's my run; $(ls) & more"
    assert shlex.split(resume_arguments(path, load_settings())) == ["--resume", str(path)]
    own = load_settings("quick", {"game.name": "tests.games.drop:Drop"})
    assert shlex.split(resume_arguments(path, own)) == ["--resume", str(path), "--game", "tests.games.drop:Drop"]
    with RunFolder.open(path, resume=False) as folder:
        folder.write_settings(load_settings())
    with pytest.raises(RunFolderError) as found:
        RunFolder.open(path, resume=False)
    assert shlex.quote(str(path)) in str(found.value)


def test_a_folder_that_took_the_place_of_the_runs_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunFolder.open(path, resume=False) as folder:
        folder.write_run({"processes": {}})
        shutil.copytree(path, tmp_path / "copy")
        path.rename(tmp_path / "aside")
        (tmp_path / "copy").rename(path)
    assert (path / "run.json").exists()
