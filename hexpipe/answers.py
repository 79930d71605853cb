"""The parts of a net's answer about a position: the one table behind backends, slots, servers, clients and cache.

To add a head, add an entry to `FIELDS`, a field to `Answers`, and an output to the nets at the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexpipe.config import Shapes

Rows = slice | NDArray[np.integer] | NDArray[np.bool_]


class AnswerField(NamedTuple):
    """One part of an answer: computed as ``dtype``, sent and kept as ``sent``, with ``shape`` for one position.

    ``given`` tells from the shapes and the learned dynamics whether the part exists. ``unsaid`` is its value where an
    evaluator leaves it out.
    """

    name: str
    dtype: type[np.generic]
    sent: type[np.generic]
    shape: Callable[[Shapes], tuple[int, ...]]
    given: Callable[[Shapes, bool], bool]
    unsaid: int = 0


FIELDS = (
    AnswerField("priors", np.float32, np.float16, lambda shapes: (shapes.num_actions,), lambda shapes, learned: True),
    AnswerField("values", np.float32, np.float32, lambda shapes: (shapes.num_seats,), lambda shapes, learned: True),
    AnswerField("rewards", np.float32, np.float32, lambda shapes: (shapes.num_seats,), lambda shapes, learned: learned),
    AnswerField("focus", np.int16, np.int16, lambda shapes: (), lambda shapes, learned: shapes.thumbnail, -1),
)
"""All possible parts, in the order of the nets' outputs."""


def answer_fields(shapes: Shapes, learned: bool = False) -> list[AnswerField]:
    """Return the parts of answers about a game of ``shapes``, with ``learned`` dynamics or not."""
    return [field for field in FIELDS if field.given(shapes, learned)]


def answer_bytes(shapes: Shapes, learned: bool = False) -> int:
    """Return the bytes of the answer about one position as it is sent and kept."""
    return sum(part.nbytes for part in Answers.allocate(1, shapes, learned, sent=True).parts())


class Answers(NamedTuple):
    """Answers about L positions, or room for them; a part is None where it does not exist or is not wanted.

    Seats count from the mover: ``values[:, k]`` is for seat (to_move + k) % S.
    """

    priors: NDArray[Any]  # float32 [L, A], net frame, softmax over the legal actions (others 0); float16 where sent
    values: NDArray[Any]  # float32 [L, S] in [-1, 1]
    rewards: NDArray[Any] | None = None  # float32 [L, S], of the moves that led here (0 for roots); learned dynamics
    focus: NDArray[Any] | None = None  # int16 [L], thumbnail bucket where the net would look, -1 if unknown

    @classmethod
    def allocate(cls, rows: int, shapes: Shapes, learned: bool = False, sent: bool = False) -> Answers:
        """Allocate ``rows`` answers, in the dtypes that they are computed in, or ``sent`` in."""
        return cls(
            **{
                field.name: np.zeros((rows, *field.shape(shapes)), field.sent if sent else field.dtype)
                for field in answer_fields(shapes, learned)
            }
        )

    @classmethod
    def named(cls, outputs: Iterable[NDArray[Any]], shapes: Shapes, learned: bool = False) -> Answers:
        """Name ``outputs``, which are in the order of `FIELDS`; ValueError if one is missing."""
        names = [field.name for field in answer_fields(shapes, learned)]
        return cls(**dict(zip(names, outputs, strict=True)))

    def parts(self) -> list[NDArray[Any]]:
        """Return the parts that are not None, in order."""
        return [part for part in self if part is not None]

    def at(self, rows: Rows) -> Answers:
        """Return ``rows`` of each part: a view if they are a slice, else copies."""
        return Answers._make([None if part is None else part[rows] for part in self])

    def put(self, rows: Rows, answers: Answers) -> None:
        """Copy ``answers`` into ``rows`` of each part; ValueError if they lack a part that this has."""
        for name, part, given in zip(self._fields, self, answers, strict=True):
            if part is None:
                continue
            if given is None:
                raise ValueError(f"a net of this game has no {name} to give: ask it for none")
            part[rows] = given
