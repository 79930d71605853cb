"""The grammar of SGF against a plain reader, and files that are broken in the middle."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import NotationError
from hexpipe.notation import sgf
from tests.refusals import refused

Tree = tuple[list[dict[str, list[str]]], list["Tree"]]

values = st.lists(st.text(max_size=8), min_size=1, max_size=2)
nodes = st.lists(st.dictionaries(st.sampled_from(["B", "W", "C", "SZ", "PB"]), values), min_size=1, max_size=3)
trees = st.recursive(
    st.tuples(nodes, st.just([])), lambda inner: st.tuples(nodes, st.lists(inner, max_size=3)), max_leaves=8
)


def write(tree: Tree, space: str) -> str:
    """``tree`` in SGF with every character escaped that needs it."""
    sequence, branches = tree
    text = "("
    for node in sequence:
        text += space + ";"
        for name, values in node.items():
            text += name + "".join("[" + v.replace("\\", "\\\\").replace("]", "\\]") + "]" + space for v in values)
    return text + space.join(write(branch, space) for branch in branches) + ")"


def main_line(tree: Tree) -> list[dict[str, tuple[str, ...]]]:
    sequence, branches = tree
    own = [{name: tuple(values) for name, values in node.items()} for node in sequence]
    return own + (main_line(branches[0]) if branches else [])


def extra_branches(tree: Tree) -> int:
    _, branches = tree
    return max(0, len(branches) - 1) + sum(map(extra_branches, branches))


@settings(deadline=None)
@given(trees, st.sampled_from(["", " ", "\n", "\r\n\t"]))
def test_what_is_written_is_read(tree: Tree, space: str) -> None:
    found = sgf.read_tree(write(tree, space))
    assert list(found.nodes) == main_line(tree)
    assert found.variations == extra_branches(tree)
    assert found.comments == sum("C" in node for node in main_line(tree))


@settings(deadline=None)
@given(st.lists(trees, max_size=4), st.sampled_from(["", "\n", "\n\nwords\n"]))
def test_a_collection_is_split_into_its_trees(collection: list[Tree], between: str) -> None:
    texts = [write(tree, "\n") for tree in collection]
    pieces = sgf.split_collection(between + between.join(texts))
    assert [piece.text for piece in pieces] == texts
    line = 1 + between.count("\n")
    for piece in pieces:
        assert piece.line == line
        line += piece.text.count("\n") + between.count("\n")


def test_values() -> None:
    (node,) = sgf.read_tree("(;C[one \\\ntwo \\] \\\\ three: [four])").nodes
    assert node == {"C": ("one two ] \\ three: [four",)}
    (node,) = sgf.read_tree("(;PW[Someone;]]SZ[11])").nodes
    assert node == {"PW": ("Someone;]",), "SZ": ("11",)}
    (node,) = sgf.read_tree("(;SiZe[11]B[a1])").nodes  # FF[3] lets small letters stand among the capitals
    assert node == {"SZ": ("11",), "B": ("a1",)}


def test_a_broken_game_does_not_take_the_next_one_with_it() -> None:
    text = "(;SZ[5];B[a1])\n(;SZ[5];B[a1]] oh\n(;SZ[5]\n;B[b1])\n"
    pieces = sgf.split_collection(text)
    assert [piece.line for piece in pieces] == [1, 2, 3]
    with refused(NotationError, kind="syntax"):
        sgf.read_tree(pieces[1].text)
    assert len(sgf.read_tree(pieces[2].text).nodes) == 2


@pytest.mark.parametrize(
    "text",
    ["(;B[a1]", "(", "(;B", "(;[a1])", "(;B[a1];)x", "(;B[a1])(;B[a1])", "(B[a1])", "(;B[a1](;W[b1]);W[c1])", ""],
)
def test_what_is_no_tree(text: str) -> None:
    with pytest.raises(NotationError):
        sgf.read_tree(text)


def test_text_outside_of_trees_is_none_but_moves_there_are_missed() -> None:
    text = "(c) 2010, ten games (of 12):\n\n(;SZ[5];B[a1])\nthat was one\n(;SZ[5];B[b1])); W [b2]\nthe end"
    first, second = sgf.split_collection(text)
    assert (first.line, first.text) == (3, "(;SZ[5];B[a1])")
    assert second.line == 5
    with refused(NotationError, kind="syntax"):
        sgf.read_tree(second.text)
    (piece,) = sgf.split_collection("(;SZ[5];B[a1])\n;W[b2])\n")
    with refused(NotationError, kind="syntax"):
        sgf.read_tree(piece.text)
    assert sgf.split_collection(";B[a1];W[b2])\n(;SZ[5])")[0].text == ";B[a1];W[b2])"


def test_a_value_that_ends_nowhere_takes_no_later_game_with_it() -> None:
    """A bracket without an end hides what comes after it, nothing that was read before it."""
    pieces = sgf.split_collection("(;C[a][b\n(;SZ[5];B[a1])\n(;SZ[6]C[x\n(;SZ[7]C[y\n")
    assert [piece.line for piece in pieces] == [1, 3]
    pieces = sgf.split_collection("(;SZ[5];B[a1])\n(;SZ[6]C[x")
    assert [piece.text for piece in pieces] == ["(;SZ[5];B[a1])", "(;SZ[6]C[x"]


def test_a_game_has_its_limit() -> None:
    long = "(;C[" + "x" * sgf.MOST_CHARACTERS + "])"
    with refused(NotationError, kind="range", high=1_000_000):
        sgf.read_tree(long)
    pieces = sgf.split_collection("(;B[a1])" + long * 2 + "(;B[b1])")
    assert [len(piece.text) > sgf.MOST_CHARACTERS for piece in pieces] == [False, True, True, False]
    assert max(len(piece.text) for piece in pieces) == sgf.MOST_CHARACTERS + 1


RUBBISH = ["(" * 20000, "(;" * 20000, "(;B[a1\n" * 20000, "(;C[]" + "]" * 20000, "(;B[a1]x\n" * 5000]


@pytest.mark.parametrize("text", RUBBISH, ids=lambda text: text[:9])
def test_long_rubbish_is_no_game(text: str) -> None:
    for piece in sgf.split_collection(text):
        with pytest.raises(NotationError):
            sgf.read_tree(piece.text)


HOSTILE: dict[str, Callable[[int], str]] = {
    "values without an end": lambda n: "(;C[x\n" * n + "\\]",
    "one property again and again": lambda n: "(;" + "C[x]" * n + ")",
    "one property of many values": lambda n: "(;C" + "[x]" * n + ")",
    "many values without an end": lambda n: "(;C[a][b\n" * n + "\\]",
    "brackets that close nothing": lambda n: "(;C[" + "]x" * n + "\n",
    "escaped brackets on one line": lambda n: "(;C[" + "]\\]" * n,
    "escapes": lambda n: "(;C[" + "\\\\" * n,
    "blanks after brackets": lambda n: "(;C[" + ("]" + " " * 50 + "x") * (n // 25) + "]",
    "trees that are broken": lambda n: "(;B[a1]x\n" * n,
    "trees in trees": lambda n: "(;" * n + ")" * n,
    "parentheses": lambda n: "(" * n,
    "variations": lambda n: "(;B[a1]" + "(;W[b1])" * n + ")",
    "names without values": lambda n: "(;" + "AB " * n,
    "nodes": lambda n: "(" + ";" * n + ")",
    "names and blanks": lambda n: "(;C[x]" + "A " * n + "[",
    "games on one line": lambda n: "(;B[a1])" * n,
    "moves between games": lambda n: "(;B[a1]);W[b1]" * n,
}


def read_all(text: str) -> None:
    for piece in sgf.split_collection(text):
        with contextlib.suppress(NotationError):
            sgf.read_tree(piece.text)


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_reading_takes_time_in_proportion_to_the_text(make: Callable[[int], str]) -> None:
    """Eight times the text takes about eight times as long; where each piece were read again for each, 64 times."""

    def seconds(text: str) -> float:
        times = []
        for _ in range(4):
            began = time.process_time()
            read_all(text)
            times.append(time.process_time() - began)
        return min(times)

    count = 500
    while seconds(make(count)) < 0.002:  # long enough to be measured
        count *= 2
    assert seconds(make(8 * count)) < 24 * seconds(make(count))


FRAGMENTS = [
    "(",
    ")",
    ";",
    "[",
    "]",
    "\\",
    "\n",
    " ",
    "B",
    "C",
    "[a1]",
    "\n(;",
    "PW[x;]]",
    "C[q\\]w]",
    "\\\n",
    ";B[a1]",
]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join))
def test_any_text_is_split_and_read_or_refused(text: str) -> None:
    pieces = sgf.split_collection(text)
    lines = [piece.line for piece in pieces]
    assert lines == sorted(lines)
    for piece in pieces:
        with contextlib.suppress(NotationError):
            assert sgf.read_tree(piece.text).nodes
    with contextlib.suppress(NotationError):
        tree = sgf.read_tree(text)
        assert [sgf.read_tree(piece.text) for piece in pieces] == [tree]
