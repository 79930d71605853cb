"""Uniform samples of positions, taken while the writer goes on evicting."""

from __future__ import annotations

import numpy as np

from hexpipe.replay.kernels import Decoder, Ring, read_samples
from hexpipe.replay.store import Store
from hexpipe.replay.targets import Batch, allocate_batch, check_batch, code_weights, samples_into


class Sampler:
    """Reads batches out of a store. Holds nothing that changes: threads may share it, each with its own generator."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ring = Ring(
            starts=store.starts,
            offsets=store.offsets,
            plies=store.plies,
            openings=store.openings,
            sizes=store.sizes,
            data=store.data,
            section_starts=store.section_starts,
            ring_bytes=store.ring_bytes,
        )
        self._decoder = Decoder(code_weights(), store.game.action_view)

    def sample_batch(
        self, batch_size: int, rng: np.random.Generator, unroll_steps: int = 0, out: Batch | None = None
    ) -> Batch:
        """``batch_size`` positions, each as likely as any other in the store, with their targets (see `targets`).

        ``out`` is filled and returned where given. Raises ValueError while the store is empty.
        """
        store = self._store
        shapes = store.game.shapes
        if out is None:
            out = allocate_batch(shapes, batch_size, unroll_steps)
        else:
            check_batch(out, shapes, batch_size, unroll_steps)
        samples = samples_into(out, store.layout.board_cells)
        rows = np.arange(batch_size)
        while len(rows):
            window = store.window()
            if window.head_position == window.tail_position:
                raise ValueError("the replay buffer is empty: add a game before sampling")
            positions = rng.integers(window.tail_position, window.head_position, len(rows))
            read_samples(
                self._ring,
                store.layout,
                self._decoder,
                window.tail_game,
                window.head_game,
                positions,
                rows,
                store.settings.td_steps,
                samples,
            )
            evicted = samples.games[rows] < store.tail_game()
            if not (samples.intact[rows] | evicted).all():
                raise RuntimeError("the replay buffer's memory is damaged: end the run and resume it from its archive")
            rows = rows[evicted]
        origins = np.zeros((batch_size, 2), np.int16)  # `piece_layout` refuses games whose view is not the board
        store.game.codes_from_cells(samples.cells, samples.views, samples.plies, origins, out["codes"])
        return out
