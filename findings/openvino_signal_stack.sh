#!/usr/bin/env bash
# openvino 2026.4.1, on Python 3.11 on Linux, a CPU with AVX-512.
#
# Guess before measuring: to compile a net for the CPU changes memory and threads, and nothing that belongs to the whole
# thread that asks for it; how that thread takes signals is its own affair.
# Seen: compile_model sets the calling thread's alternate signal stack (sigaltstack) to pages of its own, at the first
# net of each openvino.Core; where Python's faulthandler has set one, it is put aside. It goes with its core. On a CPU
# without AVX-512 nothing changes.
# So: a program that makes cores and lets them go, one for each net, changes again and again where its handlers run, and
# a process has died of a later signal so; one core kept for the life of the process sets it once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install openvino==2026.4.1 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import ctypes
from pathlib import Path

import numpy as np
import openvino
from openvino import opset13 as ops


class Stack(ctypes.Structure):
    _fields_ = [("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t)]


def signal_stack():
    found = Stack()
    assert ctypes.CDLL(None, use_errno=True).sigaltstack(None, ctypes.byref(found)) == 0
    return found.ss_sp, found.ss_size


def compiled(core):
    x = ops.parameter([1, 4], np.float32)
    return core.compile_model(openvino.Model([ops.relu(x)], [x], "net"), "CPU")


wide = " avx512f " in Path("/proc/cpuinfo").read_text()
before = signal_stack()
cores = [openvino.Core(), openvino.Core()]
made = signal_stack()
nets, seen = [], []
for core in cores:
    for _ in range(2):
        nets.append(compiled(core))
        seen.append(signal_stack())
print("openvino", openvino.__version__, "with AVX-512" if wide else "without AVX-512")
print("alternate signal stack before:", before, "with two cores:", made, "after each of four nets:", seen)
assert made == before, "cores alone change nothing"
assert seen[0] == seen[1] and seen[2] == seen[3], "nor does a second net of a core"
assert (seen[0] != before) == wide and (seen[2] != seen[0]) == wide
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
