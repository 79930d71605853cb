"""The JSON API and the pages, on FastAPI: checked input, searches in a queue, a live state for every watcher."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import anyio
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp

from hexpipe import __version__
from hexpipe.arena.analysis import Analysis, as_facts
from hexpipe.arena.engine import Engine
from hexpipe.errors import IllegalMoveError, UsageError
from hexpipe.games.board_moves import move_name
from hexpipe.games.hex import Hex
from hexpipe.games.set_up import SetUp, moves_of, parse_colour
from hexpipe.notation.sgf_positions import read_any
from hexpipe.web.dashboard import add_dashboard
from hexpipe.web.guard import Guard
from hexpipe.web.hosts import Hosts
from hexpipe.web.positions import Position
from hexpipe.web.refusals import BodyLimit, explain_errors, refusals
from hexpipe.web.searches import SearchQueue

PAGES = Path(__file__).parent / "pages"
MOST_MOVES = 40_000
MOST_TEXT = 200_000
SIMULATIONS = 100
GONE = 499

Found = TypeVar("Found")
Word = Annotated[str, Field(max_length=16)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StartBody(_Body):
    """Stones of Hex that were set up, in any numbers, and the colour that plays first from there."""

    black: Annotated[list[Word], Field(max_length=MOST_MOVES)] = []
    white: Annotated[list[Word], Field(max_length=MOST_MOVES)] = []
    to_move: Literal["black", "white"] = "black"


class GameBody(_Body):
    """A game by its moves."""

    start: Annotated[StartBody | None, Field(description="what the moves begin from; null for the empty board")] = None
    moves: Annotated[
        list[Word], Field(max_length=MOST_MOVES, description='from the start: ["a1", "swap"], or ["a2a3"]')
    ] = []


class SearchBody(GameBody):
    """A position to search."""

    simulations: Annotated[int, Field(ge=2, le=1_000_000, description="simulations; the server has a cap")] = (
        SIMULATIONS
    )


class TextBody(_Body):
    """A game in a text form."""

    text: Annotated[str, Field(max_length=MOST_TEXT, description="TRMPH, a HexWorld link, or SGF")]


class MoveFacts(BaseModel):
    """A move of an analysis."""

    move: str
    visits: int
    prior: float = Field(description="the net's own probability for it")
    win_probability: float = Field(description="of the side to move, after this move; of three seats (value + 1) / 2")
    proven: bool
    variation: list[str] = Field(description="the moves that the search expects, this one first")


class AnalysisFacts(BaseModel):
    """Findings of a search. Values are those of the seats in [-1, 1]."""

    to_move: int
    values: list[float]
    win_probability: float = Field(description="of the side to move")
    net_win_probability: float = Field(description="the net's own, without a search")
    policy: dict[str, float] = Field(description="the net's probabilities of legal moves above 1e-4")
    moves: list[MoveFacts]
    simulations: int
    proven: bool
    seconds: float


class MoveAnswer(BaseModel):
    """The move to play."""

    move: str
    value: float = Field(description="of the position to the side that moves, in [-1, 1]")
    win_probability: float
    policy: dict[str, float] = Field(description="shares of the search's visits")
    seconds: float
    simulations: int


class _GuardedApp(FastAPI):
    """FastAPI with `guard.Guard` around all of it, its own failures included, and a description with its cap."""

    hosts: Hosts | None = None
    most_simulations: int

    def openapi(self) -> dict[str, Any]:
        """Describe the API as FastAPI does, with the simulations that this server gives."""
        if self.openapi_schema is None:
            bodies = super().openapi().get("components", {}).get("schemas", {})
            if "SearchBody" in bodies:
                bodies["SearchBody"]["properties"]["simulations"] |= {
                    "maximum": self.most_simulations,
                    "default": min(SIMULATIONS, self.most_simulations),
                }
        return super().openapi()

    def build_middleware_stack(self) -> ASGIApp:
        """Build what FastAPI does, and the guard outside."""
        return Guard(super().build_middleware_stack(), self.hosts)


def make_app(
    engine: Engine | None,
    run_dir: Path | None = None,
    *,
    most_simulations: int = 5000,
    most_waiting: int = 64,
    hosts: Hosts | None = None,
) -> FastAPI:
    """Return the server over ``engine`` (None: nothing to play, only the run's page) and the run in ``run_dir`` (or
    None).

    ``hosts`` are those that it answers to; whoever puts it behind a socket must say them.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        app.state.searches = SearchQueue(engine, most_waiting) if engine is not None else None
        yield
        if app.state.searches is not None:
            await anyio.to_thread.run_sync(app.state.searches.close)

    app = _GuardedApp(title="hexpipe", version=__version__, lifespan=life, docs_url=None, redoc_url=None)
    app.hosts, app.most_simulations = hosts, most_simulations
    app.add_middleware(GZipMiddleware, compresslevel=6)
    app.add_middleware(BodyLimit)
    explain_errors(app)

    @app.get("/api/info", responses=refusals())
    def info() -> dict[str, Any]:
        """Return what is served: the game, the checkpoint, the cap on simulations."""
        facts: dict[str, Any] = {"version": __version__, "run": str(run_dir) if run_dir else None, "engine": None}
        if engine is not None:
            game = engine.game
            facts["engine"] = {
                "checkpoint": str(engine.checkpoint.path),
                "step": engine.checkpoint.step,
                "algorithm": engine.settings.algorithm,
                "title": engine.settings.game.title,
                "game": game.name,
                "size": game.board_size,
                "width": game.shapes.board_width,
                "seats": game.num_seats,
                "swap": game.swap,
                "simulations": engine.settings.search.num_simulations,
                "most_simulations": most_simulations,
            }
        return facts

    if engine is not None:
        _add_play(app, engine, most_simulations)
    if run_dir is not None:
        add_dashboard(app, run_dir)
    _add_pages(app, engine is not None)
    return app


def _add_play(app: FastAPI, engine: Engine, most_simulations: int) -> None:
    def position(body: GameBody) -> Position:
        if body.start is None:
            return Position(engine.game, body.moves)
        game, cells = engine.game, (body.start.black, body.start.white)
        black, white = (tuple(map(game.parse_cell, names)) for names in cells)
        return Position(game, body.moves, SetUp(black, white, parse_colour(body.start.to_move)))

    async def search(body: SearchBody, request: Request) -> tuple[Position, Analysis]:
        simulations = body.simulations if "simulations" in body.model_fields_set else min(SIMULATIONS, most_simulations)
        if simulations > most_simulations:
            raise UsageError(f"simulations: this server gives {most_simulations} at the most (got {simulations})")
        here = await anyio.to_thread.run_sync(position, body)
        if here.is_over:
            raise IllegalMoveError("the game is over: there is no move to search for", kind="over")
        return here, await _while_there(request, app.state.searches.analyse(here.place, simulations))

    @app.post("/api/position", responses=refusals(400, 403, 422))
    def describe(body: GameBody) -> dict[str, Any]:
        """Return the position after the moves: stones, who is to move, who has won, the game as TRMPH, SGF and
        HexWorld."""
        return position(body).describe()

    @app.post("/api/move", responses=refusals(400, 403, 422, 503))
    async def move(body: SearchBody, request: Request) -> MoveAnswer:
        """Return the move to play in the position after the moves, with its value, policy and time."""
        began = time.monotonic()
        here, found = await search(body, request)
        total = sum(candidate.visits for candidate in found.moves)
        return MoveAnswer(
            move=here.name(found.best),
            value=float(found.values[found.to_move]),
            win_probability=found.win_probability,
            policy={here.name(m.move): m.visits / total for m in found.moves if m.visits},
            seconds=time.monotonic() - began,
            simulations=found.simulations,
        )

    @app.post("/api/analyse", responses=refusals(400, 403, 422, 503))
    async def analyse(body: SearchBody, request: Request) -> AnalysisFacts:
        """Return moves with visits, priors, win probabilities and variations, the best first."""
        _, found = await search(body, request)
        return AnalysisFacts.model_validate(as_facts(found, engine.game))

    @app.post("/api/import", responses=refusals(400, 403, 422))
    def read(body: TextBody) -> dict[str, Any]:
        """Return a game given as TRMPH, HexWorld or SGF, or a position in SGF (AB, AW, AE, PL), as `/api/position`
        would tell it; 400 if of another board."""
        if engine.game.name != Hex.name:
            raise UsageError(f"text forms are of Hex alone, and this server plays {engine.settings.game.title}")
        size, found = read_any(body.text)
        if size != engine.game.board_size:
            raise UsageError(f"this is a game on {size}x{size}, the net here plays {engine.game.board_size}")
        words = [move_name(engine.game, move) for move in moves_of(found)]
        return Position(engine.game, words, found if isinstance(found, SetUp) else None).describe()


async def _while_there(request: Request, work: Coroutine[Any, Any, Found]) -> Found:
    """Return what ``work`` comes to; it is cancelled when the visitor hangs up, and HTTPException says so to nobody."""
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


def _add_pages(app: FastAPI, plays: bool) -> None:
    @app.get("/", include_in_schema=False)
    def front() -> FileResponse:
        return FileResponse(PAGES / ("board.html" if plays else "dashboard.html"))

    @app.get("/dashboard", include_in_schema=False)
    def dashboard() -> FileResponse:
        return FileResponse(PAGES / "dashboard.html")

    @app.get("/api", include_in_schema=False)
    def api() -> FileResponse:
        # not FastAPI's own page, which loads its scripts from elsewhere
        return FileResponse(PAGES / "api.html")

    app.mount("/pages", StaticFiles(directory=PAGES), name="pages")
