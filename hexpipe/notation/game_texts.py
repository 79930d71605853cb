"""Games of Hex as text: TRMPH, SGF, HexWorld, JSON, move lists.

Each reader makes a `HexGame` (`hex_game` has its conventions, and the conversion of a swap of pieces). Programs' usages
are listed in `conventions`; SGF is in `hex_sgf`, files of games in `game_sources`. Unreadable input raises
NotationError, which names the notation that it most looks like.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from urllib.parse import unquote

from hexpipe.errors import NotationError
from hexpipe.games.coordinates import (
    SWAP,
    SWAPS,
    action_name,
    format_moves,
    mirror_after_swap,
    moves_of_words,
    parse_action,
    split_moves,
)
from hexpipe.games.hex_game import ENDINGS, MOST_MOVES, HexGame, board_size_of, check_length, game_told
from hexpipe.games.player_utils import COLOURS
from hexpipe.notation import sgf
from hexpipe.notation.hex_sgf import from_sgf, to_sgf
from hexpipe.wording import cut

__all__ = [
    "ENDINGS",
    "MOST_MOVES",
    "SWAP_MEANINGS",
    "GameText",
    "HexGame",
    "as_document",
    "from_hexworld",
    "from_json",
    "from_moves",
    "from_sgf",
    "from_trmph",
    "mirror_after_swap",
    "read_game",
    "to_hexworld",
    "to_json",
    "to_moves",
    "to_sgf",
    "to_trmph",
]

SWAP_MEANINGS = ("sides", "pieces")
"""What a swap moves: only the players' colours, or the stone, which is mirrored in the long diagonal."""

_TRMPH = re.compile(r"\S*#(\d+),([^\s:,]*)(?:\s+([br12]))?", re.ASCII)
_TRMPH_WINNERS = {"b": 0, "1": 0, "r": 1, "2": 1}
_HEXWORLD = re.compile(r"(?:\S*#)?(\d+)(?:x(\d+))?(?:r\d+|m|n|c\d+)*(?:,([^,\s]*)(?:,([^,\s]*))?)?,*", re.ASCII)
_HEXWORLD_WORD = re.compile(r":[sSp]|:[rf][bw]|[A-Za-z]{1,2}[1-9][0-9]?")
_MOVE = re.compile(r"\s*(?:[0-9]{1,3}\W+)?[a-z]{1,2}[1-9][0-9]?\b", re.IGNORECASE)
_LOOKS = (
    (re.compile(r"\[\s*[A-Z]\w+ +\"|1\. ?[a-h][34] [a-h][56] 2\. ?[A-Z]"), "PGN, which is of chess"),
    (re.compile(r"(?:[0-9]+\s+)?(?:play|genmove|boardsize)\b", re.IGNORECASE), "commands of HTP"),
    (re.compile(r"[XO.\s/]{9,}"), "a picture of a board, and a game is told by its moves"),
    (re.compile(r"\["), "a list in JSON, and a game in JSON is an object"),
    (re.compile(r"https?://|www\."), "a link, but not one of HexWorld or TRMPH, which have the game after a #"),
)
_EXAMPLES = '#11,a1b2c3 (TRMPH), #11c1,a1:sb2 (HexWorld), (;GM[11]SZ[11];B[a1]) (SGF), {"size": 11, "moves": ["a1"]}'


class GameText(NamedTuple):
    """A game's unparsed text, and its place: "games.txt, line 3"."""

    place: str
    text: str


def to_moves(game: HexGame) -> str:
    """Write the moves alone: "a1 c3 swap"."""
    return format_moves(game.moves, game.size)


def from_moves(text: str, board_size: int, swap_means: str = "sides") -> HexGame:
    """Parse a move list (`coordinates.split_moves`).

    "swap-pieces" and "swap-sides" say what is swapped, "swap" has the meaning of ``swap_means``, one of
    `SWAP_MEANINGS`.
    """
    return _of_words(split_moves(text), board_size, swap_means)


def to_trmph(game: HexGame) -> str:
    """Write "#11,a1b2c3", with the winner if known: "#11,a1b2c3 b". TRMPH has no notation for swaps and endings."""
    if game.swapped:
        raise NotationError("TRMPH cannot say swap; write the game as HexWorld or SGF", kind="syntax")
    winner = "" if game.winner is None else f" {'br'[game.winner]}"
    return f"#{game.size}," + "".join(action_name(move, game.size) for move in game.moves) + winner


def from_trmph(text: str) -> HexGame:
    """Parse "#11,a1b2c3", with or without a URL before it and the winner after it (b or 1 the first player, r or 2)."""
    match = _TRMPH.fullmatch(text.strip())
    if not match:
        raise NotationError(
            f"{_shortened(text)} is no TRMPH string; it looks like #11,a1b2c3, or #11,a1b2c3 b", kind="syntax"
        )
    size = board_size_of(match[1])
    words = split_moves(match[2], numbered=False)
    if any(word in SWAPS for word in words):
        raise NotationError("TRMPH cannot say swap; write the game as HexWorld or SGF", kind="syntax")
    check_length(len(words))
    moves, _ = moves_of_words(words, size)
    return HexGame(size, tuple(moves), _TRMPH_WINNERS.get(match[3]))


def to_hexworld(game: HexGame) -> str:
    """Write "#11c1,a1:sb2:rb", the part after hexworld.org/board/. A loss on time is written as a forfeit."""
    words = [action_name(move, game.size) for move in mirror_after_swap(game.moves, game.size)]
    line = "".join(":s" if word == SWAP else word for word in words)
    if game.ending and game.winner is not None:
        loser = 1 - (game.winner ^ game.swapped)  # the pieces are swapped, so colours are those of the seats
        line += f":{'r' if game.ending == 'resign' else 'f'}{'bw'[loser]}"
    return f"#{game.size}c1,{line}"


def from_hexworld(text: str, whole: bool = True) -> HexGame:
    """Parse "#11c1,a1:sb2", with or without a URL before it.

    The words are cells, :s and :S (swap of pieces and of sides), :rb and :rw (black or white resigns), :fb and :fw
    (forfeits); :p, a pass, is no move here. After a second comma come the moves behind the page's cursor; they are read
    if ``whole``.
    """
    match = _HEXWORLD.fullmatch(text.strip())
    if not match:
        raise NotationError(f"{_shortened(text)} is no HexWorld string; it looks like #11c1,a1b2c3", kind="syntax")
    size = board_size_of(match[1], match[2])
    line = (match[3] or "") + ((match[4] or "") if whole else "")
    words = _HEXWORLD_WORD.findall(line)
    if "".join(words) != line:
        raise NotationError(
            f"{_shortened(line)} holds what is no word of HexWorld; moves look like a1b2:sc3", kind="syntax"
        )
    winner, ending = None, ""
    if words and words[-1][:2] in (":r", ":f"):
        last = words.pop()
        winner, ending = 1 - "bw".index(last[2]), "resign" if last[1] == "r" else "forfeit"
    check_length(len(words))
    moves = [parse_action(SWAP if word in (":s", ":S") else _cell_word(word), size, swap=True) for word in words]
    return game_told(size, moves, words, winner, ending, pieces_turned=":s" in words)


def _cell_word(word: str) -> str:
    if word == ":p":
        raise NotationError(":p: a pass is no move of Hex here", kind="rule")
    if word[0] == ":":
        raise NotationError(f"{word} ends a game, and moves follow it", kind="over")
    return word


def to_json(game: HexGame) -> str:
    """Write {"size": 5, "moves": ["b1", "swap"], "winner": "white", "ending": "resign"}; null for an unknown winner."""
    return json.dumps(as_document(game))


def as_document(game: HexGame) -> dict[str, Any]:
    """Return the content of `to_json` as a dict."""
    winner = None if game.winner is None else COLOURS[game.winner]
    moves = [action_name(move, game.size) for move in game.moves]
    return {"size": game.size, "moves": moves, "winner": winner, "ending": game.ending}


def from_json(text: str, swap_means: str = "sides") -> HexGame:
    """Parse the text of `to_json`; "winner" and "ending" may be missing, other keys are ignored.

    Moves may also be numbers, row * size + column, and size * size for a swap (pgx, OpenSpiel), and cells {"q": 1, "r":
    0} (hexgame-server, whose first player connects left to right: q is the row here). "swap_means" says what a "swap"
    or its number moves, "sides" or "pieces"; by default the argument does.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotationError(f"{_shortened(text)} is no JSON object", kind="syntax") from error
    if not isinstance(document, dict):
        raise NotationError(f"{_shortened(text)} is no JSON object", kind="syntax")
    size, moves = document.get("size"), document.get("moves")
    winner, ending = document.get("winner"), document.get("ending", "")
    swap_means = document.get("swap_means", swap_means)
    if not isinstance(size, int) or isinstance(size, bool):
        raise NotationError(f"size is {cut(repr(size))}, it must be a number of cells such as 11", kind="type")
    if not isinstance(moves, list):
        raise NotationError('moves must be a list of cells such as ["a1", "c3"]', kind="type")
    if winner not in (None, *COLOURS) or not isinstance(ending, str):
        raise NotationError(
            f"winner is {cut(repr(winner))}, it must be black, white or null, and ending a word", kind="type"
        )
    if swap_means not in SWAP_MEANINGS:
        raise NotationError(f"swap_means is {cut(repr(swap_means))}, it must be sides or pieces", kind="unknown")
    board_size_of(str(size) if 0 < size < 1000 else "0")
    check_length(len(moves))
    found, turned = moves_of_words([_json_word(move, size) for move in moves], size, swap_means)
    written = [move.strip() if isinstance(move, str) else cut(json.dumps(move)) for move in moves]
    return game_told(size, found, written, None if winner is None else COLOURS.index(winner), ending, turned)


def _json_word(move: Any, size: int) -> str:
    if isinstance(move, str):
        return move
    if isinstance(move, dict):
        move = move.get("payload", move)  # of a whole message
    if isinstance(move, dict) and type(move.get("q")) is int and type(move.get("r")) is int:
        row, column = move["q"], move["r"]
        if not (0 <= row < size and 0 <= column < size):
            raise NotationError(
                f"{cut(repr(move))} is off the {size}x{size} board: q and r are 0 to {size - 1}", kind="coordinate"
            )
        return action_name(row * size + column, size)
    if isinstance(move, int) and not isinstance(move, bool):
        if not 0 <= move <= size**2:
            raise NotationError(
                f"there is no move {move} on a {size}x{size} board, whose moves are 0 to {size**2}", kind="coordinate"
            )
        return action_name(move, size)
    raise NotationError(
        'moves must be a list of cells such as ["a1", "c3"], of numbers, or of {"q": 0, "r": 0}', kind="type"
    )


def _of_words(words: list[str], size: int, swap_means: str) -> HexGame:
    check_length(len(words))
    moves, turned = moves_of_words(words, size, swap_means)
    return game_told(size, moves, words, pieces_turned=turned)


def read_game(text: str, board_size: int | None = None, whole: bool = True, swap_means: str = "sides") -> HexGame:
    """Parse one game in any form here: SGF, JSON, TRMPH, HexWorld (with ``whole``), or moves, of a ``board_size``.

    ``swap_means``, of `SWAP_MEANINGS`, is for forms that do not say it: lists of moves, JSON without that key, and SGF
    whose "swap" no stone follows. Links may be percent-encoded; text around a game in SGF is ignored.
    """
    stripped = text.strip()
    if len(stripped) > sgf.MOST_CHARACTERS:
        most = f"{sgf.MOST_CHARACTERS:,} characters"
        why = f"{_shortened(stripped[:99])} goes on for more than {most}, which no game has"
        raise NotationError(why, kind="range", high=sgf.MOST_CHARACTERS)
    if stripped.startswith("{"):
        return from_json(stripped, swap_means)
    if stripped.startswith("(") or sgf.find_tree(stripped) >= 0:
        return from_sgf(stripped, swap_means)
    if "%" in stripped:
        stripped = unquote(stripped)
    if _TRMPH.fullmatch(stripped):
        return from_trmph(stripped)
    if _HEXWORLD.fullmatch(stripped):
        return from_hexworld(stripped, whole)
    if "#" in stripped:
        return _link_of(stripped, whole)
    for pattern, name in _LOOKS:
        if pattern.match(stripped):
            raise NotationError(
                f"{_shortened(stripped)} looks like {name}; games are written as {_EXAMPLES}", kind="syntax"
            )
    try:
        words = split_moves(stripped)
    except NotationError as error:
        if _MOVE.match(stripped):
            raise
        raise NotationError(
            f"{_shortened(stripped)} is no game; games are written as {_EXAMPLES}, or moves", kind="syntax"
        ) from error
    if board_size is None:
        raise NotationError(
            f"{_shortened(text)} does not say how large the board is; say it, or write #11,a1b2c3", kind="board"
        )
    return _of_words(words, board_size, swap_means)


def _link_of(text: str, whole: bool) -> HexGame:
    """Parse a text that is neither of the two forms with a # as the most similar one, whose error says what is
    wrong."""
    after = text.rpartition("#")[2]
    if "hexworld" in text.lower() or re.match(r"\d+(x\d+)?(r\d|[mnc]|,[^,]*:)", after):
        return from_hexworld(text, whole)
    if "trmph" in text.lower() or re.match(r"\d+,", after):
        return from_trmph(text)
    raise NotationError(f"{_shortened(text)} is neither TRMPH nor HexWorld, which look like #11,a1b2c3", kind="syntax")


def _shortened(text: str) -> str:
    return repr(cut(text.strip()))
