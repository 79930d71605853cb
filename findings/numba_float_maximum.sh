#!/usr/bin/env bash
# numba 0.68.1 with llvmlite 0.50.0 and numpy 2.4.6, on Python 3.11 (kernels of a search, replay or batch; x86-64 with AVX2).
#
# Guess before measuring: with fastmath=True, which promises that there is no NaN and no difference between the zeros, a
# loop that keeps the largest of float32 is made of vector instructions, as one that adds them up is.
# Seen: the sum is, the maximum is not, neither as max(best, value) nor as "if value > best"; one number at a time, each
# waiting for the last. The same loop over int32 is. Floats that are not negative are in the order of their bits, so the
# array's view as int32 gives the same answer in a third of the time.
# So: what looks for the largest prior, logit or priority looks among integers (hexpipe's search does since).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6
cat > "$folder/loops.py" <<'PYTHON'
import importlib.metadata
import re
import time

import numpy as np
from numba import njit

print("numba", importlib.metadata.version("numba"))


@njit(fastmath=True)
def total(values):
    found = values[0]
    for i in range(len(values)):
        found += values[i]
    return found


@njit(fastmath=True)
def largest(values):
    found = values[0]
    for i in range(len(values)):
        found = max(found, values[i])
    return found


@njit(fastmath=True)
def largest_by_comparison(values):
    found = values[0]
    for i in range(len(values)):
        if values[i] > found:
            found = values[i]
    return found


def vectors(kernel, values):
    """How many instructions add or compare several numbers at once; nanoseconds a number."""
    kernel(values)
    assembly = kernel.inspect_asm(kernel.signatures[-1])
    times = []
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(200):
            kernel(values)
        times.append((time.perf_counter() - began) / 200 / len(values))
    return len(re.findall(r"\bv?(?:addps|maxps|pmaxsd)\b", assembly)), min(times) * 1e9


floats = np.random.default_rng(0).random(4096, np.float32)
seen = {}
for name, kernel, values in (
    ("sum of float32", total, floats),
    ("max of float32", largest, floats),
    ("if of float32", largest_by_comparison, floats),
    ("max of int32", largest, floats.view(np.int32)),
):
    seen[name], nanoseconds = vectors(kernel, values)
    print(f"{name}: {seen[name]} vector instructions, {nanoseconds:.2f} ns a number")
assert largest(floats.view(np.int32)) == floats.max().view(np.int32)
assert seen["sum of float32"] > 0 and seen["max of int32"] > 0, seen
assert seen["max of float32"] == seen["if of float32"] == 0, seen
PYTHON
cd "$folder"
"$folder/venv/bin/python" loops.py
