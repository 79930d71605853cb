#!/usr/bin/env bash
# torch 2.13.0, on Python 3.11 on a CPU.
#
# Guess before measuring: under autocast a normalisation layer takes what a linear layer gives it; RMSNorm, LayerNorm's
# younger sister, is dealt with as LayerNorm is.
# Seen: LayerNorm and GroupNorm take bfloat16 beside their float32 weights without a word. RMSNorm warns that the
# dtypes of input and weight do not match and that it cannot dispatch to its fused kernel, and computes by parts.
# So: a transformer with RMSNorm warns at its first training step under autocast (an error where warnings are), and is
# slower than it could be; casting the input to the weight's dtype first does away with both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install torch==2.13.0 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import warnings

import torch
from torch import nn

print("torch", torch.__version__)
warned = {}
for name, norm in (("LayerNorm", nn.LayerNorm(8)), ("GroupNorm", nn.GroupNorm(2, 8)), ("RMSNorm", nn.RMSNorm(8))):
    linear = nn.Linear(8, 8)
    with warnings.catch_warnings(record=True) as caught, torch.autocast("cpu", dtype=torch.bfloat16):
        warnings.simplefilter("always")
        inside = linear(torch.randn(4, 8))
        out = norm(inside)
    assert inside.dtype == torch.bfloat16 and norm.weight.dtype == torch.float32
    warned[name] = [str(warning.message) for warning in caught]
    print(f"{name}: {out.dtype}, warnings: {[text[:120] for text in warned[name]]}")
assert not warned["LayerNorm"] and not warned["GroupNorm"]
assert len(warned["RMSNorm"]) == 1 and "Cannot dispatch to fused implementation" in warned["RMSNorm"][0]
with warnings.catch_warnings(), torch.autocast("cpu", dtype=torch.bfloat16):
    warnings.simplefilter("error")
    norm = nn.RMSNorm(8)
    assert norm(torch.randn(4, 8).bfloat16().to(norm.weight.dtype)).dtype == torch.float32
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
