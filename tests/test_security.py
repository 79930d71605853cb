"""What the README's section on security promises: nothing is unpickled, nobody else reads a run, nothing listens."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hexpipe import shm
from hexpipe.bulk.game_files import GameFiles
from hexpipe.config import load_settings
from hexpipe.errors import RunFolderError
from hexpipe.games.hex import Hex
from hexpipe.pipeline.train import train
from hexpipe.run_folder import RunFolder
from tests.pipeline.test_train import TINY
from tests.refusals import refused

PACKAGE = Path(__file__).parents[1] / "hexpipe"
NEVER_IMPORTED = {"marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle", "yaml", "dbm"}
NEVER_CALLED = {"eval", "exec", "compile", "__import__"}
LOADERS = {  # of a module whatever reads what may hold code
    "pickle": {"load", "loads", "Unpickler"},
    "_pickle": {"load", "loads", "Unpickler"},
    "torch": {"load", "jit.load", "package", "hub"},
    "numpy": {"load", "fromfile", "memmap", "lib.npyio"},
    "os": {"system", "popen"},
}
NAMES = {"np": "numpy"}


def dangers(source: str) -> list[str]:
    """What in a module's source could run code that came from a disk or a network."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.split(".")[0] in NEVER_IMPORTED]
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")[0]
            loaded = {name.name for name in node.names} & LOADERS.get(module, set())
            found += [f"{module}.{name}" for name in loaded]
            found += [module] if module in NEVER_IMPORTED else []
        elif isinstance(node, ast.Attribute):
            root, _, rest = ast.unparse(node).partition(".")
            if rest in LOADERS.get(NAMES.get(root, root), set()):
                found.append(f"{root}.{rest}")
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in NEVER_CALLED:
                found.append(node.func.id)
            found += [
                f"{key.arg}=True"
                for key in node.keywords
                if key.arg in ("allow_pickle", "shell", "trust_remote_code")
                and not (isinstance(key.value, ast.Constant) and key.value.value is False)
            ]
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.loads(b'')", "from pickle import load", "import torch\ntorch.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)", "from numpy import load", "eval('1')", "exec(text)",
        "import marshal", "import joblib",
        "import yaml.loader", "from shelve import open", "import subprocess\nsubprocess.run('x', shell=True)",
        "f(allow_pickle=flag)", "import torch\ntorch.jit.load('x')",
    ],
)  # fmt: skip
def test_dangers_are_seen(source: str) -> None:
    assert dangers(source)


def test_nothing_unpickles_or_runs_what_comes_from_outside() -> None:
    """Children are spawned with multiprocessing's own pickles, through pipes that nobody else has."""
    found = {str(path.relative_to(PACKAGE)): dangers(path.read_text()) for path in PACKAGE.rglob("*.py")}
    assert len(found) > 150
    assert {name: what for name, what in found.items() if what} == {}
    assert dangers("net.eval()\nimport pickle\npickle.dumps(1)") == []


@pytest.fixture
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("_usual_umask")
def test_a_run_is_its_owners_alone(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    with RunFolder.open(run, resume=False) as folder:
        train(load_settings("quick", TINY), folder)
    entries = sorted(run.rglob("*"))
    assert {"archive.sqlite", "settings.json", "model.safetensors", "lock"} <= {entry.name for entry in entries}
    assert mode(run) == 0o700
    assert {entry.name: oct(mode(entry)) for entry in entries if mode(entry) & 0o077} == {}
    assert mode(run.parent) == 0o755, "what is above it is as the user has things made"
    with refused(RunFolderError, kind="conflict", path=run):
        RunFolder.open(run, resume=False)
    (tmp_path / "after").touch()
    assert mode(tmp_path / "after") == 0o644, "and so is what is made when the run is over, or could not begin"


@pytest.mark.usefixtures("_usual_umask")
def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    with RunFolder.open(shared, resume=False):
        assert (mode(shared), mode(shared / "lock")) == (0o755, 0o600)


@pytest.mark.usefixtures("_usual_umask")
def test_games_in_bulk_are_results_to_be_shared(tmp_path: Path) -> None:
    with GameFiles(tmp_path / "games", Hex(3), {}) as files:
        names = files.names
    assert {mode(tmp_path / "games" / name) for name in names} == {0o644}


@pytest.mark.usefixtures("_usual_umask")
def test_shared_memory_without_memfd_is_its_owners_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    segment = shm.SharedSegment.create("test", [shm.Field("x", "int8", (5,))])
    assert stat.S_IMODE(os.fstat(segment.fd).st_mode) == 0o600
    assert os.fstat(segment.fd).st_nlink == 0
    segment.close()


def test_the_server_listens_to_this_machine_unless_told_otherwise() -> None:
    serve = pytest.importorskip("hexpipe.cli.serve")
    (host,) = [parameter for parameter in serve.command.params if parameter.name == "host"]
    assert host.default == "127.0.0.1"
    opening = ("create_server", "bind", "listen", "Listener", "serve_forever")
    called = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in opening
    }
    # the benchmark asks for a port that is free, on the loopback, and closes it
    assert called == {"web/listening.py", "bench/cluster.py"}, "nothing else opens a port of its own"
