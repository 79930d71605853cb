"""The table of what a net answers: everything else has its parts, dtypes and shapes from there."""

from __future__ import annotations

import numpy as np
import pytest

from hexpipe.answers import FIELDS, Answers, answer_bytes, answer_fields
from hexpipe.config import Shapes

SMALL = Shapes(board_size=4, num_actions=17, num_seats=2, code_length=17)
LARGE = Shapes(board_size=9, num_actions=9, num_seats=3, code_length=45, view_size=3, thumbnail=True)


def test_the_table_and_the_type_name_the_same_parts() -> None:
    assert tuple(field.name for field in FIELDS) == Answers._fields


@pytest.mark.parametrize("shapes", [SMALL, LARGE])
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("sent", [False, True])
def test_room_has_the_parts_of_the_game(shapes: Shapes, learned: bool, sent: bool) -> None:
    out = Answers.allocate(5, shapes, learned, sent)
    assert out.priors.shape == (5, shapes.num_actions)
    assert out.priors.dtype == (np.float16 if sent else np.float32)
    assert out.values.shape == (5, shapes.num_seats)
    assert (out.rewards is not None) == learned
    assert (out.focus is not None) == shapes.thumbnail
    names = [field.name for field in answer_fields(shapes, learned)]
    assert names == [name for name, part in zip(Answers._fields, out, strict=True) if part is not None]
    if sent:
        assert sum(part.nbytes for part in out.parts()) == 5 * answer_bytes(shapes, learned)
    assert Answers.named(out.parts(), shapes, learned).parts() == out.parts()
    with pytest.raises(ValueError, match="shorter"):
        Answers.named(out.parts()[:-1], shapes, learned)


def test_a_slice_shares_memory_and_chosen_rows_are_copies() -> None:
    out = Answers.allocate(4, LARGE)
    out.at(slice(1, 3)).values[:] = 1
    assert out.values[:, 0].tolist() == [0, 1, 1, 0]
    out.at(np.array([0, 3])).values[:] = 2
    assert out.values.max() == 1


def test_what_is_put_goes_where_there_is_room_for_it() -> None:
    given = Answers.allocate(2, LARGE)
    for number, part in enumerate(given.parts()):
        part[:] = number + 1
    out = Answers.allocate(4, LARGE)
    out.put(np.array([3, 1]), given)
    assert out.focus is not None
    assert out.focus.tolist() == [0, 3, 0, 3]
    Answers.allocate(2, SMALL)._replace(priors=np.zeros((2, 9)), values=np.zeros((2, 3))).put(slice(None), given)
    with pytest.raises(ValueError, match="no rewards to give"):
        Answers.allocate(4, LARGE, learned=True).put(np.array([3, 1]), given)
