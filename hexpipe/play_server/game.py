"""A game as the server tells it, move by move or as a whole, held against the rules of Hex."""

from __future__ import annotations

import numpy as np

from hexpipe.games.coordinates import cell_name
from hexpipe.games.game_env import ONGOING
from hexpipe.games.hex import Hex
from hexpipe.play_server.protocol import BLUE, RED, Side, Snapshot, TalkError, cell_of

SIDE_NAMES = {RED: "red", BLUE: "blue"}


class ServerGame:
    """Game ``number`` of a match on a board of ``size``, in which player ``first`` began. Whatever the server says of
    it that the rules do not allow is a TalkError, and changes nothing."""

    def __init__(self, size: int, first: Side, number: int = 1) -> None:
        self.size, self.first, self.number = size, first, number
        self.moves: list[int] = []
        """The cells of hexpipe's board, in their order."""
        self._rules = Hex(size)
        self._states = self._rules.new_states(1)

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot, size: int) -> ServerGame:
        """Return the game of which ``snapshot`` is all that is known; it may have few stones, as nobody plays while a
        player is away."""
        if snapshot.current_turn is None or snapshot.current_game_number is None:
            raise TalkError("it does not say whose turn it is in the game that it has")
        stones = sum(cell != 0 for row in snapshot.board or [] for cell in row)
        over = snapshot.winner is not None  # then the turn stays with the winner
        begun_by_other = (stones + over) % 2
        first: Side = RED if (snapshot.current_turn == RED) != begun_by_other else BLUE
        game = cls(size, first, snapshot.current_game_number)
        game.catch_up(snapshot)
        return game

    @property
    def to_move(self) -> Side:
        """The player whose turn it is, where the game is not over."""
        return self.first if len(self.moves) % 2 == 0 else _other(self.first)

    @property
    def winner(self) -> Side | None:
        """The player whose stones connect, None while there is none."""
        seat = int(self._states.winner[0])
        if seat == ONGOING:
            return None
        return self.first if seat == 0 else _other(self.first)

    def play(self, player: Side, q: int, r: int, next_turn: Side | None) -> None:
        """Play the stone of ``player`` at column ``q`` and row ``r``, after which the server says whose turn it is."""
        if max(q, r) >= self.size:
            raise TalkError(f"it plays at column {q}, row {r} of a {self.size}x{self.size} board")
        cell = cell_of(q, r, self.size, self.first)
        why = None
        if self.winner is not None:
            why = f"{SIDE_NAMES[self.winner]} has already won"
        elif player != self.to_move:
            why = f"it is {SIDE_NAMES[self.to_move]}'s turn"
        elif self._states.cells[0, cell]:
            why = "the cell is taken"
        if why is not None:
            raise TalkError(f"it plays {cell_name(cell, self.size)} for {SIDE_NAMES[player]}, but {why}")
        self._add(cell)
        if next_turn != (self.to_move if self.winner is None else None):
            says = "nobody" if next_turn is None else SIDE_NAMES[next_turn]
            raise TalkError(f"it says that {says} is next after {cell_name(cell, self.size)}, which cannot be")

    def catch_up(self, snapshot: Snapshot) -> None:
        """Play what was played unseen: one stone of each player at the most, by ``snapshot``, which must go on from
        here."""
        board = snapshot.board or []
        if len(board) != self.size or any(len(row) != self.size for row in board):
            raise TalkError(f"it has no {self.size}x{self.size} board for the game under way")
        stones = {
            cell_of(q, r, self.size, self.first): player
            for r, row in enumerate(board)
            for q, player in enumerate(row)
            if player
        }
        known = {cell: _other(self.first) if ply % 2 else self.first for ply, cell in enumerate(self.moves)}
        unseen = {cell: player for cell, player in stones.items() if cell not in known}
        if any(stones.get(cell) != player for cell, player in known.items()):
            raise TalkError("it has other stones than were played")
        while unseen:
            played = [cell for cell, player in unseen.items() if player == self.to_move]
            if len(played) != 1 or self.winner is not None:
                raise TalkError("it has stones more than can have been played since")
            del unseen[played[0]]
            self._add(played[0])
        if snapshot.winner != self.winner or (self.winner is None and snapshot.current_turn != self.to_move):
            raise TalkError("it has the stones that were played, but another player to move or to win")

    def _add(self, cell: int) -> None:
        row = np.zeros(1, np.int32)
        self._rules.step(self._states, row, np.array([cell], np.int32), row)
        self.moves.append(cell)


def _other(player: Side) -> Side:
    return BLUE if player == RED else RED
