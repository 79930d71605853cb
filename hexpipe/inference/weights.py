"""WeightsBoard: the newest weights, in shared memory, read by every inference server between batches."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hexpipe.errors import InferenceError
from hexpipe.shm import Field, SharedSegment

_TRIES = 50
_PAUSE = 0.01


class WeightsSource(Protocol):
    """The source of a server's weights."""

    @property
    def latest_version(self) -> int:
        """Newest version; 0 before the first."""

    def read_if_newer(self, version: int) -> tuple[int, dict[str, NDArray[np.float32]]] | None:
        """Return a version above ``version`` and its weights by name, or None; called between any two batches."""


class WeightsBoard:
    """Versioned float32 weights with double buffering: the writer fills the buffer that is not current, then swaps
    them.

    One process publishes, any number read. It is a seqlock: a reader checks the buffer's generation before and after
    copying, and the crc32 of its copy, so it needs no lock, and a writer killed at any instant leaves the older version
    in force. Picklable only as an argument of a process being spawned.
    """

    def __init__(self, template: Sequence[tuple[str, tuple[int, ...]]], segment: SharedSegment) -> None:
        self.template = [(name, tuple(shape)) for name, shape in template]
        self.segment = segment

    @classmethod
    def create(cls, template: Sequence[tuple[str, tuple[int, ...]]], *, private: bool = False) -> WeightsBoard:
        """Create a board for tensors of these names and shapes, with no version yet."""
        return cls(template, SharedSegment.create("weights", cls.fields(template), private=private))

    @staticmethod
    def fields(template: Sequence[tuple[str, tuple[int, ...]]]) -> list[Field]:
        """Return the arrays of such a board."""
        return [
            Field("latest", "int64", (2,)),  # version, or 0 before the first; buffer
            Field("generation", "int64", (2,)),  # of each buffer; odd while it is being written
            Field("version", "int64", (2,)),
            Field("crc", "int64", (2,)),
            Field("data", "float32", (2, sum(_count(shape) for _name, shape in template))),
        ]

    @property
    def latest_version(self) -> int:
        """Newest published version; 0 before the first."""
        return int(self.segment.arrays["latest"][0])

    def publish(self, version: int, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Publish ``weights`` (name to float32 array) as ``version``, which must be above the latest."""
        arrays = self.segment.arrays
        if version <= self.latest_version:
            raise InferenceError(
                f"weights version {version} is not newer than version {self.latest_version}", kind="conflict"
            )
        buffer = 1 - int(arrays["latest"][1])
        generation = int(arrays["generation"][buffer]) | 1  # a writer may have died while writing this buffer
        arrays["generation"][buffer] = generation
        data = arrays["data"][buffer]
        start = 0
        for name, shape in self.template:
            tensor = weights.get(name)
            if tensor is None or tensor.shape != shape:
                found = "missing" if tensor is None else f"of shape {tensor.shape}"
                raise InferenceError(
                    f"weight {name!r} should have shape {shape} but is {found}: the nets differ", kind="foreign"
                )
            data[start : start + tensor.size] = np.ravel(tensor)
            start += tensor.size
        arrays["crc"][buffer] = zlib.crc32(data)
        arrays["version"][buffer] = version
        arrays["generation"][buffer] = generation + 1
        arrays["latest"][1] = buffer
        arrays["latest"][0] = version

    def read_if_newer(self, version: int) -> tuple[int, dict[str, NDArray[np.float32]]] | None:
        """Return the latest version and a copy of its weights if it is above ``version``, else None (a few 100 ns).

        Raises InferenceError if no whole version can be read for half a second.
        """
        arrays = self.segment.arrays
        if arrays["latest"][0] <= version:
            return None
        for _attempt in range(_TRIES):
            buffer = int(arrays["latest"][1])
            generation = int(arrays["generation"][buffer])
            found = int(arrays["version"][buffer])
            data = arrays["data"][buffer].copy()
            whole = generation % 2 == 0 and int(arrays["generation"][buffer]) == generation
            if whole and zlib.crc32(data) == int(arrays["crc"][buffer]):
                return found, self._split(data)
            time.sleep(_PAUSE)
        raise InferenceError(
            "the weights in shared memory are damaged: start the run again to resume it", kind="damaged"
        )

    def _split(self, data: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        weights, start = {}, 0
        for name, shape in self.template:
            count = _count(shape)
            weights[name] = data[start : start + count].reshape(shape)
            start += count
        return weights

    def close(self) -> None:
        """Release the shared memory."""
        self.segment.close()


def _count(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
