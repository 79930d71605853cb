"""Benchmarks: one module a benchmark, each with ``run(**options) -> dict`` of flat keys; but `learn`, a table.

`hexpipe bench NAME` runs them, pytest-benchmark wraps the same functions. A virtual core may drift between half and
full speed without showing it, so only ratios of slices that were measured in turn, in one call, mean much.
"""

from __future__ import annotations

BENCHMARKS: dict[str, str] = {
    "rules": "random playouts of Hex or n in a row on one core: moves a second",
    "search": "tree search with an evaluator that costs nothing, on one core: simulations a second",
    "forward": "the bare net with the fastest backend and batch: positions a second",
    "slots": "generators, shared slots and a server whose net answers at once: round trips",
    "selfplay": "the whole self-play side against the bare net, in interleaved slices: efficiency",
    "replay": "adding games to the replay buffer and sampling from it: positions a second",
    "learner": "training with and without prefetch on the same batches: steps a second",
    "serve": "the web server under many visitors at once: moves a second, how long each waits",
    "library": "`SimpleModelInference` on one thread against its bare net, two nets of 13x13: boards a second",
    "memory": "`hexpipe run` with a full buffer: what it takes as time goes by: percent an hour",
    "cluster": "two nodes of a Ray cluster here against a plain run of as many processes, in turns: positions a second",
    "startup": "`hexpipe run` to its first finished game: seconds",
    "learn": "recipes of training in turn: strength for the processor seconds they take",
}
"""Every benchmark and what it measures, in one line."""
