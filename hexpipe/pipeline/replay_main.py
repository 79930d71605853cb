"""The body of the replay process: the one writer of the archive and of the replay buffer."""

from __future__ import annotations

import logging

from hexpipe.games.factory import make_stages
from hexpipe.pipeline.messages import ChildContext
from hexpipe.pipeline.outbox import Outboxes
from hexpipe.pipeline.run_folder import ARCHIVE_NAME
from hexpipe.pipeline.stats import ProcessRow, Waiting
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.selfplay.league import WinShares, win_share

log = logging.getLogger(__name__)

_WAIT_SECONDS = 0.2


def replay_main(context: ChildContext, outboxes: Outboxes, buffer: ReplayBuffer) -> None:
    """Refill the buffer from the archive, then commit games as they come, until asked to stop and all are committed."""
    row = context.row
    receiver = outboxes.receiver()
    shares = WinShares()
    with ReplayArchive(context.run_dir / ARCHIVE_NAME, make_stages(context.settings)) as archive:
        row.beat(Waiting.REFILL)
        if archive.total_games:
            row["resumed_games"] = buffer.refill(archive)
        _export(row, buffer)
        row.set_ready()
        while True:
            stopping = context.stopping()  # looked at before the outboxes: what came before the request is committed
            row.beat(Waiting.STOPPING if stopping else Waiting.GAMES)
            receiver.wait(0.0 if stopping else _WAIT_SECONDS)
            arrivals = receiver.take()
            if arrivals:
                row.beat()
                # the archive first: it is the truth, and a game in it is never lost
                archive.append([arrival.record for arrival in arrivals])
                for arrival in arrivals:
                    buffer.add_game(arrival.record)
                receiver.acknowledge(arrivals)
                _count(row, context, [arrival.record for arrival in arrivals], shares)
                _export(row, buffer)
            elif stopping:
                return


def _count(row: ProcessRow, context: ChildContext, records: list[GameRecord], shares: WinShares) -> None:
    newest = context.stats.row("learner-0")["published"]
    row.add("session_games", len(records))
    for record in records:
        row.add("plies_sum", record.num_positions)
        # versions are training steps + 1
        row.add("lag_sum", max(0.0, newest - max(1, record.weights_version)))
        if record.opponents:
            shares.add(win_share(record.outcome, record.opponents))
    row["league_share"], row["league_window"] = shares.mean, shares.games


def _export(row: ProcessRow, buffer: ReplayBuffer) -> None:
    report = buffer.memory_report()
    row["total_games"] = report["total_games"]
    row["total_positions"] = report["total_positions"]
    row["replay_games"] = report["games"]
    row["replay_positions"] = report["positions"]
    row["replay_bytes"] = report["used_bytes"]
    row["replay_budget"] = report["capacity_bytes"]
