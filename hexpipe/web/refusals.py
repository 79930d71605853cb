"""How a request is refused: every error as {"error": what to do}, and no body that is too large."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hexpipe.errors import HexpipeError, IllegalMoveError, UsageError
from hexpipe.web.searches import BusyError

MOST_BODY_BYTES = 1 << 20
RETRY_SECONDS = 2
LONGEST_ERROR = 500
_HTTP_TEXTS = {
    400: "the body cannot be read as JSON: send an object as /api describes it",
    404: "there is nothing at this address: /api lists what there is",
    405: "this address does not know the method: /api says which it knows",
}


def explain_errors(app: FastAPI) -> None:
    """Every error as {"error": what to do}: 4xx for bad input, 503 where it is busy, 500 for a failure."""

    async def of_hexpipe(request: Request, error: Exception) -> Response:
        if isinstance(error, BusyError):
            return _answer(503, str(error), {"Retry-After": str(RETRY_SECONDS)})
        return _answer(400 if isinstance(error, UsageError | IllegalMoveError) else 500, str(error))

    async def of_input(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _answer(422, _explained(error))

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _answer(error.status_code, _HTTP_TEXTS.get(error.status_code, error.detail), error.headers)

    async def of_the_server(request: Request, error: Exception) -> Response:
        return _answer(500, f"the server failed ({type(error).__name__}): its log says more")

    app.add_exception_handler(HexpipeError, of_hexpipe)
    app.add_exception_handler(RequestValidationError, of_input)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(Exception, of_the_server)


class BodyLimit:
    """ASGI middleware that reads a request's body before anyone else: 413 for one over MOST_BODY_BYTES."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body as one message; one that breaks off is nobody's to answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MOST_BODY_BYTES:
                refusal = _answer(413, f"the request is over {MOST_BODY_BYTES} bytes: send less")
                await refusal(scope, receive, send)
                return
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def read() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, read, send)


def _answer(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """``text`` may hold a visitor's own words: it is cut, and what is no Unicode in it is escaped."""
    shown = text if len(text) <= LONGEST_ERROR else text[:LONGEST_ERROR] + "..."
    return JSONResponse({"error": shown.encode("utf-8", "backslashreplace").decode()}, status, headers)


def _explained(error: RequestValidationError) -> str:
    """The first thing that is wrong: where it is, and what is wanted there. What was sent is not repeated."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"the body is no JSON ({first['ctx']['error']} at character {first['loc'][1]}): send an object"
    where = ".".join(str(part) for part in first["loc"][1:]) or f"the {first['loc'][0]}"
    return f"{where[:100]}: {first['msg']}; /api describes what can be asked"
