from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.games.local_view import LocalView

sizes = st.tuples(st.integers(3, 200), st.integers(1, 39).map(lambda half: 2 * half + 1)).filter(
    lambda size: size[0] % 2 or size[1] < size[0]
)


@settings(deadline=None)  # compiles
@given(sizes, st.data())
def test_actions_and_cells_are_each_others_inverse(size: tuple[int, int], data: st.DataObject) -> None:
    n, v = size
    view = LocalView(n, v)
    places = st.just((n - v) // 2) if v >= n else st.integers(0, n - v)
    origin = np.array([data.draw(places), data.draw(places)], np.int16)
    actions = np.arange(v * v, dtype=np.int16)
    origins = np.tile(origin, (v * v, 1))
    cells = view.cells_of_actions(actions, origins)
    rows, columns = origin[0] + actions // v, origin[1] + actions % v
    inside = (rows >= 0) & (rows < n) & (columns >= 0) & (columns < n)
    np.testing.assert_array_equal(cells, np.where(inside, rows.astype(int) * n + columns, -1))
    assert inside.sum() == min(n, v) ** 2
    np.testing.assert_array_equal(view.actions_of_cells(cells[inside], origins[inside]), actions[inside])
    every = np.arange(n * n, dtype=np.int32)
    shown = view.actions_of_cells(every, np.tile(origin, (n * n, 1)))
    assert set(every[shown >= 0].tolist()) == set(cells[inside].tolist())
    action, cell = data.draw(st.sampled_from(actions.tolist())), data.draw(st.sampled_from(every.tolist()))
    assert view.cell_of_action(action, origin) == cells[action]
    assert view.action_of_cell(cell, origin) == shown[cell]


@given(sizes)
def test_buckets_are_mirrored_with_the_board(size: tuple[int, int]) -> None:
    n, v = size
    buckets = LocalView(n, v).buckets()
    np.testing.assert_array_equal(buckets[::-1], v - 1 - buckets)
    counts = np.bincount(buckets, minlength=v)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(("n", "v", "start"), [(15, 21, -3), (100, 21, 39), (9, 5, 2), (8, 8, 0)])
def test_a_view_starts_in_the_middle(n: int, v: int, start: int) -> None:
    view = LocalView(n, v)
    assert view.start.tolist() == [start, start]
    middle = n // 2 * (n + 1)
    assert view.cell_of_action(view.action_of_cell(middle)) == middle
