"""The rules of a game as settings, and the array sizes by which the rest of the pipeline knows it."""

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
    """The array sizes by which nets, inference and replay know a game, without its rules.

    A state is seen through a view of ``view_size`` x ``view_size`` cells; 0, the default, stands for ``board_size``,
    the whole board. ``code_length`` int8 codes describe one state as its mover sees it: ``view_cells`` cell codes (0
    empty, 1 the mover's, 2 the next seat's, 3 the seat's after that, 4 off the board, or empty and closed: no move
    now), then one flag for each action that is not a cell (1: legal); these are the ``num_actions`` actions. With a
    ``thumbnail`` of the board, ``num_seats`` + 1 planes of ``view_cells`` codes follow: how full of the mover's, the
    next seat's, ... stones each bucket of cells is (0 to 127), and which buckets the view shows (1). ``turns_frame``:
    each seat sees the board transposed relative to the seat before (a move to a cell transposes it). ``threats``: the
    game gives threat levels (`LocalViewGame.threat_levels`), which the net learns to predict.
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
        """Number of input planes of a net (see `nets.planes`)."""
        if self.turns_frame:
            return 4
        flags = self.num_actions - self.view_cells
        return self.num_seats + 2 + flags + (self.num_seats + 1 if self.thumbnail else 0)

    @property
    def board_cells(self) -> int:
        """Number of cells of the board, n * n."""
        return self.board_size * self.board_size

    @property
    def view_cells(self) -> int:
        """Number of cells of the view, which are the first actions and the first codes."""
        return self.view_size * self.view_size


_OPTIONS: dict[str, type[GameOptions]] = {"hex": HexOptions, "inarow": InARowOptions}

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
        """Module and class of a user-defined game, named package.module:Class; None for a name of another form."""
        module, colon, name = self.name.partition(":")
        return (module, name) if colon and all(map(str.isidentifier, [*module.split("."), name])) else None

    @property
    def model(self) -> type[GameOptions]:
        """Model of the options of hexpipe's games; for a user-defined game these settings, which take any."""
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
        """Raise SettingsError for a rule that is set and not one of ``known``, name and board_size.

        This serves user-defined games without a model of their options.
        """
        for name in self._set_beside(*known):
            raise SettingsError(self._unknown(name), kind="unknown", setting=f"game.{name}")

    def _set_beside(self, *known: str) -> list[str]:
        """Return the names of options that are set, except ``known``, name and board_size."""
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
        """Short description of the game: "Hex 11x11 with swap"."""
        n = self.board_size
        if self.name == "hex":
            return f"Hex {n}x{n}{' with swap' if self.swap else ''}"
        if self.own_class is not None:
            return f"{self.name} {n}x{n}"
        return f"{self.row_length} in a row {n}x{n}, {self.players} players"

    @property
    def row_length(self) -> int:
        """Stones in a row that win; 0 for games without such a rule."""
        return self.inarow_rules().win_length if self.name == "inarow" else 0
