"""The options of n in a row, and their values where unset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from hexpipe.config.game_options import MAX_BOARD_SIZE, GameOptions
from hexpipe.config.section import RefusedError

DEFAULT_VIEW_SIZE, MAX_VIEW_SIZE = 21, 79  # tables of 5 planes of 79 x 79 codes are the largest that int16 can index
DEFAULT_WIN_LENGTH = 5


@dataclass(frozen=True)
class InARowRules:
    """The rules of `InARowOptions`, with nothing unset; ``placement_rewards`` has one for each seat."""

    board_size: int
    players: int
    win_length: int
    ranked_draws: bool
    placement_rewards: tuple[float, ...]
    max_plies: int
    view_size: int
    thumbnail: bool


class InARowOptions(GameOptions):
    """The options of n in a row."""

    players: int = Field(2, ge=2, le=3, description="players, who move in turn; 3: inarow only")
    win_length: int | None = Field(
        None, ge=2, le=MAX_BOARD_SIZE, description="stones in a row that win; unset: min(5, board_size); inarow only"
    )
    draws: Literal["ranked", "shared"] | None = Field(
        None,
        description="at a draw places go by the longest chains, or all have 0; unset: ranked for 3 players, shared for "
        "2; inarow only",
    )
    placement_rewards: tuple[float, ...] | None = Field(
        None,
        description="values of first, second and third place; unset: 1, -0.2, -1; inarow with 3 players only",
    )
    move_cap: int = Field(0, ge=0, description="plies after which a game is a draw; 0 means none; inarow only")
    view_size: int | None = Field(
        None,
        ge=3,
        le=MAX_VIEW_SIZE,
        description="cells along a side of the view whose cells are the actions: odd, or board_size; unset: the board, "
        "21 at the most; inarow only",
    )
    thumbnail: bool | None = Field(
        None,
        description="the net sees a small picture of the whole board too; unset: where the board is larger than the "
        "view; inarow only",
    )

    @model_validator(mode="after")
    def _possible(self) -> InARowOptions:
        self.refuse_rectangles("n in a row")
        n = self.board_size
        if self.win_length is not None and self.win_length > n:
            words = f"game.win_length is {self.win_length}, more than the {n} cells along a side: lower it"
            raise RefusedError(words, kind="range", setting="game.win_length", high=n)
        if self.view_size is not None and self.view_size != n:
            if self.view_size % 2 == 0:
                words = f"game.view_size must be odd, or the board's own size {n} (got {self.view_size})"
                raise RefusedError(words, kind="range", setting="game.view_size")
            if self.view_size > n and n % 2 == 0:
                words = (
                    f"game.view_size {self.view_size} is larger than the board of {n}, which then cannot be in its "
                    f"middle: take an odd game.board_size, or {n}"
                )
                raise RefusedError(words, kind="conflict", setting="game.view_size")
        rewards = self.placement_rewards
        if rewards is None:
            return self
        if self.players != 3:
            words = "game.placement_rewards is for game.players=3: two play for 1 and -1, leave it unset"
            raise RefusedError(words, kind="conflict", setting="game.placement_rewards")
        if len(rewards) != 3 or sorted(rewards, reverse=True) != [*rewards] or rewards[0] == rewards[2]:
            words = f"game.placement_rewards must be three falling numbers (got {[*rewards]})"
            raise RefusedError(words, kind="type", setting="game.placement_rewards")
        if rewards[0] > 1 or rewards[2] < -1:
            words = f"game.placement_rewards must be from -1 to 1 (got {[*rewards]})"
            raise RefusedError(words, kind="range", setting="game.placement_rewards", low=-1, high=1)
        return self

    def inarow_rules(self) -> InARowRules:
        """Return the rules of n in a row, with the default of every unset one."""
        n, three = self.board_size, self.players == 3
        view_size = min(n, DEFAULT_VIEW_SIZE) if self.view_size is None else self.view_size
        return InARowRules(
            board_size=n,
            players=self.players,
            win_length=min(n, DEFAULT_WIN_LENGTH) if self.win_length is None else self.win_length,
            ranked_draws=three if self.draws is None else self.draws == "ranked",
            placement_rewards=self.placement_rewards or ((1.0, -0.2, -1.0) if three else (1.0, -1.0)),
            max_plies=min(n * n, self.move_cap or n * n),
            view_size=view_size,
            thumbnail=n > view_size if self.thumbnail is None else self.thumbnail,
        )
