"""A guard around the whole server: who may ask it, and the headers that every answer has."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hexpipe.web.hosts import Hosts, host_of, host_of_origin
from hexpipe.web.refusals import RETRY, refusal
from hexpipe.web.searches import CLOSING

CONTENT_SECURITY_POLICY = "; ".join([
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",  # the pages' icon is an empty one
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
])  # fmt: skip
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_ANSWERS = ("http.response.start", "websocket.http.response.start", "websocket.accept")
_READING = ("GET", "HEAD")


class Guard:
    """ASGI middleware outside of everything else.

    Refuses whoever asks by a host that is not among ``hosts`` (None: any will do, for one who calls it without a
    socket) with 421, and a websocket or a question other than GET whose Origin is of none of them with 403. Answers
    HEAD as GET without the body. Gives every answer SECURITY_HEADERS, and a Cache-Control where it has none: what can
    be asked for again by its ETag is kept until then, anything else is not.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts | None = None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a question on that may be asked."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        without_body = scope.get("method") == "HEAD"
        answered = False

        async def guarded(message: Message) -> None:
            nonlocal answered
            if message["type"] in _ANSWERS:
                answered = True
                _add_headers(message)
            elif message["type"] == "http.response.body" and without_body:
                message = {**message, "body": b""}
            elif message["type"] == "websocket.close" and not answered:
                await refusal(404, "there is no websocket here: /api/run/live of a run is one")(scope, receive, guarded)
                return
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await refusal(*refused)(scope, receive, guarded)
            return
        try:
            await self._app({**scope, "method": "GET"} if without_body else scope, receive, guarded)
        except asyncio.CancelledError:  # the server ends, and has waited long enough
            if not answered:
                await refusal(503, CLOSING, RETRY)(scope, receive, guarded)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and words for one who may not ask."""
        if self._hosts is None:
            return None
        headers = Headers(scope=scope)
        asked = headers.getlist("host")
        host = host_of(asked[0]) if len(asked) == 1 else None
        if not self._hosts.allow(host):
            named = f"as {host}" if host else "by that Host header"
            return 421, f"this server is not known {named}: where that is right, start it with --allow-host NAME"
        if scope["type"] == "http" and scope["method"] in _READING:
            return None  # no other site's script can read the answer
        if not all(self._hosts.allow(host_of_origin(origin)) for origin in headers.getlist("origin")):
            return (
                403,
                "a page of another site may not ask this server: where it is yours, start it with --allow-host NAME",
            )
        return None


def _add_headers(message: Message) -> None:
    message["headers"] = list(message.get("headers", ()))
    headers = MutableHeaders(scope=message)
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-cache" if "etag" in headers else "no-store")
