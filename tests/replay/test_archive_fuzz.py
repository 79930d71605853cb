"""Archives that a bad disk or a stranger has made: each is refused in one line, or its games are what they say.

    python -P -m pytest tests/replay/test_archive_fuzz.py -m slow -s

prints the figures of the long form.
"""

from __future__ import annotations

import sqlite3
import sys
import zlib
from pathlib import Path
from random import Random

import pytest

from hexpipe.errors import ArchiveError
from hexpipe.games.hex import Hex
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.replay_buffer import ReplayBuffer
from tests.fuzzing import ODD_VALUES, Tally, damaged_bytes
from tests.replay.reference import random_game, tiny_settings

SHORT, LONG = 250, 20_000
GAME = Hex(6)
GAMES = 40


def use(path: Path) -> None:
    """Everything that a resume and a reader do."""
    with ReplayArchive(path, GAME) as archive:
        _ = archive.stage, archive.total_positions
        for record in archive.games_after(0):
            assert record.num_actions == GAME.num_actions
        buffer = ReplayBuffer.create(tiny_settings(), GAME, private=True)
        buffer.refill(archive)
        archive.append([random_game(GAME, 1)])
        archive.read(archive.total_games)


def damaged_record(random: Random, record: bytes) -> bytes:
    """Half of them with a checksum that fits: a stranger can make one."""
    data = damaged_bytes(random, record)
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little") if random.random() < 0.5 else data


def damage(random: Random, whole: bytes, path: Path) -> str:
    """As a file, or through SQL as a stranger would."""
    if random.random() < 0.5:
        path.write_bytes(damaged_bytes(random, damaged_bytes(random, whole)))
        return "bytes"
    path.write_bytes(whole)
    db = sqlite3.connect(path)
    try:
        with db:
            column = random.choice(["record", "record", "plies", "policy_bytes", "positions_until", "weights_version"])
            number = random.choice([1, GAMES // 2, GAMES])
            old = db.execute("SELECT record FROM games WHERE id = ?", (number,)).fetchone()[0]
            numbers = [value for value in ODD_VALUES if not isinstance(value, int) or abs(value) < 2**63]
            value = damaged_record(random, old) if column == "record" else random.choice(numbers)
            text = isinstance(value, str)  # which need not be UTF-8
            given = value.encode("utf-8", "surrogatepass") if text else value
            db.execute(
                f"UPDATE games SET {column} = {'CAST(? AS TEXT)' if text else '?'} WHERE id = ?", (given, number)
            )
            if random.random() < 0.1:
                db.execute(random.choice(["DELETE FROM rules", "DROP TABLE stages", "DROP TABLE games"]))
    except sqlite3.Error:
        pass  # it does not take all of that
    finally:
        db.close()
    return f"{column} {str(value)[:40]!r}"


def fuzz(parent: Path, inputs: int) -> Tally:
    path, tally = parent / "games.sqlite", Tally(ArchiveError)
    with ReplayArchive(path, GAME) as archive:
        archive.append([random_game(GAME, number) for number in range(GAMES)])
    whole = path.read_bytes()
    for seed in range(inputs):
        for left in parent.iterdir():
            left.unlink()
        what = damage(Random(seed), whole, path)
        tally.add(f"input {seed}, {what}", lambda: use(path))
    return tally


def test_no_archive_does_harm(tmp_path: Path) -> None:
    tally = fuzz(tmp_path, SHORT)
    assert not tally.crashes, f"{len(tally.crashes)} of {SHORT}, such as\n" + "\n".join(tally.crashes[:3])
    assert tally.counts["refused"] > SHORT / 4
    assert tally.counts["loaded"] > 0


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_archive_does_harm_in_the_long_run(tmp_path: Path) -> None:
    tally = fuzz(tmp_path, LONG)
    sys.stdout.write(f"\n{tally}\n")
    assert not tally.crashes, "\n".join(tally.crashes[:20])
