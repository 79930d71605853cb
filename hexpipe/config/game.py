"""The rules of a game as settings, and the array sizes by which the rest of the pipeline knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from pydantic import ConfigDict, JsonValue, ValidationError, model_validator
from pydantic_core import PydanticUndefined

from hexpipe.config.breakthrough_options import BreakthroughOptions
from hexpipe.config.connect4_options import ConnectFourOptions
from hexpipe.config.game_options import MAX_NAME, GameOptions
from hexpipe.config.go_options import GoOptions
from hexpipe.config.hex_options import HexOptions
from hexpipe.config.inarow_options import InARowOptions
from hexpipe.config.openspiel_options import OpenSpielOptions, openspiel_name
from hexpipe.config.othello_options import OthelloOptions
from hexpipe.config.section import RefusedError, refused, unknown_setting
from hexpipe.errors import SettingsError


class Plane(NamedTuple):
    """An input plane of a net: 1 where the codes from ``at`` on, one for each cell of the view, are ``code``, else 0.

    ``whole``: 1 everywhere where the one code ``at`` is ``code``. With `NUMBERS` for ``code`` the plane is numbers, not
    a comparison: float16, two codes each, as they lie in memory (little end first).
    """

    at: int
    code: int
    whole: bool = False

    def codes(self, view_cells: int) -> slice:
        """Return where the codes of this plane are."""
        return slice(self.at, self.at + (1 if self.whole else view_cells) * (2 if self.code == NUMBERS else 1))


OFF_BOARD = 4
"""Code of a cell that is off the board, or empty and closed to play."""
NEVER = -1
"""No code is this: a `Plane` of it is 0."""
NUMBERS = 256
"""Instead of a code: a `Plane` of float16 numbers."""
MAX_PLANES = 1000
"""Planes that a game declares at the most."""
MAX_ACTIONS = 16384
"""Actions of a game at the most: OpenSpiel's shogi has 13,689."""


@dataclass(frozen=True)
class Shapes:
    """The array sizes by which nets, inference and replay know a game, without its rules.

    A board has ``board_size`` rows and ``board_width`` columns; 0, the default, stands for as many. A state is seen
    through a view of ``view_size`` x ``view_size`` cells; 0, the default, stands for the whole board. Of the
    ``num_actions`` actions the first are ``cell_actions`` for each cell of the view (action ``k * view_cells + cell``),
    the others are no cell (`num_others`). ``cell_actions`` of 0 is for games whose actions are no cells at all: the
    policy is then dense, from all cells to all actions.

    ``code_length`` int8 codes describe one state as its mover sees it: ``view_cells`` cell codes (0 empty, 1 the
    mover's, 2 the next seat's, 3 the seat's after that, 4 off the board, or empty and closed: no move now), then one
    flag for each action that is not a cell (1: legal); these are the ``num_actions`` actions. With a
    ``thumbnail`` of the board, ``num_seats`` + 1 planes of ``view_cells`` codes follow: how full of the mover's, the
    next seat's, ... stones each bucket of cells is (0 to 127), and which buckets the view shows (1). ``turns_frame``:
    each seat sees the board transposed relative to the seat before (a move to a cell transposes it). ``flips_frame``:
    each seat sees the board upside down relative to the seat before. ``threats``: the game gives threat levels
    (`LocalViewGame.threat_levels`), which the net learns to predict.

    With ``declared`` planes the codes are the game's own, and the last ``num_actions`` of them say which actions are
    legal (1).
    """

    board_size: int
    num_actions: int
    num_seats: int
    code_length: int
    view_size: int = 0
    thumbnail: bool = False
    turns_frame: bool = False
    threats: bool = False
    board_width: int = 0
    cell_actions: int = 1
    declared: tuple[Plane, ...] = ()
    flips_frame: bool = False

    def __post_init__(self) -> None:
        if not self.view_size:
            object.__setattr__(self, "view_size", self.board_size)
        if not self.board_width:
            object.__setattr__(self, "board_width", self.board_size)
        object.__setattr__(self, "declared", tuple(Plane(*plane) for plane in self.declared))  # lists where read

    @property
    def view_width(self) -> int:
        """Columns of the view; its rows are ``view_size``."""
        return self.board_width if self.view_size == self.board_size else self.view_size

    @property
    def planes(self) -> tuple[Plane, ...]:
        """Input planes of a net that are comparisons of codes; the last of declared ones is 0 but for its border."""
        if self.declared:
            return (*self.declared, Plane(0, NEVER))
        kinds = [*range(1, self.num_seats + 1), 0] + ([] if self.turns_frame else [OFF_BOARD])
        flags = [Plane(self.view_cells, 1, whole=True)] if self.num_others else []
        if self.turns_frame and not flags:
            flags = [Plane(0, NEVER)]  # no swap: its plane is there anyway, so that one set of weights serves both
        return (*(Plane(0, kind) for kind in kinds), *flags)

    @property
    def num_planes(self) -> int:
        """Number of input planes of a net (see `nets.planes`)."""
        return len(self.planes) + (self.num_seats + 1 if self.thumbnail else 0)

    @property
    def num_others(self) -> int:
        """Number of actions that are no cell."""
        return self.num_actions - self.cell_actions * self.view_cells

    @property
    def board_cells(self) -> int:
        """Number of cells of the board."""
        return self.board_size * self.board_width

    @property
    def view_cells(self) -> int:
        """Number of cells of the view."""
        return self.view_size * self.view_width


_OPTIONS: dict[str, type[GameOptions]] = {
    "hex": HexOptions,
    "inarow": InARowOptions,
    "connect4": ConnectFourOptions,
    "othello": OthelloOptions,
    "breakthrough": BreakthroughOptions,
    "go": GoOptions,
}
_TITLES = {"connect4": "Connect Four", "othello": "Othello", "breakthrough": "Breakthrough", "go": "Go"}

BOARDS: dict[str, tuple[int, int]] = {"connect4": (6, 7), "othello": (8, 8), "breakthrough": (8, 8), "go": (9, 9)}
"""Rows and columns of games whose board is this unless it is set; others have that of the preset."""

Options = TypeVar("Options", bound=GameOptions)


class GameSettings(InARowOptions, HexOptions):
    """The rules to play: the options of hexpipe's own games, and any options of a user-defined game.

    Each game is made from its own part of them (`options`). Those of a user-defined game are validated by its model
    when it is made, because its class may not be imported yet when settings are read; until then they are plain JSON.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    @model_validator(mode="after")
    def _possible(self) -> GameSettings:
        for name in self.model_extra or ():
            if not name.isidentifier() or len(name) > MAX_NAME:
                raise RefusedError(unknown_setting(f"game.{name}"), kind="unknown", setting=f"game.{name}")
        if self.model is not GameSettings:
            self._as(self.model)
        elif self.own_class is None:
            words = (
                f"there is no game {self.name!r}: game.name is {', '.join(_OPTIONS)}, or openspiel:NAME for one of "
                "OpenSpiel's, or package.module:Class for one of your own"
            )
            raise RefusedError(words, kind="unknown", setting="game.name")
        return self

    @property
    def own_class(self) -> tuple[str, str] | None:
        """Module and class of a user-defined game, named package.module:Class; None for a name of another form."""
        if openspiel_name(self.name) is not None:
            return None
        module, colon, name = self.name.partition(":")
        return (module, name) if colon and all(map(str.isidentifier, [*module.split("."), name])) else None

    @property
    def model(self) -> type[GameOptions]:
        """Model of the options of a game of hexpipe's or OpenSpiel's; for others these settings, which take any."""
        if openspiel_name(self.name) is not None:
            return OpenSpielOptions
        return _OPTIONS.get(self.name, GameSettings)

    def options(self, model: type[Options]) -> Options:
        """Validate these settings as ``model``; SettingsError for an option that it does not have, or an invalid one.

        Its fields with the names of hexpipe's options keep their defaults, because settings cannot tell which of those
        were set; a field without a default, or where ours is unset, takes our value.
        """
        try:
            return self._as(model)
        except RefusedError as error:
            raise SettingsError(str(error), **vars(error)) from error

    def _as(self, model: type[Options]) -> Options:
        own, ours = model.model_fields, GameSettings.model_fields
        for name in self._set_beside(*own):
            raise RefusedError(self._unknown(name), kind="unknown", setting=f"game.{name}")
        for name in own.keys() & ours.keys():
            if ours[name].default is not None and own[name].default not in (ours[name].default, PydanticUndefined):
                words = f"{model.__name__}.{name} must have the default {ours[name].default!r}, or none"
                raise RefusedError(words, kind="conflict", setting=f"game.{name}")
        told = {name: value for name, value in self if name in own and (value is not None or name not in ours)}
        try:
            return model.model_validate(told)
        except ValidationError as error:
            raise refused(error, "game") from error

    def refuse_rules_beside(self, *known: str) -> None:
        """Raise SettingsError for a rule that is set and not one of ``known``, name, board_size and board_width.

        This serves user-defined games without a model of their options.
        """
        for name in self._set_beside(*known):
            raise SettingsError(self._unknown(name), kind="unknown", setting=f"game.{name}")

    def _set_beside(self, *known: str) -> list[str]:
        """Return the names of options that are set, except ``known``, name, board_size and board_width."""
        ours = GameSettings.model_fields
        beside = {name: value for name, value in self if name not in ("name", "board_size", "board_width", *known)}
        return [name for name, value in beside.items() if name not in ours or value != ours[name].default]

    def _unknown(self, name: str) -> str:
        if self.name not in _OPTIONS:
            return f"{self.name} knows no rule game.{name}: leave it unset"
        for other, model in _OPTIONS.items():
            if name in model.model_fields:
                return f"game.{name} is for game.name={other}: {self.name} knows no such rule, leave it unset"
        return unknown_setting(f"game.{name}")

    @property
    def title(self) -> str:
        """Short description of the game: "Hex 11x11 with swap"."""
        n = self.board_size
        if openspiel_name(self.name) is not None:
            return self.name
        if self.name == "hex":
            return f"Hex {n}x{n}{' with swap' if self.swap else ''}"
        if self.name != "inarow":
            rows, columns = self.board
            komi = f", komi {self.options(GoOptions).komi:g}" if self.name == "go" else ""
            return f"{_TITLES.get(self.name, self.name)} {rows}x{columns}{komi}"
        rule = "" if self.row_rule == "free" else f", {self.row_rule}"
        return f"{self.row_length} in a row {n}x{n}, {self.players} players{rule}"

    @property
    def row_length(self) -> int:
        """Stones in a row that win; 0 for games without such a rule."""
        return self.inarow_rules().win_length if self.name == "inarow" else 0
