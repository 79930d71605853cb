"""The rules that are played, as settings, and what the rest of the pipeline knows of a game: array sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from pydantic import ConfigDict, JsonValue, ValidationError, model_validator
from pydantic_core import PydanticUndefined

from hexpipe.config.game_options import MAX_NAME, GameOptions
from hexpipe.config.hex_options import HexOptions
from hexpipe.config.inarow_options import InARowOptions
from hexpipe.config.section import RefusedError, refused, unknown_setting
from hexpipe.errors import SettingsError


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


_OPTIONS: dict[str, type[GameOptions]] = {"hex": HexOptions, "inarow": InARowOptions}

Options = TypeVar("Options", bound=GameOptions)


class GameSettings(InARowOptions, HexOptions):
    """The rules that are played: the options of hexpipe's own games, and whatever else a game of one's own is told.

    Each game is made from its own part of them (`options`). Those of a game of one's own are held against its model
    when it is made, for its class may not be imported yet where settings are read; until then they are plain JSON.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    @model_validator(mode="after")
    def _possible(self) -> GameSettings:
        for name in self.model_extra or ():
            if not name.isidentifier() or len(name) > MAX_NAME:
                raise RefusedError(unknown_setting(f"game.{name}"), kind="unknown", setting=f"game.{name}")
        if self.name in _OPTIONS:
            self._as(self.model)
        elif self.own_class is None:
            words = (
                f"there is no game {self.name!r}: game.name is hex, inarow, or package.module:Class for one of your own"
            )
            raise RefusedError(words, kind="unknown", setting="game.name")
        return self

    @property
    def own_class(self) -> tuple[str, str] | None:
        """Module and class of a game of one's own, named package.module:Class; None of a name of another form."""
        module, colon, name = self.name.partition(":")
        return (module, name) if colon and all(map(str.isidentifier, [*module.split("."), name])) else None

    @property
    def model(self) -> type[GameOptions]:
        """The model of the options of a game of hexpipe's; of one of one's own these settings, which take all."""
        return _OPTIONS.get(self.name, GameSettings)

    def options(self, model: type[Options]) -> Options:
        """What ``model`` makes of these settings; SettingsError where one is set that it does not have, or cannot be.

        Its fields of the names of hexpipe's options have their defaults, as those cannot be told from what was set; a
        field without a default, or where ours is unset, is free.
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
        """Raise SettingsError where a rule is set that is none of ``known``, name and board_size: for games of one's
        own without a model of their options."""
        for name in self._set_beside(*known):
            raise SettingsError(self._unknown(name), kind="unknown", setting=f"game.{name}")

    def _set_beside(self, *known: str) -> list[str]:
        """Names of the options that are set, but for ``known``, name and board_size."""
        ours = GameSettings.model_fields
        beside = {name: value for name, value in self if name not in ("name", "board_size", *known)}
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
        """The game in a few words: "Hex 11x11 with swap"."""
        n = self.board_size
        if self.name == "hex":
            return f"Hex {n}x{n}{' with swap' if self.swap else ''}"
        if self.own_class is not None:
            return f"{self.name} {n}x{n}"
        return f"{self.row_length} in a row {n}x{n}, {self.players} players"

    @property
    def row_length(self) -> int:
        """Stones in a row that win; 0 in games that know no such thing."""
        return self.inarow_rules().win_length if self.name == "inarow" else 0
