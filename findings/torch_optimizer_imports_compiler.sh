#!/usr/bin/env bash
# torch 2.13.0, on Python 3.11 on a CPU.
#
# Guess before measuring: an optimizer is arithmetic on tensors; to make a torch.optim.SGD of two parameters in a program
# that compiles nothing costs microseconds, and PyTorch's compiler stays unloaded.
# Seen: the constructor imports torch._dynamo, torch._inductor and sympy, 800 modules and 70 MB of resident memory, and
# takes nearly as long as `import torch` itself (1.3 s after 1.4 s, with all bytecode there). Steps after it are cheap.
# So: each process that trains pays PyTorch's start twice; in a process that only evaluates a net no optimizer may be
# made (a run of several processes and ranks feels it), and a figure of memory must be taken after one was. The functions
# below the classes (torch.optim.adamw.adamw) import nothing more.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install torch==2.13.0 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import resource
import sys
import time


def state():
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return time.process_time(), len(sys.modules), memory


begin = state()
import torch

imported = state()
assert "torch._dynamo" not in sys.modules and "sympy" not in sys.modules
optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1)
made = state()
optimizer.step()
stepped = state()
for what, before, after in (("import torch", begin, imported), ("SGD()", imported, made), ("step()", made, stepped)):
    seconds, modules, memory = (b - a for a, b in zip(before, after))
    print(f"{what}: {seconds:.2f} s of processor time, {modules} modules, {memory} MB")
print("torch", torch.__version__)
assert {"torch._dynamo", "torch._inductor", "sympy"} <= sys.modules.keys()
assert made[1] - imported[1] > 400 and made[2] - imported[2] > 30
assert made[0] - imported[0] > 0.3 * (imported[0] - begin[0])
assert stepped[1] - made[1] < 20
PYTHON
for _ in 1 2; do "$folder/venv/bin/python" "$folder/look.py"; done
