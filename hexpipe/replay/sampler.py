"""Sampling of positions, uniform or by priority, concurrent with the writer's eviction.

With ``replay.priority_share`` a above 0 a position is drawn uniformly and accepted with probability c = 1 - a + a *
priority (`targets.value_priorities`), or else another is drawn (rejection sampling): there is no sum tree for the
writer to maintain. It takes 1 / (mean c) draws a sample. A sample has the probability P = c / (N * mean c), and its
importance weight 1 / (N * P) (arXiv:1911.08265, appendix G; arXiv:1511.05952, section 3.4) is ``weights`` of the batch:
1 / c, scaled to a mean of 1 over the batch. The loss needs them. |root value - outcome| is large where the search was
wrong, but also where the game is open and the less likely result came. Of positions that are won with probability p and
searched to exactly that, the won ones have the error 2 (1 - p) and the lost ones 2 p: without weights (and a = 1) both
would be trained equally often, and the net would learn that all of them are even.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hexpipe.games.local_view import LocalView
from hexpipe.replay.decode_kernels import Decoder
from hexpipe.replay.positions import Positions, positions_of
from hexpipe.replay.sample_kernels import Ring, draw_positions, find_games, read_samples
from hexpipe.replay.store import EmptyBufferError, Store, Window
from hexpipe.replay.targets import LOOKING, Batch, allocate_batch, check_batch, code_weights, samples_into


class Sampler:
    """Reader of batches from a store. It has no mutable state: threads may share it, each with its own generator."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ring = Ring(
            **store.index._asdict(),
            data=store.data,
            layouts=np.array(store.layouts, np.int64),
            section_starts=store.section_starts,
            ring_bytes=store.ring_bytes,
        )
        largest = max(layout.board_size for layout in store.layouts)
        buckets = np.zeros((len(store.layouts), largest), np.int16)
        for row, layout in zip(buckets, store.layouts, strict=True):
            row[: layout.board_size] = LocalView(layout.board_size, layout.view_size).buckets()
        self._decoder = Decoder(code_weights(), store.games[0].action_view, buckets)

    def sample_batch(
        self,
        batch_size: int,
        rng: np.random.Generator,
        unroll_steps: int = 0,
        out: Batch | None = None,
        *,
        observations: bool = False,
    ) -> Batch:
        """Sample ``batch_size`` positions of the store with their targets (see `targets`), with ``observations`` also
        next_codes.

        ``out`` is filled and returned if given. Raises EmptyBufferError while the store is empty.
        """
        store = self._store
        shapes = store.games[0].shapes
        if out is None:
            out = allocate_batch(shapes, batch_size, unroll_steps, observations)
        else:
            check_batch(out, shapes, batch_size, unroll_steps, observations)
        samples = samples_into(out, store.layouts)
        if any(layout.view_moves for layout in store.layouts):
            samples.looking[:] = rng.random(batch_size) < LOOKING
        out["weights"].fill(1)
        rows, at_once = np.arange(batch_size), batch_size
        while len(rows):
            window = store.window()
            if not window.live_positions:
                raise EmptyBufferError
            now, later = rows[:at_once], rows[at_once:]
            positions = self._draw(window, now, rng, samples.rings, out["weights"])
            drawn = positions >= 0
            not_drawn, now, positions = now[~drawn], now[drawn], positions[drawn]
            read_samples(
                self._ring,
                self._decoder,
                positions,
                now,
                store.settings.td_steps,
                samples,
            )
            evicted = samples.rings[now] < store.tail_game()
            if not (samples.intact[now] | evicted).all():
                raise RuntimeError("the replay buffer's memory is damaged: end the run and resume it from its archive")
            if len(now) and evicted.all():  # all games leave while so many are read: reading fewer gets on
                at_once = max(1, len(now) // 2)
            rows = np.concatenate([not_drawn, now[evicted], later])
        if store.settings.priority_share:
            out["weights"] /= out["weights"].mean()
        if unroll_steps:
            free = (out["mask"][:, :-1] == 0) | (out["unrolled"] == 0)
            out["actions"][free] = rng.integers(0, shapes.num_actions, np.count_nonzero(free))
        boards = positions_of(store.games, samples)  # after the loop: only what it found to be whole is played on
        boards.write_codes(0, out["codes"])
        if observations:
            self._play_on(boards, out)
        return out

    def _draw(
        self,
        window: Window,
        rows: NDArray[np.int64],
        rng: np.random.Generator,
        rings: NDArray[np.int64],
        weights: NDArray[np.float32],
    ) -> NDArray[np.int64]:
        """Draw live positions of ``window`` for ``rows``, -1 if none was found.

        Sets the game's ring number in ``rings`` [B] of these rows, and 1 / c in ``weights`` [B] where c is not 1.
        """
        store = self._store
        share = store.settings.priority_share
        if share == 0 and window.head_position - window.tail_position == window.live_positions:
            positions = rng.integers(window.tail_position, window.head_position, len(rows))
            find_games(self._ring, window.tail_game, window.head_game, positions, rows, rings)
            return positions
        positions = np.empty(len(rows), np.int64)
        seed = rng.integers(0, 2**64, dtype=np.uint64)
        draw_positions(
            self._ring,
            store.layouts[0],
            window.tail_game,
            window.head_game,
            window.tail_position,
            window.head_position,
            share,
            seed,
            rows,
            positions,
            rings,
            weights,
        )
        return positions

    def _play_on(self, boards: Positions, out: Batch) -> None:
        """Fill next_codes by playing on; leaves ``boards`` at their last steps."""
        codes = np.empty_like(out["codes"])
        for step in range(out["actions"].shape[1]):
            boards.play(step)
            boards.write_codes(step + 1, codes)
            out["next_codes"][:, step] = codes
        out["next_codes"][out["mask"][:, 1:] == 0] = 0
