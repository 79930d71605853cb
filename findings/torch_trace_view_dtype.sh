#!/usr/bin/env bash
# torch 2.13.0, on Python 3.11 on a CPU.
#
# Guess before measuring: Tensor.view(dtype), which takes bytes for numbers, is traced by torch.jit.trace as any other
# operator of the library is; it is in torch since 1.7.
# Seen: tracing ends with an internal assertion, "We don't have an op for aten::view", that asks to report a bug. The
# same arithmetic with shifts and powers is traced. torch.export takes view(dtype).
# So: numbers that travel as int8 bytes must be put together by arithmetic where a net is traced.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install torch==2.13.0 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import warnings

import torch
from torch import Tensor, nn

print("torch", torch.__version__)


class Numbers(nn.Module):
    def forward(self, codes: Tensor) -> Tensor:
        return codes.view(torch.float16).float()


codes = torch.tensor([[0.5, -3.0, 0.25, 1.0]], dtype=torch.float16).view(torch.int8)
print("eager:", Numbers()(codes).tolist())
assert Numbers()(codes).tolist() == [[0.5, -3.0, 0.25, 1.0]]
exported = torch.export.export(Numbers(), (codes,))
assert exported.module()(codes).tolist() == [[0.5, -3.0, 0.25, 1.0]]
print("exported: the same")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        torch.jit.trace(Numbers(), (codes,))
    except RuntimeError as error:
        told = str(error)
    else:
        raise SystemExit("it is traced now")
print("traced:", told.splitlines()[0][:160])
assert "INTERNAL ASSERT FAILED" in told and "aten::view" in told
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
