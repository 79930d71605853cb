"""A visitor who hangs up is not worked for any longer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import HTTPException, Request

Found = TypeVar("Found")
GONE = 499


async def while_there(request: Request, work: Coroutine[Any, Any, Found]) -> Found:
    """What ``work`` comes to; it is cancelled when the visitor hangs up, and HTTPException says so to nobody."""
    found, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait((found, gone), return_when=asyncio.FIRST_COMPLETED)
        if not found.done():
            raise HTTPException(GONE, "the visitor has hung up")
        return found.result()
    finally:
        found.cancel()
        gone.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
