from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.config import MAX_VIEW_SIZE
from hexpipe.games.inarow import InARow
from hexpipe.games.local_view import LocalView
from tests.games.reference_inarow import game_settings

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


def test_every_bucket_has_the_cell_in_its_middle() -> None:
    """Of every board and every view that it can have, smaller and larger."""
    for n, v in itertools.product(range(3, 201), range(3, MAX_VIEW_SIZE + 1)):
        if v % 2 == 0 and v != n:
            continue
        view = LocalView(n, v)
        cells, buckets = view.bucket_cells().reshape(v, v), view.buckets()
        assert cells.dtype == np.int32
        there = np.isin(np.arange(v), buckets)
        assert there.all() or v > n
        middles = np.full(v, -1)
        middles[there] = cells[there][:, there].diagonal() // n
        wanted = np.where(there[:, None] & there, middles[:, None] * n + middles, -1)
        assert np.array_equal(cells, wanted)
        assert buckets[middles[there]].tolist() == np.flatnonzero(there).tolist()
        first, last = np.searchsorted(buckets, np.arange(v)), np.searchsorted(buckets, np.arange(v), "right") - 1
        assert np.abs(2 * middles - first - last)[there].max() <= 1  # of two in the middle, either


@settings(deadline=None, max_examples=30)
@given(st.integers(4, 60), st.data())
def test_a_view_around_a_bucket_shows_it(n: int, data: st.DataObject) -> None:
    v = data.draw(st.integers(1, (n - 1) // 2).map(lambda half: 2 * half + 1).filter(lambda v: v < n), label="view")
    game = InARow(game_settings(n, 3, view_size=v))
    states = game.new_states(v * v)
    rows, codes = np.arange(v * v, dtype=np.int32), np.zeros((v * v, game.shapes.code_length), np.int8)
    game.place_views(states, rows, game.bucket_cells)
    game.codes(states, rows, codes)
    assert codes[rows, -v * v + rows].tolist() == [1] * (v * v)


@pytest.mark.parametrize(("n", "v", "start"), [(15, 21, -3), (100, 21, 39), (9, 5, 2), (8, 8, 0)])
def test_a_view_starts_in_the_middle(n: int, v: int, start: int) -> None:
    view = LocalView(n, v)
    assert view.start.tolist() == [start, start]
    middle = n // 2 * (n + 1)
    assert view.cell_of_action(view.action_of_cell(middle)) == middle
