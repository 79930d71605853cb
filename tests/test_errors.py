"""What errors carry for programs, beside their words."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

import hexpipe
from hexpipe import errors
from hexpipe.config.section import RefusedError

TOLD = {
    "SettingsError", "RefusedError", "NotationError", "ArchiveError", "RunFolderError", "IllegalMoveError",
    "SharedMemoryError", "InferenceError",
}  # fmt: skip
FIELDS = {"kind": "range", "setting": "net.blocks", "path": Path("a/b"), "move": 3, "low": 1, "high": 2.5}
OF_THEIR_OWN = {errors.GoneError: (Path("a/b"), True), errors.ProcessDiedError: ("learner-0", "a\ntraceback")}
ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HexpipeError)]


@pytest.mark.parametrize("kind", [*ALL, RefusedError])
def test_errors_go_through_process_borders_with_all_that_they_say(kind: type[errors.HexpipeError]) -> None:
    own = OF_THEIR_OWN.get(kind)
    error = kind(*own) if own else kind("what to do", **FIELDS)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))
    if not own:
        assert (str(again), vars(again)) == ("what to do", FIELDS)


def test_errors_say_nothing_unless_asked_to() -> None:
    error = errors.SettingsError("what to do")
    assert vars(error) == {"kind": "", "setting": "", "path": None, "move": None, "low": None, "high": None}


def test_some_errors_are_of_one_kind() -> None:
    kinds = {kind.__name__: kind.kind for kind in ALL if kind.kind}
    assert kinds == {
        "DamagedCheckpointError": "damaged",
        "NotFiniteError": "damaged",
        "FileBusyError": "busy",
        "DiskFullError": "full",
        "GoneError": "missing",
        "SearchesLostError": "missing",
        "ProcessDiedError": "ended",
    }


def test_wherever_bad_input_is_refused_the_kind_is_said() -> None:
    root = Path(hexpipe.__file__).parent
    silent = [
        f"{file.relative_to(root)}:{call.lineno}"
        for file in root.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in TOLD
        if not {"kind", None} & {keyword.arg for keyword in call.keywords}  # None is **fields
    ]
    assert silent == []
