"""Where kernels are kept, and that each is compiled once, by nobody who was not asked to."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hexpipe import kernel_cache
from hexpipe.errors import HexpipeError

ROOT = Path(__file__).parents[1]
NEED = "from hexpipe.cli.main import prepare; prepare({words})"


def environment(**changes: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    return {**clean, "PYTHONPATH": str(ROOT), **changes}


def start(code: str, **changes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(*words: str, **changes: str) -> tuple[str, str]:
    """What a command writes to its two outputs; it must end well."""
    process = start(f"from hexpipe.cli.main import main; main({list(words)!r})", **changes)
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    return output, errors


def compiled(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["convert", "#5,a1b2", "--to", "moves"], ["settings"]]
)
def test_what_needs_no_kernel_compiles_none(tmp_path: Path, words: list[str]) -> None:
    output, errors = command(*words, NUMBA_CACHE_DIR=str(tmp_path))
    assert output
    assert errors == ""
    assert compiled(tmp_path) == {}


def test_without_a_place_that_lasts_two_commands_at_once_compile_once_among_temporary_files(tmp_path: Path) -> None:
    """As an installed wheel whose user has no home: neither the package's folder nor the home is written."""
    places = {"HOME": "/dev/null", "TMPDIR": str(tmp_path)}
    code = "from hexpipe import kernel_cache as k; k.tell(print); k.need('hex')"
    both = [start(code, **places) for _ in range(2)]
    outputs, errors = zip(*(process.communicate(timeout=280) for process in both), strict=True)
    assert [process.returncode for process in both] == [0, 0], errors
    assert sum(output.count("compiling kernels") for output in outputs) == 1
    for text in errors:
        (line,) = text.splitlines()
        assert "NUMBA_CACHE_DIR" in line
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    before = compiled(folder)
    assert before
    _, errors = command("convert", "#5,a1b2", "--to", "json", **places)  # which has no need of them
    assert errors == ""
    third = start(code + "; from hexpipe.games.hex import Hex; Hex(4).play([0, 1, 2])", **places)
    assert "compiling" not in third.communicate(timeout=280)[0]
    assert third.returncode == 0
    assert compiled(folder) == before
    assert list(folder.glob("*/hex.complete"))


def test_a_name_that_somebody_else_has_taken_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    taken = tmp_path / f"hexpipe-kernels-{os.getuid()}"
    assert kernel_cache._temporary_folder() == taken
    taken.chmod(0o777)
    other = kernel_cache._temporary_folder()
    assert other != taken
    assert other.stat().st_mode & 0o777 == 0o700
    taken.rmdir()
    taken.symlink_to(other)
    assert kernel_cache._temporary_folder() not in (taken, other)


def test_a_compiler_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels-0"))
    monkeypatch.setitem(kernel_cache.GROUPS, "poker", "no such group")
    with pytest.raises(HexpipeError, match=r"could not be compiled: KeyError: 'poker' \(see .*compile.log\)") as caught:
        kernel_cache.need("poker")
    assert "\n" not in str(caught.value)
    assert "poker" not in kernel_cache._ready


def test_only_what_nobody_has_used_for_a_month_nor_uses_is_removed(tmp_path: Path) -> None:
    long_ago = time.time() - 40 * 86400
    for name in ("kernels-old", "kernels-held", "kernels-young", "kernels-of-0.1.0", "thesis"):
        (tmp_path / name / "games_0").mkdir(parents=True)
        if name != "kernels-of-0.1.0":
            (tmp_path / name / "in-use").touch()
            if name != "kernels-young":
                os.utime(tmp_path / name / "in-use", (long_ago, long_ago))
    os.utime(tmp_path / "kernels-of-0.1.0", (long_ago, long_ago))
    with (tmp_path / "kernels-held" / "in-use").open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        kernel_cache._remove_unused(tmp_path / "kernels-now")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernels-held", "kernels-young", "thesis"]


def test_compilers_end_with_a_command_that_is_killed(tmp_path: Path) -> None:
    process = start(NEED.format(words=["run"]), NUMBA_CACHE_DIR=str(tmp_path))
    try:
        compilers: list[psutil.Process] = []
        deadline = time.monotonic() + 120.0
        while len(compilers) < 2 and time.monotonic() < deadline:
            compilers = psutil.Process(process.pid).children(recursive=True)
            time.sleep(0.05)
        assert len(compilers) >= 2
    finally:
        process.kill()
        process.communicate(timeout=60)
    _, left = psutil.wait_procs(compilers, timeout=120.0)
    assert left == []


def test_what_the_words_of_a_command_say_is_needed() -> None:
    assert set(kernel_cache.likely(["run"])) == {"search", "nets", "cache", "hex", "replay", "solver"}
    assert {"inarow", "learned"} <= set(kernel_cache.likely(["run", "--game", "inarow", "--algorithm=muzero"]))
    for word in ("--game=go", "go", "--set=game.name=go", "runs/go-9x9"):
        assert "go" in kernel_cache.likely(["run", word])
    assert "go" not in kernel_cache.likely(["run", "--algorithm=muzero", "runs/gorilla"])
    for words in ([], ["convert", "#5,a1"], ["run", "--help"], ["runs"]):
        assert kernel_cache.likely(words) == ()
    assert set(kernel_cache.likely(["pytest"])) == set(kernel_cache.GROUPS)


TRAIN = """
import json, sys
from pathlib import Path
from hexpipe import kernel_cache
from hexpipe.compile_kernels import kernel_modules
from hexpipe.config import load_settings
from hexpipe.run_folder import RunFolder
from hexpipe.pipeline.train import train
small = {"limits.steps": 2, "limits.minutes": 5, "search.num_simulations": 8, "replay.min_games": 2,
    "selfplay.games_per_worker": 4, "net.blocks": 3, "net.channels": 16, "learner.batch_size": 8,
    "replay.max_memory_gb": 0.1, "inference.backend": "winograd"}
for number, flavour in enumerate(json.loads(sys.argv[1])):
    settings = load_settings("quick", {**small, **flavour})
    kernel_cache.need(*kernel_cache.to_train(settings.game.name, settings.algorithm))
    with RunFolder.open(Path(sys.argv[2]) / str(number), resume=False) as folder:
        assert train(settings, folder).steps >= 2
print(json.dumps([f"{module.__name__}.{name} {signature}" for module in kernel_modules()
    for name, kernel in vars(module).items() if hasattr(kernel, "stats")
    for signature in kernel.stats.cache_misses]))
"""


def test_training_compiles_nothing_that_was_not_compiled_for_it(tmp_path: Path) -> None:
    flavours = [
        {"game.board_size": 3},
        {"game.board_size": 3, "search.root": "puct", "game.swap": True, "replay.priority_share": 0.5},
        {"game.board_size": 3, "algorithm": "muzero", "inference.backend": "auto"},
        {"game.name": "inarow", "game.board_size": 4, "game.view_size": 3, "game.win_length": 3, "game.players": 3},
    ]
    done = subprocess.run(
        [sys.executable, "-P", "-c", TRAIN, json.dumps(flavours), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
