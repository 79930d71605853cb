"""Games that were played elsewhere become games of a run: read, held against the rules, and put into its archive.

A game tells what was played and who won, and no more. So its record has the moves played for policies (all weight on
one move) and the result for root values: a value target is the result, whatever ``replay.td_steps`` is. Of such
values none is wrong, so where sampling goes by priority these positions come last. ``reanalyze.ratio`` has them
searched by the run's own net in time. A game that was resigned ends where it was resigned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hexpipe.config import GameSettings, Settings
from hexpipe.errors import NotationError, UsageError
from hexpipe.games.factory import make_game, make_stages, plays_hex
from hexpipe.games.game_env import Game
from hexpipe.games.game_records import recorded_rules
from hexpipe.games.hex import checked_game
from hexpipe.notation.format_conversion import HexGame, read_game
from hexpipe.notation.game_texts import GameText
from hexpipe.records import IMPORTED, GameRecord, pack_policies
from hexpipe.replay.archive import ReplayArchive
from hexpipe.run_folder import ARCHIVE_NAME, RunFolder
from hexpipe.wording import counted


@dataclass
class Games:
    """Games as they were read, with their places, and by place why one cannot be used, or what is not kept of it."""

    good: list[tuple[str, HexGame]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Imported(NamedTuple):
    """The outcome of `import_games`: games and positions that came in, and ``duplicates``, left out because the run or
    the input had them; ``repeats`` of these came again in the input."""

    games: int
    positions: int
    duplicates: int
    total_games: int
    total_positions: int
    repeats: int


def read_games(
    texts: Iterable[GameText], board_size: int | None = None, skip_bad: bool = False, swap_means: str = "sides"
) -> Games:
    """Return every game of ``texts``; lists of moves are on a board of ``board_size``, and their swap is what
    ``swap_means`` says (`game_texts.SWAP_MEANINGS`).

    A game must be legal and have a result: that of its text, or stones that connect. UsageError names the first that
    is not so, unless ``skip_bad``.
    """
    games = Games()
    for place, text in texts:
        try:
            game = _game_with_result(text, board_size, swap_means)
        except NotationError as error:
            _refuse(games, f"{place}: {error}", skip_bad, error)
            continue
        games.good.append((place, game))
        games.notes += [f"{place}: {note}" for note in game.notes]
    return games


def board_size_of(games: Games) -> int:
    """Return the size of board that all ``games`` have; UsageError where they differ, or there is none."""
    counts: dict[int, int] = {}
    for _, game in games.good:
        counts[game.size] = counts.get(game.size, 0) + 1
    if not counts:
        first = f"; the first: {games.refused[0]}" if games.refused else ""
        raise UsageError(f"there is no game that could be imported{first}", kind="missing")
    if len(counts) > 1:
        sizes = ", ".join(f"{count} on {size}x{size}" for size, count in sorted(counts.items()))
        words = f"these games are of several boards ({sizes}): say which with --size, and --skip-bad"
        raise UsageError(words, kind="board", setting="--size")
    return next(iter(counts))


def keep_fitting(games: Games, rules: GameSettings, skip_bad: bool = False) -> None:
    """Leave in ``games`` only those of ``rules``; UsageError names the first that is not, unless ``skip_bad``, or
    where none is left."""
    if not plays_hex(rules):
        words = f"games in files are of Hex, and this run plays {rules.title}: name another run"
        raise UsageError(words, kind="foreign", setting="game.name")
    read, games.good = games.good, []
    for place, game in read:
        why = ""
        if game.size != rules.board_size:
            why = f"a game on {game.size}x{game.size}, and this run plays {rules.title}"
        elif game.swapped and not rules.swap:
            why = "the second player swaps, and this run plays without (game.swap is off)"
        if why:
            _refuse(games, f"{place}: {why}", skip_bad)
        else:
            games.good.append((place, game))
    if not games.good:
        tried = counted(len(games.refused), "game")
        raise UsageError(f"none of {tried} could be imported; the first: {games.refused[0]}", kind="missing")


def import_games(
    folder: RunFolder,
    settings: Settings,
    games: Games,
    watched: Callable[[Sequence[HexGame]], Iterable[HexGame]] = lambda games: games,
) -> Imported:
    """Put ``games``, which must be fitting, into the archive of ``folder``: all of them or, if that fails, none.

    A game with the moves and the winner of another imported one is left out. ``watched`` goes through the games that
    are written, to show how far it is. The settings are written if that was not done yet. ArchiveError
    where they cannot be; a new run leaves nothing behind then.
    """
    is_new = not (folder.path / "settings.json").exists()
    game = make_game(settings.game)
    try:
        with ReplayArchive(folder.path / ARCHIVE_NAME, make_stages(settings)) as archive:
            before, positions = archive.total_games, archive.total_positions
            new, repeats = _without_known(games, archive)
            archive.append(record_of(game, played.moves, _winner(played)) for played in watched(new))
            done = Imported(
                archive.total_games - before,
                archive.total_positions - positions,
                len(games.good) - len(new),
                archive.total_games,
                archive.total_positions,
                repeats,
            )
        if is_new:
            folder.write_settings(settings)
    except BaseException:
        if is_new:
            for suffix in ("", "-wal", "-shm"):
                (folder.path / f"{ARCHIVE_NAME}{suffix}").unlink(missing_ok=True)
            folder.discard_if_empty()
        raise
    return done


def record_of(game: Game, moves: Sequence[int], winner: int) -> GameRecord:
    """Return the record of legal ``moves`` of a game of two, whose view is the whole board, won by the seat
    ``winner``."""
    plies = len(moves)
    actions = np.array(moves, np.int32)
    seats, views = np.empty(plies, np.int8), np.empty(plies, np.int8)
    states, row = game.new_states(1), np.zeros(1, np.int32)
    for ply in range(plies):
        seats[ply], views[ply] = states.to_move[0], states.view[0]
        game.step(states, row, actions[ply : ply + 1], row)
    outcome = np.where(np.arange(2) == winner, 1, -1).astype(np.float32)
    policies = np.zeros((plies, game.num_actions), np.float32)
    policies[np.arange(plies), actions] = 1.0
    offsets, packed = pack_policies(policies)
    return GameRecord(
        **recorded_rules(game),
        actions=actions.astype(np.int16),
        seats=seats,
        views=views,
        root_values=np.tile(outcome, (plies, 1)),
        policy_offsets=offsets,
        policy_bytes=packed,
        outcome=outcome,
        weights_version=IMPORTED,
        simulations=0,
    )


def _game_with_result(text: str, board_size: int | None, swap_means: str) -> HexGame:
    game = checked_game(read_game(text, board_size, swap_means=swap_means))
    if not game.moves:
        raise NotationError("a game without moves: there is nothing to learn", kind="moves")
    if game.winning_seat is None:
        raise NotationError(
            "the game has no result: nobody connects, and the text does not say who has won", kind="over"
        )
    return game


def _refuse(games: Games, why: str, skip_bad: bool, cause: Exception | None = None) -> None:
    if not skip_bad:
        raise UsageError(f"{why}; nothing was imported (--skip-bad leaves such games out)") from cause
    games.refused.append(why)


def _without_known(games: Games, archive: ReplayArchive) -> tuple[list[HexGame], int]:
    """Return each of ``games`` once, and none that an earlier import has brought; and how many came again in
    ``games``."""
    known = {_identity(record.actions.tolist(), int(record.outcome.argmax())) for record in archive.imported()}
    met: set[bytes] = set()
    new = []
    for _, game in games.good:
        identity = _identity(game.moves, _winner(game))
        if identity not in met and identity not in known:
            new.append(game)
        met.add(identity)
    return new, len(games.good) - len(met)


def _identity(moves: Sequence[int], winner: int) -> bytes:
    return np.array([winner, *moves], np.int16).tobytes()


def _winner(game: HexGame) -> int:
    seat = game.winning_seat
    if seat is None:
        raise ValueError("a game without a winner cannot be imported: read it with read_games")
    return seat
