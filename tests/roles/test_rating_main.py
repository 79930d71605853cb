"""Checkpoints of a run rated one after another: tiny nets, games that count once, stops and deleted checkpoints."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hexpipe.arena.checkpoint_ratings import opponents_met, player_name
from hexpipe.arena.ratings import Rating
from hexpipe.arena.results import Results
from hexpipe.config import Settings
from hexpipe.nets.checkpoints import list_checkpoints, load_checkpoint
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.stats import Waiting
from hexpipe.roles import rating as rating_main
from hexpipe.roles.rating import CheckpointRatings
from hexpipe.roles.throttle import Throttle
from tests.arena.checkpoints import small_checkpoint
from tests.boards import make_board

SMALL: dict[str, Any] = {
    "game__board_size": 3,
    "inference__backend": "eager",
    "rating__pairs": 3,
    "rating__simulations": 4,
    "rating__opponents": 2,
}
LEARNED = {"algorithm": "muzero", "net__dynamics_blocks": 1, "inference__backend": "auto"}
IN_A_ROW = {"game__name": "inarow", "game__win_length": 3}


class Rater:
    """The ratings of one run folder, and what they have told."""

    def __init__(self, run_dir: Path, results: Results, **overrides: Any) -> None:
        self.run_dir, self.results, self.overrides = run_dir, results, {**SMALL, **overrides}
        self.told: list[tuple[int, Rating]] = []
        self.matches: list[str] = []
        self.batches_left = 10**9
        self.add(10)
        self.settings: Settings = load_checkpoint(run_dir).settings
        self.begin()

    def add(self, step: int) -> None:
        small_checkpoint(self.run_dir, seed=step, step=step, **self.overrides)

    def delete(self, step: int) -> None:
        shutil.rmtree(next(folder for folder in list_checkpoints(self.run_dir) if folder.name.endswith(str(step))))

    def begin(self) -> None:
        """As a run begins, or is resumed."""
        self.rate_newest = CheckpointRatings(
            self.settings, self.settings.game, self.run_dir, "cpu", self.results, Throttle(1.0, self.rest),
            lambda step, rating: self.told.append((step, rating)), self.matches.append,
        ).rate_newest  # fmt: skip

    def rest(self, seconds: float) -> None:
        self.batches_left -= 1
        if self.batches_left < 0:
            raise InterruptedError

    def pairs(self, a: int, b: int) -> int:
        return len(self.results.units(self.settings.game.title, [player_name(a, 4), player_name(b, 4)]))

    def met(self, step: int) -> list[int]:
        return opponents_met(self.results, self.settings.game.title, 4, step)


@pytest.fixture(params=[{}, {**LEARNED, **IN_A_ROW}], ids=["rules", "learned"])
def rater(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rater]:
    with Results(tmp_path / "ratings.sqlite") as results:
        yield Rater(tmp_path, results, **request.param)


def test_each_new_checkpoint_is_rated_once_and_ratings_outlive_checkpoints(rater: Rater) -> None:
    assert not rater.rate_newest(), "the first has nobody to play"
    rater.add(20)
    assert rater.rate_newest()
    assert not rater.rate_newest()
    assert rater.pairs(20, 10) == 3
    rater.add(30)
    rater.delete(20)
    assert rater.rate_newest()
    assert rater.met(30) == [10, 20], "the last one is still loaded"
    assert [step for step, _ in rater.told] == [20, 30, 30]
    assert rater.matches == ["step 20 against step 10", "step 30 against step 20", "step 30 against step 10"]

    last = rater.told[-1]
    rater.begin()
    assert rater.told[-1] == last, "a resumed run has its rating at once"
    rater.rate_newest()
    assert rater.pairs(30, 10) == rater.pairs(30, 20) == 3, "and plays no game twice"
    rater.add(40)
    assert rater.rate_newest()
    assert rater.met(40) == [10, 30]


def test_a_new_scale_begins_with_the_weights_of_step_0_and_an_old_one_goes_on(rater: Rater) -> None:
    """The first checkpoint plays them; later ones where they are not far too weak; never on a scale that has a 0."""
    known = {"first_weights": {"seed": 3}}
    mark(rater, 10, known)
    assert rater.rate_newest()
    assert (rater.matches, rater.pairs(10, 0)) == (["step 10 against step 0"], 3)
    assert rater.told[0] == (0, Rating(0.0, 0.0))
    assert [step for step, _ in rater.told] == [0, 10]
    rater.add(20)
    mark(rater, 20, known)
    rater.begin()
    assert rater.rate_newest()
    assert rater.matches[1:] == ["step 20 against step 10"], "what is not needed is not read again"
    assert rater.told[-1][0] == 20

    with Results(rater.run_dir / "old.sqlite") as results:
        old = Rater(rater.run_dir, results, **rater.overrides)
        old.add(20)  # by which nothing is known
        assert old.rate_newest()
        assert old.matches == ["step 20 against step 10"]
        old.add(30)
        mark(old, 30, known)
        old.begin()
        assert old.rate_newest()
        assert old.met(30) == [10, 20]


def mark(rater: Rater, step: int, more: dict[str, Any]) -> None:
    """Write ``more`` into the document of a checkpoint."""
    folder = next(folder for folder in list_checkpoints(rater.run_dir) if folder.name.endswith(str(step)))
    file = folder / "checkpoint.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **more}))


def test_a_stop_ends_games_between_two_batches_and_what_is_missing_is_played_later(rater: Rater) -> None:
    rater.add(20)
    rater.rate_newest()
    rater.add(30)
    rater.batches_left = 12
    with pytest.raises(InterruptedError):
        rater.rate_newest()
    assert rater.pairs(30, 20) == 0
    rater.batches_left = 10**9
    rater.begin()
    assert rater.rate_newest()
    assert (rater.pairs(30, 20), rater.pairs(30, 10)) == (3, 3)


def test_a_checkpoint_that_cannot_be_read_is_skipped_with_a_word(
    rater: Rater, caplog: pytest.LogCaptureFixture
) -> None:
    rater.add(20)
    rater.rate_newest()
    rater.add(30)
    for folder in list_checkpoints(rater.run_dir)[::2]:  # of steps 10 and 30
        (folder / "ema.safetensors").write_bytes(b"broken")
    with caplog.at_level(logging.WARNING):
        rater.rate_newest()
        assert rater.met(30) == []
        rater.add(40)
        rater.rate_newest()
    assert rater.met(40) == [20]
    assert "step 40 does not play step 10" in caplog.text
    assert not rater.rate_newest()


def test_each_stage_of_growing_boards_has_its_scale_and_a_stop_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rating_main.os, "nice", lambda by: by)
    stages = {**IN_A_ROW, "curriculum__stages": [[3, 3], [4, 3]]}
    for step in (10, 20):
        small_checkpoint(tmp_path, seed=step, step=step, **{**SMALL, **stages, "rating__share": 1.0})
    settings = load_checkpoint(tmp_path).settings
    stats = make_board(["rating-0", "replay-0"])
    row = stats.row("rating-0")
    context = ChildContext("rating-0", 0, settings, tmp_path, *stats)
    thread = threading.Thread(target=rating_main.rating_main, args=(context, "cpu"))
    thread.start()
    try:
        for number, rules in enumerate(settings.stages, start=1):
            stats.state.stage = number
            until(
                lambda rules=rules: row["rating_step"] == 20 and row.note == f"{rules.title}: step 20 against step 10"
            )
            until(lambda: row.waiting is Waiting.NEXT_CHECKPOINT)
    finally:
        stats.of("rating-0").stop = 1
        thread.join(100.0)
    assert not thread.is_alive()
    with Results(tmp_path / "ratings.sqlite") as results:
        for rules in settings.stages:
            assert len(results.units(rules.title, [player_name(20, 4), player_name(10, 4)])) == 3


def until(condition: Callable[[], bool], seconds: float = 200.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
