"""Othello on 4x4 to 8x8 cells."""
