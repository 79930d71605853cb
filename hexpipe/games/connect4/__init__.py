"""Connect Four on boards of any size: stones fall, and four in a row win."""
