"""Role: the declaration of one kind of process, all in one place.

Names, memory, start, repair and end of the processes are derived from it. To add a kind, write a module that declares a
role, with its body, and add it to `roles.every_role`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from hexpipe.config import Settings
from hexpipe.games.game_env import Game

PlanT = TypeVar("PlanT")
"""The number and placement of a run's processes (`roles.plan.Plan`)."""
SharedT = TypeVar("SharedT")
"""The shared memory of a run (`roles.segments.Segments`)."""


class Ending(NamedTuple):
    """The shutdown of a role's processes.

    Those of lower ``rank`` are asked first; after ``seconds`` (of an orderly end) they are killed. ``saves``: their
    last writes must not be lost, so that even a quick shutdown waits for them. ``revived``: one that is dead when the
    run ends is replaced, because others have left to it what must be saved.
    """

    rank: int
    seconds: float
    saves: bool = False
    revived: bool = False


_HELPER_ENDING = Ending(0, 1.0)


@dataclass(frozen=True)
class Role(Generic[PlanT, SharedT]):
    """A kind of process. Everything except ``name`` and ``body`` defaults to what suits the simplest kind, a helper.

    body: "module:function", called in the child with its `ChildContext` and ``parts(shared, number)``; empty where the
    role only has rows of the board (nodes of a cluster).
    counters: columns of its rows on the stats board; ``progress`` names those that move only when the run makes
    progress.
    count(settings, plan): processes of a run. threads(plan): threads of each. own_bytes(settings, game, plan): private
    memory of each.
    after_death(shared, number): repairs the shared memory of a dead one, before it is replaced and when the run is
    over.
    searches: it is a client of inference servers, with slots and an outbox. sends: it has an outbox only.
    needed: a run cannot go on without; one that is not is left out when it dies, and its silence is no stall.
    replaceable: one that dies is replaced, if needed. together: its processes are one group, which none can join later:
    all are replaced when one dies.
    """

    name: str
    body: str
    counters: tuple[str, ...] = ()
    progress: tuple[str, ...] = ()
    count: Callable[[Settings, PlanT], int] = lambda settings, plan: 1
    parts: Callable[[SharedT, int], dict[str, Any]] = lambda shared, number: {}
    own_bytes: Callable[[Settings, Game, PlanT], int] = lambda settings, game, plan: 60_000_000
    threads: Callable[[PlanT], int] = lambda plan: 1
    after_death: Callable[[SharedT, int], None] = lambda shared, number: None
    searches: bool = False
    sends: bool = False
    needed: bool = True
    replaceable: bool = True
    together: bool = False
    ending: Ending = _HELPER_ENDING

    def names(self, settings: Settings, plan: PlanT) -> list[str]:
        """Name the processes of a run: NAME-0, NAME-1, ..."""
        return [f"{self.name}-{number}" for number in range(self.count(settings, plan))]

    @property
    def has_outbox(self) -> bool:
        """Whether its processes have outboxes, to send games to the replay process."""
        return self.searches or self.sends


def in_ending_order(roles: Iterable[Role[Any, Any]]) -> list[list[Role[Any, Any]]]:
    """Group ``roles`` by the rank of their ending, lowest first."""
    ranks = sorted({role.ending.rank for role in roles})
    return [[role for role in roles if role.ending.rank == rank] for rank in ranks]
