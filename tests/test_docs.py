"""The documents against the code: every knob, every name, every command that they mention is real."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hexpipe.bench import BENCHMARKS
from hexpipe.cli import main
from hexpipe.config import PRESETS, Settings, load_settings
from hexpipe.config.loading import GONE
from hexpipe.games.hex import Hex
from hexpipe.replay.archive import ReplayArchive

REPOSITORY = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "EFFICIENCY.md", "SCALABILITY.md", "hexpipe/README.md", "hexpipe/games/README.md")

# What a setting of several numbers may be.
SPANS = {
    "search.phase_simulations": "three numbers, 2 to num_simulations",
    "search.phase_plies": "two rising plies",
    "game.placement_rewards": "three numbers, -1 to 1",
    "curriculum.stages": "pairs of numbers",
    "inference.devices": "auto, or devices",
    "learner.devices": "auto, or devices",
    "cluster.address": "local, host:port",
    "tracking.wandb": "a project",
    "tracking.mlflow": "a URI",
}

# The components that the project's users know by these names; EFFICIENCY.md has a section under each.
COMPONENTS = (
    "train_async",
    "train",
    "replay_buffer",
    "mcts",
    "self_play",
    "game_env",
    "data_augment",
    "muzero_network / transformer_backbone",
    "engram",
    "server",
    "SimpleModelInference",
    "LRUCache",
    "format_conversion",
    "player_utils",
)


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def setting_rows() -> list[tuple[str, str, str, str]]:
    """(dotted name, default, range, description) of every setting, in the words of SCALABILITY.md."""
    rows = []
    for section, outer in Settings.model_fields.items():
        kind = outer.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            rows += [_facts(f"{section}.{name}", inner) for name, inner in kind.model_fields.items()]
        else:
            rows.append(_facts(section, outer))
    return rows


def _facts(name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    default = {None: "unset", True: "on", False: "off"}.get(field.default, "") if _is_word(field.default) else ""
    return name, default or _number(field.default), SPANS.get(name) or _range(field), str(field.description)


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _number(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_number, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else (f"{value:g}" if isinstance(value, float) else str(value))


def _range(field: FieldInfo) -> str:
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    kind = kinds[0] if get_origin(field.annotation) in (Union, UnionType) else field.annotation  # X | None
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    if kind is bool:
        return "on or off"
    if kind is str:
        games = "hex, inarow, connect4, othello, breakthrough, go, openspiel:NAME, package.module:Class"
        return ", ".join(PRESETS) if field is Settings.model_fields["preset"] else games
    bounds = {key: getattr(m, key) for m in field.metadata for key in ("ge", "gt", "le", "lt") if hasattr(m, key)}
    low = f"above {_number(bounds['gt'])}" if "gt" in bounds else _number(bounds["ge"])
    if "le" in bounds:
        return f"{low} to {_number(bounds['le'])}"
    if "lt" in bounds:
        return f"{low} to below {_number(bounds['lt'])}"
    return low if "gt" in bounds else f"at least {low}"


def documented_settings() -> dict[str, list[str]]:
    rows = re.findall(r"^\| `([a-z_.]+)` \|(.*)\|$", read("SCALABILITY.md"), re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


@pytest.mark.parametrize(("name", "default", "span"), [row[:3] for row in setting_rows()])
def test_scalability_gives_default_and_range(name: str, default: str, span: str) -> None:
    assert documented_settings()[name][:2] == [default, span]


def test_scalability_gives_every_setting_one_reason() -> None:
    table = read("SCALABILITY.md").partition("## Why each setting is there")[2].split("\n\n")[2].splitlines()[2:]
    reasons = [
        f"{section}.{name}".removeprefix("run.")
        for section, names, _ in ([cell.strip() for cell in row.split("|")[1:-1]] for row in table)
        for name in re.findall(r"`(\w+)`", names)
    ]
    assert sorted(reasons) == sorted(row[0] for row in setting_rows())


def test_scalability_names_the_settings_that_are_gone() -> None:
    table = read("SCALABILITY.md").partition("These are gone.")[2]
    rows = re.findall(r"^\| ([a-z_.]+) \| (\w+) \|", table, re.MULTILINE)
    assert rows[1:] == [(name, _number(usual)) for name, (usual, _) in GONE.items()]


def test_scalability_names_no_unknown_setting() -> None:
    assert set(documented_settings()) == {row[0] for row in setting_rows()}


def sections(name: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", read(name), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("component", COMPONENTS)
def test_efficiency_has_a_section_for_each_component(component: str) -> None:
    text = sections("EFFICIENCY.md")[component]
    if "not there yet" in text:
        return
    assert re.search(r"`hexpipe\.[\w.]+`", text), "a section names the code that it is about"
    assert re.search(r"`(hexpipe bench \w+|bin/test tests/[\w/.]+)", text), "a section names what checks it"


def resolve(dotted: str) -> object:
    """The object a dotted name means: the longest prefix that is a module, then attributes."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[end:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(dotted)


def in_backticks() -> list[tuple[str, str]]:
    return [(name, code) for name in DOCUMENTS for code in re.findall(r"`([^`\n]+)`", read(name))]


@pytest.mark.parametrize(
    ("document", "dotted"), sorted({(d, c.split("(")[0]) for d, c in in_backticks() if re.match(r"hexpipe\.\w", c)})
)
def test_dotted_names_resolve(document: str, dotted: str) -> None:
    resolve(dotted)


@pytest.mark.parametrize(
    ("document", "path"),
    sorted({(d, p) for d, c in in_backticks() for p in c.split() if re.match(r"(bin|tests|hexpipe|\.ci)/[\w./]+$", p)}),
)
def test_paths_exist(document: str, path: str) -> None:
    assert (REPOSITORY / path).exists()


def commands_in(name: str) -> list[str]:
    """Every `hexpipe ...` command line of a document, in backticks or in a fenced block."""
    fenced = re.findall(r"^(?:\$ )?((?:bin/)?hexpipe [a-z].*)$", read(name), re.MULTILINE)
    inline = [code for document, code in in_backticks() if document == name and re.match(r"(bin/)?hexpipe [a-z]", code)]
    return sorted({line.split("#")[0].strip() for line in [*fenced, *inline]})


@pytest.mark.parametrize(("document", "line"), [(name, line) for name in DOCUMENTS for line in commands_in(name)])
def test_commands_parse(document: str, line: str) -> None:
    """Each command exists and knows each option and argument that the document gives it."""
    words = [word for word in shlex.split(line)[1:] if word not in ("...", "[options]")]
    context = click.Context(main.group, info_name="hexpipe")
    command: click.Command = main.group
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no {words[0]!r}"
        command, words = found, words[1:]
    options = {name for p in command.params if isinstance(p, click.Option) for name in [*p.opts, *p.secondary_opts]}
    named = [word.split("=")[0] for word in words if word.startswith("--")]
    assert [option for option in named if option not in options | {"--help"}] == []


def test_the_archives_schema_is_described(tmp_path: Path) -> None:
    with ReplayArchive(tmp_path / "archive.sqlite", Hex(3)) as archive:
        tables = [name for (name,) in archive.select("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {table: [row[1] for row in archive.select(f"PRAGMA table_info({table})")] for table in tables}
        (version,) = archive.select("PRAGMA user_version")[0]
    text = read("hexpipe/README.md")
    assert f"is its form, now {version};" in text
    rows = {row.split("`")[1]: row for row in text.splitlines() if row.startswith("| `")}
    for table, names in columns.items():
        assert [name for name in names if f"`{name}`" not in rows[table]] == []


def test_readme_has_a_line_for_every_command() -> None:
    context = click.Context(main.group, info_name="hexpipe")
    listed = re.findall(r"^\| `hexpipe ([a-z-]+)", read("README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(main.group.list_commands(context))


def test_readme_has_a_line_for_every_benchmark_and_preset() -> None:
    listed = re.findall(r"^\| `hexpipe bench ([a-z]+)", read("EFFICIENCY.md"), re.MULTILINE)
    assert listed == list(BENCHMARKS)
    for preset in PRESETS:
        settings = load_settings(preset)
        row = next(line for line in read("README.md").splitlines() if line.startswith(f"| `{preset}` "))
        net = f"{settings.net.blocks} x {settings.net.channels}"
        for fact in (f"{settings.game.board_size} x {settings.game.board_size}", net, settings.search.num_simulations):
            assert str(fact) in row


def test_package_readme_names_every_package() -> None:
    packages = {path.parent.name for path in (REPOSITORY / "hexpipe").glob("*/__init__.py")}
    named = set(re.findall(r"^\| `(\w+)/?` ", read("hexpipe/README.md"), re.MULTILINE))
    assert packages <= named


def test_documents_link_to_files_that_exist() -> None:
    for name in DOCUMENTS:
        folder = (REPOSITORY / name).parent
        for target in re.findall(r"\]\(([^)#]+)\)", read(name)):
            assert target.startswith("https://") or (folder / target).exists(), f"{name}: {target}"
