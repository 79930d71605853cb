"""After `compile_all` no kernel is left to compile."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

REPORT = """
import json
from hexpipe.compile_kernels import compile_all, kernel_modules
compile_all()
kernels = [
    (f"{module.__name__}.{name}", kernel)
    for module in kernel_modules()
    for name, kernel in vars(module).items()
    if hasattr(kernel, "signatures")
    and kernel.py_func.__module__ == module.__name__
    and kernel.targetoptions.get("inline") != "always"  # becomes part of its callers
]
called = {word for _, kernel in kernels for word in kernel.py_func.__code__.co_names}  # these come with their callers
print(json.dumps({
    "uncompiled": [name for name, kernel in kernels if not kernel.signatures and name.split(".")[-1] not in called],
    "compiled_now": [name for name, kernel in kernels if kernel.stats.cache_misses],
    "kernels": len(kernels),
}))
"""


def report() -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", REPORT], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.timeout(600)
def test_every_kernel_is_compiled_and_kept() -> None:
    first = report()
    assert first["uncompiled"] == []
    assert int(str(first["kernels"])) > 20
    assert report()["compiled_now"] == []
