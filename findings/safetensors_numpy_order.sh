#!/usr/bin/env bash
# safetensors 0.8.0, its numpy side, on Python 3.11 with numpy 2.4.6.
#
# Guess before measuring: save_file of an array that is not C-contiguous (a transposed view, a Fortran-ordered array, as
# numpy and torch hand them around) writes its values in their order, or refuses it, as safetensors' torch side does.
# Seen: it writes the memory as it lies under the shape of the view, without a word: what is read back has the right
# shape and dtype and the values in another order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install safetensors==0.8.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import importlib.metadata

import numpy as np
from safetensors.numpy import load_file, save_file

print("safetensors", importlib.metadata.version("safetensors"))
plain = np.arange(6, dtype=np.float32).reshape(2, 3)
for name, array in (("as it is", plain), ("transposed", plain.T), ("Fortran order", np.asfortranarray(plain))):
    save_file({"array": array}, "file.safetensors")
    read = load_file("file.safetensors")["array"]
    same = bool((read == array).all())
    print(f"{name}: wrote {array.tolist()}, read {read.tolist()}")
    assert read.shape == array.shape
    assert same == array.flags.c_contiguous, (name, same)
PYTHON
