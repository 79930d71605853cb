"""Fill numba's on-disk cache: run every kernel once, on tiny inputs, through the classes that call them.

`bin/hexpipe` runs this once for each state of the kernel sources, so that no command waits for a compiler and no two
processes compile the same kernel side by side. Imports no torch.
"""

from __future__ import annotations

import importlib
import pkgutil

import hexpipe


def kernel_modules() -> list[str]:
    """Dotted names of all modules that hold kernels, sorted."""
    walked = pkgutil.walk_packages(hexpipe.__path__, prefix="hexpipe.")
    return sorted(module.name for module in walked if module.name.endswith("kernels") and module.name != __name__)


def compile_all() -> None:
    """Import every kernel module and run its kernels with the types that the pipeline gives them."""
    for name in kernel_modules():
        importlib.import_module(name)


if __name__ == "__main__":
    compile_all()
