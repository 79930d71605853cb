"""Print how large hexpipe's house is: lines of code by room, files, the largest room, imports that point back.

    python tests/house.py [CHECKOUT] [--json]

A line of code is one that is not blank, not a comment and not part of a docstring. A room is a folder of hexpipe/; the
modules that lie beside the rooms are counted together as "(base)". Shares of rooms are of all lines, as `wc -l` has
them. A circle is a set of rooms that import each other, in whatever number of steps, TYPE_CHECKING left out.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import tokenize
from collections import defaultdict
from pathlib import Path

BASE = "(base)"


def code_lines(source: str) -> int:
    """Lines of ``source`` with code on them."""
    lines: set[int] = set()
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in ignored:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def imported_rooms(source: str, rooms: set[str]) -> set[str]:
    """Rooms that ``source`` imports, at its head or later, but not for types alone."""
    tree = ast.parse(source)
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hexpipe."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "hexpipe":
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name.split(".")[1] for alias in node.names if alias.name.startswith("hexpipe."))
    return {name if name in rooms else BASE for name in found}


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Sets of rooms that reach each other."""
    reached = {room: set(others) for room, others in imports.items()}
    for through in imports:
        for room in imports:
            if through in reached[room]:
                reached[room] |= reached[through]
    found = {frozenset(b for b in imports if b in reached[a] and a in reached[b]) for a in imports}
    return sorted(sorted(circle) for circle in found if len(circle) > 1)


def house(package: Path) -> dict[str, object]:
    """Everything that is printed, of the package in the folder ``package``."""
    rooms = {path.name for path in package.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    code: dict[str, int] = defaultdict(int)
    lines: dict[str, int] = defaultdict(int)
    files: dict[str, int] = defaultdict(int)
    imports: dict[str, set[str]] = defaultdict(set)
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0]
        room = room if room in rooms else BASE
        source = path.read_text()
        code[room] += code_lines(source)
        lines[room] += source.count("\n")
        files[room] += 1
        imports[room] |= imported_rooms(source, rooms) - {room}
    total = sum(lines.values())
    table = {
        room: {"files": files[room], "lines": lines[room], "code": code[room], "share": round(lines[room] / total, 4)}
        for room in sorted(code, key=lambda room: -lines[room])
    }
    without_base = {room: others - {BASE} for room, others in imports.items() if room != BASE}
    return {
        "rooms": table,
        "files": sum(files.values()),
        "lines": total,
        "code": sum(code.values()),
        "circles": circles(without_base),
        "base_imports": sorted(imports[BASE]),
    }


def main() -> None:
    """Print the house of the checkout that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="?", default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures = house(given.checkout / "hexpipe")
    if given.json:
        print(json.dumps(figures))  # noqa: T201
        return
    rooms = figures["rooms"]
    assert isinstance(rooms, dict)
    for room, row in rooms.items():
        print(f"{room:12} {row['files']:4} files {row['lines']:6,} lines {row['code']:6,} code {row['share']:7.1%}")  # noqa: T201
    print(f"{'all':12} {figures['files']:4} files {figures['lines']:6,} lines {figures['code']:6,} code")  # noqa: T201
    print(f"circles among rooms: {figures['circles'] or 'none'}")  # noqa: T201
    print(f"rooms that modules beside them import: {figures['base_imports'] or 'none'}")  # noqa: T201


if __name__ == "__main__":
    main()
