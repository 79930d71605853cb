"""Seeded damage to bytes and to JSON documents, and a count of what came of it."""

from __future__ import annotations

import copy
import json
import traceback
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

ODD_VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2**31, 2**53, 2**63, 2**64, -(2**70), 10**400, 0.5, -0.0, 1e308, -1e308, "", "x",
    "x" * 5000, "../../evil", "/etc/passwd", "a\nb", "\x00", "\ud800", "nan", "1e999", [], {}, [[]], [None], {"": {}},
    [1, [2, [3, []]]], list(range(300)), {"game": {"game": {}}},
]  # fmt: skip
ODD_TEXTS = [
    b"", b"\n", b"{", b"}", b"[]", b"null", b"NaN", b"1", b'"x"', b"{} {}", b'{"a": 1, "a": 2}', b"\xff\xfe\x00",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b'{"a": ' + b"9" * 5000 + b"}", b'{"a": 1e99999}',
    b" " * 3_000_000, b"\x00" * 5000, b'{"\\ud800": "\\udfff"}', b"[1,]", b"{'a': 1}",
]  # fmt: skip


def damaged_bytes(random: Random, data: bytes) -> bytes:
    """``data`` with some of it cut off, turned over, put in, left out, or moved."""
    kind = random.randrange(6)
    at, length = random.randrange(len(data) + 1), random.choice([1, 2, 8, 100, 4096])
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + random.randbytes(length) + data[at:]
    if kind == 2:
        return data[:at] + data[at + length :]
    if kind == 3:
        return data[:at] + random.randbytes(length) + data[at + length :]
    if kind == 4:
        return data[:at] + bytes(len(data) - at)
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 3, 30])):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def damaged_tree(random: Random, tree: Any) -> Any:
    """A copy of a JSON value in which one place, anywhere in it, is another value, gone, or has company."""
    changed = copy.deepcopy(tree)
    places = list(_places(changed))
    parent, key = random.choice(places)
    kind = random.randrange(8)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[random.choice(["", "x", "__class__", "step", "preset", "a.b"])] = random.choice(ODD_VALUES)
    elif kind == 2:
        parent[key] = copy.deepcopy(random.choice(places)[0])  # a part of it in the wrong place
    elif kind == 3 and isinstance(parent[key], (int, float)) and abs(parent[key]) < 1e300:
        parent[key] = parent[key] * random.choice([-1, 0, 2, 1000]) + random.choice([-1, 0, 0.5, 1])
    else:
        parent[key] = random.choice(ODD_VALUES)
    return changed


def damaged_document(random: Random, data: bytes) -> bytes:
    """A JSON document, damaged as text or as a tree."""
    kind = random.randrange(4)
    if kind == 0:
        return random.choice(ODD_TEXTS)
    if kind == 1:
        return damaged_bytes(random, data)
    tree = json.loads(data)
    for _ in range(random.choice([1, 1, 1, 3])):
        if isinstance(tree, (dict, list)) and tree:
            tree = damaged_tree(random, tree)
    return json.dumps(tree, indent=random.choice([None, 1])).encode()


def _places(tree: Any) -> Any:
    """(container, key) of every value in ``tree``."""
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, value in items:
        yield tree, key
        yield from _places(value)


class Tally:
    """What came of the inputs: loaded, refused by an error of ``refusal`` in one line, or a crash."""

    def __init__(self, refusal: type[Exception] | tuple[type[Exception], ...]) -> None:
        self._refusal = refusal
        self.counts: Counter[str] = Counter()
        self.crashes: list[str] = []

    def add(self, what: str, load: Callable[[], object]) -> None:
        """Try ``load`` on an input that is made by doing ``what``."""
        self.counts["tried"] += 1
        try:
            load()
            self.counts["loaded"] += 1
        except self._refusal as error:
            self.counts["refused"] += 1
            if "\n" in str(error) or len(str(error)) > 2000:
                self.crashes.append(f"{what}: no line to read: {str(error)[:500]!r}")
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - whatever it is (a panic of Rust's is no Exception), it is a finding
            self.crashes.append(f"{what}: {traceback.format_exc(limit=-4)}")

    def __str__(self) -> str:
        counts = self.counts
        return (
            f"inputs tried {counts['tried']:,}, refused {counts['refused']:,}, loaded {counts['loaded']:,}, "
            f"crashes {len(self.crashes):,}"
        )
