"""The replay process: the only writer of the archive and of the replay buffer.

New games go into both. Reanalyzed ones replace their old form in the buffer only: the archive keeps what was played and
found at the time, and a resumed run starts with that.

Because it sees every finished game it also decides the curriculum's stage.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from hexpipe.arena.solved_positions import QUICKLY_SOLVED
from hexpipe.config import Settings, dump_settings
from hexpipe.errors import DiskFullError, FileBusyError, GoneError
from hexpipe.games.factory import make_stages
from hexpipe.processes.messages import ChildContext
from hexpipe.processes.role import Ending, Role
from hexpipe.processes.stats import ProcessRow, Waiting
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive, Sender
from hexpipe.replay.outbox import Arrival, Outboxes
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.smaller_boards import smaller_games
from hexpipe.run_folder import ARCHIVE_NAME
from hexpipe.selfplay.curriculum import Curriculum, stage_in_words

if TYPE_CHECKING:  # at run time a child imports only what its body needs
    from hexpipe.roles.plan import Plan
    from hexpipe.roles.segments import Segments

log = logging.getLogger(__name__)

T = TypeVar("T")

_WAIT_SECONDS = 0.2
_COMMIT_SECONDS = 0.02  # between two commits, which wait for the disk, unless an outbox fills up: games share one
_ROOM_SECONDS = 0.5


def replay_main(context: ChildContext, outboxes: Outboxes, buffer: ReplayBuffer) -> None:
    """Fill the buffer from the archive, then commit games as they come, until asked to stop and all are committed.

    A replacement does the same: the archive tells which games in the outboxes are committed already.
    """
    row, state = context.row, context.state
    receiver = outboxes.receiver()

    def tell_stage(keeper: GameKeeper) -> None:
        state.mastered_after = keeper.mastered_after
        state.stage = keeper.curriculum.stage + 1

    with _with_room(context, lambda: _open_archive(context)) as archive:
        row.beat(Waiting.REFILL)
        # hexpipe's own files of solved positions, which the view shows, are judges: they decide nothing
        told = context.settings.plays_in_legs and context.settings.game.board_size <= QUICKLY_SOLVED
        solved = (lambda: state.solved) if told else (lambda: None)
        keeper = GameKeeper(context.settings, archive, buffer, tell_stage, partial(_with_room, context), solved)
        _refill(context, archive, buffer)
        # the outboxes are new with this part of the run: at its start they hold no committed games
        known = archive.newest_sequences(context.session, outboxes.num_slots) if context.me.restarts else {}
        _export(row, keeper)
        context.set_ready()
        committed = 0.0
        while True:
            stopping = context.stopping()  # read before the outboxes: games sent before the request are committed
            row.beat(Waiting.STOPPING if stopping else Waiting.GAMES)
            receiver.wait(0.0 if stopping else _WAIT_SECONDS)
            while not stopping and time.monotonic() < committed + _COMMIT_SECONDS and not receiver.half_full():
                time.sleep(_COMMIT_SECONDS / 5)
            arrivals = receiver.take()
            if arrivals:
                row.beat()
                new = [a for a in arrivals if not a.number and a.sequence > known.get(a.worker, -1)]
                records = [arrival.record for arrival in new]
                keeper.keep(records, [Sender(context.session, arrival.worker, arrival.sequence) for arrival in new])
                _refresh(row, buffer, [arrival for arrival in arrivals if arrival.number])
                receiver.acknowledge(arrivals)
                committed = time.monotonic()
                _count(row, context, records)
                keeper.look_at_stage()
                _export(row, keeper)
            elif stopping:
                return


class GameKeeper:
    """The only writer of an archive and of a buffer, and the curriculum's state machine.

    ``on_stage(self)`` is called at each beginning of a stage, also the first; ``write`` runs writes that may find no
    room; ``solved`` as for `Curriculum`. ``mastered_after``: games of the stage before the present one.
    """

    def __init__(
        self,
        settings: Settings,
        archive: ReplayArchive,
        buffer: ReplayBuffer,
        on_stage: Callable[[GameKeeper], None] = lambda keeper: None,
        write: Callable[[Callable[[], None]], None] = lambda action: action(),
        solved: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._settings, self._archive, self.buffer = settings, archive, buffer
        self._on_stage, self._write = on_stage, write
        begin = archive.stage
        self.mastered_after = begin.mastered_after
        weights = archive.newest_weights(begin.games_before)
        self.curriculum = Curriculum(settings, begin.number, weights, solved)
        self.curriculum.restore(archive.games_after(begin.games_before), archive.total_games - begin.games_before)
        self._tell()
        self.look_at_stage()

    @property
    def stage_in_words(self) -> str:
        """The present stage; empty without a curriculum."""
        if not self._settings.curriculum.stages:
            return ""
        return stage_in_words(self._settings, self.curriculum.stage, self.mastered_after)

    def keep(self, records: list[GameRecord], senders: Sequence[Sender] = ()) -> None:
        """Put games into the archive, which is authoritative, and then into the buffer; then `look_at_stage`."""
        if records:
            self._write(partial(self._archive.append, records, senders))
        for record in records:
            self.buffer.add_game(record)
            self.curriculum.add(record)

    def look_at_stage(self) -> None:
        """Begin the next stage if this one has ended."""
        if self.curriculum.ended:
            self.mastered_after = self.curriculum.games
            self.curriculum.next_stage()
            self._write(partial(self._archive.begin_stage, self.curriculum.stage, self.mastered_after))
            self._tell()

    def _tell(self) -> None:
        self._on_stage(self)
        if self.stage_in_words:
            log.info("%s", self.stage_in_words)


def _refill(context: ChildContext, archive: ReplayArchive, buffer: ReplayBuffer) -> None:
    """Fill the buffer, which may take minutes, with a heartbeat for each game. It stops early if the run is to end."""
    row = context.row
    row["resumed_games"] = 0

    def go_on() -> bool:
        row.beat(Waiting.REFILL)
        row.add("resumed_games", 1)
        return not context.stopping()

    buffer.refill(archive, go_on, smaller_games(context.settings, archive))


def _open_archive(context: ChildContext) -> ReplayArchive:
    path = context.run_dir / ARCHIVE_NAME
    if context.me.restarts and not path.exists():
        raise GoneError(path)  # a new one would hide that
    archive = ReplayArchive(path, make_stages(context.settings))
    archive.note_settings(dump_settings(context.settings))
    return archive


def _with_room(context: ChildContext, write: Callable[[], T]) -> T:
    """Call ``write``, once the disk has room for it and no other program locks the archive; return its result.

    DiskFullError or FileBusyError if the run is to end before. Meanwhile new games stay in their outboxes; full ones
    stop their generators (back-pressure): no game is lost.
    """
    while True:
        try:
            return write()
        except (DiskFullError, FileBusyError) as error:
            if context.stopping():
                raise
            waiting = Waiting.DISK if isinstance(error, DiskFullError) else Waiting.LOCKED
            if context.row.waiting is not waiting:
                log.warning("%s", error)
            context.row.beat(waiting)
            time.sleep(_ROOM_SECONDS)


def _refresh(row: ProcessRow, buffer: ReplayBuffer, arrivals: list[Arrival]) -> None:
    for arrival in arrivals:
        if buffer.refresh_game(arrival.number, arrival.record):
            row.add("refreshed_games", 1)
            row.add("refreshed_positions", arrival.record.num_positions)


def _count(row: ProcessRow, context: ChildContext, records: list[GameRecord]) -> None:
    newest = context.state.published
    row.add("session_games", len(records))
    for record in records:
        row.add("plies_sum", record.num_positions)
        context.state.played_positions += record.num_positions
        # versions are training steps + 1
        row.add("lag_sum", max(0.0, newest - max(1, record.weights_version)))


def _export(row: ProcessRow, keeper: GameKeeper) -> None:
    report, curriculum = keeper.buffer.memory_report(), keeper.curriculum
    row["total_games"] = report["total_games"]
    row["total_positions"] = report["total_positions"]
    row["replay_games"] = report["games"]
    row["replay_positions"] = report["positions"]
    row["replay_bytes"] = report["used_bytes"]
    row["replay_budget"] = report["capacity_bytes"]
    row["stage_games"] = curriculum.games
    row["league_share"], row["league_window"] = curriculum.shares.mean, curriculum.shares.games


def _parts(shared: Segments, number: int) -> dict[str, Any]:
    return {"outboxes": shared.outboxes, "buffer": shared.buffer}


REPLAY: Role[Plan, Segments] = Role(
    "replay",
    "hexpipe.roles.replay:replay_main",
    counters=(
        "total_games",
        "total_positions",
        "replay_games",
        "replay_positions",
        "replay_bytes",
        "replay_budget",
        "resumed_games",
        "session_games",  # since this start of the run
        "plies_sum",  # over the session's games
        "lag_sum",  # policy lag in training steps, over the session's games
        "stage_games",  # finished games of the stage
        "league_share",  # the newest net's mean win share in the last league games of the stage
        "league_window",  # number of games in that mean
        "refreshed_games",  # reanalyzed games that are still held
        "refreshed_positions",
    ),
    progress=("total_games", "resumed_games"),
    parts=_parts,
    own_bytes=lambda settings, game, plan: 25_000_000,
    after_death=lambda shared, number: shared.buffer.hide(),
    ending=Ending(2, 60.0, saves=True, revived=True),  # else finished games in the outboxes would be lost with it
)
"""The role that writes the archive and the replay buffer."""
