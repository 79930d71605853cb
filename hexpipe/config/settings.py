"""All settings of a run, and the checks of their combinations."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from hexpipe.config.game import GameSettings
from hexpipe.config.presets import PRESETS
from hexpipe.config.section import RefusedError, Section
from hexpipe.config.sections import (
    AUTO,
    ClusterSettings,
    CurriculumSettings,
    InferenceSettings,
    LeagueSettings,
    LearnerSettings,
    LimitSettings,
    NetSettings,
    RatingSettings,
    ReanalyzeSettings,
    ReplaySettings,
    SearchSettings,
    SelfplaySettings,
    TrackingSettings,
    named_devices,
)

_DEVICES = re.compile(r"auto|(cpu|cuda:(0|[1-9]\d*))(,(cpu|cuda:(0|[1-9]\d*)))*")


class Settings(Section):
    """All settings of a run."""

    preset: str = Field("quick", description="the preset these settings started from")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of every random generator")
    devices: int | None = Field(None, ge=0, le=64, description="GPUs that auto may use; unset: all there are")
    game: GameSettings = GameSettings()
    net: NetSettings = NetSettings()
    search: SearchSettings = SearchSettings()
    selfplay: SelfplaySettings = SelfplaySettings()
    inference: InferenceSettings = InferenceSettings()
    replay: ReplaySettings = ReplaySettings()
    reanalyze: ReanalyzeSettings = ReanalyzeSettings()
    league: LeagueSettings = LeagueSettings()
    rating: RatingSettings = RatingSettings()
    cluster: ClusterSettings = ClusterSettings()
    curriculum: CurriculumSettings = CurriculumSettings()
    learner: LearnerSettings = LearnerSettings()
    limits: LimitSettings = LimitSettings()
    tracking: TrackingSettings = TrackingSettings()

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str) -> str:
        if name not in PRESETS:
            given = f"{name!r}" if len(name) <= 50 else f"{name[:50]!r}..."
            raise RefusedError(
                f"there is no preset {given}; take one of: {', '.join(PRESETS)}", kind="unknown", setting="preset"
            )
        return name

    @property
    def plays(self) -> bool:
        """Whether there is self-play; otherwise the learner trains on the archive's games, without a step budget."""
        return self.selfplay.workers != 0

    @property
    def algorithm(self) -> Literal["alphazero", "muzero"]:
        """Model of the search: the true rules, or learned dynamics."""
        return "muzero" if self.net.dynamics_blocks else "alphazero"

    @property
    def stages(self) -> tuple[GameSettings, ...]:
        """Games of the curriculum, in order; without a curriculum the game alone.

        In n in a row the last one is `game`, and all have its view and thumbnail, so that they are the same game for a
        net. In Hex, where a net sees the whole board, `game` is the last one or that of `at_stage`.
        """
        if not self.curriculum.stages:
            return (self.game,)
        tree, lengths = self.game.model_dump(), self.game.name == "inarow"
        return tuple(
            GameSettings.model_validate({**tree, "board_size": size, **({"win_length": length} if lengths else {})})
            for size, length in self.curriculum.stages
        )

    @property
    def plays_in_legs(self) -> bool:
        """Whether each stage is another game for a net, so that it has processes and a replay buffer of its own: a leg
        of the run."""
        return bool(self.curriculum.stages) and self.game.name == "hex"

    def at_stage(self, stage: int) -> Settings:
        """Return the settings of the processes that play ``stage`` (from 0): in legs their game is that stage's."""
        return self.model_copy(update={"game": self.stages[stage]}) if self.plays_in_legs else self

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.curriculum.stages:
            self._check_stages()
            if self.reanalyze.ratio:  # reanalysis supports only one board
                words = "reanalyze.ratio and curriculum.stages cannot be used together yet: set one of them off"
                raise RefusedError(words, kind="conflict", setting="reanalyze.ratio")
        if not self.plays and (self.reanalyze.ratio or self.league.share):
            words = (
                "with selfplay.workers=0 nothing is played: reanalyze.ratio and league.share must be 0, turn them off"
            )
            raise RefusedError(words, kind="conflict", setting="selfplay.workers")
        if self.cluster.address and (not self.plays or self.reanalyze.ratio or self.league.share):
            words = (
                "with cluster.address (--ray) the nodes only play the newest net: selfplay.workers must not be 0, and "
                "reanalyze.ratio and league.share must be"
            )
            raise RefusedError(words, kind="conflict", setting="cluster.address")
        if self.replay.min_games > self.replay.max_games:
            words = "replay.min_games is above replay.max_games: lower the one or raise the other"
            raise RefusedError(words, kind="conflict", setting="replay.min_games")
        chosen = self.inference.backend in ("auto", "eager") and self.inference.dtype == "auto"
        if self.algorithm == "muzero" and not chosen:
            raise RefusedError(
                "learned dynamics have backends of their own: set inference.backend to auto or eager, and "
                "inference.dtype to auto",
                kind="conflict",
                setting="inference.backend" if self.inference.dtype == "auto" else "inference.dtype",
            )
        self._check_devices()
        return self

    def _check_devices(self) -> None:
        """Check what is checkable of the named devices on any machine; `roles.plan` checks this one."""
        for name, text in (("inference.devices", self.inference.devices), ("learner.devices", self.learner.devices)):
            if not _DEVICES.fullmatch(text):
                words = f"{name} is {text!r}: give auto, or devices like cuda:0,cuda:1 or cpu,cpu"
                raise RefusedError(words, kind="type", setting=name)
        if self.inference.devices != AUTO and self.inference.servers is not None:
            words = (
                "inference.servers counts the servers of inference.devices=auto, a list has one an entry: "
                "leave inference.servers unset, or set inference.devices to auto"
            )
            raise RefusedError(words, kind="conflict", setting="inference.servers")
        learners = named_devices(self.learner.devices)
        gpus = [device for device in learners if device != "cpu"]
        if gpus and (len(gpus) < len(learners) or len(set(gpus)) < len(gpus)):
            words = (
                f"learner.devices is {self.learner.devices}: learners that train together have a GPU each, or are all "
                "on the CPU"
            )
            raise RefusedError(words, kind="conflict", setting="learner.devices")
        if self.learner.batch_size % self.learner.ranks:
            words = (
                f"learner.batch_size must be a multiple of the {len(learners)} devices of learner.devices: "
                "change either"
            )
            raise RefusedError(words, kind="conflict", setting="learner.batch_size")

    def _check_stages(self) -> None:
        if self.game.name not in ("inarow", "hex"):
            words = "curriculum.stages are for game.name=hex and game.name=inarow: leave them empty"
            raise RefusedError(words, kind="conflict", setting="curriculum.stages")
        legs = self.plays_in_legs
        for before, after in pairwise(self.curriculum.stages):
            if after[0] < before[0] + legs:
                words = f"curriculum.stages must have growing boards (got {after[0]} after {before[0]}): reorder them"
                raise RefusedError(words, kind="range", setting="curriculum.stages")
        last, game = self.curriculum.stages[-1], self.game
        if legs and any(length for _, length in self.curriculum.stages):
            words = "curriculum.stages of Hex are sizes alone, as in [5,7,9]: a win length is for n in a row"
            raise RefusedError(words, kind="type", setting="curriculum.stages")
        if legs and game.board_size not in [size for size, _ in self.curriculum.stages]:
            words = f"curriculum.stages end with board {last[0]}, the game has {game.board_size}: make them the same"
            raise RefusedError(words, kind="conflict", setting="curriculum.stages")
        seen = game.view_size is not None and game.thumbnail
        if not legs and not ((game.board_size, game.win_length) == last and seen):
            words = "with curriculum.stages the game is that of the last stage, with a view and a thumbnail"
            raise RefusedError(words, kind="conflict", setting="game")
        try:
            _ = self.stages
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise RefusedError(
                f"curriculum.stages have a stage that cannot be: {message}", kind="range", setting="curriculum.stages"
            ) from error
