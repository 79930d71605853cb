#!/usr/bin/env bash
# torch 2.13.0, on Python 3.11 on a CPU.
#
# Guess before measuring: in a net whose activations are channels last each operation over a board gives its gradient
# back in that layout, as ReLU and the convolutions do; pooling over all cells is no exception.
# Seen: the gradients of mean(dim=(2, 3)) and AdaptiveAvgPool2d(1) are contiguous (channels first), those of
# amax(dim=(2, 3)), AdaptiveMaxPool2d(1) and ReLU are channels last. The sum with the gradient of the other branch, and
# the convolution below, then convert between the two. mean over the flattened cells of the board moved to the last
# axis (movedim(1, -1).flatten(1, 2).mean(1)), the same number, keeps the layout.
# So: a block with global pooling (KataGo's) pays for layouts in its backward pass. Of equal maxima amax gives each a
# share of the gradient, max pooling gives the first all of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install torch==2.13.0 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import torch
from torch.nn import functional as F

WAYS = {
    "relu": F.relu,
    "amax": lambda x: x.amax(dim=(2, 3)),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 1),
    "mean": lambda x: x.mean(dim=(2, 3)),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 1),
    "mean of moved cells": lambda x: x.movedim(1, -1).flatten(1, 2).mean(1),
}
print("torch", torch.__version__)
kept = {}
for name, way in WAYS.items():
    for dtype in (torch.float32, torch.bfloat16):
        leaf = torch.randn(2, 32, 7, 7).to(dtype).to(memory_format=torch.channels_last).requires_grad_()
        x, seen = leaf * 1, []
        x.register_hook(seen.append)
        out = way(x)
        out.backward(torch.ones_like(out))
        last = seen[0].is_contiguous(memory_format=torch.channels_last)
        print(f"{name}, {dtype}: gradient {'channels last' if last else 'contiguous'}, strides {seen[0].stride()}")
        assert last or seen[0].is_contiguous()
        assert kept.setdefault(name, last) == last
ties = torch.zeros(1, 1, 2, 2, requires_grad=True)
shares = [torch.autograd.grad(WAYS[name](ties).sum(), ties)[0].flatten().tolist() for name in ("amax", "adaptive_max_pool2d")]
print("gradients of four equal maxima:", *shares)
assert kept == {name: name not in ("mean", "adaptive_avg_pool2d") for name in WAYS}
assert shares == [[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]]
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
