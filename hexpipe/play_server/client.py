"""A player at a game server: joins matches, plays them, comes back where the connection is lost.

The server has the say. Where it contradicts itself or refuses a move that should be legal, its own state is asked for
by coming back to the match; a move that stands in for another is never sent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol, TypeVar

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from hexpipe.arena.analysis import Analysis
from hexpipe.arena.thinker import Thinker
from hexpipe.errors import UsageError
from hexpipe.games.coordinates import cell_name
from hexpipe.play_server import protocol
from hexpipe.play_server.game import SIDE_NAMES, ServerGame
from hexpipe.play_server.protocol import Message, Side, TalkError
from hexpipe.wording import counted, shortened

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each new try after failures in a row; together a little more than the 30 for which a server keeps the
place of a player who is gone. Whatever goes on in a game begins them anew."""
FULL_SECONDS = 5.0
"""How long to wait before a server that has no place is asked again."""
ANSWER_SECONDS = 30.0
"""How long the server may take to answer what it answers at once; an opponent may take any time."""
PAUSE_SECONDS = 5.0
"""How long to wait for word of an opponent who is away before the move that was not taken is sent again."""
_CLOSE_SECONDS = 2.0
_MOST_UNREAD = 1024  # messages that may come during a search; with more the connection's own questions go unanswered
_POLICY = 1008  # the code of a close after what will be refused again
_FAILURES = (OSError, WebSocketException, TalkError)
_RESIGNATION = "resignation"


class GameResult(NamedTuple):
    """One game of ours: ``result`` is "won", "lost" or "unfinished", and ``reason`` why; ``side`` is the server's name
    of our colour, ``first`` whether we began; ``moves`` are as far as they are known, on hexpipe's board."""

    size: int
    slot: int
    side: str
    first: bool
    opponent: str
    result: str
    reason: str
    moves: tuple[str, ...]
    seconds: float


class Spectator(Protocol):
    """Hears how the games go."""

    def note(self, line: str) -> None:
        """Hear of trouble, and of what is done about it."""

    def goes_on(self, state: str) -> None:
        """Hear what is happening now, in a few words."""

    def ended(self, result: GameResult) -> None:
        """Hear of a game that is over."""


_Opening = TypeVar("_Opening", protocol.Joined, protocol.Reconnected)


class _LostMatchError(Exception):
    """The server does not let us back into the match."""


class _FullError(Exception):
    """The server has no place for another match."""


class _Match:
    """Our place in a match, and the game under way there."""

    def __init__(self, joined: protocol.Joined) -> None:
        self.slot, self.player, self.size = joined.slot_id, joined.player, joined.board_size
        self.token = joined.reconnect_token
        self.game: ServerGame | None = None
        self.wins = {protocol.RED: 0, protocol.BLUE: 0}
        self.opponent = ""
        self.began = 0.0
        self.over = False
        self.sent = False
        """True where a move of ours is not answered yet."""
        self.paused = False
        """True where the server takes no move until the opponent is back."""
        self.thought: tuple[tuple[int, ...], Analysis] | None = None
        """What was thought last, and after which moves: a move that must be sent again is the same."""

    @property
    def our_turn(self) -> bool:
        """True where a move of ours is waited for."""
        game = self.game
        return game is not None and game.winner is None and game.to_move == self.player

    def name_opponent(self, models: dict[str, str | None], names: dict[str, str | None]) -> None:
        """Note what the server calls the opponent."""
        found = [shortened(word) for word in (names.get(str(-self.player)), models.get(str(-self.player))) if word]
        if found:
            self.opponent = " ".join(dict.fromkeys(found))


def play_games(
    server: str,
    thinker: Thinker,
    spectator: Spectator,
    *,
    size: int,
    games: int = 1,
    series: int = 1,
    name: str = "",
) -> None:
    """Play matches of ``series`` games at ``server`` (`protocol.server_address`) on boards of ``size``, until ``games``
    have begun and the last match is over; 0: without end. An interrupt resigns the game under way.

    UsageError where the server cannot be reached after all of WAITS, or refuses what was asked for.
    """
    thinker.prepare(size, False)
    client = _Client(server, thinker, spectator, size, protocol.joining_address(server, size, series, name))
    while not games or client.begun < games:
        client.play_match()


class _Client:
    def __init__(self, server: str, thinker: Thinker, spectator: Spectator, size: int, joining: str) -> None:
        self._server, self._thinker, self._spectator = server, thinker, spectator
        self._size, self._joining = size, joining
        self._failures = 0
        self.begun = 0
        """How many games have begun."""

    def play_match(self) -> None:
        """Play one match to its end, over as many connections as it takes."""
        match: _Match | None = None
        try:
            while match is None or not match.over:
                try:
                    with self._connected(match) as connection, _resigning(connection):
                        if match is None:
                            match = self._join(connection)
                        else:
                            self._come_back(connection, match)
                        self._attend(connection, match)
                except _FullError as full:
                    self._spectator.goes_on(f"waiting for a place: {full}")
                    time.sleep(FULL_SECONDS)
                except _FAILURES as error:
                    self._wait_after(error)
        except _LostMatchError as lost:
            self._spectator.note(f"{self._server} does not let us back into the match: {lost}")
            self._leave_unfinished(match, f"not let back in: {lost}")
        except BaseException as error:
            self._leave_unfinished(match, shortened(str(error), 120) or "interrupted")
            raise

    def _connected(self, match: _Match | None) -> ClientConnection:
        address = self._joining
        if match is not None:
            address = protocol.returning_address(self._server, match.slot, match.token)
        return connect(address, max_size=protocol.LONGEST_MESSAGE, max_queue=_MOST_UNREAD, close_timeout=_CLOSE_SECONDS)

    def _join(self, connection: ClientConnection) -> _Match:
        self._spectator.goes_on("joining a match")
        joined = self._expect(connection, protocol.Joined)
        if isinstance(joined, protocol.ServerError):
            said = shortened(joined.message, 80)
            if _refused(connection):
                raise UsageError(f"{self._server} refuses a match on {self._size}x{self._size}: {said}", kind="foreign")
            raise _FullError(said)
        if joined.protocol_version != protocol.PROTOCOL_VERSION:
            raise UsageError(
                f"{self._server} speaks version {joined.protocol_version} of its protocol, hexpipe version "
                f"{protocol.PROTOCOL_VERSION}: take a hexpipe that knows it",
                kind="version",
            )
        if joined.board_size != self._size:
            raise UsageError(
                f"{self._server} plays on {joined.board_size}x{joined.board_size} where {self._size}x{self._size} was "
                f"asked for: give --size {joined.board_size}",
                kind="board",
            )
        return _Match(joined)

    def _come_back(self, connection: ClientConnection, match: _Match) -> None:
        """Take up ``match`` where the server has it."""
        match.sent = match.paused = False
        back = self._expect(connection, protocol.Reconnected)
        if isinstance(back, protocol.ServerError):
            said = shortened(back.message, 80)
            raise _LostMatchError(said) if _refused(connection) else TalkError(f"it says {said!r}")
        if (back.slot_id, back.player, back.board_size) != (match.slot, match.player, match.size):
            raise TalkError("it lets us back into another place than ours")
        match.token = back.reconnect_token or match.token
        self._spectator.note("back in the match")
        self._take_up(match, back.slot)

    def _take_up(self, match: _Match, now: protocol.Snapshot) -> None:
        """Take up the game of ``now``; the one that we knew may have ended unseen."""
        match.name_opponent(now.player_models, now.player_usernames)
        game = match.game
        if game is not None and now.current_game_number not in (None, game.number):
            wins = {protocol.RED: now.player_1_wins, protocol.BLUE: now.player_2_wins}
            winners: list[Side] = [side for side in (protocol.RED, protocol.BLUE) if wins[side] == match.wins[side] + 1]
            if len(winners) != 1:
                raise TalkError("it has begun another game without a winner of the last one")
            self._end_game(match, winners[0], "ended while the connection was lost")
            game = None
        if game is not None:
            game.catch_up(now)
        elif now.board is not None and now.series_winner is None:
            self._begin_game(match, ServerGame.from_snapshot(now, match.size))
        if match.game is not None and match.game.winner is not None:
            self._end_game(match, match.game.winner, "connected_sides")
        match.over = now.series_winner is not None

    def _attend(self, connection: ClientConnection, match: _Match) -> None:
        """Play until the match is over."""
        while not match.over:
            if match.our_turn and not match.sent and not match.paused:
                self._move(connection, match)
            if match.our_turn and match.paused:
                self._take(_receive(connection, PAUSE_SECONDS, protocol.OpponentReconnected()), match)
            else:
                self._take(_receive(connection, ANSWER_SECONDS if match.sent else None), match)

    def _move(self, connection: ClientConnection, match: _Match) -> None:
        game = match.game
        if game is None:
            raise ValueError("there is no game to move in")
        moves = tuple(game.moves)
        if match.thought is None or match.thought[0] != moves:
            match.thought = moves, self._thinker.think(moves)
        analysis = match.thought[1]
        q, r = protocol.place_of(analysis.best, game.size, game.first)
        name = cell_name(analysis.best, game.size)
        self._spectator.goes_on(f"move {len(moves) + 1}: {name}, {analysis.win_probability:.0%} to win")
        _send(connection, "move", {"q": q, "r": r})
        match.sent = True

    def _take(self, message: Message | None, match: _Match) -> None:
        """Do what ``message`` calls for."""
        game = match.game
        match message:
            case protocol.GameStart():
                if game is not None or message.board_size != match.size:
                    raise TalkError("it begins a game in the middle of another, or on another board")
                match.name_opponent(message.player_models, message.player_usernames)
                self._begin_game(match, ServerGame(match.size, message.first_turn, message.current_game_number))
            case protocol.Move():
                if game is None:
                    raise TalkError("it plays a move where there is no game")
                if message.player == match.player and not match.sent:
                    raise TalkError("it plays a move of ours that we did not send")
                game.play(message.player, message.q, message.r, message.next_turn)
                match.sent = match.paused = False
                self._failures = 0
            case protocol.MoveRejected():
                match.sent = False
                match.paused = message.reason == protocol.PAUSED
                if not match.paused:
                    raise TalkError(f"it rejects our move: {shortened(message.reason, 80)}")
            case protocol.GameOver():
                self._take_end(match, message)
            case protocol.SeriesOver():
                match.over = True
            case protocol.OpponentDisconnected(reason="reconnect_timeout") | protocol.OpponentLeft():
                self._leave_unfinished(match, "the opponent left")
                match.over = True
            case protocol.OpponentDisconnected():
                match.paused = True
                self._spectator.goes_on("waiting for the opponent to come back")
            case protocol.OpponentReconnected():
                match.paused = False
            case protocol.Waiting():
                self._spectator.goes_on("waiting for an opponent")
            case protocol.ServerError():
                raise TalkError(f"it says {shortened(message.message, 80)!r}")

    def _take_end(self, match: _Match, end: protocol.GameOver) -> None:
        game = match.game
        if game is None:  # told before, when we came back
            return
        resigned = end.reason == _RESIGNATION
        if not resigned and end.winner != game.winner:
            raise TalkError(f"it says that {SIDE_NAMES[end.winner]} has won, whose stones do not connect")
        self._end_game(match, end.winner, shortened(end.reason))
        match.over = resigned  # the server leaves such a match as it is

    def _begin_game(self, match: _Match, game: ServerGame) -> None:
        match.game, match.began = game, time.monotonic()
        match.sent, match.paused, match.thought = False, False, None
        self.begun += 1
        self._spectator.goes_on(f"a game against {match.opponent or 'somebody'}")

    def _end_game(self, match: _Match, winner: Side | None, reason: str) -> None:
        """Tell how the game under way has ended; ``winner``: None where it was not finished."""
        game, match.game = match.game, None
        if game is None:
            return
        if winner is not None:
            match.wins[winner] += 1
            self._failures = 0
        outcome = "unfinished" if winner is None else "won" if winner == match.player else "lost"
        self._spectator.ended(
            GameResult(
                size=match.size,
                slot=match.slot,
                side=SIDE_NAMES[match.player],
                first=game.first == match.player,
                opponent=match.opponent,
                result=outcome,
                reason=reason,
                moves=tuple(cell_name(cell, game.size) for cell in game.moves),
                seconds=time.monotonic() - match.began,
            )
        )

    def _leave_unfinished(self, match: _Match | None, reason: str) -> None:
        if match is not None:
            self._end_game(match, None, reason)

    def _expect(self, connection: ClientConnection, kind: type[_Opening]) -> _Opening | protocol.ServerError:
        """Return the first message that is of use, which must be of ``kind`` or an error."""
        message = None
        while message is None:
            message = _receive(connection, ANSWER_SECONDS)
        if not isinstance(message, kind | protocol.ServerError):
            raise TalkError(f"it begins with another message than {kind.__name__.lower()!r}")
        return message

    def _wait_after(self, error: Exception) -> None:
        """Wait before the next try; UsageError where it is no use, or there were enough."""
        if isinstance(error, InvalidStatus) and error.response.status_code < 500:
            status = error.response.status_code
            raise UsageError(
                f"{self._server} answers with HTTP status {status}: name the address of a game server", kind="foreign"
            ) from error
        why = shortened(str(error) or type(error).__name__, 160)
        if self._failures == len(WAITS):
            raise UsageError(
                f"{self._server} cannot be played at, after {counted(self._failures + 1, 'failure')} in a row: {why}",
                kind="access",
            ) from error
        seconds = WAITS[self._failures]
        self._failures += 1
        self._spectator.note(f"{self._server}: {why}; trying again in {seconds:g} s")
        time.sleep(seconds)


@contextmanager
def _resigning(connection: ClientConnection) -> Iterator[None]:
    """Resign where the block ends for a reason of ours, so that no opponent waits for nothing; also where it is not
    known yet that the game has begun."""
    try:
        yield
    except (*_FAILURES, _FullError, _LostMatchError):
        raise
    except BaseException:
        with suppress(*_FAILURES):  # the game is given up in any case
            _send(connection, "resign", {})
        raise


def _receive(connection: ClientConnection, seconds: float | None, otherwise: Message | None = None) -> Message | None:
    """Return the next message, after ``seconds`` without one ``otherwise``; TalkError where that is None."""
    try:
        text = connection.recv(timeout=seconds)
    except TimeoutError as error:
        if otherwise is None:
            raise TalkError(f"it has not answered within {ANSWER_SECONDS:g} s") from error
        return otherwise
    return protocol.read_message(text)


def _refused(connection: ClientConnection) -> bool:
    """Return whether the server closes now in such a way that asking again is no use."""
    try:
        connection.recv(timeout=_CLOSE_SECONDS)
    except ConnectionClosed as closed:
        return closed.rcvd is not None and closed.rcvd.code == _POLICY
    except TimeoutError:
        pass
    return False


def _send(connection: ClientConnection, kind: str, payload: dict[str, int]) -> None:
    connection.send(json.dumps({"type": kind, "payload": payload}))
