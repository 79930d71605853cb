"""The swap rule of Hex for a net that never learned it: the value of a swap follows from the net's values.

After a swap the stones are the same, the other seat is to move, and no swap is possible any more: a swap is worth the
other seat's value of the stones without the right to swap. With v the mover's value of these, v in [-1, 1], a position
with that right is worth max(v, -v), and a first stone is the better the nearer its v is to 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.config import Shapes
from hexpipe.search.evaluator import Evaluation, Evaluator, Moves

_OPENING_SHARPNESS = 10.0  # an opening that is further from even by a tenth is 1 / e as likely

IntArray = NDArray[np.int64]


class SwapByValue:
    """An evaluator of Hex with the swap rule over ``evaluator``, whose net was trained without it.

    Where the mover may swap, the prior of the swap is the other seat's win probability, at least 1 / (legal moves) and
    at most 1 less that; `searches_at` has it tried first. On the empty board priors tell how near to even the net's
    value of each first stone is, which takes one evaluation of every cell, once, in requests of at most ``at_once``.
    """

    def __init__(self, evaluator: Evaluator, shapes: Shapes, at_once: int = 128) -> None:
        self._evaluator, self._cells, self._at_once = evaluator, shapes.view_cells, at_once
        self._shapes = shapes
        self._openings: NDArray[np.float32] | None = None
        self._pending: dict[int, tuple[IntArray, IntArray]] = {}

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Submit ``codes`` int8 [L, C] without the right to swap."""
        self._pending[group] = np.flatnonzero(codes[:, self._cells] == 1), self._empty_boards(group, codes)
        self._evaluator.submit(group, self._without(codes))

    def collect(self, group: int) -> Evaluation:
        """Return the answer to the group's last submit, with the values of swaps."""
        free, empty = self._pending.pop(group)
        evaluation = self._evaluator.collect(group)
        priors, values = evaluation.answers.priors.copy(), evaluation.answers.values.copy()
        answers = evaluation.answers._replace(priors=priors, values=values)
        self._allow_swaps(answers, free)
        self._value_openings(answers, empty)
        return evaluation._replace(answers=answers)

    def _without(self, codes: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return a copy of ``codes`` without the right to swap."""
        without = codes.copy()
        without[:, self._cells] = 0
        return without

    def _empty_boards(self, group: int, codes: NDArray[np.int8]) -> IntArray:
        """Find the rows of ``codes`` of the empty board, int [k]; the values of their first stones are requested."""
        empty = np.flatnonzero(~codes[:, : self._cells].any(axis=1))
        if len(empty) and self._openings is None:
            self._openings = self._first_stones(group)
        return empty

    def _first_stones(self, group: int) -> NDArray[np.float32]:
        """Return the second seat's value of each first stone, float32 [n * n], if nobody could swap."""
        n, cells = self._shapes.board_size, np.arange(self._cells)
        codes = np.zeros((self._cells, self._shapes.code_length), np.int8)
        codes[cells, cells % n * n + cells // n] = 2  # seen transposed, as the opponent's stone
        values = np.empty(self._cells, np.float32)
        for start in range(0, self._cells, self._at_once):
            part = slice(start, start + self._at_once)
            self._evaluator.submit(group, codes[part])
            values[part] = self._evaluator.collect(group).answers.values[:, 0]
        return values

    def _allow_swaps(self, answers: Answers, free: IntArray) -> None:
        """Write the swap into the ``answers`` in rows ``free`` int [k], of positions after one stone."""
        priors, values = answers.priors, answers.values
        floor = 1.0 / self._cells  # the legal moves: every cell but one, and the swap
        value = values[free, 0]
        swap = np.clip((1.0 - value) / 2.0, floor, 1.0 - floor)
        priors[free] *= (1.0 - swap)[:, None]
        priors[free, self._cells] = swap
        values[free, 0], values[free, 1] = np.abs(value), -np.abs(value)

    def _value_openings(self, answers: Answers, empty: IntArray) -> None:
        """Adapt the ``answers`` in rows ``empty`` int [k], of the empty board, to the other seat's right to swap."""
        if self._openings is None or not len(empty):
            return
        far = np.abs(self._openings)
        likely = np.exp(_OPENING_SHARPNESS * (far.min() - far))
        answers.priors[empty, : self._cells] = likely / likely.sum()
        answers.values[empty, 0], answers.values[empty, 1] = -far.min(), far.min()


class LatentSwapByValue(SwapByValue):
    """`SwapByValue` over learned dynamics, which have never seen a swap: a child by a swap evaluates its parent again.

    The search takes a swap as legal everywhere below the roots; its prior is 0 except after the first stone.
    """

    def __init__(self, evaluator: Evaluator, shapes: Shapes, at_once: int) -> None:
        super().__init__(evaluator, shapes, at_once)
        self._imagined: dict[int, IntArray] = {}
        self._swapped: dict[int, IntArray] = {}
        self._order: dict[int, IntArray] = {}
        self._before: dict[int, set[int]] = {}  # by group: latent rows of empty boards
        self._again: dict[int, dict[int, NDArray[np.int8] | tuple[int, int]]] = {}
        """By group and latent row: the codes of a root, or the parent and action of its first stone."""

    def submit(self, group: int, codes: NDArray[np.int8], moves: Moves | None = None) -> None:
        """Submit ``codes`` int8 [R, C] without the right to swap, and the children that ``moves`` make."""
        if moves is None:
            raise ValueError("learned dynamics are asked with latent rows")
        roots, children = len(codes), len(moves.actions)
        free, empty, without = codes[:, self._cells] == 1, self._empty_boards(group, codes), self._without(codes)
        if not children:  # searches begin
            self._before[group], self._again[group] = set(), {}
        before, again = self._before[group], self._again[group]
        before.update(moves.rows[empty].tolist())
        again.update({int(moves.rows[root]): without[root] for root in np.flatnonzero(free)})
        parents, actions = moves.parents.copy(), moves.actions.copy()
        first, rest, swapped = [without], [], []  # codes of roots; children, by number; leaves
        order = list(range(roots))
        for child in range(children):
            parent, action, row = int(parents[child]), int(actions[child]), int(moves.rows[roots + child])
            if action == self._cells and parent in again:
                swapped.append(roots + child)
                source = again[parent]
                if not isinstance(source, tuple):
                    first.append(source[None])
                    order.append(roots + child)
                    continue
                parents[child], actions[child] = source
            elif parent in before:
                again[row] = parent, action
            rest.append(child)
        order += [roots + child for child in rest]
        may_swap = np.append(free, [parent in before for parent in moves.parents])
        self._pending[group] = np.flatnonzero(may_swap), empty
        self._imagined[group], self._swapped[group] = roots + np.arange(children), np.array(swapped, np.int64)
        self._order[group] = np.argsort(order)
        asked = Moves(parents[rest], actions[rest], moves.rows[order])
        self._evaluator.submit(group, np.concatenate(first), asked)

    def collect(self, group: int) -> Evaluation:
        """Return the answer to the group's last submit, with the values of swaps."""
        order, (free, empty), imagined = self._order.pop(group), self._pending.pop(group), self._imagined.pop(group)
        evaluation = self._evaluator.collect(group)
        answers = evaluation.answers.at(order)
        if answers.rewards is not None:
            answers.rewards[self._swapped.pop(group)] = 0.0
        answers.priors[imagined, self._cells] = 0.0
        self._allow_swaps(answers, free)
        self._value_openings(answers, empty)
        return evaluation._replace(answers=answers)
