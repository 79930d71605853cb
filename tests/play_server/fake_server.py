"""A game server for tests, which says what a script has it say: one script for each connection that comes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

RED, BLUE = -1, 1
NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1))


def connected(stones: set[tuple[int, int]], player: int, size: int) -> bool:
    """Whether stones (q, r) join the player's edges: red's are the first and last column, blue's the rows."""
    side = 0 if player == RED else 1
    reached = {place for place in stones if place[side] == 0}
    while more := {(q + dq, r + dr) for q, r in reached for dq, dr in NEIGHBOURS} & stones - reached:
        reached |= more
    return any(place[side] == size - 1 for place in reached)


class Talk:
    """What a script does with its connection."""

    def __init__(self, connection: ServerConnection, size: int) -> None:
        self.connection, self.size = connection, size
        self.board: dict[tuple[int, int], int] = {}
        self.player = RED

    def say(self, kind: str, **payload: Any) -> None:
        self.connection.send(json.dumps({"type": kind, "payload": payload}))

    def hear(self) -> dict[str, Any]:
        return json.loads(self.connection.recv(timeout=60))

    def join(self, player: int = RED, **other: Any) -> None:
        self.player = player
        facts = {"slot_id": 2, "player": player, "board_size": self.size, "series_length": 1, "protocol_version": 1}
        self.say("joined", **{**facts, "color": "red", "reconnect_token": "secret", **other})

    def start(self, first: int = RED, number: int = 1, **other: Any) -> None:
        self.board = {}
        usernames = {str(-self.player): "somebody"}
        facts = {"board_size": self.size, "first_turn": first, "current_game_number": number}
        self.say("game_start", **{**facts, "player_models": {}, "player_usernames": usernames, **other})

    def place(self, player: int, q: int, r: int) -> bool:
        """Play and tell a stone; returns whether it wins."""
        assert (q, r) not in self.board, "an illegal move"
        assert max(q, r) < self.size
        self.board[q, r] = player
        won = connected({place for place, owner in self.board.items() if owner == player}, player, self.size)
        self.say("move", player=player, q=q, r=r, next_turn=None if won else -player)
        return won

    def take(self) -> bool:
        """Take a move of the client's, and tell it; returns whether it wins."""
        message = self.hear()
        assert message["type"] == "move", message
        return self.place(self.player, message["payload"]["q"], message["payload"]["r"])

    def answer(self) -> bool:
        """Play the last empty cell for the opponent; returns whether it wins."""
        places = [(q, r) for r in range(self.size) for q in range(self.size) if (q, r) not in self.board]
        return self.place(-self.player, *places[-1])

    def play_out(self, to_move: int = RED) -> int:
        """Play on to the end, and say who has won."""
        while True:
            won = self.take() if to_move == self.player else self.answer()
            if won:
                self.say("game_over", winner=to_move, reason="connected_sides")
                return to_move
            to_move = -to_move

    def end(self, winner: int) -> None:
        """Say that the match is over."""
        self.say("series_update", player_1_wins=1, player_2_wins=0)
        self.say("series_over", winner=winner)
        self.wait()

    def snapshot(self, to_move: int | None, **other: Any) -> dict[str, Any]:
        rows = [[self.board.get((q, r), 0) for q in range(self.size)] for r in range(self.size)]
        facts = {"state": "full", "board": rows, "current_turn": to_move, "current_game_number": 1, "winner": None}
        return {**facts, "player_1_wins": 0, "player_2_wins": 0, "series_winner": None, **other}

    def take_back(self, board: dict[tuple[int, int], int], player: int, to_move: int | None, **other: Any) -> None:
        """Let the client back into its match, which has ``board``."""
        self.board, self.player = board, player
        slot = self.snapshot(to_move, **other)
        self.say("reconnected", slot_id=2, player=player, board_size=self.size, slot=slot)

    def refuse(self, why: str, code: int = 1008) -> None:
        self.say("error", message=why)
        self.connection.close(code)

    def kick(self, code: int = 1008, reason: str = "kicked") -> None:
        self.connection.close(code, reason)

    def wait(self) -> list[dict[str, Any]]:
        """Wait until the client goes; returns what it says before."""
        said = []
        while True:
            try:
                said.append(self.hear())
            except ConnectionClosed:
                return said


def whole_match(talk: Talk) -> None:
    """A match of one game that is played to its end, with the client as red."""
    talk.join()
    talk.start()
    talk.end(talk.play_out())


Script = Callable[[Talk], object] | HTTPStatus


class FakeServer:
    """Serves ``scripts`` in turn, each to one connection; an HTTPStatus is answered instead of the handshake.

    A script that fails fails the test at the end of the block, and so does a script that was not asked for.
    """

    def __init__(self, *scripts: Script, size: int = 3) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        """The path and query of each connection."""
        self._scripts, self._size = list(scripts), size
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> FakeServer:
        self._server = serve(self._attend, "127.0.0.1", 0, process_request=self._look, close_timeout=2)
        self.address = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def _look(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._scripts and isinstance(self._scripts[0], HTTPStatus):
            return connection.respond(self._scripts.pop(0), "no")
        return None

    def _attend(self, connection: ServerConnection) -> None:
        self._threads.append(threading.current_thread())
        parts = urlsplit(connection.request.path)
        self.asked.append((parts.path, dict(parse_qsl(parts.query))))
        try:
            script = self._scripts.pop(0)
            script(Talk(connection, self._size))
        except ConnectionClosed:  # the client went sooner than the script has it
            pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must hear of it
            self._errors.append(error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(60)
        for thread in self._threads:
            thread.join(60)
        if kind is None:
            assert [f"{type(error).__name__}: {error}" for error in self._errors] == []
            assert self._scripts == [], "connections that did not come"

    @property
    def errors(self) -> Sequence[BaseException]:
        return self._errors
