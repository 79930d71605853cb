"""hexpipe: AlphaZero training for board games on one machine: many processes, one loop."""

from hexpipe.kernel_cache import choose_folder

__version__ = "0.1.0"

choose_folder()
