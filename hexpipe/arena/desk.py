"""A desk at which queries wait, are searched side by side and answered as they are done, for a program that drives an
engine.

One thread says what comes in, another one searches and takes the answers. Queries that wait and fit together are begun
as one batch, whose leaves share the net's batches; batches take turns, and while there is one of higher priority the
others stand still.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

import hexpipe
from hexpipe.arena.analysis import Searches, as_facts, as_katagos_facts
from hexpipe.arena.engine import Engine
from hexpipe.arena.queries import Action, Query, Refusal, Rules, parse, read_object, tree_bytes
from hexpipe.errors import HexpipeError

_TOGETHER = 64
_MOST_BATCHES = 4  # of equal or lower priority than those under way; higher ones may come on top, so many again
_MOST_SEARCHED = 128
_TREE_BYTES = 1 << 30
_MOST_WAITING = 100_000
_MOST_ENGINES = 4
_PAUSE_SECONDS = 0.005  # lines that come without such a pause between them are begun together

Answer = dict[str, Any]


@dataclass
class _Job:
    """A query that waits or is searched; the first of the highest priority sorts first."""

    query: Query
    number: int
    stopped: bool = False
    began: float = 0.0
    reported: float = 0.0

    def __lt__(self, other: _Job) -> bool:
        return (-self.query.priority, self.number) < (-other.query.priority, other.number)


@dataclass
class _Batch:
    jobs: dict[int, _Job]
    """Those under way, by their numbers in ``searches``."""
    searches: Searches
    engine: Engine
    bytes: int
    turns: int = 0

    @property
    def priority(self) -> int:
        return max(job.query.priority for job in self.jobs.values())


class Desk:
    """The queries about one checkpoint: `say` what comes, `close` after the last; `answers` has the answers.

    ``simulations`` are those of a query that names none.
    """

    def __init__(self, engine: Engine, simulations: int) -> None:
        self._first, self._simulations = engine, simulations
        self._rules = Rules(engine.settings)
        self._engines = {self._rules.board: engine}
        self._changed = threading.Condition()
        self._waiting: list[_Job] = []
        self._ready: deque[Answer] = deque()
        self._batches: list[_Batch] = []
        self._numbers = self._answered = 0
        self._closed = False

    def say(self, line: bytes) -> None:
        """Take a line of the program's: what is wrong with it is its answer. Waits while too many queries do."""
        if not line.strip():
            return
        fields: Any = {}
        try:
            fields = read_object(line)
            found = parse(fields, self._rules, self._simulations)
        except (HexpipeError, ValueError) as error:
            self._answer({"id": fields.get("id"), "error": str(error)})
            return
        if isinstance(found, Action):
            self._do(found)
            return
        for query in found:
            if isinstance(query, Refusal):
                self._answer({**_head(query, False), "error": query.why})
                continue
            with self._changed:
                self._changed.wait_for(lambda: len(self._waiting) < _MOST_WAITING)
                self._numbers += 1
                heappush(self._waiting, _Job(query, self._numbers))
                self._changed.notify_all()

    def close(self) -> None:
        """Say that nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def answers(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Answer]:
        """Yield the answers as they come, until all is answered after `close`, or ``stop`` says that nobody wants
        more."""
        while not stop():
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._waiting or self._batches or self._closed)
                if not self._batches:
                    self._wait_for_more()
                ready, self._ready = self._ready, deque()
                jobs = self._next_jobs()
                over = self._closed and not (ready or jobs or self._batches)
                self._changed.notify_all()
            yield from ready
            if over:
                return
            yield from self._begin(jobs)
            yield from self._turn()

    def _wait_for_more(self) -> None:
        """Let come what is coming, as long as it makes the first batch larger."""
        before = -1
        while before < len(self._waiting) < _TOGETHER and not self._closed:
            before = len(self._waiting)
            self._changed.wait(_PAUSE_SECONDS)

    def _do(self, action: Action) -> None:
        fields = dict(action.fields)
        with self._changed:
            if action.name == "query_version":
                self._ready.append({**fields, "version": hexpipe.__version__, "git_hash": "<omitted>"})
            elif action.name == "query_models":
                self._ready.append({**fields, "models": [self._model()]})
            elif action.name == "query_status":
                searched = sum(len(batch.jobs) for batch in self._batches)
                counts = {"waiting": len(self._waiting), "searching": searched, "answered": self._answered}
                self._ready.append({**fields, **counts, "models": [self._model()]})
            else:
                self._ready.append(fields)
                self._terminate(action)
            self._changed.notify_all()

    def _model(self) -> dict[str, Any]:
        checkpoint, game = self._first.checkpoint, self._first.settings.game
        return {
            "name": str(checkpoint.path), "internalName": self._first.settings.algorithm, "step": checkpoint.step,
            "game": game.title, "boardXSize": game.board_size, "boardYSize": game.board_size, "swap": game.swap,
        }  # fmt: skip

    def _terminate(self, action: Action) -> None:
        """End what the action means: those that wait have no result, those under way are told after their turn."""
        wanted, turns = _text(action.fields.get("terminateId")), action.fields.get("turnNumbers")

        def meant(job: _Job) -> bool:
            by_id = action.name == "terminate_all" or _text(job.query.id) == wanted
            return by_id and (turns is None or job.query.turn in turns)

        for job in sorted(self._waiting):
            if meant(job):
                self._ready.append({**_head(job.query, False), "noResults": True})
        self._waiting = [job for job in self._waiting if not meant(job)]
        heapify(self._waiting)
        for batch in self._batches:
            for job in batch.jobs.values():
                job.stopped |= meant(job)

    def _answer(self, answer: Answer) -> None:
        with self._changed:
            self._ready.append(answer)
            self._changed.notify_all()

    def _next_jobs(self) -> list[_Job]:
        """Return what is begun now as a batch: of one board, of about as many simulations, and of one priority."""
        if not self._waiting:
            return []
        first, jobs, others = self._waiting[0], list[_Job](), list[_Job]()
        above = all(first.query.priority > batch.priority for batch in self._batches)
        room = _MOST_SEARCHED - sum(len(batch.jobs) for batch in self._batches)
        free = _TREE_BYTES - sum(batch.bytes for batch in self._batches)
        if self._batches:
            if self._first.learned or len(self._batches) >= (2 if above else 1) * _MOST_BATCHES:
                return []
            if not above and (room <= 0 or free < self._bytes(first)):
                return []
        fits = max(1, min(_TOGETHER, room if room > 0 else _TOGETHER, free // self._bytes(first)))
        while self._waiting and len(jobs) < fits and self._waiting[0].query.priority == first.query.priority:
            job = heappop(self._waiting)
            alike = job.query.board == first.query.board and _size(job) == _size(first)
            (jobs if alike else others).append(job)
        for job in others:
            heappush(self._waiting, job)
        return jobs

    def _bytes(self, job: _Job) -> int:
        """Return the most that the tree of a job of `_next_jobs` with this one takes."""
        return tree_bytes(self._rules.game(job.query.board), 1 << _size(job))

    def _begin(self, jobs: list[_Job]) -> Iterator[Answer]:
        if not jobs:
            return
        now = time.monotonic()
        for job in jobs:
            job.began = job.reported = now
        queries = [job.query for job in jobs]
        try:
            engine = self._engine(queries[0].board)
            searches = engine.searches([query.position for query in queries], [query.simulations for query in queries])
        except (HexpipeError, MemoryError) as error:
            yield from self._fail(jobs, error)
            return
        with self._changed:
            room = len(jobs) * self._bytes(jobs[0])
            self._batches.append(_Batch(dict(enumerate(jobs)), searches, engine, room))

    def _engine(self, board: tuple[int, bool]) -> Engine:
        """Return the checkpoint on ``board``; those that were asked last are kept."""
        engine = self._engines.pop(board, None) or self._first.on_board(*board)
        self._engines[board] = engine
        for old in list(self._engines)[:-_MOST_ENGINES]:
            del self._engines[old]
        return engine

    def _turn(self) -> Iterator[Answer]:
        """Run one batch of the net's for the searches of the highest priority, and what is to be said after it."""
        if not self._batches:
            return
        batch = max(self._batches, key=lambda batch: (batch.priority, -batch.turns))
        try:
            batch.searches.turn()
            batch.turns += 1
        except (HexpipeError, MemoryError) as error:
            yield from self._fail(self._leave(batch, list(batch.jobs)), error)
            return
        for each in list(self._batches):
            yield from self._tell(each)

    def _tell(self, batch: _Batch) -> Iterator[Answer]:
        """Yield what is to be said of the searches of ``batch`` now; those that end leave it."""
        over, now = set(batch.searches.ended) if batch.turns else set[int](), time.monotonic()
        for number, job in list(batch.jobs.items()):
            query = job.query
            late = query.seconds is not None and now - job.began >= query.seconds
            if batch.turns and (number in over or job.stopped or late):
                batch.searches.stop(number)
                yield self._found(batch, number, False)
                self._leave(batch, [number])
            elif job.stopped:
                self._leave(batch, [number])
                yield {**_head(query, False), "noResults": True}
            elif batch.turns and query.report_every is not None and now - job.reported >= query.report_every:
                job.reported = now
                yield self._found(batch, number, True)

    def _leave(self, batch: _Batch, numbers: list[int]) -> list[_Job]:
        """Take jobs out of ``batch``, and the batch from the desk with its last one."""
        with self._changed:
            jobs = [batch.jobs.pop(number) for number in numbers]
            self._answered += len(jobs)
            if not batch.jobs:
                self._batches.remove(batch)
        return jobs

    def _found(self, batch: _Batch, number: int, searching: bool) -> Answer:
        query, game = batch.jobs[number].query, batch.engine.game
        found = batch.searches.analysis(number)
        facts = {**_head(query, searching), **as_facts(found, game)}
        return {**facts, **as_katagos_facts(found, game)} if query.both_names else facts

    def _fail(self, jobs: list[_Job], error: BaseException) -> Iterator[Answer]:
        why = str(error) or "there is no memory for these searches: ask for fewer simulations"
        for job in jobs:
            yield {**_head(job.query, False), "error": why}


def _head(query: Query | Refusal, searching: bool) -> Answer:
    """Return what every answer about a turn begins with."""
    return {"id": query.id, "turn": query.turn, "turnNumber": query.turn, "isDuringSearch": searching}


def _size(job: _Job) -> int:
    """Return the size of a job: those of one size go together, as their trees differ by less than twice."""
    return (job.query.simulations - 1).bit_length()


def _text(value: Any) -> str:
    """Return a value of JSON as a text that tells it from all others: 1 is not true."""
    return json.dumps(value, sort_keys=True)
