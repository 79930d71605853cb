"""Recipes in turn: what a trial watches, what the table says of it, what is kept, and what is refused."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner

from hexpipe.arena.solved_positions import packaged_positions, read_positions
from hexpipe.bench import against
from hexpipe.bench.learn import learn, plot, rows, seconds_to
from hexpipe.bench.trial import Plan, Point, Recipe, processor_seconds, spread
from hexpipe.cli.bench import command
from hexpipe.cli.main import run as run_cli
from hexpipe.errors import HexpipeError, UsageError
from tests.refusals import refused

MAIN = """
import json, os, subprocess, sys, time
from pathlib import Path

command, *words = sys.argv[1:]
options = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
with (Path(__file__).parent / "calls").open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")

def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

if command == "run":
    if "--broken" in words:
        sys.exit("no such setting")
    run = Path(options["run-dir"])
    (run / "checkpoints").mkdir(parents=True)
    work(0.3)
    lines = [{"games": 0}, {"games": 3, "positions": 30, "evals_per_s": 200.0, "positions_per_s": 10.0}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
    time.sleep(1.2)
    for step in (100, 200, 300):
        subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.4: pass"], check=True)
        (run / "checkpoints" / f"step-{step:09d}").mkdir()
        time.sleep(0.8)
elif command == "score":
    step = int(words[0][-9:])
    share = step / 400 * float(os.environ.get("STRENGTH", 1))
    names = ("net_value_share", "search_value_share", "net_move_share", "search_move_share")
    print(json.dumps(dict.fromkeys(names, share)))
else:
    print("a bar")
    print(json.dumps({"crosstable": [[[0, 0], [3.5, 4]], [[0.5, 4], [0, 0]]]}))
"""


def checkout(folder: Path) -> Path:
    """A hexpipe that trains three checkpoints, the n-th of which has a quarter times n of all positions right."""
    cli = folder / "hexpipe" / "cli"
    cli.mkdir(parents=True)
    for file in (folder / "hexpipe" / "__init__.py", cli / "__init__.py"):
        file.touch()
    (cli / "main.py").write_text(MAIN)
    return folder


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "hexpipe" / "cli" / "calls").read_text().splitlines()]


def plan(**changes: object) -> Plan:
    usual = Plan(5, 1.0, 100, 10, 50, Path("positions.jsonl"), ("uct:10",), 2)
    return usual._replace(**changes)  # type: ignore[arg-type]


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    init = tmp_path / "ours" / "hexpipe" / "__init__.py"
    monkeypatch.setattr(against, "hexpipe", SimpleNamespace(__file__=str(init)))
    return checkout(tmp_path / "ours")


def test_a_trial_is_watched_and_kept_and_not_done_again(ours: Path, tmp_path: Path) -> None:
    theirs = checkout(tmp_path / "theirs")
    recipes = [Recipe("new", ("--set=search.c_puct=2",)), Recipe("old", (), theirs)]
    trials = learn(recipes, plan(), 1, tmp_path / "bench")
    assert [(trial.recipe, trial.seed) for trial in trials] == [("new", 0), ("old", 0)]
    new = trials[0]
    assert [point.step for point in new.points] == [100, 200, 300]
    assert [point.shares["search_value_share"] for point in new.points] == [0.25, 0.5, 0.75]
    assert new.startup_seconds > 0.25
    # three pieces of work of 0.4 s, each before its checkpoint; what goes on beside may make them longer
    seconds = [point.processor_seconds for point in new.points]
    assert all(after - before > 0.35 for before, after in zip([0.0, *seconds], seconds, strict=False))
    assert seconds[-1] <= new.processor_seconds
    assert (new.games, new.positions, new.evals_a_position) == (3, 30, 20.0)
    assert new.matches == {"uct:10": (3.5, 4)}
    run, *scores, match = calls(ours)[:5]
    assert run[0] == "run"
    assert "--set=search.c_puct=2" in run
    assert "--set=learner.checkpoint_steps=100" in run
    assert [words[0] for words in scores] == ["score"] * 3
    assert "--simulations=50" in scores[0]
    assert match[0] == "match"
    assert match[2] == "other=uct:10"
    # the other checkout runs and scores by itself; matches are played here
    assert [words[0] for words in calls(theirs)] == ["run", "score", "score", "score"]
    assert calls(ours)[5][0] == "match"

    before = len(calls(ours))
    again = learn(recipes, plan(), 1, tmp_path / "bench")
    assert len(calls(ours)) == before
    assert again == trials


def test_another_chip_begins_a_seed_anew(ours: Path, tmp_path: Path) -> None:
    trials = learn([Recipe("new")], plan(opponents=()), 1, tmp_path / "bench")
    file = tmp_path / "bench" / "new-0.json"
    file.write_text(json.dumps({**trials[0]._asdict(), "chip": "Z80"}))
    said: list[str] = []
    learn([Recipe("new")], plan(opponents=()), 1, tmp_path / "bench", said.append)
    assert any("anew" in line for line in said)
    assert [words[0] for words in calls(ours)].count("run") == 2


def test_another_plan_or_recipe_in_a_folder_is_refused(ours: Path, tmp_path: Path) -> None:
    learn([Recipe("new")], plan(opponents=()), 1, tmp_path / "bench")
    with refused(UsageError, "simulations", kind="conflict", setting="simulations"):
        learn([Recipe("new")], plan(opponents=(), simulations=99), 1, tmp_path / "bench")
    with refused(UsageError, "new", kind="conflict", setting="--recipe"):
        learn([Recipe("new", ("--set=a.b=1",))], plan(opponents=()), 1, tmp_path / "bench")


def test_a_run_that_fails_says_so(ours: Path, tmp_path: Path) -> None:
    with refused(HexpipeError, "no such setting"):
        learn([Recipe("new", ("--broken",))], plan(), 1, tmp_path / "bench")
    assert not (tmp_path / "bench" / "new-0.json").exists()


def points(*curve: tuple[float, float]) -> list[Point]:
    return [
        Point(k, seconds, dict.fromkeys(("search_value_share", "net_value_share"), share))
        for k, (seconds, share) in enumerate(curve)
    ]


@pytest.mark.parametrize(
    ("curve", "seconds"),
    [
        ([(10, 0.5), (20, 0.7), (40, 0.9)], 30.0),
        ([(10, 0.85)], 10.0),
        ([(10, 0.5), (20, 0.79)], None),
        ([(10, 0.5), (20, 0.9), (30, 0.7), (40, 0.95)], 17.5),  # the first time
        ([], None),
    ],
)
def test_seconds_to_a_target_are_between_checkpoints(curve: list[tuple[float, float]], seconds: float | None) -> None:
    found = seconds_to(points(*curve), 0.8)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_checkpoints_are_spread_over_the_logarithm_of_their_seconds() -> None:
    every = [(Path(str(k)), float(k)) for k in range(1, 1025)]
    chosen = [seconds for _, seconds in spread(every, 11)]
    assert chosen == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024], rel=0.1)
    assert spread(every[:5], 11) == every[:5]


def test_the_table_has_means_and_ranges_and_a_dash_where_a_seed_has_none(ours: Path, tmp_path: Path) -> None:
    trials = learn([Recipe("new")], plan(), 2, tmp_path / "bench")
    (row,) = rows([Recipe("new")], trials, [0.5, 0.9])
    assert (row.seeds, row.values.mean, row.values.low) == (2, 0.75, 0.75)
    assert row.matches["uct:10"].mean == pytest.approx(0.875)
    assert row.seconds_to[0.5].mean is not None
    assert row.seconds_to[0.9].mean is None
    picture = tmp_path / "curves.png"
    plot(trials, plan(), picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_one_table_and_json(ours: Path, tmp_path: Path) -> None:
    arguments = ["learn", "--seeds=1", "--recipe=a", "--recipe", "b=--set x.y=1", f"--folder={tmp_path / 'b'}"]
    shown = CliRunner().invoke(command, arguments)
    assert shown.exit_code == 0, shown.output
    assert "values right" in shown.stdout
    assert "75.0" in shown.stdout
    said = json.loads(CliRunner().invoke(command, [*arguments, "--json"]).stdout)
    assert [row["recipe"] for row in said["recipes"]] == ["a", "b"]
    assert said["trials"][1]["arguments"] == ["--set", "x.y=1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "a", "--recipe", "a=--set x=1"], "two recipes"),
        (["--recipe", "a b"], "letters"),
        (["--recipe", "a=--set 'x"], "quotation"),
        (["--against", "nowhere"], "no checkout"),
        (["--size", "9", "--seeds", "1"], "--positions"),
        (["--plot", "curves.bmp"], ".png"),
        (["--positions", "nowhere.jsonl"], "cannot be read"),
        (["--positions", str(packaged_positions(6))], "the runs are of 5x5"),
        (["--opponent", "uct:0"], "uct:N"),
        (["--opponent", "nobody"], "no checkpoint in nobody"),
    ],
)
def test_what_cannot_be_benched_is_refused_at_once(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = run_cli(["bench", "learn", f"--folder={tmp_path / 'b'}", *arguments])
    assert code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_processor_seconds_count_children_that_have_ended() -> None:
    own = sum(psutil.Process().cpu_times()[:4])
    assert processor_seconds(psutil.Process().pid) >= own > 0
    assert processor_seconds(2**22 + 1) == 0.0
    began = time.monotonic()
    processor_seconds(psutil.Process().pid)
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("size", [5, 6, 7])
def test_hexpipe_has_solved_positions_of_its_own(size: int) -> None:
    assert {position.board_size for position in read_positions(packaged_positions(size))} == {size}
