"""Assignment of weights and pool rows to searches: the server's side of learned dynamics.

Every group of games owns a fixed range of pool rows, each game ``nodes`` of them. Nothing is allocated or freed, so a
client that dies leaks nothing: its successor's roots overwrite its rows. A search belongs to the weights that made its
root. There are two sets of weights (double buffering); roots take the newer one, and the older one is overwritten only
once no search holds it. A running search has leaves in every request of its group: a game without leaves has ended its
search and holds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.config import Shapes
from hexpipe.errors import InferenceError
from hexpipe.search.evaluator import Evaluation, Moves

NOBODY = -1


class LatentNet(Protocol):
    """The net's forward passes: `nets.backend_latent.LatentBackend`, or a benchmark's that costs nothing."""

    def load(self, weights: Mapping[str, NDArray[np.float32]], slot: int = 0) -> None: ...
    def initial(self, slot: int, codes: NDArray[np.int8], rows: NDArray[np.integer], out: Answers) -> None: ...
    def recurrent(
        self,
        slot: int,
        parents: NDArray[np.integer],
        actions: NDArray[np.integer],
        rows: NDArray[np.integer],
        out: Answers,
    ) -> None: ...


class PoolShape(NamedTuple):
    """The pool of one group in rows: ``games`` times ``nodes`` each."""

    games: int
    nodes: int

    @property
    def rows(self) -> int:
        """Rows of one group."""
        return self.games * self.nodes


class Latents:
    """The two sets of weights over ``regions`` groups of pool rows. ``version`` is that of the newer set."""

    def __init__(self, net: LatentNet, regions: int, shape: PoolShape) -> None:
        self._net = net
        self.shape = shape
        self._slot_of = np.full((regions, shape.games), NOBODY, np.int8)
        self._asked = np.zeros((regions, shape.games), np.int64)  # the evaluation in which a game last took part
        self._last = np.zeros((regions, 1), np.int64)  # the last evaluation of each region
        self._evaluation = 0
        self._newest = 0
        self._versions = [0, 0]

    @property
    def version(self) -> int:
        """Version of the weights for new roots."""
        return self._versions[self._newest]

    def can_load(self) -> bool:
        """Return whether no search holds the older weights."""
        return not ((self._slot_of == 1 - self._newest) & (self._asked == self._last)).any()

    def load(self, version: int, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Overwrite the older weights with ``weights``; requires `can_load`."""
        slot = 1 - self._newest
        if not self.can_load():
            raise InferenceError(
                f"weights version {self._versions[slot]} still has searches: ask can_load first", kind="busy"
            )
        self._net.load(weights, slot)
        self._versions[slot] = version
        self._newest = slot

    def release(self, region: int) -> None:
        """End the searches of ``region``."""
        self._slot_of[region] = NOBODY

    def evaluate(
        self, region: NDArray[np.int64], codes: NDArray[np.int8], moves: Moves, out: Answers
    ) -> NDArray[np.bool_]:
        """Evaluate R roots and K children: codes int8 [R, C], ``moves`` with rows of their regions, ``region`` int64 [R
        + K].

        Fills the first R + K rows of ``out``, roots first. Returns bool [R + K], False for children of a search whose
        root was not evaluated here: their rows of ``out`` are undefined.
        """
        roots = len(codes)
        games = moves.rows // self.shape.nodes
        self._evaluation += 1
        self._asked[region, games] = self._last[region, 0] = self._evaluation
        self._slot_of[region[:roots], games[:roots]] = self._newest
        base = region * self.shape.rows
        rows = base + moves.rows
        if roots:
            room = out.at(slice(roots))
            if room.rewards is not None:
                room.rewards[:] = 0  # no move led to them
            self._net.initial(self._newest, codes, rows[:roots], room._replace(rewards=None))
        known = np.ones(len(rows), np.bool_)
        if len(rows) == roots:
            return known
        slots = self._slot_of[region[roots:], games[roots:]]
        parents, children = base[roots:] + moves.parents, rows[roots:]
        below = out.at(slice(roots, len(rows)))
        known[roots:] = slots != NOBODY
        used = np.unique(slots)
        if len(used) == 1:
            self._net.recurrent(self._weights_for(used[0]), parents, moves.actions, children, below)
            return known
        for slot in used:
            at = np.flatnonzero(slots == slot)
            part = below.at(at)
            self._net.recurrent(self._weights_for(slot), parents[at], moves.actions[at], children[at], part)
            below.put(at, part)
        return known

    def _weights_for(self, slot: int) -> int:
        """Return a set of weights to run ``slot`` with: any will do for a child of no known search.

        Such a child comes from a dead client, or from a search that a dead server began.
        """
        return self._newest if slot == NOBODY else int(slot)


class LocalLatentEvaluator:
    """Evaluator with learned dynamics within the searching process; ``groups`` of the pool's shape.

    Counts like the server: ``batches``, ``evals``.
    """

    def __init__(self, net: LatentNet, shapes: Shapes, shape: PoolShape, *, groups: int = 2) -> None:
        self._latents = Latents(net, groups, shape)
        self._shapes = shapes
        self._answers: dict[int, Answers] = {}
        self._rows: dict[int, int] = {}
        self._waiting: tuple[int, dict[str, NDArray[np.float32]]] | None = None
        self.batches = 0
        self.evals = 0

    @property
    def version(self) -> int:
        """Version of the weights for new searches."""
        return self._latents.version

    def load(self, version: int, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Load new weights as soon as no search holds the ones before the last."""
        self._waiting = version, dict(weights)
        self._load_waiting()

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Evaluate the roots and children of one group."""
        if moves is None:
            moves = Moves(np.zeros(0, np.int32), np.zeros(0, np.int32), np.arange(len(codes), dtype=np.int32))
        rows = len(moves.rows)
        answers = self._answers.get(group)
        if answers is None or len(answers.priors) < rows:
            answers = self._answers[group] = Answers.allocate(rows, self._shapes, learned=True)
        self._load_waiting()
        self._latents.evaluate(np.full(rows, group), codes, moves, answers)
        self._rows[group] = rows
        self.batches += 1
        self.evals += rows

    def collect(self, group: int) -> Evaluation:
        """Return the answer to the group's last submit; its arrays are valid until the next."""
        return Evaluation(self._answers[group].at(slice(self._rows.pop(group))), self.version)

    def release(self, group: int) -> None:
        """End the searches of ``group``, so that none of them holds weights any more."""
        self._latents.release(group)
        self._load_waiting()

    def _load_waiting(self) -> None:
        if self._waiting is not None and self._latents.can_load():
            self._latents.load(*self._waiting)
            self._waiting = None
