"""The options of n in a row, and their values where unset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from hexpipe.config.game_options import MAX_BOARD_SIZE, GameOptions
from hexpipe.config.section import RefusedError

DEFAULT_VIEW_SIZE, MAX_VIEW_SIZE = 21, 79  # tables of 5 planes of 79 x 79 codes are the largest that int16 can index
DEFAULT_WIN_LENGTH = 5
RowRule = Literal["free", "exact", "renju"]


@dataclass(frozen=True)
class InARowRules:
    """The rules of `InARowOptions`, with nothing unset; ``placement_rewards`` has one for each seat."""

    board_size: int
    players: int
    win_length: int
    row_rule: RowRule
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
    row_rule: RowRule = Field(
        "free",
        description="whether more than win_length in a row win, too: for all, for none (exact: standard gomoku), or "
        "for the second player alone, with renju's forbidden moves for the first; inarow only",
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
        if self.row_rule == "renju":
            self._refuse_no_renju()
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

    def _refuse_no_renju(self) -> None:
        """Raise RefusedError unless this is five in a row by two players on a board that is seen whole."""
        rules = self.inarow_rules()
        if rules.players != 2:
            words = f"game.row_rule=renju is for two players, not {rules.players}: leave game.players unset"
            raise RefusedError(words, kind="conflict", setting="game.row_rule")
        if rules.win_length != DEFAULT_WIN_LENGTH:
            words = (
                f"game.row_rule=renju is for {DEFAULT_WIN_LENGTH} in a row, not {rules.win_length}: leave "
                f"game.win_length unset, on a board of {DEFAULT_WIN_LENGTH} cells a side or more"
            )
            raise RefusedError(words, kind="conflict", setting="game.row_rule")
        n = rules.board_size
        if rules.view_size < n:
            # what is forbidden, and whether anything is allowed, may turn on stones that a smaller view does not show
            way = f"set game.view_size={n}" if n <= MAX_VIEW_SIZE else f"such boards have {MAX_VIEW_SIZE} at the most"
            words = f"game.row_rule=renju needs a view of the whole board, {n} cells a side: {way}"
            raise RefusedError(words, kind="conflict", setting="game.row_rule")

    def inarow_rules(self) -> InARowRules:
        """Return the rules of n in a row, with the default of every unset one."""
        n, three = self.board_size, self.players == 3
        view_size = min(n, DEFAULT_VIEW_SIZE) if self.view_size is None else self.view_size
        return InARowRules(
            board_size=n,
            players=self.players,
            win_length=min(n, DEFAULT_WIN_LENGTH) if self.win_length is None else self.win_length,
            row_rule=self.row_rule,
            ranked_draws=three if self.draws is None else self.draws == "ranked",
            placement_rewards=self.placement_rewards or ((1.0, -0.2, -1.0) if three else (1.0, -1.0)),
            max_plies=min(n * n, self.move_cap or n * n),
            view_size=view_size,
            thumbnail=n > view_size if self.thumbnail is None else self.thumbnail,
        )
