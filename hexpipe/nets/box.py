"""The net in the box: a trained net of Hex that comes with hexpipe, for who has none of their own.

Its folder is a checkpoint like any other, read by the same checks, with the playing weights alone; "made" in its
checkpoint.json says how it was trained and what it knows (`tests/box.py` writes it).
"""

from __future__ import annotations

from pathlib import Path

from hexpipe.nets.checkpoints import Checkpoint

BOX = Path(__file__).parent / "box"
"""The checkpoint folder of the net in the box."""

BOX_NAME = "box"
"""What the net in the box is called as a player."""


def net_in_words(checkpoint: Checkpoint) -> str:
    """Return which net plays: its place, the net and its training steps."""
    place = "the net in the box" if checkpoint.path == BOX else str(checkpoint.path)
    return f"{place}: {checkpoint.settings.net.title}, {checkpoint.step:,} training steps"
