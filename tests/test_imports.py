"""The walls between modules: layers, who may import what, and generators that never see torch."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hexpipe

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "hexpipe"

# Which modules may import what only some may; a name that ends in "." stands for a whole package.
ALLOWED = {
    "multiprocessing": (
        "hexpipe.shm",
        "hexpipe.inference.slots",
        "hexpipe.inference.queue_repair",
        "hexpipe.learner.prefetch",
        "hexpipe.processes.",
        "hexpipe.bulk.",
        "hexpipe.bench.",
    ),
    "sqlite3": ("hexpipe.sqlite_file",),
    "openvino": ("hexpipe.nets.",),
    "tensorboard": ("hexpipe.watch.trackers",),
    "wandb": ("hexpipe.watch.trackers",),
    "mlflow": ("hexpipe.watch.trackers",),
    "ray": ("hexpipe.cluster.ray_bridge",),
    "click": ("hexpipe.cli.",),
    "websockets": ("hexpipe.play_server.client",),
}
# What an inference server runs on where neither a GPU nor torch itself runs the net.
SERVER_MODULES = (
    "hexpipe.inference.inference_server",
    "hexpipe.inference.weights",
    "hexpipe.nets.agreement",
    "hexpipe.nets.backend_openvino",
    "hexpipe.nets.backend_winograd",
    "hexpipe.nets.choose_backend",
    "hexpipe.roles.server",
)
# What a self-play generator runs on.
GENERATOR_MODULES = (
    "hexpipe.games.hex",
    "hexpipe.games.factory",
    "hexpipe.search.mcts",
    "hexpipe.selfplay.self_play",
    "hexpipe.inference.slots",
    "hexpipe.inference.client",
    "hexpipe.inference.lru_cache",
    "hexpipe.inference.weights",
    "hexpipe.records",
    "hexpipe.shm",
)


def modules() -> dict[str, Path]:
    """Every module of the package, by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a module's source imports when it runs, anywhere in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    skipped = {inner for block in for_types for inner in ast.walk(block)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def allowed(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or (place.endswith(".") and (name + ".").startswith(place)) for place in places)


@pytest.mark.parametrize("library", ALLOWED)
def test_library_only_where_the_design_allows_it(library: str) -> None:
    users = [name for name, path in modules().items() if any(i.split(".")[0] == library for i in imported(path))]
    assert [name for name in users if not allowed(name, ALLOWED[library])] == []


def test_numba_only_in_kernel_modules() -> None:
    users = [name for name, path in modules().items() if any(i.split(".")[0] == "numba" for i in imported(path))]
    assert users
    assert [name for name in users if not name.endswith("kernels")] == []


def test_nothing_is_unpickled() -> None:
    """safetensors and JSON only: nothing runs what a file or a socket says."""
    loaders = re.compile(r"(pickle|dill|joblib|torch|shelve|marshal)\.(loads?|open|Unpickler)$")
    users = [
        f"{name}:{node.lineno}"
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (loaders.search(ast.unparse(node.func)) or any(word.arg == "allow_pickle" for word in node.keywords))
    ]
    assert users == []


def test_every_module_has_a_docstring() -> None:
    without = [
        name
        for name, path in modules().items()
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert without == []


def test_every_public_definition_has_a_docstring() -> None:
    """Functions and classes of the modules; methods that implement a protocol leave its words to the protocol."""
    without = []
    for name, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                without.append(f"{name}.{node.name}")
    assert without == []


def test_import_contracts_hold(tmp_path: Path) -> None:
    """In a process of its own: import-linter draws on the real standard output."""
    code = (
        "import sys\nfrom importlinter.cli import lint_imports\n"
        f"sys.exit(lint_imports(config_filename={str(REPOSITORY / 'setup.cfg')!r}, cache_dir={str(tmp_path)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 broken." in done.stdout


def test_contracts_name_every_package() -> None:
    """A package that setup.cfg does not know would stand outside the layers."""
    layers = (REPOSITORY / "setup.cfg").read_text(encoding="utf-8").split("layers =")[1].split("[importlinter")[0]
    known = set(layers.replace("|", " ").split())
    packages = {module.name for module in pkgutil.iter_modules(hexpipe.__path__) if module.ispkg}
    assert packages - known == set()


def in_fresh_process(code: str) -> object:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_search_of_old_games_imports_no_torch() -> None:
    """Its archive is SQLite's, which a generator has no use for."""
    loads = in_fresh_process(
        "import json, sys, hexpipe.roles.reanalyze\n"
        "print(json.dumps([m for m in ('torch', 'openvino', 'rich') if m in sys.modules]))"
    )
    assert loads == []


def test_the_rating_of_checkpoints_imports_no_torch_and_nothing_slow_before_there_is_something_to_rate() -> None:
    loads = in_fresh_process(
        "import json, sys, hexpipe.roles.rating\n"
        "early = [m for m in ('torch', 'openvino', 'rich') if m in sys.modules]\n"
        "import hexpipe.roles.rating_games, hexpipe.roles.first_weights\n"
        "print(json.dumps(early + [m for m in ('torch',) if m in sys.modules]))"
    )
    assert loads == []


def test_generator_modules_import_no_torch() -> None:
    loads = in_fresh_process(
        "import json, sys\n"
        + "".join(f"import {name}\n" for name in GENERATOR_MODULES)
        + "print(json.dumps([m for m in ('torch', 'openvino', 'sqlite3', 'rich') if m in sys.modules]))"
    )
    assert loads == []


def test_server_modules_import_no_torch() -> None:
    pytest.importorskip("openvino")
    loads = in_fresh_process(
        "import json, sys\n"
        + "".join(f"import {name}\n" for name in SERVER_MODULES)
        + "print(json.dumps([m for m in ('torch', 'sqlite3', 'rich') if m in sys.modules]))"
    )
    assert loads == []


def test_command_line_imports_no_torch() -> None:
    """Every spawned child imports the main module before its own."""
    loads = in_fresh_process(
        "import json, sys, hexpipe.cli.main\n"
        "print(json.dumps([m for m in ('torch', 'numba', 'numpy', 'pydantic') if m in sys.modules]))"
    )
    assert loads == []


@pytest.mark.parametrize("name", sorted(modules()))
def test_every_module_imports(name: str) -> None:
    if name.endswith("__main__"):
        return
    importlib.import_module(name)
