"""The loop that README.md shows under "As a library" is a whole AlphaZero: it saves a net like any other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import hexpipe
from hexpipe import SimpleModelInference, load_checkpoint

README = Path(__file__).parent.parent / "README.md"


def test_the_loop_of_the_readme_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "SelfPlay(" in block]
    assert len(code.splitlines()) <= 33
    shorter = code
    for long, short in (('"limits.steps": 300', '"limits.steps": 3'), ("num_games >= 50", "num_games >= 5")):
        assert long in shorter
        shorter = shorter.replace(long, short)
    monkeypatch.chdir(tmp_path)
    exec(compile(shorter, "README.md", "exec"), {"__name__": "short"})
    assert load_checkpoint(tmp_path / "runs/short").step == 3
    policy, value = SimpleModelInference(tmp_path / "runs/short").simple_infer("#4,a1b2", logits=False)
    assert policy.shape[-1] >= 16
    assert -1 <= float(value) <= 1


def test_the_door_says_the_same_to_type_checkers() -> None:
    tree = ast.parse(Path(hexpipe.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {part.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for part in node.names}
    assert told == {name: f"hexpipe.{where}" for name, where in hexpipe._WHERE.items()}


def test_every_name_at_the_door_is_there_and_listed() -> None:
    for name in hexpipe._WHERE:
        assert getattr(hexpipe, name).__name__ == name
        assert name in dir(hexpipe)
    with pytest.raises(AttributeError, match="no attribute 'Lerner'"):
        _ = hexpipe.Lerner
