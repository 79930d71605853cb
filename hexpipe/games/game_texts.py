"""Games of Hex as text: TRMPH, SGF, HexWorld, JSON, move lists; and what else programs and sites mean by their words.

Here a game is a `HexGame`: black moves first and connects top to bottom; a swap is one of seats: stones stay and the
players have changed colours, so that white places the next stone. Others turn the *pieces* over instead: black's stone
on row i, column j becomes white's on row j, column i, and black goes on. That is this board transposed with the colours
exchanged, so a reader transposes what follows such a swap (`mirror_after_swap`), and who is black there is white here.

Who means what is listed in `conventions`. What cannot be read raises NotationError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hexpipe.config import MAX_HEX_SIZE, MIN_HEX_SIZE
from hexpipe.errors import NotationError
from hexpipe.games import sgf, symmetry
from hexpipe.games.coordinates import SWAP, action_name, format_moves, parse_action, parse_cell, parse_moves
from hexpipe.games.player_utils import COLOURS

ENDINGS = ("", "resign", "time", "forfeit")

_TRMPH = re.compile(r"\S*#(\d+),([^\s:,]*)(?:\s+([br12]))?")
_TRMPH_WINNERS = {"b": 0, "1": 0, "r": 1, "2": 1}
_HEXWORLD = re.compile(r"(?:\S*#)?(\d+)(?:x(\d+))?(?:r\d+|m|n|c\d+)*(?:,([^,\s]*)(?:,([^,\s]*))?)?,*")
_HEXWORLD_WORD = re.compile(r":[sSp]|:[rf][bw]|[A-Za-z]{1,2}[1-9][0-9]?")
_LITTLE_GOLEM_CELL = re.compile(r"[a-z]{2}")
_RESULT = re.compile(r"([BW])(?:\+(?:(R|Resign)|(T|Time)|(F|Forfeit)|.*))?", re.IGNORECASE | re.DOTALL)
_NO_RESULT = ("", "?", "Void")
_SIDES_PROGRAMS = {"AP": re.compile(r"HexGui:0\.\d(?!\d)"), "US": re.compile(r"twogtp\.py")}


class GameText(NamedTuple):
    """A game that is still to be read, and where it stands: "games.txt, line 3"."""

    place: str
    text: str


@dataclass(frozen=True)
class HexGame:
    """A game on a board of ``size`` cells a side; ``moves`` are absolute actions, ``size ** 2`` is swap.

    ``winner`` is the colour that has won, 0 black or 1 white, None where that is not told; ``ending`` says how, where
    it was not by a chain of stones: "resign", "time" or "forfeit". ``notes`` say what of a text is not kept here.
    NotationError where the parts do not fit: cells off the board or played twice, a swap that does not answer the first
    stone, an ending without a winner. Whether the stones connect is not looked at: `hex.checked_game` does.
    """

    size: int
    moves: tuple[int, ...] = ()
    winner: int | None = None
    ending: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not MIN_HEX_SIZE <= self.size <= MAX_HEX_SIZE:
            raise NotationError(f"board size {self.size}: boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side")
        swap, seen = self.size**2, set()
        for number, move in enumerate(self.moves, start=1):
            if not 0 <= move <= swap:
                raise NotationError(f"there is no move {move} on a {self.size}x{self.size} board")
            if move == swap and number != 2:
                raise NotationError(f"move {number} is a swap, which can only answer the first stone")
            if move in seen:
                raise NotationError(f"{action_name(move, self.size)} is played twice, by move {number} again")
            seen.add(move)
        if self.winner not in (None, 0, 1) or self.ending not in ENDINGS:
            raise NotationError(f"winner {self.winner!r} and ending {self.ending!r}: they are 0 or 1, and {ENDINGS}")
        if self.ending and self.winner is None:
            raise NotationError(f"the game ended by {self.ending}, but nobody is said to have won")

    @property
    def swapped(self) -> bool:
        """Whether the second player took over the first stone."""
        return self.size**2 in self.moves

    @property
    def to_move(self) -> int:
        """The colour that moves next, 0 black or 1 white, whether or not the game is over."""
        return (len(self.moves) - self.swapped) % 2

    @property
    def winning_seat(self) -> int | None:
        """The seat that has won: 0 is the player of the first stone, whatever their colour since; None if not told."""
        return None if self.winner is None else self.winner ^ self.swapped


def mirror_after_swap(moves: Sequence[int], board_size: int) -> list[int]:
    """``moves`` with those after a swap transposed: from a swap of seats to a swap of pieces, and back."""
    swap = board_size**2
    if swap not in moves:
        return list(moves)
    turned = [*symmetry.transposition(board_size).tolist(), swap]  # a second swap is no legal move, but may be written
    after = list(moves).index(swap) + 1
    return [*moves[:after], *(turned[move] for move in moves[after:])]


def to_moves(game: HexGame) -> str:
    """ "a1 c3 swap": the moves alone."""
    return format_moves(game.moves, game.size)


def from_moves(text: str, board_size: int) -> HexGame:
    """A move list, apart by blanks or commas or run together."""
    return HexGame(board_size, tuple(parse_moves(text, board_size, swap=True)))


def to_trmph(game: HexGame) -> str:
    """ "#11,a1b2c3", with the winner where it is known: "#11,a1b2c3 b". TRMPH has no word for swaps and endings."""
    if game.swapped:
        raise NotationError("TRMPH cannot say swap; write the game as HexWorld or SGF")
    winner = "" if game.winner is None else f" {'br'[game.winner]}"
    return f"#{game.size}," + "".join(action_name(move, game.size) for move in game.moves) + winner


def from_trmph(text: str) -> HexGame:
    """ "#11,a1b2c3", with or without an address before it and the winner after it (b or 1 the first player, r or 2)."""
    match = _TRMPH.fullmatch(text.strip())
    if not match:
        raise NotationError(f"{_shortened(text)} is no TRMPH string; it looks like #11,a1b2c3")
    size = _board_size(match[1])
    return HexGame(size, tuple(parse_moves(match[2], size)), _TRMPH_WINNERS.get(match[3]))


def to_hexworld(game: HexGame) -> str:
    """ "#11c1,a1:sb2:rb": what stands after hexworld.org/board/. A loss on time is written as a forfeit."""
    words = [action_name(move, game.size) for move in mirror_after_swap(game.moves, game.size)]
    line = "".join(":s" if word == SWAP else word for word in words)
    if game.ending and game.winner is not None:
        loser = 1 - (game.winner ^ game.swapped)  # the pieces are swapped, so colours are those of the seats
        line += f":{'r' if game.ending == 'resign' else 'f'}{'bw'[loser]}"
    return f"#{game.size}c1,{line}"


def from_hexworld(text: str, whole: bool = True) -> HexGame:
    """ "#11c1,a1:sb2", with or without an address before it.

    The words are cells, :s and :S (swap of pieces and of sides), :rb and :rw (black or white resigns), :fb and :fw
    (forfeits); :p, a pass, is no move here. After a second comma come the moves that the page's cursor has not come to;
    they are read where ``whole`` is true.
    """
    match = _HEXWORLD.fullmatch(text.strip())
    if not match:
        raise NotationError(f"{_shortened(text)} is no HexWorld string; it looks like #11c1,a1b2c3")
    size = _board_size(match[1], match[2])
    line = (match[3] or "") + ((match[4] or "") if whole else "")
    words = _HEXWORLD_WORD.findall(line)
    if "".join(words) != line:
        raise NotationError(f"{_shortened(line)} holds what is no word of HexWorld; moves look like a1b2:sc3")
    winner, ending = None, ""
    if words and words[-1][:2] in (":r", ":f"):
        last = words.pop()
        winner, ending = 1 - "bw".index(last[2]), "resign" if last[1] == "r" else "forfeit"
    moves = [parse_action(SWAP if word in (":s", ":S") else _cell_word(word), size, swap=True) for word in words]
    return _game_told(size, moves, winner, ending, pieces_turned=":s" in words)


def _cell_word(word: str) -> str:
    if word == ":p":
        raise NotationError(":p: a pass is no move of Hex here")
    if word[0] == ":":
        raise NotationError(f"{word} ends a game, and moves follow it")
    return word


def to_sgf(game: HexGame) -> str:
    """One game in SGF (FF[4]GM[11], red-bean.com/sgf/hex.html); a swap is "swap-sides", each stone has its colour."""
    result = "" if game.winner is None else f"RE[{'BW'[game.winner]}+{game.ending[:1].upper()}]"
    nodes, stones = [], 0
    for move in game.moves:
        if move == game.size**2:
            nodes.append(";W[swap-sides]")
        else:
            nodes.append(f";{'BW'[stones % 2]}[{action_name(move, game.size)}]")
            stones += 1
    if game.ending in ("resign", "forfeit") and game.winner is not None:
        nodes.append(f";{'WB'[game.winner]}[{game.ending}]")
    return f"(;FF[4]GM[11]SZ[{game.size}]{result}" + "".join(nodes) + ")"


def from_sgf(text: str) -> HexGame:
    """The main line of one game in SGF; ``notes`` tell of variations and comments left out.

    Read as its writer meant it (see `conventions`): which swap "swap" and "swap-pieces" are is told by who places the
    next stone; Little Golem's cells of two letters come with W as the first player. Set-up stones, passes, boards that
    are not square and moves out of turn raise NotationError.
    """
    pieces = sgf.split_collection(text)
    if len(pieces) > 1:
        raise NotationError(f"this SGF holds {len(pieces)} games; read them one by one (sgf.split_collection)")
    tree = sgf.read_tree(pieces[0].text if pieces else text)
    first_values: dict[str, str] = {}
    for node in tree.nodes:
        for name, values in node.items():
            first_values.setdefault(name, values[0].strip())
    if first_values.get("GM", "11") != "11":
        raise NotationError(f"GM[{first_values['GM']}] is not Hex, which is GM[11]")
    size = _board_size(*first_values.get("SZ", "11").split(":", 1))
    entries = _sgf_moves(tree)
    golem = _is_little_golem(first_values, [word for _, word in entries])
    first = entries[0][0] if golem and entries else "B"
    ended = [index for index, (_, word) in enumerate(entries) if word in ("resign", "forfeit")]
    if ended and ended[0] + 1 < len(entries):
        raise NotationError(f"{entries[ended[0]][1]} ends a game, and moves follow it")
    played = [(int(name != first), word) for name, word in entries[: len(entries) - len(ended)]]
    pieces_turned = _swap_turns_pieces(played, golem, first_values)
    _check_turns(played, pieces_turned)
    winner, ending, notes = _sgf_result(first_values.get("RE", ""))
    if ended:
        name, ending = entries[-1]
        loser = int(name != first)
        if winner == loser:
            notes.append(f"RE[{first_values['RE']}] is not what the {ending} says, which is believed")
        winner = 1 - loser
    moves = [_sgf_action(word, size, golem) for _, word in played]
    counts = ((tree.variations, "variation"), (tree.comments, "comment"))
    notes += [f"{count} {what}{'s' * (count > 1)} left out" for count, what in counts if count]
    return _game_told(size, moves, winner, ending, pieces_turned, notes)


def _sgf_moves(tree: sgf.GameTree) -> list[tuple[str, str]]:
    """("B" or "W", word) of every move of the main line."""
    entries: list[tuple[str, str]] = []
    for node in tree.nodes:
        setup = [name for name in ("AB", "AW", "AE") if name in node]
        if setup:
            raise NotationError(f"{setup[0]}: a game with set-up stones cannot be read; give its moves")
        names = [name for name in ("B", "W") if name in node]
        if len(names) > 1 or any(len(node[name]) > 1 for name in names):
            raise NotationError("a node of this SGF holds more than one move; it cannot be read")
        entries += [(name, node[name][0].strip().lower()) for name in names]
    return entries


def _is_little_golem(values: dict[str, str], words: Sequence[str]) -> bool:
    """Whether cells are two letters; where there is no cell at all, whether that site is the source."""
    if any(_LITTLE_GOLEM_CELL.fullmatch(word) for word in words):
        return True
    return "littlegolem" in values.get("SO", "") and not any(word[-1:].isdigit() for word in words)


def _swap_turns_pieces(played: Sequence[tuple[int, str]], golem: bool, values: dict[str, str]) -> bool:
    """Whether the swap among ``played``, (player, word) each, turns the stone over; False where there is none."""
    words = [word for _, word in played]
    swaps = [word for word in words if word in (SWAP, "swap-pieces", "swap-sides")]
    if not swaps or swaps[0] == "swap-sides":
        return False
    later = [player for player, _ in played[words.index(swaps[0]) + 1 :]]
    if later:
        return later[0] == 0
    by_program = any(pattern.search(values.get(name, "")) for name, pattern in _SIDES_PROGRAMS.items())
    return golem or (swaps[0] == "swap-pieces" and not by_program)


def _check_turns(played: Sequence[tuple[int, str]], pieces_turned: bool) -> None:
    """The players take turns: after a swap the first goes on where the pieces were turned over, else the second."""
    stones = 0
    for player, word in played:
        if word in (SWAP, "swap-pieces", "swap-sides"):
            expected = 1
            stones += pieces_turned
        else:
            expected = stones % 2
            stones += 1
        if player != expected:
            raise NotationError(f"black and white do not take turns in this SGF game: {word} is out of turn")


def _sgf_action(word: str, size: int, golem: bool) -> int:
    if word in (SWAP, "swap-pieces", "swap-sides"):
        return size**2
    if word in ("", "pass"):
        raise NotationError("a pass is no move of Hex here")
    if golem and _LITTLE_GOLEM_CELL.fullmatch(word):
        word = f"{word[0]}{ord(word[1]) - ord('a') + 1}"
    return parse_cell(word, size)


def _sgf_result(text: str) -> tuple[int | None, str, list[str]]:
    """(winner, ending, notes) of a game's result in SGF."""
    match = _RESULT.fullmatch(text)
    if match is None:
        return None, "", [] if text in _NO_RESULT else [f"RE[{text}] is no result that is understood"]
    ending = "resign" if match[2] else "time" if match[3] else "forfeit" if match[4] else ""
    return "BW".index(match[1].upper()), ending, []


def _game_told(
    size: int, moves: Sequence[int], winner: int | None, ending: str, pieces_turned: bool, notes: Sequence[str] = ()
) -> HexGame:
    """The game that these parts are, with a swap of seats, though they may be told with a swap of pieces."""
    if pieces_turned:
        moves = mirror_after_swap(moves, size)
        winner = None if winner is None else 1 - winner
    return HexGame(size, tuple(moves), winner, ending, tuple(notes))


def to_json(game: HexGame) -> str:
    """{"size": 5, "moves": ["b1", "swap"], "winner": "white", "ending": "resign"}; null where no winner is told."""
    return json.dumps(as_document(game))


def as_document(game: HexGame) -> dict[str, Any]:
    """What `to_json` writes, as a dict."""
    winner = None if game.winner is None else COLOURS[game.winner]
    moves = [action_name(move, game.size) for move in game.moves]
    return {"size": game.size, "moves": moves, "winner": winner, "ending": game.ending}


def from_json(text: str) -> HexGame:
    """The game that `to_json` wrote; "winner" and "ending" may be missing, other keys are ignored."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotationError(f"{_shortened(text)} is no JSON object") from error
    if not isinstance(document, dict):
        raise NotationError(f"{_shortened(text)} is no JSON object")
    size, words = document.get("size"), document.get("moves")
    winner, ending = document.get("winner"), document.get("ending", "")
    if not isinstance(size, int) or isinstance(size, bool):
        raise NotationError(f"size is {size!r}, it must be a number of cells such as 11")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise NotationError('moves must be a list of cells such as ["a1", "c3"]')
    if winner not in (None, *COLOURS) or not isinstance(ending, str):
        raise NotationError(f"winner is {winner!r}, it must be black, white or null, and ending a word")
    _board_size(str(size))
    moves = tuple(parse_action(word, size, swap=True) for word in words)
    return HexGame(size, moves, None if winner is None else COLOURS.index(winner), ending)


def read_game(text: str, board_size: int | None = None, whole: bool = True) -> HexGame:
    """One game in any form here: SGF, JSON, TRMPH, HexWorld (see ``whole`` there), or moves, of a ``board_size``."""
    stripped = text.strip()
    if stripped.startswith("("):
        return from_sgf(stripped)
    if stripped.startswith("{"):
        return from_json(stripped)
    if _TRMPH.fullmatch(stripped):
        return from_trmph(stripped)
    if "#" in stripped or stripped[:1].isdigit():
        return from_hexworld(stripped, whole)
    if board_size is None:
        raise NotationError(f"{_shortened(text)} does not say how large the board is; say it, or write #11,a1b2c3")
    return from_moves(stripped, board_size)


def decode_games(data: bytes) -> str:
    """The text of a file of games: UTF-8, or else the Latin-1 that SGF means where it says nothing."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def split_games(text: str) -> list[sgf.Piece]:
    """The games of a file, unread: a collection of SGF, or a game a line; blank lines and lines after "# " are none."""
    if text.lstrip().startswith("("):
        return sgf.split_collection(text)
    lines = (sgf.Piece(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [piece for piece in lines if piece.text and piece.text != "#" and not piece.text.startswith("# ")]


def _board_size(text: str, other: str | None = None) -> int:
    size = int(text) if re.fullmatch(r"[0-9]{1,3}", text.strip()) else 0
    if other is not None and other.strip() != text.strip():
        raise NotationError(f"a board of {text.strip()} by {other.strip()} cells: only square boards are played here")
    if not MIN_HEX_SIZE <= size <= MAX_HEX_SIZE:
        raise NotationError(f"board size {text!r}: boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side")
    return size


def _shortened(text: str) -> str:
    stripped = text.strip()
    return repr(stripped if len(stripped) <= 40 else stripped[:37] + "...")
