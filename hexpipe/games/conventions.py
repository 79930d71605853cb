"""What programs and sites mean by a game of Hex: one table, which the tests read sample by sample.

All of them have a1 at the top left with letters for the columns, and let the first player connect top to bottom. They
differ in the words for the players, in how cells are written, and in what a swap moves.

In the protocol HTP, as HexGui and benzene speak it (`hexpipe.htp`), black is first, cells are written b1, and a swap is
one of sides whether it is called swap-pieces or swap-sides: no stone moves, and white goes on.
"""

from __future__ import annotations

from typing import NamedTuple


class Convention(NamedTuple):
    """What one program or site means; `game_texts.read_game` reads its ``sample`` as ``moves`` and ``winner`` here.

    ``first`` is its word for who moves first, ``cell`` how it writes the cell b1. ``swap`` says what swapping moves:
    "sides" (stones stay, the players change colours, the second colour goes on) or "pieces" (the stone is turned over
    the diagonal and changes its colour, the first colour goes on).
    """

    program: str
    first: str
    cell: str
    swap: str
    sample: str
    moves: str
    winner: str
    source: str


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
        swap="sides",  # though it calls that swap-pieces
        sample="(;AP[HexGui:0.9.GIT]FF[4]GM[11]SZ[5];B[b1];W[swap-pieces];W[c1];B[e4];B[resign])",
        moves="b1 swap c1 e4",
        winner="white",
        source="https://github.com/selinger/hexgui SgfReader.java",
    ),
    Convention(
        program="benzene's twogtp.py",
        first="B",
        cell="b1",
        swap="sides",  # though it calls that swap-pieces
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
        first="W",  # while RE and PB call the first player B
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
        swap="none",  # it has no word for it
        sample="https://trmph.com/hex/board#5,b1c1e4 r",
        moves="b1 c1 e4",
        winner="white",
        source="https://trmph.com; lists of games add the winner",
    ),
)
