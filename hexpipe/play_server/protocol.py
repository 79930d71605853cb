"""The messages of hexgame-server (PyPI, 0.4.3; version 1 of its protocol), its addresses, and its cells.

A message is one JSON object, {"type": ..., "payload": {...}}. The server's player -1 is red and connects left to right,
its player 1 is blue and connects top to bottom; a cell has a column q and a row r. Who moves first is told at the start
of each game: in a match of several games it changes. There is no swap and no clock.

Whatever comes is held against the models here before it is looked at: numbers, lengths and depths have bounds.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, urlencode, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hexpipe.config import MAX_HEX_SIZE
from hexpipe.errors import HexpipeError, SettingsError
from hexpipe.wording import shortened

PROTOCOL_VERSION = 1
LONGEST_MESSAGE = 1 << 16
"""Bytes of a message of the server's; that of a full 19x19 board has 2,000."""
LONGEST_NAME = 80
"""Characters of a name that the server keeps."""
PAUSED = "Game paused for reconnect"
"""Why the server takes no move while a player's connection is lost; the move may be sent again."""
RED: Final = -1
BLUE: Final = 1

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}

Side = Literal[-1, 1]
# the server takes true for 1 from a player, and passes it on
_Cell = Annotated[
    int, BeforeValidator(lambda given: int(given) if isinstance(given, bool) else given), Field(ge=0, lt=MAX_HEX_SIZE)
]
_BoardSize = Annotated[int, Field(ge=1, le=MAX_HEX_SIZE)]
_Count = Annotated[int, Field(ge=0, le=10**9)]
_Text = Annotated[str, Field(max_length=500)]
_Token = Annotated[str, Field(min_length=1, max_length=200)]
_Names = Annotated[dict[Annotated[str, Field(max_length=4)], _Text | None], Field(max_length=4)]
_Row = Annotated[list[Literal[-1, 0, 1]], Field(max_length=MAX_HEX_SIZE)]


class TalkError(HexpipeError):
    """The server says what cannot be, or refuses what should be right: its own state must be asked for again."""


class Message(BaseModel):
    """A payload; what else is in it is passed over."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


class ServerError(Message):
    """Something failed; where it was joining or coming back, the connection is closed next."""

    message: _Text


class Joined(Message):
    """A place in a match; ``reconnect_token`` lets its owner back in."""

    slot_id: _Count
    player: Side
    board_size: _BoardSize
    series_length: _Count
    reconnect_token: _Token
    protocol_version: _Count


class Snapshot(Message):
    """A match as the server has it; ``board`` in rows, 0 where a cell is empty, None before the first game."""

    state: _Text
    board: Annotated[list[_Row], Field(max_length=MAX_HEX_SIZE)] | None = None
    current_turn: Side | None = None
    winner: Side | None = None
    current_game_number: _Count | None = None
    player_1_wins: _Count = 0
    player_2_wins: _Count = 0
    series_winner: Side | None = None
    player_models: _Names = {}
    player_usernames: _Names = {}


class Reconnected(Message):
    """Back in the match. 0.4.3 has a new token from now on and tells it to nobody; a server that does is believed."""

    slot_id: _Count
    player: Side
    board_size: _BoardSize
    slot: Snapshot
    reconnect_token: _Token | None = None


class GameStart(Message):
    """A game begins."""

    board_size: _BoardSize
    first_turn: Side
    current_game_number: _Count
    player_models: _Names = {}
    player_usernames: _Names = {}


class Move(Message):
    """A stone of either player; ``next_turn`` is None after the last."""

    player: Side
    q: _Cell
    r: _Cell
    next_turn: Side | None


class MoveRejected(Message):
    """Our move was not taken."""

    reason: _Text


class GameOver(Message):
    """A game has a winner: ``reason`` is "connected_sides" or "resignation"."""

    winner: Side
    reason: _Text


class SeriesOver(Message):
    """The match has a winner."""

    winner: Side


class OpponentDisconnected(Message):
    """The opponent's connection is lost; it may come back, unless ``reason`` is "reconnect_timeout"."""

    reason: _Text


class OpponentReconnected(Message):
    """The opponent is back."""


class OpponentLeft(Message):
    """The opponent has left the match for another."""


class Waiting(Message):
    """There is no opponent, or not at present."""


_KINDS: dict[str, type[Message]] = {
    "error": ServerError,
    "joined": Joined,
    "reconnected": Reconnected,
    "game_start": GameStart,
    "move": Move,
    "move_rejected": MoveRejected,
    "game_over": GameOver,
    "series_over": SeriesOver,
    "opponent_disconnected": OpponentDisconnected,
    "opponent_reconnected": OpponentReconnected,
    "opponent_left_slot": OpponentLeft,
    "waiting_for_opponent": Waiting,
}


class _Envelope(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    type: Annotated[str, Field(max_length=100)]
    payload: dict[str, Any] = {}


def read_message(text: str | bytes) -> Message | None:
    """Return a message of the server's, None for one of a type that is not used here (chat, pong, later ones).

    TalkError where it is none: no JSON, too deep, or a part of it missing, of another type or out of bounds.
    """
    try:
        envelope = _Envelope.model_validate_json(text)
        kind = _KINDS.get(envelope.type)
        return None if kind is None else kind.model_validate(envelope.payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        begins = shortened(text if isinstance(text, str) else text[:400].decode(errors="replace"))
        words = f"{where}: {first['msg']}" if where else first["msg"]
        raise TalkError(f"it sent what is no message of its protocol ({shortened(words, 100)}): {begins}") from error


def cell_of(q: int, r: int, size: int, first: int) -> int:
    """Return the cell of hexpipe's board, of ``size``, that is column ``q`` and row ``r`` where player ``first`` began.

    Here whoever is first connects top to bottom; where red is, whose edges are left and right, columns are rows.
    """
    row, column = (q, r) if first == RED else (r, q)
    return row * size + column


def place_of(cell: int, size: int, first: int) -> tuple[int, int]:
    """Return the server's column q and row r of ``cell``, which is what `cell_of` makes of them."""
    row, column = divmod(cell, size)
    return (row, column) if first == RED else (column, row)


def server_address(text: str) -> str:
    """Return the WebSocket address of the server at ``text``, which may be the one of its page, http or https.

    SettingsError where it is no address of a server.
    """
    try:
        parts: SplitResult | None = urlsplit(text)
        known = parts is not None and parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the brackets of an IPv6 address, or a port
        parts, known = None, False
    if parts is None or not known or parts.query or parts.fragment:
        raise SettingsError(
            f"{shortened(text, 80)!r} is no address of a game server: write it as ws://HOST:PORT", kind="syntax"
        )
    return f"{_SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}"


def joining_address(server: str, size: int, series: int, name: str) -> str:
    """Return where a match of ``series`` games on a board of ``size`` is joined under ``name`` ("": none)."""
    query: dict[str, Any] = {"board_size": size, "series_length": series, "model_name": "hexpipe"}
    if name:
        query["username"] = name[:LONGEST_NAME]
    return f"{server}/ws/matchmake?{urlencode(query)}"


def returning_address(server: str, slot: int, token: str) -> str:
    """Return where a player whose connection was lost comes back."""
    return f"{server}/ws/reconnect?{urlencode({'slot_id': slot, 'token': token})}"
