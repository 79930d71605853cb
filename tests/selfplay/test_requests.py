"""Requests in one and apart again: every row keeps its place, whatever it travels with."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hexpipe.answers import Answers
from hexpipe.search.evaluator import Moves
from hexpipe.selfplay.requests import Request, join_answers, join_requests, request_part


def labelled(label: int, roots: int, children: int, learned: bool) -> tuple[Request, list[tuple[int, ...]]]:
    """A request all of whose numbers differ, and its rows as plain tuples."""
    codes = (10 * label + np.arange(roots * 3).reshape(roots, 3)).astype(np.int8)
    rows: list[tuple[int, ...]] = [tuple(code) for code in codes.tolist()]
    if not learned:
        return (codes, None), rows
    numbers = 1000 * label + np.arange(2 * children + roots + children, dtype=np.int32)
    moves = Moves(numbers[:children], numbers[children : 2 * children], numbers[2 * children :])
    rows = [(*row, int(own)) for row, own in zip(rows, moves.rows, strict=False)]
    rows += [tuple(map(int, child)) for child in zip(moves.parents, moves.actions, moves.rows[roots:], strict=True)]
    return (codes, moves), rows


def rows_of(request: Request) -> list[tuple[int, ...]]:
    codes, moves = request
    rows: list[tuple[int, ...]] = [tuple(code) for code in codes.tolist()]
    if moves is not None:
        assert len(moves.rows) == len(codes) + len(moves.parents) == len(codes) + len(moves.actions)
        rows = [(*row, int(own)) for row, own in zip(rows, moves.rows, strict=False)]
        below = moves.rows[len(codes) :]
        rows += [tuple(map(int, child)) for child in zip(moves.parents, moves.actions, below, strict=True)]
    return rows


sizes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(any), min_size=1, max_size=4)


@given(sizes=sizes, learned=st.booleans())
def test_joined_requests_hold_each_row_at_its_place(sizes: list[tuple[int, int]], learned: bool) -> None:
    made = [labelled(i, max(roots, int(not learned)), children, learned) for i, (roots, children) in enumerate(sizes)]
    joined, places = join_requests([request for request, _ in made])
    rows = rows_of(joined)
    assert sorted(np.concatenate(places).tolist()) == list(range(len(rows)))
    for (_, wanted), at in zip(made, places, strict=True):
        assert [rows[place] for place in at] == wanted

    answers = Answers(np.arange(len(rows) * 2, dtype=np.float32).reshape(-1, 2), np.zeros((len(rows), 2)))
    for at in places:
        part = answers.at(at)
        assert part.priors[:, 0].tolist() == [2 * place for place in at]
        assert part.rewards is None


@given(size=st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(any), learned=st.booleans(), data=st.data())
def test_parts_of_a_request_make_the_whole(size: tuple[int, int], learned: bool, data: st.DataObject) -> None:
    request, rows = labelled(1, max(size[0], int(not learned)), size[1], learned)
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    masks = [mask for mask in (chosen, ~chosen) if mask.any()]
    answers = []
    for mask in masks:
        assert rows_of(request_part(request, mask)) == [row for row, mine in zip(rows, mask, strict=True) if mine]
        numbers = np.flatnonzero(mask).astype(np.float32)
        answers.append(Answers(numbers[:, None], numbers[:, None] + 0.5, numbers[:, None] if learned else None))
    whole = join_answers(answers, masks)
    assert whole.priors[:, 0].tolist() == list(range(len(rows)))
    assert whole.values[:, 0].tolist() == [row + 0.5 for row in range(len(rows))]
    assert (whole.rewards is None) == (not learned)
