"""Which error came, by its fields: what tests of refusals ask for; its words stand in test_error_texts.py alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hexpipe.errors import HexpipeError


@contextmanager
def refused(error: type[HexpipeError], *named: str, **fields: object) -> Iterator[pytest.ExceptionInfo[HexpipeError]]:
    """As `pytest.raises`: an ``error`` with these ``fields``, whose words have all that is ``named`` in them."""
    with pytest.raises(error) as caught:
        yield caught
    assert {field: getattr(caught.value, field) for field in fields} == fields, str(caught.value)
    assert [name for name in named if name not in str(caught.value)] == [], str(caught.value)
