"""The server behind a socket: where it listens, how long a visitor may take, and how a signal ends it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from hexpipe.errors import UsageError
from hexpipe.web.guard import SECURITY_HEADERS
from hexpipe.web.refusals import refusal
from hexpipe.web.searches import SearchQueue

MOST_CONNECTIONS = 500
HEAD_SECONDS = 20.0
SEND_SECONDS = 30.0
"""What was sent and is not taken for so long: the connection is cut, by the system."""
PATIENCE_SECONDS = 2
"""For answers under way, once a signal has come."""
END_SECONDS = 4.0
"""From a signal to the end, whatever still holds it up."""
_LARGEST_MESSAGE = 1024  # to a watcher's websocket, whose messages nobody reads
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def open_listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens on ``host``, a name or an address of either kind, and ``port``, 0 for any free one.

    UsageError where it cannot.
    """
    bare = host.strip().removeprefix("[").removesuffix("]")
    if not bare:
        raise UsageError("--host is empty: give an address of this machine, or 0.0.0.0 for all of them")
    try:
        found = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and bare == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server(address, family=family, backlog=MOST_CONNECTIONS, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "that is no name of a host"
        raise UsageError(
            f"cannot listen on {link_host(bare)}:{port} ({reason}): take another --host or --port"
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; what is accepted inherits it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SEND_SECONDS * 1000))
    return listener


def link_host(host: str) -> str:
    """Return ``host`` as a link has it: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Answer until SIGINT or SIGTERM, and then end by it within 5 seconds, whatever visitors do; a second one ends the
    process at once. Signals that were ignored stay ignored."""
    server = _Server(uvicorn.Config(app, http=_Connection, ws_max_size=_LARGEST_MESSAGE, log_level="warning",
                                    timeout_graceful_shutdown=PATIENCE_SECONDS))  # fmt: skip
    server.run(sockets=[listener])
    server.end()


class _Server(uvicorn.Server):
    """uvicorn's server with another end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        self._ended_by: int | None = None
        self._last_resort = threading.Timer(END_SECONDS, self._die)
        self._last_resort.daemon = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to the signals that were not ignored; `end` is what gives them back."""
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the end; from now on signals are the system's."""
        self.should_exit = True
        self._ended_by = sig
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        self._last_resort.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse the searches that wait, then close the connections."""
        if self._searches is not None:
            self._searches.refuse()
        await super().shutdown(sockets)

    def end(self) -> None:
        """Die of the signal that came: as Python would have it, or, where a search cannot be stopped, at once."""
        if self._ended_by is None:
            return
        if self._searches is None or self._searches.ended:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._last_resort.cancel()
        signal.raise_signal(self._ended_by)

    def _die(self) -> None:
        os.kill(os.getpid(), self._ended_by or signal.SIGTERM)

    @property
    def _searches(self) -> SearchQueue | None:
        found: SearchQueue | None = self.config.app.state.searches  # type: ignore[union-attr]
        return found


class _Connection(H11Protocol):
    """uvicorn's connection that is hung up on when nothing whole has been asked for HEAD_SECONDS, and at once where
    there are MOST_CONNECTIONS already; what is no HTTP is told so with the headers of every answer."""

    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        if len(self.connections) > _most_connections():
            self._refuse(503, "too many connections: try again in a few seconds")
        else:
            self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Say that it was no HTTP."""
        self._refuse(400, "this is no HTTP that the server can read: ask as /api describes it")

    def _look_later(self) -> None:
        self._watch = self.loop.call_later(HEAD_SECONDS, self._look, self.cycle)

    def _look(self, before: object) -> None:
        if self.transport.get_protocol() is not self:
            return  # it has become a websocket
        if self.cycle is before and (before is None or self.cycle.response_complete):
            self.transport.close()
        else:
            self._look_later()

    def _refuse(self, status: int, text: str) -> None:
        """Say so and hang up, unless an answer is under way."""
        if self.cycle is None or self.cycle.response_complete:
            answer = refusal(status, text, {**SECURITY_HEADERS, "Cache-Control": "no-store", "Connection": "close"})
            head = [
                f"HTTP/1.1 {status} ".encode(),
                *(b"\r\n" + name + b": " + value for name, value in answer.raw_headers),
            ]
            self.transport.write(b"".join(head) + b"\r\n\r\n" + bytes(answer.body))
        self.transport.close()


def _most_connections() -> int:
    """Return MOST_CONNECTIONS, or what half of the files that this process may open allow."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, files // 2)
