"""What errors say, whole: the one place that a change of wording changes. Which error comes when is held by fields,
in the tests of each room (`tests.refusals.refused`).

<folder> stands for an empty folder, and in texts for its path.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexpipe.arena.queries import read_object
from hexpipe.cli.main import run
from hexpipe.config import InferenceSettings, ReplaySettings, load_settings, settings_from_json
from hexpipe.errors import GoneError, HexpipeError, ProcessDiedError
from hexpipe.games.factory import make_game
from hexpipe.games.hex import Hex, checked_game
from hexpipe.games.player_utils import side_to_move
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.nets.choose_backend import choose_backend
from hexpipe.notation.game_sources import decode_games
from hexpipe.notation.game_texts import read_game
from hexpipe.notation.sgf_positions import read_any
from hexpipe.plain_files import open_new
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.roles.plan import plan_processes
from hexpipe.run_folder import RunFolder, check_resume
from hexpipe.shm import Field, SharedSegment


def settings(**overrides: Any) -> Any:
    """The settings of "quick" with ``overrides``, whose names have two underscores for a point."""
    return load_settings("quick", {name.replace("__", "."): value for name, value in overrides.items()})


def inarow(**overrides: Any) -> Any:
    return settings(game__name="inarow", **overrides)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def raised(error: HexpipeError) -> None:
    raise error


NET, SHAPES = settings().net, make_game(settings().game).shapes
WITH_FIVE = settings(net__blocks=5)

CALLS: list[tuple[Callable[[Path], object], str]] = [
    # settings
    (lambda _: load_settings("fast"), "there is no preset 'fast'; take one of: quick, small, standard, eight, large"),
    (lambda _: settings(algorithm="go"), "there is no algorithm 'go'; take one of: alphazero, muzero"),
    (lambda _: settings(net__blocs=4), "there is no setting 'net.blocs'; `hexpipe settings` lists them"),
    (lambda _: settings(net__blocks=0), "net.blocks: Input should be greater than or equal to 1 (got 0)"),
    (
        lambda _: settings(net__engram_neighbours=7),
        "there is no setting net.engram_neighbours any more (got 7): a net's memory gives the 8 nearest entries; make "
        "it 8",
    ),
    (lambda _: settings(game__board_size=28), "game.board_size: Hex boards have 3 to 27 cells a side (got 28)"),
    (
        lambda _: settings(game__name="chess"),
        "there is no game 'chess': game.name is hex, inarow, connect4, othello, breakthrough, go, or openspiel:NAME "
        "for one of OpenSpiel's, or package.module:Class for one of your own",
    ),
    (
        lambda _: settings(game__win_length=5),
        "game.win_length is for game.name=inarow: hex knows no such rule, leave it unset",
    ),
    (lambda _: inarow(game__win_length=6), "game.win_length is 6, more than the 5 cells along a side: lower it"),
    (
        lambda _: inarow(game__board_size=30, game__row_rule="renju"),
        "game.row_rule=renju needs a view of the whole board, 30 cells a side: set game.view_size=30",
    ),
    (
        lambda _: inarow(game__board_size=100, game__row_rule="renju"),
        "game.row_rule=renju needs a view of the whole board, 100 cells a side: such boards have 79 at the most",
    ),
    (
        lambda _: inarow(game__win_length=4, game__row_rule="renju"),
        "game.row_rule=renju is for 5 in a row, not 4: leave game.win_length unset, on a board of 5 cells a side or "
        "more",
    ),
    (
        lambda _: inarow(game__players=3, game__row_rule="renju"),
        "game.row_rule=renju is for two players, not 3: leave game.players unset",
    ),
    (
        lambda _: inarow(game__board_size=10, game__view_size=21),
        "game.view_size 21 is larger than the board of 10, which then cannot be in its middle: take an odd "
        "game.board_size, or 10",
    ),
    (
        lambda _: inarow(game__players=3, game__placement_rewards=[1, -1]),
        "game.placement_rewards must be three falling numbers (got [1.0, -1.0])",
    ),
    (
        lambda _: settings(net__backbone="transformer", net__heads=3),
        "a transformer of 3 heads wants channels in multiples of 24, not 32: change net.channels or net.heads",
    ),
    (
        lambda _: settings(inference__devices="gpu0"),
        "inference.devices is 'gpu0': give auto, or devices like cuda:0,cuda:1 or cpu,cpu",
    ),
    (
        lambda _: settings(learner__devices="cpu,cpu,cpu"),
        "learner.batch_size must be a multiple of the 3 devices of learner.devices: change either",
    ),
    (
        lambda _: settings(cluster__address="local", selfplay__workers=0),
        "with cluster.address (--ray) the nodes only play the newest net: selfplay.workers must not be 0, and "
        "reanalyze.ratio and league.share must be",
    ),
    (
        lambda _: settings(algorithm="muzero", inference__dtype="float32"),
        "learned dynamics have backends of their own: set inference.backend to auto or eager, and inference.dtype to "
        "auto",
    ),
    (lambda _: settings_from_json("[]"), "the settings are no JSON object; restore the file or start a new run"),
    (
        lambda _: settings_from_json('{"version": 99}'),
        "the settings have version 99, this hexpipe reads up to 7: use the hexpipe that wrote them",
    ),
    (
        lambda _: make_game(settings(game__name="foreign:Mine").game),
        "the game foreign:Mine is not one of hexpipe's, and a file alone makes hexpipe import nothing: if you trust "
        "it, name it too, with --game foreign:Mine (in a program: import foreign)",
    ),
    (
        lambda _: check_resume(settings(), WITH_FIVE, has_weights=True),
        "net.blocks is 4 in this run and cannot become 5: its weights would not fit; start a new run",
    ),
    (
        lambda _: plan_processes(settings(learner__devices="cuda:3"), 8, 2),
        "learner.devices names cuda:3, which this machine has not: its GPUs are cuda:0 to cuda:1; name others, or auto",
    ),
    (
        lambda _: choose_backend(NET, SHAPES, InferenceSettings(backend="cuda_graphs")),
        "inference.backend=cuda_graphs with inference.dtype=auto cannot run on cpu; set one of them to auto",
    ),
    (
        lambda _: ReplayBuffer.create(ReplaySettings(min_games=1000, max_memory_gb=0.1), Hex(27), private=True),
        "replay.min_games=1000 games of up to 729 plies need 0.624 GB (0.61 MB a game, 9.6 MB for "
        "replay.max_games=200000), but replay.max_memory_gb=0.1: raise that or lower replay.min_games (games get "
        "shorter by game.move_cap, where there is one)",
    ),
    # files and memory
    (
        load_checkpoint,
        "there is no checkpoint in <folder>; name a run folder or one of its checkpoints/step-* folders",
    ),
    (
        lambda folder: load_checkpoint(written(folder / "checkpoint.json", "[]").parent),
        "<folder> is no hexpipe checkpoint; name a run folder or one of its checkpoints/step-* folders",
    ),
    (
        lambda folder: RunFolder.open(folder / "run", resume=True),
        "there is no run in <folder>/run to resume; name the folder of an earlier run",
    ),
    (
        lambda folder: RunFolder.open(written(folder / "settings.json", "").parent, resume=False),
        "<folder> already holds a run; go on with --resume <folder> or choose another --run-dir",
    ),
    (open_new, "<folder> is a folder, no plain file: hexpipe opens none there; move it away"),
    (
        lambda folder: ReplayArchive(written(folder / "games", "no database"), Hex(5)),
        "<folder>/games is damaged or no replay archive (file is not a database): restore it or start another",
    ),
    (
        lambda folder: ReplayArchive(folder / "games", Hex(5), read_only=True),
        "cannot use the replay archive <folder>/games (unable to open database file): check that its folder exists, "
        "may be written and has room",
    ),
    (lambda _: GameRecord.from_bytes(b""), "these bytes are no game record; take the archive from a backup"),
    (
        lambda folder: raised(GoneError(folder)),
        "<folder> is gone: it was deleted or moved away while it was in use. Put it back before you go on, or go on "
        "anew",
    ),
    (lambda _: raised(ProcessDiedError("learner-0", "SIGKILL")), "learner-0 died:\nSIGKILL"),
    (
        lambda _: SharedSegment.create("twice", [Field("x", "int8", (1,)), Field("x", "int8", (1,))]),
        "segment 'twice' has a field twice: ['x', 'x']",
    ),
    # texts and moves
    (lambda _: read_any("#5,a1z9"), "'z9' is off the 5x5 board, which goes from a1 to e5"),
    (lambda _: read_any("#28,a1"), "board size '28': boards have 3 to 27 cells a side"),
    (lambda _: read_any("#5,a1a1"), "a1 is played twice, by move 2 again"),
    (
        lambda _: read_any("1. e4 e5"),
        "'1. e4 e5' does not say how large the board is; say it, or write #11,a1b2c3",
    ),
    (
        lambda _: read_game("1. a1 3. b2", 5),
        "the numbers of this list do not count its moves: 3 stands where move 2 begins",
    ),
    (
        lambda _: read_any("(;SZ[5];B[a1]"),
        "a game in SGF ends before its last closing parenthesis; is the file cut off?",
    ),
    (
        lambda _: read_game("#5c1,b4:sb3c3d2"),
        "move 5 (d2) is on a cell that is taken: the swap has turned b4 over to d2",
    ),
    (
        lambda _: read_game("(;FF[4]SZ[5]KM[6.5];B[b2];W[d4])"),
        "this looks like a record of Go or gomoku (KM[6.5]); a game of Hex says GM[11]",
    ),
    (
        lambda _: checked_game(read_game("#3c1,a1:s:s")),
        "move 3 is a swap, which can only answer the first stone",
    ),
    (
        lambda _: decode_games("(;SZ[5];B[a1]C[\u529f];W[e1])".encode("big5")),
        "how this text is encoded decides which moves it has: say it by CA[GBK], CA[Big5] ...",
    ),
    (
        lambda _: side_to_move(np.array([2, 2, 0], np.int8)),
        "0 black and 2 white stones: black moves first, so it has as many as white or one more",
    ),
    (lambda _: read_object(b"[]"), 'a query is a JSON object such as {"id": 1, "moves": ["a1"]}'),
    (lambda _: Hex(5).play([0, 0]), "move 2 (a1) is illegal: the cell is taken"),
    (lambda _: Hex(5, swap=True).play([0, 1, 25]), "move 3 (swap) is illegal: swap can only answer the first stone"),
    (lambda _: Hex(3).play([0, 1, 3, 4, 6, 7]), "move 6 (b3) is illegal: black has already won"),
]

COMMANDS: list[tuple[list[str], str]] = [
    (["run", "--set", "net.blocks"], "--set wants SECTION.KEY=VALUE, not 'net.blocks'"),
    (
        ["run", "--resume", "<folder>"],
        "there is no run in <folder> (No such file or directory); name the folder of a run",
    ),
    (["convert", "#5,a1z9"], "argument 1: 'z9' is off the 5x5 board, which goes from a1 to e5"),
    (
        ["convert", "<folder>/games.sgf"],
        "there is no file <folder>/games.sgf: name one that there is, or give the game itself",
    ),
    (
        ["plot", "<folder>"],
        "<folder> has no metrics.jsonl (No such file or directory): name the folder of a run",
    ),
    (
        ["settings", "nowhere"],
        "no setting has nowhere in its name: `hexpipe settings` lists them all",
    ),
]


@pytest.mark.parametrize(("call", "text"), CALLS, ids=[text[:40] for _, text in CALLS])
def test_what_errors_say(call: Callable[[Path], object], text: str, tmp_path: Path) -> None:
    with pytest.raises(HexpipeError) as caught:
        call(tmp_path)
    assert str(caught.value).replace(str(tmp_path), "<folder>") == text


@pytest.mark.parametrize(("words", "text"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_what_commands_say(words: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([word.replace("<folder>", str(tmp_path)) for word in words]) == 2
    assert capsys.readouterr().err.replace(str(tmp_path), "<folder>") == f"hexpipe: {text}\n"
