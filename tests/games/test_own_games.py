"""Games that are named package.module:Class: what is imported and when, and what is said of those that are none."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hexpipe.cli.main import run
from hexpipe.config import GameSettings, Settings, load_settings
from hexpipe.errors import CheckpointError, SettingsError
from hexpipe.games.factory import make_game, plays_hex
from hexpipe.games.game_env import Game
from hexpipe.games.hex_solver import is_solvable
from hexpipe.games.own_games import import_game
from hexpipe.inference.simple_model_inference import SimpleModelInference
from hexpipe.nets.checkpoints import checkpoint_meta, load_checkpoint, save_checkpoint
from hexpipe.nets.net_template import net_template
from hexpipe.run_folder import RunFolder
from tests.arena.checkpoints import small_checkpoint
from tests.games.drop import Drop
from tests.refusals import refused

GAME = """
from tests.games.drop import Drop

class Mine(Drop):
    def __init__(self, settings):
        super().__init__(settings)
"""
SOLVED = '{"n": 3, "moves": [], "to_move": "black", "value": 1}'


def settings_of(name: str) -> Settings:
    return load_settings("quick", {"game.name": name, "game.board_size": 4})


def imported(name: str) -> Game:
    settings: GameSettings = settings_of(name).game
    import_game(settings)
    return make_game(settings)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Writes the module ``foreign`` and puts it on the path; where it was imported there is a file beside it."""
    monkeypatch.syspath_prepend(tmp_path)
    mark = tmp_path / "imported"

    def write(code: str) -> Path:
        (tmp_path / "foreign.py").write_text(f"open({str(mark)!r}, 'w').close()\n{code}")
        return mark

    yield write
    sys.modules.pop("foreign", None)


def test_a_game_is_imported_where_it_is_named_and_nowhere_else(write: Callable[[str], Path]) -> None:
    mark, settings = write(GAME), settings_of("foreign:Mine").game
    with refused(SettingsError, "--game foreign:Mine", "import foreign)", kind="unknown", setting="game.name"):
        make_game(settings)
    assert not mark.exists()
    import_game(settings)
    assert mark.exists()
    game = make_game(settings)
    assert isinstance(game, Drop)
    assert (game.name, game.board_size, game.num_actions) == ("foreign:Mine", 4, 17)
    assert not plays_hex(settings)
    assert not is_solvable(game)


def test_hexpipes_own_games_need_no_import() -> None:
    before = set(sys.modules)
    import_game(load_settings().game)
    assert set(sys.modules) == before
    assert plays_hex(load_settings().game)


WITHOUT_A_METHOD = "class Mine:\n    codes = legal_mask = step = print\n    def __init__(self, settings): raise OSError"
WITHOUT_AN_ATTRIBUTE = f"{GAME}        del self.shapes"
WITHOUT_ITS_NAME = f"{GAME}        self.name = 'hex'"
LARGER_THAN_ITS_VIEW = (
    f"{GAME}        import dataclasses\n        self.shapes = dataclasses.replace(self.shapes, view_size=3)"
)
UNWRITTEN = "from hexpipe.games.whole_board import WholeBoard\nclass Mine(WholeBoard):\n    step = legal_mask = print"


@pytest.mark.parametrize(
    ("code", "name", "kind", "words"),
    [
        (GAME, "nowhere.games:Mine", "missing", ("'nowhere'", "nowhere is in")),
        ("import nowhere", "foreign:Mine", "missing", ("'nowhere'", "foreign is in")),
        (GAME, "foreign:Yours", "unknown", ("foreign.py", "Yours")),
        ("Mine = print", "foreign:Mine", "unknown", ("Mine",)),
        (WITHOUT_A_METHOD, "foreign:Mine", "type", ("new_states", "README")),
        (UNWRITTEN, "foreign:Mine", "type", ("codes_from_cells",)),
        (WITHOUT_AN_ATTRIBUTE, "foreign:Mine", "type", ("shapes",)),
        (LARGER_THAN_ITS_VIEW, "foreign:Mine", "type", ("attribute",)),
        (WITHOUT_ITS_NAME, "foreign:Mine", "conflict", ("'hex'",)),
    ],
)
def test_what_is_no_game_is_told_apart(
    write: Callable[[str], Path], code: str, name: str, kind: str, words: tuple[str, ...]
) -> None:
    write(code)
    with refused(SettingsError, *words, kind=kind, setting="game.name") as caught:
        imported(name)
    assert "\n" not in str(caught.value)


def test_errors_of_the_module_itself_are_not_hidden(write: Callable[[str], Path]) -> None:
    write("1 / 0")
    with pytest.raises(ZeroDivisionError):
        imported("foreign:Mine")


def test_a_class_judges_its_rules(write: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    write(GAME)
    command = ["memory-report", "--estimate", "--game", "foreign:Mine", "--size"]
    assert run([*command, "4"]) == 0
    for arguments, message in (
        (["9"], "Drop has 3 to 8 cells a side (got 9)"),
        (["4", "--set", "game.players=3"], "foreign:Mine knows no rule game.players"),
    ):
        assert run([*command, *arguments]) == 2
        assert message in capsys.readouterr().err


OPTIONS = """
from pydantic import Field
from hexpipe.config import GameOptions, GameSettings
from tests.games.drop import Drop

class MineOptions(GameOptions):
    pace: int = Field(1, ge=1, le=9, description="how fast")

class Mine(Drop):
    Options = MineOptions
    def __init__(self, options):
        super().__init__(GameSettings(name=options.name, board_size=options.board_size))
        self.pace = options.pace
"""


def test_a_run_keeps_the_options_of_its_game_and_no_others(
    write: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(OPTIONS)
    path = tmp_path / "run"
    small = ["--steps", "1", *(f"--set={name}" for name in ("net.blocks=1", "net.channels=8", "replay.min_games=1"))]
    new = ["train", "--game", "foreign:Mine", "--size", "4", *small, "--run-dir", str(path)]
    for wrong, message in (
        ("pace=10", "game.pace: Input should be less than or equal to 9"),
        ("peace=1", "no rule game.peace"),
    ):
        assert run([*new, "--set", f"game.{wrong}"]) == 2
        assert message in capsys.readouterr().err
        assert not path.exists()
    assert run(new) == 0
    assert json.loads((path / "settings.json").read_text())["game"]["pace"] == 1  # also where it was not set
    resume = ["train", "--resume", str(path), "--game", "foreign:Mine", "--steps", "2"]
    assert run([*resume, "--set", "game.pace=2"]) == 2
    assert "game.pace is 1 in this run and cannot become 2" in capsys.readouterr().err
    assert run([*resume, "--set", "game.pace=1"]) == 0
    write(OPTIONS.replace("le=9", "le=9, alias=None").replace("Field(1", "Field(3"))  # a later version of the game
    sys.modules.pop("foreign")
    capsys.readouterr()
    assert run([*resume[:-1], "3"]) == 0
    assert json.loads((path / "settings.json").read_text())["game"]["pace"] == 1
    assert make_game(load_checkpoint(path).settings.game).pace == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", ["run", "train"])
@pytest.mark.parametrize(
    ("name", "message"),
    [("chess", "there is no game 'chess'"), ("nowhere:A", "No module named 'nowhere'"), ("foreign:A", "no class A")],
)
def test_a_wrong_name_is_one_line_and_exit_code_2(
    write: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    name: str,
    message: str,
) -> None:
    write(GAME)
    assert run([command, "--game", name, "--run-dir", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "run").exists()


def foreign_run(path: Path) -> Path:
    """A stranger's run folder: its game is a module that lies on the path and that nobody here has named."""
    settings = settings_of("foreign:Mine")
    with RunFolder.open(path, resume=False) as folder:
        folder.write_settings(settings)
    shapes = imported("tests.games.drop:Drop").shapes
    weights = {name: np.zeros(shape, np.float32) for name, shape in net_template(settings.net, shapes)}
    save_checkpoint(path, {"model": weights}, checkpoint_meta(settings, shapes, 7))
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--resume", "RUN"], "--game foreign:Mine"),
        (["train", "--resume", "RUN"], "--game foreign:Mine"),
        (["train", "--resume", "RUN", "--size", "4"], "--game foreign:Mine"),
        (["solve", "--label", "FILE", "--from", "RUN"], "plays foreign:Mine 4x4, which no solver knows"),
        (["score", "RUN", "--positions", "FILE"], "plays foreign:Mine 4x4, and solved positions are of Hex"),
    ],
)
def test_a_strangers_files_make_nothing_be_imported(
    write: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    mark, path = write(GAME), foreign_run(tmp_path / "run")
    (tmp_path / "file").write_text(SOLVED)
    words = {"RUN": str(path), "FILE": str(tmp_path / "file")}
    assert run([words.get(word, word) for word in arguments]) == 2
    assert message in capsys.readouterr().err
    assert load_checkpoint(path).settings.game.name == "foreign:Mine"
    with refused(CheckpointError, "foreign:Mine 4x4", kind="foreign"):
        SimpleModelInference(path)
    assert not mark.exists()


@pytest.mark.parametrize("command", ["match", "tournament", "analyze"])
def test_a_net_of_ones_own_game_plays_where_the_game_is_named(
    write: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    mark = write(GAME)
    imported("foreign:Mine")
    path = str(small_checkpoint(tmp_path / "run", game__name="foreign:Mine", inference__backend="eager"))
    sys.modules.pop("foreign")
    mark.unlink()
    games = ["random", "--pairs", "1", "--simulations", "4", "--json"]
    arguments = [command, path, *(games if command != "analyze" else ["--simulations", "4"])]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"id": "a", "moves": []}')))
    assert run(arguments) == 2
    assert "name it too, with --game foreign:Mine" in capsys.readouterr().err
    assert not mark.exists()
    assert run([*arguments, "--game", "foreign:Mine"]) == 0
    assert mark.exists()
    facts = json.loads(capsys.readouterr().out)
    assert facts.get("games", facts.get("simulations")) in (2, 4)


def test_a_game_that_cannot_be_is_one_line_wherever_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["match", "a", "b"], ["tournament", "a"], ["analyze", "a"], ["serve", "a"]):
        assert run([*command, "--game", "chess"]) == 2
        assert "there is no game 'chess'" in capsys.readouterr().err


def test_a_run_of_another_game_does_not_become_the_one_that_is_named(
    write: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark, path = write(GAME), foreign_run(tmp_path / "run")
    assert run(["train", "--resume", str(path), "--game", "tests.games.drop:Drop"]) == 2
    assert "game.name is 'foreign:Mine' in this run and cannot become" in capsys.readouterr().err
    assert not mark.exists()
