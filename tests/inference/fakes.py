"""A backend that answers at once with what only the right codes give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hexpipe.answers import Answers
from hexpipe.config import Shapes

SHAPES = Shapes(board_size=4, num_actions=16, num_seats=2, code_length=16)
LARGE = Shapes(board_size=9, num_actions=9, num_seats=2, code_length=36, view_size=3, thumbnail=True)


class FakeBackend:
    """Priors, values and focus from a weighted sum of the codes; remembers the batch sizes and the loaded weights."""

    name = "fake"
    dtype = "float32"

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []
        self.shift = 0.0

    def load(self, weights: Mapping[str, np.ndarray]) -> None:
        self.shift = float(weights["shift"][0])

    def infer(self, codes: np.ndarray, out: Answers) -> None:
        self.batch_sizes.append(len(codes))
        out.put(slice(None), Answers(*expected(codes, self.shift), focus=expected_focus(codes, self.shift)))


def expected(codes: np.ndarray, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """What FakeBackend answers: priors float32 [L, A] (exact in float16), values float32 [L, S]."""
    shapes = LARGE if codes.shape[1] == LARGE.code_length else SHAPES
    numbers = _numbers(codes)
    priors = ((numbers[:, None] + 7 * np.arange(shapes.num_actions)) % 64 / 256).astype(np.float32)
    values = np.stack([numbers / 1024 + shift, -numbers / 1024 - shift], axis=1).astype(np.float32)
    return priors, values


def expected_focus(codes: np.ndarray, shift: float = 0.0) -> np.ndarray:
    """The focus that FakeBackend answers where there is a thumbnail: int16 [L]."""
    return ((_numbers(codes) + int(4 * shift)) % LARGE.view_cells).astype(np.int16)


def _numbers(codes: np.ndarray) -> np.ndarray:
    return codes.astype(np.int64) @ (np.arange(codes.shape[1]) + 1)


def random_codes(rng: np.random.Generator, rows: int, shapes: Shapes = SHAPES) -> np.ndarray:
    """int8 [rows, C] of cell codes."""
    return rng.integers(0, 3, (rows, shapes.code_length), dtype=np.int8)
