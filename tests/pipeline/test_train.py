from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hexpipe.config import Settings, load_settings, override_settings
from hexpipe.errors import ArchiveError, CheckpointError, GoneError, SettingsError
from hexpipe.games.factory import make_stages
from hexpipe.nets.checkpoints import latest_checkpoint, list_checkpoints, load_checkpoint
from hexpipe.pipeline import league_serial
from hexpipe.pipeline import train as train_module
from hexpipe.pipeline.train import TrainProgress, train
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.roles.opponents import draw_checkpoint
from hexpipe.run_folder import ARCHIVE_NAME, RunFolder, check_resume, read_settings
from hexpipe.selfplay.league import win_share
from tests.pipeline.stages import STAGES

TINY: dict[str, Any] = {
    "game.board_size": 3,
    "net.blocks": 1,
    "net.channels": 8,
    "net.value_hidden": 8,
    "search.num_simulations": 8,
    "selfplay.games_per_worker": 4,
    "selfplay.temperature_plies": 2,
    "replay.min_games": 4,
    "learner.batch_size": 16,
    "learner.warmup_steps": 2,
    "limits.minutes": 0,
    "limits.steps": 12,
    "devices": 0,
}


def _train(path: Path, settings: Settings, resume: bool = False, **options: Any) -> TrainProgress:
    with RunFolder.open(path, resume=resume) as folder:
        return train(settings, folder, **options)


def _records(path: Path, settings: Settings) -> list[bytes]:
    with ReplayArchive(path / ARCHIVE_NAME, make_stages(settings)) as archive:
        return [record.to_bytes() for _, record in archive.newest(10**6, 10**9, lambda plies, size: 1)]


def _hashes(path: Path) -> dict[str, str]:
    """SHA-256 of each file of the newest checkpoint."""
    folder = latest_checkpoint(path)
    assert folder is not None
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


TICTACTOE = {"game.name": "inarow"}
VIEWS = {"game.name": "inarow", "game.board_size": 6, "game.view_size": 3, "game.players": 3, "game.win_length": 4}
OLD_GAMES = {"learner.replay_ratio": 1.0}  # more games between two weights
THREE_SEATS = {"game.name": "inarow", "game.players": 3, "game.board_size": 4, "game.win_length": 3}


@pytest.mark.parametrize("changed", [
    {},
    {"algorithm": "muzero"},
    {"algorithm": "muzero", **TICTACTOE, "learner.unroll_steps": 3},
    {"algorithm": "muzero", **THREE_SEATS, "learner.consistency_weight": 0.0, "replay.priority_share": 0.5},
    THREE_SEATS,
    VIEWS,
    {"algorithm": "muzero", **VIEWS},
    {**OLD_GAMES, "reanalyze.ratio": 0.7},
    {"algorithm": "muzero", **TICTACTOE, **OLD_GAMES, "reanalyze.ratio": 2.0},
    {**VIEWS, **OLD_GAMES, "reanalyze.ratio": 0.7, "league.share": 0.5},
    {"net.engram": 50},
    {"net.engram": 50, "algorithm": "muzero", **THREE_SEATS},
], ids=["hex", "hex-muzero", "tictactoe-muzero", "three-seats-muzero", "three-seats", "views", "views-muzero",
        "old-games", "old-games-muzero", "old-games-views-league", "engram",
        "engram-muzero"])  # fmt: skip
def test_two_runs_of_one_seed_are_the_same_bit_for_bit(tmp_path: Path, changed: dict[str, Any]) -> None:
    settings = load_settings("quick", {**TINY, **changed})
    ends = [_train(tmp_path / name, settings) for name in ("one", "two")]
    assert _hashes(tmp_path / "one") == _hashes(tmp_path / "two")
    assert _records(tmp_path / "one", settings) == _records(tmp_path / "two", settings)
    assert ends[0].steps == 12
    assert ends[0].games >= 4

    other = override_settings(settings, {"seed": 1})
    _train(tmp_path / "three", other)
    assert _hashes(tmp_path / "three")["ema.safetensors"] != _hashes(tmp_path / "one")["ema.safetensors"]
    assert _records(tmp_path / "three", other) != _records(tmp_path / "one", settings)


@pytest.mark.parametrize("changed", [
    {},
    {"algorithm": "muzero", **THREE_SEATS, "learner.consistency_weight": 0.0, "learner.unroll_steps": 1},
], ids=["hex", "three-seats-muzero"])  # fmt: skip
def test_a_league_of_the_runs_own_checkpoints_is_reproducible(
    tmp_path: Path, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(league_serial, "OPPONENT_GAMES", 4)
    drawn: list[str] = []

    def spy(*arguments: Any) -> Any:
        found = draw_checkpoint(*arguments)
        drawn.append("first" if found is None else found[0])
        return found

    monkeypatch.setattr(league_serial, "draw_checkpoint", spy)
    short = {"limits.steps": 0, "limits.games": 16, "learner.replay_ratio": 1.0, "league.share": 0.5}
    settings = load_settings("quick", {**TINY, **changed, **short})
    end = _train(tmp_path / "one", settings)
    first = drawn.copy()
    _train(tmp_path / "two", settings)
    assert _hashes(tmp_path / "one") == _hashes(tmp_path / "two")
    assert _records(tmp_path / "one", settings) == _records(tmp_path / "two", settings)
    assert first[0] == "first"
    assert any(name.startswith("step-") for name in first)
    games = [GameRecord.from_bytes(data) for data in _records(tmp_path / "one", settings)]
    league = [win_share(game.outcome, game.opponents) for game in games if game.opponents]
    assert 0.2 * len(games) < len(league) < 0.8 * len(games)
    assert (end.league_games, end.league_share) == (len(league), pytest.approx(np.mean(league)))
    assert {game.opponents for game in games} <= set(range((1 << games[0].num_seats) - 1))
    lines = [json.loads(line) for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["league_share"] == end.league_share


def test_boards_grow_in_one_process(tmp_path: Path) -> None:
    stages = {"game.name": "inarow", "curriculum.stages": STAGES, "curriculum.stage_games": 5}
    options = {**TINY, **stages, "limits.steps": 0, "limits.games": 8, "search.num_simulations": 4}
    settings = load_settings("quick", options)
    first = _train(tmp_path, settings)
    assert first.stage.startswith("stage 2 of 3: 3 in a row 4x4 (ended stage 1 after ")
    end = _train(tmp_path, override_settings(settings, {"limits.games": 24}), resume=True)
    assert end.stage.startswith("stage 3 of 3: 4 in a row 5x5 (ended stage 2 after ")
    with ReplayArchive(tmp_path / ARCHIVE_NAME, make_stages(settings)) as archive:
        sizes = [game.board_size for game in archive.games_after(0)][::-1]
    assert sizes[:5] == [3] * 5
    assert sizes.count(4) >= 5
    assert 5 in sizes
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["stage"] == 3
    other = override_settings(settings, {"curriculum.stages": [[4, 3], [5, 4]]})
    with pytest.raises(SettingsError, match=r"curriculum\.stages is .* cannot become"):
        check_resume(settings, other, True)


def test_boards_of_hex_grow_in_one_process_and_two_runs_are_the_same(tmp_path: Path) -> None:
    stages = {
        "curriculum.stages": [3, 4],
        "game.board_size": 4,
        "curriculum.stage_games": 6,
        "search.num_simulations": 4,
    }
    settings = load_settings("quick", {**TINY, **stages, "limits.steps": 0, "limits.games": 16})
    ends = [_train(tmp_path / name, settings) for name in ("one", "two")]
    assert ends[0].stage.startswith("stage 2 of 2: Hex 4x4 (ended stage 1 after ")
    assert ends[0].games == ends[1].games
    assert _records(tmp_path / "one", settings) == _records(tmp_path / "two", settings)
    games = [GameRecord.from_bytes(data) for data in _records(tmp_path / "one", settings)]
    sizes = [game.board_size for game in games]
    assert sizes == sorted(sizes)
    assert min(sizes.count(3), sizes.count(4)) >= 4


@pytest.mark.parametrize("changed", [
    {},
    {"algorithm": "muzero", **TICTACTOE, **OLD_GAMES, "reanalyze.ratio": 1.0},
    {**THREE_SEATS, **OLD_GAMES, "league.share": 0.5, "replay.max_games": 30},
], ids=str)  # fmt: skip
def test_a_run_stopped_at_a_checkpoint_ends_as_one_that_was_not(tmp_path: Path, changed: dict[str, Any]) -> None:
    settings = load_settings("quick", {**TINY, "limits.steps": 24, "learner.checkpoint_steps": 7, **changed})
    whole = _train(tmp_path / "whole", settings)
    stopped = tmp_path / "stopped"
    ends = []
    for wanted in (7, 14):
        seen = len(list_checkpoints(stopped))
        ends.append(
            _train(stopped, settings, wanted > 7, should_stop=lambda seen=seen: len(list_checkpoints(stopped)) > seen)
        )
        assert wanted <= ends[-1].steps < wanted + 7
    ends.append(_train(stopped, settings, resume=True))
    assert ends[0].steps < ends[1].steps < ends[2].steps == whole.steps == 24
    assert (ends[2].games, ends[2].positions) == (whole.games, whole.positions)
    names = [[path.name for path in list_checkpoints(path)] for path in (stopped, tmp_path / "whole")]
    assert names[0] == names[1]
    assert _hashes(stopped) == _hashes(tmp_path / "whole")
    assert _records(stopped, settings) == _records(tmp_path / "whole", settings)


def test_the_ratio_of_steps_to_positions_holds(tmp_path: Path) -> None:
    end = _train(tmp_path, load_settings("quick", {**TINY, "learner.replay_ratio": 2.0}))
    assert end.steps * 16 <= end.positions * 2.0


@pytest.mark.parametrize("algorithm", ["alphazero", "muzero"])
def test_old_games_are_searched_anew_as_new_positions_pay_and_the_archive_stays(tmp_path: Path, algorithm: str) -> None:
    settings = load_settings("quick", {**TINY, **OLD_GAMES, "algorithm": algorithm, "reanalyze.ratio": 0.5})
    end = _train(tmp_path, settings)
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert 0.2 * end.positions < metrics[-1]["refreshed"] <= 0.5 * end.positions
    played = _records(tmp_path, settings)
    assert len(played) == end.games
    resumed = _train(tmp_path, override_settings(settings, {"limits.steps": 16}), resume=True)
    assert _records(tmp_path, settings)[: len(played)] == played
    assert resumed.games > end.games


def test_run_folder_holds_what_is_documented(tmp_path: Path) -> None:
    reports: list[TrainProgress] = []
    end = _train(tmp_path, load_settings("quick", TINY), on_progress=reports.append)
    assert reports[-1] == end
    assert {"loss", "policy_kl"} <= end.losses.keys()
    assert not {"threat_loss", "focus_loss"} & end.losses.keys()  # Hex has neither
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["steps"] == 12
    assert lines[-1]["games"] == end.games
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.step == 12
    assert checkpoint.meta["pacing"]["positions"] == end.positions
    assert (tmp_path / "settings.json").is_file()


def test_resume_goes_on_with_new_games(tmp_path: Path) -> None:
    settings = load_settings("quick", TINY)
    first = _train(tmp_path, settings)
    longer = override_settings(settings, {"limits.steps": 20})
    second = _train(tmp_path, longer, resume=True)
    assert second.steps == 20
    assert second.games > first.games
    records = _records(tmp_path, settings)
    assert len(records) == second.games
    assert not set(records[: first.games]) & set(records[first.games :])
    assert [folder.name for folder in list_checkpoints(tmp_path)] == ["step-00000012", "step-00000020"]


def _lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def _last_step(path: Path) -> float:
    lines = _lines(path)
    return lines[-1]["steps"] if lines else 0.0


def test_a_resume_goes_on_with_the_curves_without_a_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of each turn of the loop: counters never fall, and the learner is as well trained as before."""
    monkeypatch.setattr(train_module, "METRICS_SECONDS", 0.0)
    fast = {"limits.steps": 240, "learner.learning_rate": 0.02, "learner.replay_ratio": 8.0}
    settings = load_settings("quick", {**TINY, **fast})
    parts: list[int] = []
    for steps in (90, 150, 240):
        newest, said = latest_checkpoint(tmp_path), []
        end = _train(
            tmp_path, settings, bool(parts), say=said.append, should_stop=lambda at=steps: _last_step(tmp_path) >= at
        )
        assert said == ([] if newest is None else [f"goes on from {newest.name}"])
        parts.append(len(_lines(tmp_path)))
    assert end.steps == 240
    lines = _lines(tmp_path)
    for name in ("time", "games", "positions", "steps", "replay_games"):
        values = [line[name] for line in lines]
        assert values == sorted(values), f"{name} falls"
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    assert min(rates) > 0
    steady = [line for line in lines if "loss" in line and line["steps"] > 30]
    falls = np.diff([line["learning_rate"] for line in steady])
    assert (falls <= 0).all(), "one cosine over all parts"
    for begin in parts[:-1]:
        before, after = ([line["loss"] for line in part if "loss" in line] for part in (lines[:begin], lines[begin:]))
        spread = np.ptp(before[-12:])
        assert min(before[-12:]) - spread < np.mean(after[:12]) < max(before[-12:]) + spread
        assert np.mean(after[:12]) < 0.5 * (before[0] + np.mean(before[-12:])), "nearer to its loss than to a new net's"


def test_a_resume_passes_over_damage_and_begins_nothing_anew(tmp_path: Path) -> None:
    settings = load_settings("quick", {**TINY, "learner.checkpoint_steps": 4})
    _train(tmp_path, settings)
    older, newest = list_checkpoints(tmp_path)[-2:]
    (newest / "optimizer.safetensors").write_bytes(b"half")
    said: list[str] = []
    end = _train(tmp_path, override_settings(settings, {"limits.steps": 16}), resume=True, say=said.append)
    assert end.steps == 16
    assert len(said) == 2
    assert said[0].startswith(f"passed over {newest.name}, which is kept as damaged-{newest.name}: ")
    assert said[1] == f"goes on from {older.name}"
    for folder in list_checkpoints(tmp_path):
        (folder / "model.safetensors").unlink()
    kept = list_checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match="is whole"):
        _train(tmp_path, override_settings(settings, {"limits.steps": 20}), resume=True)
    assert list_checkpoints(tmp_path) == kept
    assert read_settings(tmp_path).limits.steps == 16, "a run that cannot go on stays as it was"


def test_limits_of_games_and_being_told_to_stop(tmp_path: Path) -> None:
    by_games = load_settings("quick", {**TINY, "limits.steps": 0, "limits.games": 3})
    end = _train(tmp_path / "games", by_games)
    assert (end.games >= 3, end.steps) == (True, 0)
    answers = iter([False] * 30)
    end = _train(tmp_path / "told", load_settings("quick", TINY), should_stop=lambda: next(answers, True))
    assert end.steps < 12
    assert latest_checkpoint(tmp_path / "told") is not None


def test_init_from_starts_with_the_weights_of_another_size(tmp_path: Path) -> None:
    _train(tmp_path / "small", load_settings("quick", TINY))
    bigger = load_settings("quick", {**TINY, "game.board_size": 4, "limits.steps": 0, "limits.games": 1})
    _train(tmp_path / "big", bigger, init_from=tmp_path / "small")
    small, big = (load_checkpoint(tmp_path / name) for name in ("small", "big"))
    assert big.step == 0
    for name, weights in small.play_weights.items():
        assert (big.play_weights[name] == weights).all()


def test_global_state_of_torch_is_put_back_even_after_an_error(tmp_path: Path) -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    settings = load_settings("quick", TINY)
    _train(tmp_path, settings)
    other = override_settings(settings, {"game.board_size": 4})
    with pytest.raises(ArchiveError):
        _train(tmp_path, other, resume=True)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_what_cannot_begin_leaves_nothing_behind(tmp_path: Path) -> None:
    too_much = {"replay.max_memory_gb": 0.1, "replay.min_games": 200_000, "replay.max_games": 200_000}
    bad = load_settings("quick", {**TINY, **too_much, "game.board_size": 13})
    with pytest.raises(SettingsError):
        _train(tmp_path / "run", bad)
    assert not (tmp_path / "run").exists()
    with pytest.raises(CheckpointError):
        _train(tmp_path / "run", load_settings("quick", TINY), init_from=tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("what", ["archive", "folder"])
def test_a_taken_archive_ends_it_with_a_checkpoint_where_the_folder_is(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "METRICS_SECONDS", 0.0)
    path, aside = tmp_path / "run", tmp_path / "aside"
    taken = path if what == "folder" else path / ARCHIVE_NAME

    def take(progress: TrainProgress) -> None:
        if progress.steps >= 2 and not aside.exists():
            taken.rename(aside)

    settings = load_settings("quick", {**TINY, "limits.steps": 100_000})
    with pytest.raises(GoneError, match=f"{taken} is gone"):
        _train(path, settings, on_progress=take)
    if what == "archive":
        assert load_checkpoint(path).step >= 2
        assert not taken.exists()
    else:
        assert not path.exists()
        assert latest_checkpoint(aside) is None
