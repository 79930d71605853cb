"""After `compile_all` no kernel is left to compile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

REPORT = """
import json
from hexpipe.compile_kernels import compile_all, kernel_modules
compile_all()
kernels = [
    (f"{module.__name__}.{name}", kernel)
    for module in kernel_modules()
    for name, kernel in vars(module).items()
    if hasattr(kernel, "signatures") and kernel.py_func.__module__ == module.__name__
]
print(json.dumps({
    "uncompiled": [name for name, kernel in kernels if not kernel.signatures],
    "compiled_now": [name for name, kernel in kernels if kernel.stats.cache_misses],
    "kernels": len(kernels),
}))
"""


def report(cache: Path) -> dict[str, object]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", REPORT], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_every_kernel_is_compiled_and_kept(tmp_path: Path) -> None:
    cache = Path(os.environ.get("NUMBA_CACHE_DIR") or tmp_path)
    first = report(cache)
    assert first["uncompiled"] == []
    assert int(str(first["kernels"])) > 20
    assert report(cache)["compiled_now"] == []
