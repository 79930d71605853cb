"""Joining and splitting of evaluation requests and their answers.

The rows of a request are its roots and then, with learned dynamics, its children.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hexpipe.answers import Answers
from hexpipe.search.evaluator import Moves

Request = tuple[NDArray[np.int8], Moves | None]
"""Arguments of `Evaluator.submit`: codes int8 [R, C], and moves with learned dynamics."""


def request_part(request: Request, rows: NDArray[np.bool_]) -> Request:
    """Return the ``rows`` bool [L] of a request of L leaves."""
    codes, moves = request
    if rows.all():
        return request
    if moves is None:
        return codes[rows], None
    roots, children = rows[: len(codes)], rows[len(codes) :]
    return codes[roots], Moves(moves.parents[children], moves.actions[children], moves.rows[rows])


def join_requests(requests: Sequence[Request]) -> tuple[Request, list[NDArray[np.intp]]]:
    """Join ``requests`` into one; return it and the rows int [L_i] of each one in it."""
    codes = np.concatenate([codes for codes, _ in requests])
    roots = np.cumsum([0, *(len(codes) for codes, _ in requests)])
    known = [moves for _, moves in requests if moves is not None]
    children = np.cumsum([roots[-1], *(len(moves.parents) for moves in known)])
    places = [np.arange(roots[i], roots[i + 1]) for i in range(len(requests))]
    if not known:
        return (codes, None), places
    own = [places[i] - roots[i] for i in range(len(requests))]
    rows = [moves.rows[at] for moves, at in zip(known, own, strict=True)]
    rows += [moves.rows[len(at) :] for moves, at in zip(known, own, strict=True)]
    places = [np.concatenate([at, np.arange(children[i], children[i + 1])]) for i, at in enumerate(places)]
    joined = Moves(
        np.concatenate([moves.parents for moves in known]),
        np.concatenate([moves.actions for moves in known]),
        np.concatenate(rows),
    )
    return (codes, joined), places


def join_answers(answers: Sequence[Answers], rows: Sequence[NDArray[np.bool_]]) -> Answers:
    """Join the answers to a request's parts, whose ``rows`` bool [L] are given, into the answers to the whole."""
    whole = Answers._make(
        None if part is None else np.empty((len(rows[0]), *part.shape[1:]), part.dtype) for part in answers[0]
    )
    for own, part in zip(rows, answers, strict=True):
        whole.put(own, part)
    return whole
