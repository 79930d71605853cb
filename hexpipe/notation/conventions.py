"""Conventions of programs and sites for games of Hex: one table, whose samples the tests read.

All of them have a1 at the top left, letters for the columns if they have letters, and let the first player connect top
to bottom, except hexgame-server, which is read transposed. They differ in the words for the players, in the notation of
cells, and in what a swap moves. Programs that write no games are represented by their moves, in JSON.

In the protocol HTP, as HexGui and benzene speak it (`hexpipe.htp`), black is first, cells are written b1, and a swap is
one of sides, called swap-pieces or swap-sides: no stone moves, and white plays next.
"""

from __future__ import annotations

from typing import NamedTuple


class Convention(NamedTuple):
    """The convention of one program or site; `game_texts.read_game` reads its ``sample`` as ``moves`` and ``winner``.

    ``first`` is its word for the first player, ``cell`` its notation of the cell b1. ``swap`` says what a swap moves:
    "sides" (stones stay, the players exchange colours, the second colour plays next) or "pieces" (the stone is mirrored
    in the diagonal and changes its colour, the first colour plays next); ``swap_means`` must be given to the reader
    where the program's form does not tell.
    """

    program: str
    first: str
    cell: str
    swap: str
    sample: str
    moves: str
    winner: str
    source: str
    swap_means: str = "sides"


CONVENTIONS = (
    Convention(
        program="hexpipe",
        first="black",
        cell="b1",
        swap="sides",
        sample='{"size": 5, "moves": ["b1", "swap", "c1", "e4"], "winner": "white", "ending": "resign"}',
        moves="b1 swap c1 e4",
        winner="white",
        source="hexpipe.games.hex",
    ),
    Convention(
        program="SGF, swap-sides",
        first="B",
        cell="b1",
        swap="sides",
        sample="(;FF[4]GM[11]SZ[5]RE[W+R];B[b1];W[swap-sides];W[c1];B[e4];B[resign])",
        moves="b1 swap c1 e4",
        winner="white",
        source="https://red-bean.com/sgf/hex.html",
    ),
    Convention(
        program="SGF, swap-pieces",
        first="B",
        cell="b1",
        swap="pieces",
        sample="(;FF[4]GM[11]SZ[5]RE[B+R];B[b1];W[swap-pieces];B[a3];W[d5];W[resign])",
        moves="b1 swap c1 e4",
        winner="white",
        source="https://red-bean.com/sgf/hex.html",
    ),
    Convention(
        program="HexGui up to 0.9",
        first="B",
        cell="b1",
        swap="sides",  # although it calls that swap-pieces
        sample="(;AP[HexGui:0.9.GIT]FF[4]GM[11]SZ[5];B[b1];W[swap-pieces];W[c1];B[e4];B[resign])",
        moves="b1 swap c1 e4",
        winner="white",
        source="https://github.com/selinger/hexgui SgfReader.java",
    ),
    Convention(
        program="benzene's twogtp.py",
        first="B",
        cell="b1",
        swap="sides",  # although it calls that swap-pieces
        sample="(\n;GM[11]SZ[5]PB[one 1]PW[two 2]\nRE[W+]US[twogtp.py]\nGC[Host: a]\n;B[b1]\n;W[swap-pieces]\n"
        ";W[c1]\n;B[e4]\n)\n",
        moves="b1 swap c1 e4",
        winner="white",
        source="https://github.com/cgao3/benzene-vanilla-cmake tournament/gameplayer.py",
    ),
    Convention(
        program="HexGui since 0.10",
        first="B",
        cell="b1",
        swap="pieces",  # or sides: it writes both, each under SGF's name
        sample="(;AP[HexGui:0.10.0]FF[4]GM[11]SZ[5];B[b1];W[swap-pieces];B[a3];W[d5];W[resign])",
        moves="b1 swap c1 e4",
        winner="white",
        source="https://github.com/selinger/hexgui SgfReader.java",
    ),
    Convention(
        program="Little Golem",
        first="W",  # but RE and PB call the first player B
        cell="ba",
        swap="pieces",
        sample="(;FF[4]EV[null]PB[one]PW[two]SZ[5]RE[B]GC[ game #1]SO[http://www.littlegolem.com];W[ba];B[swap]"
        ";W[ac];B[de];W[ba];B[resign])",
        moves="b1 swap c1 e4 a2",
        winner="white",
        source="https://github.com/alcalyn/hex littleGolemHsgf.ts",
    ),
    Convention(
        program="HexWorld, :s",
        first="b (red or black)",
        cell="b1",
        swap="pieces",
        sample="https://hexworld.org/board/#5r9c1,b1:sa3d5:rw",
        moves="b1 swap c1 e4",
        winner="white",
        source="https://hexworld.org/board, https://github.com/Bannerets/hexreplay hexreplay.js",
    ),
    Convention(
        program="HexWorld, :S",
        first="b (red or black)",
        cell="b1",
        swap="sides",
        sample="https://hexworld.org/board/#5c1,b1:Sc1e4:rb",
        moves="b1 swap c1 e4",
        winner="white",
        source="https://hexworld.org/board, https://github.com/Bannerets/hexreplay hexreplay.js",
    ),
    Convention(
        program="TRMPH",
        first="b (blue); 1 in older lists",
        cell="b1",
        swap="none",  # it has no notation for it
        sample="https://trmph.com/hex/board#5,b1c1e4 r",
        moves="b1 c1 e4",
        winner="white",
        source="https://trmph.com; lists of games add the winner",
    ),
    Convention(
        program="pgx",
        first="colour 0, of a player drawn at random",
        cell="1",  # row * 11 + column; its board is 11x11, and 121 is swap
        swap="pieces",
        sample='{"size": 11, "moves": [1, 121, 22, 47], "winner": "black", "swap_means": "pieces"}',
        moves="b1 swap c1 e4",
        winner="white",
        source="https://github.com/sotetsuk/pgx pgx/_src/games/hex.py (2.6.0)",
    ),
    Convention(
        program="OpenSpiel, actions",
        first="player 0 (x)",
        cell="1",  # row * size + column; size * size is swap, if the game was loaded with swap=True
        swap="pieces",
        sample='{"size": 5, "moves": [1, 25, 10, 23], "winner": "black", "swap_means": "pieces"}',
        moves="b1 swap c1 e4",
        winner="white",
        source="https://github.com/google-deepmind/open_spiel open_spiel/games/hex/hex.cc (2.0.2)",
    ),
    Convention(
        program="OpenSpiel, action strings",
        first="player 0 (x)",
        cell="b1",
        swap="pieces",  # although it calls that just swap
        sample='{"size": 5, "moves": ["b1", "swap", "a3", "d5"], "winner": "black"}',
        moves="b1 swap c1 e4",
        winner="white",
        source="https://github.com/google-deepmind/open_spiel open_spiel/games/hex/hex.cc (2.0.2)",
        swap_means="pieces",
    ),
    Convention(
        program="hexgame-server",
        first="player 1, who connects left to right",
        cell='{"q": 0, "r": 1}',  # column and row on the transposed board
        swap="none",
        sample='{"size": 7, "moves": [{"q": 0, "r": 1}, {"type": "move", "payload": {"q": 0, "r": 2}}, '
        '{"q": 3, "r": 4}], "winner": "white"}',
        moves="b1 c1 e4",
        winner="white",
        source="https://pypi.org/project/hexgame-server hexgame_server/game.py (0.4.3)",
    ),
)
