"""Counts in words, and foreign text in messages."""

from __future__ import annotations


def cut(text: str, most: int = 40) -> str:
    """Return ``text``, cut to its beginning and "..." if it has more than ``most`` characters."""
    return text if len(text) <= most else text[: most - 3] + "..."


def shortened(text: str, most: int = 40) -> str:
    """Return ``text`` safe for a message: one line of at most ``most`` characters, "?" for unprintable ones."""
    return cut("".join(sign if sign.isprintable() else "?" for sign in " ".join(text[: 4 * most].split())), most)


def counted(number: float, noun: str) -> str:
    """Return "1 game", "2,345 games"; ``noun`` in the singular, with an s for its plural or "ply" for "plies"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,.0f} " + (noun[:-1] + "ies" if noun.endswith("ly") else noun + "s")
