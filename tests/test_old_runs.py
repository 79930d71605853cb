"""What users of 0.1.0 have goes on working: each command on runs that 0.1.0 has made, as far as it knows their game."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hexpipe.arena.engine import Engine
from hexpipe.arena.results import Results
from hexpipe.cli.analyze import answers
from hexpipe.cli.main import run
from hexpipe.inference.simple_model_inference import SimpleModelInference
from hexpipe.nets.checkpoints import list_checkpoints, load_checkpoint
from hexpipe.roles.rating import CheckpointRatings
from hexpipe.roles.throttle import Throttle
from hexpipe.run_folder import RATINGS_NAME, read_settings
from hexpipe.watch.metrics import metrics_lines
from tests.old_runs import FOLDER, NAMES, OWN_GAME, facts_of, unpack, write_own_game

FACTS: dict[str, Any] = json.loads((FOLDER / "facts.json").read_text(encoding="utf-8"))
HEX = ("hex-5x5", "hex-swap")
THREE = "inarow-3"
POSITION = '{"n": 5, "moves": [], "to_move": "black", "value": 1, "winning_moves": ["c3"]}\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a copy of every run, and the package of the own game, which is on the path."""
    folder = tmp_path_factory.mktemp("old")
    write_own_game(folder)
    sys.path.append(str(folder))
    importlib.import_module("mygames.drop")
    for name in NAMES:
        unpack(name, folder)
    yield folder
    sys.path.remove(str(folder))
    for module in ("mygames.drop", "mygames"):
        sys.modules.pop(module, None)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command, which must end well, and gives what it has printed."""

    def told(*words: object) -> str:
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return told


def own(name: str) -> list[str]:
    return ["--game", OWN_GAME] if name == "drop" else []


@pytest.mark.parametrize("name", NAMES)
def test_games_and_net_are_read_as_they_were(name: str, place: Path) -> None:
    facts, before = json.loads(json.dumps(facts_of(place / name))), FACTS[name]
    assert facts["games"] == before["games"]
    assert facts["step"] == before["step"]
    np.testing.assert_allclose(facts["priors"], before["priors"], atol=1e-3)
    np.testing.assert_allclose(facts["values"], before["values"], atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_runs_are_listed_and_drawn(name: str, place: Path, told: Callable[..., str]) -> None:
    games, before = [json.loads(line) for line in told("games", place / name, *own(name), "--json").splitlines()], FACTS
    assert [game["plies"] for game in games] == [plies for _, _, plies, _ in before[name]["games"]]
    as_moves = told("games", place / name, *own(name), "--to", "moves").splitlines()
    assert [len(line.split()) for line in as_moves] == [game["plies"] for game in games]
    if name in HEX:
        assert told("games", place / name, "--to", "sgf").count("GM[11]") == len(games)
    facts = json.loads(told("runs", place / name, "--json"))
    assert (facts["state"], facts["games"], facts["steps"]) == ("ended", len(games), before[name]["step"])
    assert (facts["rating_step"] is None) == (name != "hex-5x5")
    pytest.importorskip("matplotlib")
    told("plot", place / name, place / f"{name}.png")
    assert (place / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", NAMES)
def test_training_goes_on(name: str, place: Path, tmp_path: Path, told: Callable[..., str]) -> None:
    copy, before = unpack(name, tmp_path), FACTS[name]
    columns = set().union(*metrics_lines(copy))
    steps = before["step"] + 2
    more = ["--steps", steps, "--games", 0, "--simulations", 4, "--set", "learner.replay_ratio=50", *own(name)]
    assert f"goes on from step-{before['step']:08d}" in told("train", "--resume", copy, *more)
    after = facts_of(copy)
    assert after["step"] == steps
    assert json.loads(json.dumps(after["games"]))[: len(before["games"])] == before["games"]
    if name == "drop":  # the others are of `hexpipe run`, which tells more
        assert columns <= set().union(*metrics_lines(copy))
    assert read_settings(copy).game == read_settings(place / name).game


@pytest.mark.parametrize("name", NAMES)
def test_nets_play_and_are_served(name: str, place: Path, told: Callable[..., str]) -> None:
    engine = Engine(place / name)
    found = list(answers(engine, io.StringIO('{"id": 1, "moves": [], "simulations": 4}\n'), 4))
    assert found[0].get("error") is None
    assert found[0]["id"] == 1
    if name == THREE:
        assert run(["match", str(place / name), "random", "--pairs", "1"]) == 2, "matches are of two"
    else:
        words = ["match", place / name, "random", "--pairs", 1, "--simulations", 4, "--error", 0, "--json"]
        assert json.loads(told(*words, *own(name)))["games"] == 2
    pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    from hexpipe.web.server import make_app

    with TestClient(make_app(engine, place / name), base_url="http://localhost") as client:
        move = client.post("/api/move", json={"moves": [], "simulations": 4}).json()["move"]
        assert client.post("/api/position", json={"moves": [move]}).json()["moves"] == [move]
        assert client.get("/api/run/state").json()["figures"]["steps"] == FACTS[name]["step"]
        assert len(client.get("/api/run/games?count=4").json()) == 4
        assert len(client.get("/api/run/metrics").json()["steps"]) >= 1


@pytest.mark.parametrize("name", NAMES)
def test_nets_are_held_against_solved_positions_of_hex(name: str, place: Path, told: Callable[..., str]) -> None:
    positions = place / "positions.jsonl"
    positions.write_text(POSITION, encoding="utf-8")
    words = ["score", place / name, "--positions", positions, "--simulations", 4, "--json"]
    if name in HEX:
        assert json.loads(told(*words))["positions"] == 1
        policy, value = SimpleModelInference(place / name).simple_infer("#5,c3" if name == "hex-5x5" else "#4,c3")
        assert len(policy) == (25 if name == "hex-5x5" else 17)
        assert np.isfinite(value)
    else:
        assert run([str(word) for word in words]) == 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_nets_are_exported(name: str, place: Path, tmp_path: Path, told: Callable[..., str]) -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    facts = json.loads(told("export", place / name, tmp_path / "net.onnx", "--json").splitlines()[-1])
    assert facts["step"] == FACTS[name]["step"]
    assert facts["largest_difference"] < 1e-4


def test_ratings_go_on_with_their_scale(place: Path, tmp_path: Path) -> None:
    copy = unpack("hex-5x5", tmp_path)
    settings, told = read_settings(copy), []
    with Results(copy / RATINGS_NAME) as results:
        ratings = CheckpointRatings(
            settings, settings.game, copy, "cpu", results, Throttle(1.0, lambda seconds: None),
            lambda step, rating: told.append(step), lambda words: None,
        )  # fmt: skip
        assert told == [57], "it is known at once"
        assert ratings.rate_newest()
    assert told[-1] == 61


def test_a_stranger_s_run_names_no_game_that_is_imported(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = sys.modules.pop("mygames.drop")
    try:
        assert run(["games", str(place / "drop")]) == 2
    finally:
        sys.modules["mygames.drop"] = module
    assert f"--game {OWN_GAME}" in capsys.readouterr().err


def go_on(name: str, parent: Path) -> None:
    """`hexpipe run --resume` of a copy, to two steps more."""
    copy = unpack(name, parent)
    columns = set().union(*metrics_lines(copy))
    write_own_game(parent)
    steps = FACTS[name]["step"] + 2
    words = ["run", "--resume", copy, "--steps", steps, "--games", 0, "--minutes", 5, "--simulations", 4, *own(name)]
    done = subprocess.run(
        [sys.executable, "-m", "hexpipe", *map(str, words), "--set", "learner.replay_ratio=50"],
        check=False, capture_output=True, text=True, timeout=500, cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": str(parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert load_checkpoint(copy).step == steps
    games = FACTS[name]["games"]
    with_more = [line for line in metrics_lines(copy) if line["steps"] >= steps]
    assert with_more[-1]["games"] >= len(games)
    last = {re.sub(r"-\d+$", "", column) for column in set().union(*metrics_lines(copy))}
    assert {re.sub(r"-\d+$", "", column) for column in columns} <= last
    assert list_checkpoints(copy)


@pytest.mark.timeout(600)
def test_a_run_with_ratings_goes_on(tmp_path: Path) -> None:
    go_on("hex-5x5", tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES[1:])
def test_every_run_goes_on(name: str, tmp_path: Path) -> None:
    go_on(name, tmp_path)
