"""The rules that are played, as settings, and what the rest of the pipeline knows of a game: array sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from hexpipe.config.section import Section
from hexpipe.errors import SettingsError

MIN_HEX_SIZE, MAX_HEX_SIZE = 3, 27
MIN_INAROW_SIZE, MAX_INAROW_SIZE = 3, 200
DEFAULT_VIEW_SIZE, MAX_VIEW_SIZE = 21, 79  # tables of 5 planes of 79 x 79 codes are the largest that int16 can index
DEFAULT_WIN_LENGTH = 5


@dataclass(frozen=True)
class Shapes:
    """What nets, inference and replay know of a game: array sizes, no rules.

    A state is seen through a view of ``view_size`` x ``view_size`` cells, which is the whole board unless it is given
    (0 stands for ``board_size``). ``code_length`` int8 codes describe one state as its mover sees it: ``view_cells``
    cell codes (0 empty, 1 mine, 2 the next seat's, 3 the seat's after that, 4 off the board, or empty and closed: no
    move now), then one flag for each action that is not a cell (1: legal); these are the ``num_actions`` actions. Where
    there is a ``thumbnail`` of the board, ``num_seats`` + 1 planes of ``view_cells`` codes follow: how full of the
    mover's, the next seat's, ... stones each bucket of cells is (0 to 127), and which buckets the view shows (1).
    ``turns_frame``: each seat sees the board transposed against the seat before (a move to a cell turns it over).
    ``threats``: the game tells how near each seat is to a win (`LocalViewGame.threat_levels`), as the net learns to.
    """

    board_size: int
    num_actions: int
    num_seats: int
    code_length: int
    view_size: int = 0
    thumbnail: bool = False
    turns_frame: bool = False
    threats: bool = False

    def __post_init__(self) -> None:
        if not self.view_size:
            object.__setattr__(self, "view_size", self.board_size)

    @property
    def num_planes(self) -> int:
        """Input planes of a net (see `nets.planes`)."""
        if self.turns_frame:
            return 4
        flags = self.num_actions - self.view_cells
        return self.num_seats + 2 + flags + (self.num_seats + 1 if self.thumbnail else 0)

    @property
    def board_cells(self) -> int:
        """Cells of the board, n * n."""
        return self.board_size * self.board_size

    @property
    def view_cells(self) -> int:
        """Cells of the view, which are the first actions and the first codes."""
        return self.view_size * self.view_size


@dataclass(frozen=True)
class InARowRules:
    """What `GameSettings` say of n in a row, with nothing left unset; ``placement_rewards`` has one for each seat."""

    board_size: int
    players: int
    win_length: int
    ranked_draws: bool
    placement_rewards: tuple[float, ...]
    max_plies: int
    view_size: int
    thumbnail: bool


class GameSettings(Section):
    """The rules that are played."""

    name: str = Field(
        "hex",
        max_length=100,
        description="the game: Hex, n in a row (inarow), or one of your own, an importable class",
    )
    board_size: int = Field(
        11, ge=MIN_INAROW_SIZE, le=MAX_INAROW_SIZE, description="cells along a side; Hex: 27 at the most"
    )
    swap: bool = Field(False, description="the second player may take over the first stone's colour; Hex only")
    players: int = Field(2, ge=2, le=3, description="players, who move in turn; 3: inarow only")
    win_length: int | None = Field(
        None, ge=2, le=MAX_INAROW_SIZE, description="stones in a row that win; unset: min(5, board_size); inarow only"
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
    def _possible(self) -> GameSettings:
        if self.name == "hex":
            self._check_hex()
        elif self.name == "inarow":
            self._check_inarow()
        elif self.own_class is None:
            raise ValueError(
                f"there is no game {self.name!r}: game.name is hex, inarow, or package.module:Class for one of your own"
            )
        return self

    def _check_hex(self) -> None:
        if self.board_size > MAX_HEX_SIZE:
            raise ValueError(
                f"game.board_size: Hex boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side "
                f"(got {self.board_size})"
            )
        for name in self._rules_beside("swap"):
            raise ValueError(f"game.{name} is for game.name=inarow: Hex knows no such rule, leave it unset")

    def _check_inarow(self) -> None:
        n = self.board_size
        if self.swap:
            raise ValueError("game.swap is for game.name=hex: n in a row has no swap, turn it off")
        if self.win_length is not None and self.win_length > n:
            raise ValueError(f"game.win_length is {self.win_length}, more than the {n} cells along a side: lower it")
        if self.view_size is not None and self.view_size != n:
            if self.view_size % 2 == 0:
                raise ValueError(f"game.view_size must be odd, or the board's own size {n} (got {self.view_size})")
            if self.view_size > n and n % 2 == 0:
                raise ValueError(
                    f"game.view_size {self.view_size} is larger than the board of {n}, which then cannot be in its "
                    f"middle: take an odd game.board_size, or {n}"
                )
        rewards = self.placement_rewards
        if rewards is None:
            return
        if self.players != 3:
            raise ValueError("game.placement_rewards is for game.players=3: two play for 1 and -1, leave it unset")
        if len(rewards) != 3 or sorted(rewards, reverse=True) != [*rewards] or rewards[0] == rewards[2]:
            raise ValueError(f"game.placement_rewards must be three falling numbers (got {[*rewards]})")
        if rewards[0] > 1 or rewards[2] < -1:
            raise ValueError(f"game.placement_rewards must be from -1 to 1 (got {[*rewards]})")

    @property
    def own_class(self) -> tuple[str, str] | None:
        """Module and class of a game of one's own, named package.module:Class; None of a name of another form."""
        module, colon, name = self.name.partition(":")
        return (module, name) if colon and all(map(str.isidentifier, [*module.split("."), name])) else None

    def refuse_rules_beside(self, *known: str) -> None:
        """SettingsError where a rule is set that is none of ``known``, name and board_size: for games of one's own."""
        for name in self._rules_beside(*known):
            raise SettingsError(f"{self.name} knows no rule game.{name}: leave it unset")

    def _rules_beside(self, *known: str) -> list[str]:
        """Names of the rules that are set, but for ``known``, name and board_size."""
        fields = type(self).model_fields.items()
        others = ((name, field) for name, field in fields if name not in ("name", "board_size", *known))
        return [name for name, field in others if getattr(self, name) != field.default]

    @property
    def title(self) -> str:
        """The game in a few words: "Hex 11x11 with swap"."""
        n = self.board_size
        if self.name == "hex":
            return f"Hex {n}x{n}{' with swap' if self.swap else ''}"
        if self.own_class is not None:
            return f"{self.name} {n}x{n}"
        return f"{self.inarow_rules().win_length} in a row {n}x{n}, {self.players} players"

    @property
    def row_length(self) -> int:
        """Stones in a row that win; 0 in games that know no such thing."""
        return self.inarow_rules().win_length if self.name == "inarow" else 0

    def inarow_rules(self) -> InARowRules:
        """The rules of n in a row, every unset one replaced by what it stands for."""
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
