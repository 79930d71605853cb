"""Refusals of requests: every error as {"error": what to do}, and no body that is too large or comes too slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hexpipe.errors import HexpipeError, IllegalMoveError, InferenceError, UsageError
from hexpipe.web.searches import BusyError

MOST_BODY_BYTES = 1 << 20
BODY_SECONDS = 30.0
RETRY = {"Retry-After": "2"}
LONGEST_ERROR = 500
_HTTP_TEXTS = {
    400: "the body cannot be read as JSON: send an object as /api describes it",
    404: "there is nothing at this address: /api lists what there is",
    405: "this address does not know the method: /api says which it knows",
}


class Refusal(BaseModel):
    """A question that is not answered."""

    error: str = Field(description="what is wrong, and what to do")


_REASONS = {
    400: "The question can be read and not be answered: a move that the rules forbid, a text that is no game",
    403: "A page of another site asks",
    408: f"The body takes longer than {BODY_SECONDS:g} s",
    413: f"The body is over {MOST_BODY_BYTES} bytes",
    421: "The server is not known by this Host: --allow-host names it",
    422: "The question is not of this form",
    500: "The server failed",
    503: "Too many searches wait, or the server is closing: Retry-After says when to ask again",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe how an address refuses: with ``statuses`` and those that every one has."""
    return {
        status: {"model": Refusal, "description": _REASONS[status]}
        for status in sorted({408, 413, 421, 500, *statuses})
    }


def explain_errors(app: FastAPI) -> None:
    """Answer every error as {"error": what to do}: 4xx for bad input, 503 where it is busy, 500 for a failure."""

    @app.exception_handler(HexpipeError)
    async def of_hexpipe(request: Request, error: HexpipeError) -> Response:
        if isinstance(error, BusyError):
            return refusal(503, str(error), RETRY)
        # a net that cannot answer is no fault of a visitor's
        bad_input = isinstance(error, UsageError | IllegalMoveError) and not isinstance(error, InferenceError)
        return refusal(400 if bad_input else 500, str(error))

    @app.exception_handler(RequestValidationError)
    async def of_input(request: Request, error: RequestValidationError) -> Response:
        return refusal(422, _explained(error))

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if headers.get("Allow") == "GET":
            headers["Allow"] = "GET, HEAD"
        return refusal(error.status_code, _HTTP_TEXTS.get(error.status_code, error.detail), headers)

    @app.exception_handler(Exception)
    async def of_the_server(request: Request, error: Exception) -> Response:
        return refusal(500, f"the server failed ({type(error).__name__}): its log says more")


class BodyLimit:
    """ASGI middleware that reads a request's body before anyone else: 413 for one over MOST_BODY_BYTES, 408 for one
    that takes longer than BODY_SECONDS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body as one message; one that breaks off is nobody's to answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _whole_body(receive)
        except TimeoutError:
            await refusal(408, f"the body has not come within {BODY_SECONDS:g} s: send it at once")(
                scope, receive, send
            )
            return
        if body is None:
            return
        if len(body) > MOST_BODY_BYTES:
            await refusal(413, f"the request is over {MOST_BODY_BYTES} bytes: send less")(scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def read() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, read, send)


async def _whole_body(receive: Receive) -> bytearray | None:
    """Return the body, or as much of it as is too much; None where it breaks off."""
    body, more = bytearray(), True
    while more and len(body) <= MOST_BODY_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the answer {"error": text}. ``text`` may hold a visitor's own words: it is cut, and what is no Unicode in
    it is escaped."""
    shown = text if len(text) <= LONGEST_ERROR else text[:LONGEST_ERROR] + "..."
    return JSONResponse({"error": shown.encode("utf-8", "backslashreplace").decode()}, status, headers)


def _explained(error: RequestValidationError) -> str:
    """Return the first thing that is wrong: where it is, and what is wanted there. What was sent is not repeated."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"the body is no JSON ({first['ctx']['error']} at character {first['loc'][1]}): send an object"
    where = ".".join(str(part) for part in first["loc"][1:]) or f"the {first['loc'][0]}"
    return f"{where[:100]}: {first['msg']}; /api describes what can be asked"
