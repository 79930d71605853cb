"""hexpipe: AlphaZero training for board games on one machine: many processes, one loop."""

__version__ = "0.1.0"
