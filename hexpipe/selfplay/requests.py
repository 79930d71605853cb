"""Requests of several searches in one, parts of a request, and their answers put together and taken apart again.

The rows of a request are its roots and then, with learned dynamics, its children.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hexpipe.search.evaluator import Evaluation, Moves

Request = tuple[NDArray[np.int8], Moves | None]
"""What `Evaluator.submit` takes: codes int8 [R, C], and moves where learned dynamics make the leaves."""


def request_part(request: Request, rows: NDArray[np.bool_]) -> Request:
    """The ``rows`` bool [L] of a request of L leaves."""
    codes, moves = request
    if rows.all():
        return request
    if moves is None:
        return codes[rows], None
    roots, children = rows[: len(codes)], rows[len(codes) :]
    return codes[roots], Moves(moves.parents[children], moves.actions[children], moves.rows[rows])


def join_requests(requests: Sequence[Request]) -> tuple[Request, list[NDArray[np.intp]]]:
    """One request for all of ``requests``, and the places int [L_i] that each one's rows have in it."""
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


def answer_part(answer: Evaluation, places: NDArray[np.intp]) -> Evaluation:
    """The rows of ``answer`` at ``places`` int [L]."""
    parts: dict[str, Any] = {
        name: field[places] for name, field in answer._asdict().items() if isinstance(field, np.ndarray)
    }
    return answer._replace(**parts)


def join_answers(answers: Sequence[Evaluation], rows: Sequence[NDArray[np.bool_]], version: int) -> Evaluation:
    """One answer of ``version`` from those to the parts of a request whose ``rows`` bool [L] are given."""
    fields: dict[str, Any] = {}
    for name in Evaluation._fields:
        parts = [getattr(answer, name) for answer in answers]
        if isinstance(parts[0], np.ndarray):
            whole = np.empty((len(rows[0]), *parts[0].shape[1:]), parts[0].dtype)
            for own, part in zip(rows, parts, strict=True):
                whole[own] = part
            fields[name] = whole
    return Evaluation(**{**fields, "version": version})
