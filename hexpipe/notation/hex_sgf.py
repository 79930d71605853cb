"""Games of Hex in SGF (FF[4]GM[11], red-bean.com/sgf/hex.html), in the variants that programs and sites write.

`from_sgf` reads a game, `read_line` any main line, also with set-up stones. Programs' usages are listed in
`conventions`, the grammar is in `sgf`. Unreadable input raises NotationError.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from hexpipe.errors import NotationError
from hexpipe.games.coordinates import SWAP, SWAPS, action_name, parse_cell
from hexpipe.games.hex_game import HexGame, board_size_of, check_length, game_told
from hexpipe.notation import sgf
from hexpipe.wording import shortened

SETUP = ("AB", "AW", "AE", "PL")

DIALECTS = ("hexgui-0.9",)
"""Dialects of `to_sgf`, for programs that cannot read the specification's form."""

_LARGEST_OF_HEXGUI = 19
_ENDED = ("resign", "forfeit")
_LETTERS = re.compile(r"[a-z]{2}")
_RESULT = re.compile(r"([BW])(?:\+(?:(R|Resign)|(T|Time)|(F|Forfeit)|.*))?", re.IGNORECASE | re.DOTALL)
_NO_RESULT = ("", "?", "Void")
_SIDES_PROGRAMS = {"AP": re.compile(r"HexGui:0\.\d(?!\d)"), "US": re.compile(r"twogtp\.py")}
_GO_ALONE = ("KM", "HA", "RU", "TB", "TW")
_COLOURS = {"b": 0, "black": 0, "1": 0, "w": 1, "white": 1, "2": 1}


class SgfStep(NamedTuple):
    """A step of a node.

    ``kind`` is "B" or "W": that player moves, and ``cells`` is the one action, ``size ** 2`` for a swap; "AB", "AW" or
    "AE": these ``cells`` get a black stone, a white one, none; "PL": ``colour`` is to move.

    ``colour`` is 0 black or 1 white, -1 for "AE". Colours and cells are the text's own, also after a swap; ``word`` is
    its notation of a move.
    """

    kind: str
    colour: int
    cells: tuple[int, ...]
    word: str = ""


class SgfLine(NamedTuple):
    """The main line of a game in SGF: its ``steps`` in order, on a board of ``size``.

    ``pieces_turned``: the swap among the steps, if any, mirrors the stone in the long diagonal and changes its colour,
    and black plays next; else stones stay and white plays next. ``winner`` is the text's own colour.
    """

    size: int
    steps: tuple[SgfStep, ...]
    pieces_turned: bool
    winner: int | None
    ending: str
    notes: tuple[str, ...]

    @property
    def setup(self) -> tuple[SgfStep, ...]:
        """Steps that are not moves."""
        return tuple(step for step in self.steps if step.kind in SETUP)


def read_line(text: str, swap_means: str = "sides") -> SgfLine:
    """Parse the main line of one game in SGF, for any order of players; ``notes`` tell of omitted variations and
    comments.

    It follows its writer's meaning: which swap "swap" and "swap-pieces" are is decided by the next stone's colour;
    Little Golem's cells of two letters come with W as the first player, who is black here. If no stone follows,
    ``swap_means`` decides on "swap". Passes, boards that are not square, moves after a resignation and records of other
    games raise NotationError.
    """
    pieces = sgf.split_collection(text)
    if len(pieces) > 1:
        raise NotationError(
            f"this SGF holds {len(pieces)} games; read them one by one (sgf.split_collection)", kind="syntax"
        )
    tree = sgf.read_tree(pieces[0].text if pieces else text)
    first_values: dict[str, str] = {}
    for node in tree.nodes:
        for name, values in node.items():
            first_values.setdefault(name, values[0].strip())
    if first_values.get("GM", "11") != "11":
        raise NotationError(f"GM[{shortened(first_values['GM'])}] is not Hex, which is GM[11]", kind="foreign")
    size = board_size_of(*first_values.get("SZ", "11").split(":", 1))
    entries = _entries(tree)
    played = [(name, values[0]) for name, values in entries if name in ("B", "W")]
    check_length(len(played))
    golem = _is_little_golem(first_values, [word for _, word in played])
    first = played[0][0] if golem and played else "B"
    if "GM" not in first_values:
        _check_is_hex(first_values, golem and first == "B")
    ended = [index for index, (_, word) in enumerate(played) if word in _ENDED]
    if ended and ended[0] + 1 < len(played):
        raise NotationError(f"{played[ended[0]][1]} ends a game, and moves follow it", kind="over")
    winner, ending, notes = _result(first_values.get("RE", ""))
    if ended:
        name, ending = played.pop()
        loser = int(name != first)
        if winner == loser:
            notes.append(f"RE[{shortened(first_values['RE'])}] is not what the {ending} says, which is believed")
        winner = 1 - loser
    counts = ((tree.variations, "variation"), (tree.comments, "comment"))
    notes += [f"{count} {what}{'s' * (count > 1)} left out" for count, what in counts if count]
    steps = [_step(name, words, first, size, golem) for name, words in entries]
    steps = [step for step in steps if step.word not in _ENDED]
    turned = _swap_turns_pieces([(int(name != first), word) for name, word in played], golem, first_values, swap_means)
    return SgfLine(size, tuple(steps), turned, winner, ending, tuple(notes))


def from_sgf(text: str, swap_means: str = "sides") -> HexGame:
    """Parse the game that is the main line of one in SGF, by `read_line`.

    Moves out of turn raise NotationError, and so do set-up stones: a position is no game.
    """
    line = read_line(text, swap_means)
    if line.setup:
        raise NotationError(
            f"{line.setup[0].kind}: a game with set-up stones cannot be read; give its moves", kind="syntax"
        )
    _check_turns(line)
    moves = [step.cells[0] for step in line.steps]
    written = [step.word for step in line.steps]
    return game_told(line.size, moves, written, line.winner, line.ending, line.pieces_turned, line.notes)


def to_sgf(game: HexGame, dialect: str = "") -> str:
    """Write one game in SGF; a swap is "swap-sides", each stone has its colour.

    ``dialect`` "hexgui-0.9" is for HexGui up to 0.9: it calls that swap swap-pieces, has boards up to 19x19 and no
    notation for a forfeit, which is then only in RE. It is marked as that program's, so that later readers know the
    swap.
    """
    old = dialect == DIALECTS[0]
    if dialect and not old:
        raise ValueError(f"there is no dialect {dialect!r} of SGF here, only {', '.join(DIALECTS)}")
    if old and game.size > _LARGEST_OF_HEXGUI:
        words = f"a board of {game.size}x{game.size}: HexGui 0.9 has none above {_LARGEST_OF_HEXGUI}"
        raise NotationError(words, kind="board", high=_LARGEST_OF_HEXGUI)
    result = "" if game.winner is None else f"RE[{'BW'[game.winner]}+{game.ending[:1].upper()}]"
    nodes, stones = [], 0
    for move in game.moves:
        if move == game.size**2:
            nodes.append(";W[swap-pieces]" if old else ";W[swap-sides]")
        else:
            nodes.append(f";{'BW'[stones % 2]}[{action_name(move, game.size)}]")
            stones += 1
    if game.ending in _ENDED[: 1 if old else 2] and game.winner is not None:
        nodes.append(f";{'WB'[game.winner]}[{game.ending}]")
    program = "AP[HexGui:0.9]" if old else ""
    return f"(;{program}FF[4]GM[11]SZ[{game.size}]{result}" + "".join(nodes) + ")"


def _entries(tree: sgf.GameTree) -> list[tuple[str, tuple[str, ...]]]:
    """Return (name, words) of every move and set-up of the main line."""
    entries: list[tuple[str, tuple[str, ...]]] = []
    for node in tree.nodes:
        moves = [name for name in ("B", "W") if name in node]
        if len(moves) > 1 or any(len(node[name]) > 1 for name in moves):
            raise NotationError("a node of this SGF holds more than one move; it cannot be read", kind="syntax")
        names = [name for name in ("AE", "AB", "AW", *moves, "PL") if name in node]
        entries += [(name, tuple(word.strip().lower() for word in node[name])) for name in names]
    return entries


def _check_is_hex(values: dict[str, str], letters_black_first: bool) -> None:
    """Raise NotationError for a record without GM whose properties or cells are those of Go or gomoku."""
    shown = [f"{name}[{shortened(values[name])}]" for name in _GO_ALONE if name in values]
    if letters_black_first:
        shown.append("cells of two letters, black first")
    if shown:
        raise NotationError(
            f"this looks like a record of Go or gomoku ({shown[0]}); a game of Hex says GM[11]", kind="foreign"
        )


def _is_little_golem(values: dict[str, str], words: Sequence[str]) -> bool:
    """Return whether cells are two letters; without any cell, whether that site is the source."""
    if any(_LETTERS.fullmatch(word) for word in words):
        return True
    return "littlegolem" in values.get("SO", "") and not any(word[-1:].isdigit() for word in words)


def _swap_turns_pieces(played: Sequence[tuple[int, str]], golem: bool, values: dict[str, str], swap_means: str) -> bool:
    """Return whether the swap among ``played``, (player, word) each, mirrors the stone; False without a swap."""
    words = [word for _, word in played]
    swaps = [word for word in words if word in SWAPS]
    if not swaps or swaps[0] == "swap-sides":
        return False
    later = [player for player, _ in played[words.index(swaps[0]) + 1 :]]
    if later:
        return later[0] == 0
    by_program = any(pattern.search(values.get(name, "")) for name, pattern in _SIDES_PROGRAMS.items())
    return golem or (swap_means == "pieces" if swaps[0] == SWAP else not by_program)


def _check_turns(line: SgfLine) -> None:
    """Check that the players take turns: after a swap of pieces the first plays next, else the second."""
    stones = 0
    for step in line.steps:
        (move,) = step.cells
        swaps = move == line.size**2
        if step.colour != (1 if swaps else stones % 2):
            raise NotationError(
                f"black and white do not take turns in this SGF game: {step.word} is out of turn", kind="turn"
            )
        stones += line.pieces_turned or not swaps


def _step(name: str, words: Sequence[str], first: str, size: int, golem: bool) -> SgfStep:
    if name in ("B", "W"):
        colour = int(name != first)
        return SgfStep("BW"[colour], colour, () if words[0] in _ENDED else (_action(words[0], size, golem),), words[0])
    if name == "PL":
        if words[0] not in _COLOURS:
            raise NotationError(f"PL[{shortened(words[0])}] is no player; write B or W", kind="unknown")
        return SgfStep(name, _COLOURS[words[0]], ())
    return SgfStep(name, {"AB": 0, "AW": 1, "AE": -1}[name], tuple(_cell(word, size, golem) for word in words))


def _action(word: str, size: int, golem: bool) -> int:
    if word in SWAPS:
        return size**2
    if word in ("", "pass"):
        raise NotationError("a pass is no move of Hex here", kind="rule")
    return _cell(word, size, golem)


def _cell(word: str, size: int, golem: bool) -> int:
    if golem and _LETTERS.fullmatch(word):
        word = f"{word[0]}{ord(word[1]) - ord('a') + 1}"
    return parse_cell(word, size)


def _result(text: str) -> tuple[int | None, str, list[str]]:
    """Parse a game's result in SGF: (winner, ending, notes)."""
    match = _RESULT.fullmatch(text)
    if match is None:
        return None, "", [] if text in _NO_RESULT else [f"RE[{shortened(text)}] is no result that is understood"]
    ending = "resign" if match[2] else "time" if match[3] else "forfeit" if match[4] else ""
    return "BW".index(match[1].upper()), ending, []
