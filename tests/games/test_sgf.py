"""The grammar of SGF against a plain reader, and files that are broken in the middle."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexpipe.errors import NotationError
from hexpipe.games import sgf

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
    with pytest.raises(NotationError, match="cannot stand there"):
        sgf.read_tree(pieces[1].text)
    assert len(sgf.read_tree(pieces[2].text).nodes) == 2


@pytest.mark.parametrize(
    "text",
    ["(;B[a1]", "(", "(;B", "(;[a1])", "(;B[a1];)x", "(;B[a1])(;B[a1])", "(B[a1])", "(;B[a1](;W[b1]);W[c1])", ""],
)
def test_what_is_no_tree(text: str) -> None:
    with pytest.raises(NotationError):
        sgf.read_tree(text)


RUBBISH = ["(" * 20000, "(;" * 20000, "(;B[a1\n" * 20000, "(;C[]" + "]" * 20000, "(;B[a1]x\n" * 5000]


@pytest.mark.parametrize("text", RUBBISH, ids=lambda text: text[:9])
def test_long_rubbish_takes_no_long_time(text: str) -> None:
    began = time.process_time()
    for piece in sgf.split_collection(text):
        with pytest.raises(NotationError):
            sgf.read_tree(piece.text)
    assert time.process_time() - began < 10
