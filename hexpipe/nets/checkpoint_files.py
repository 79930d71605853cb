"""The files of a checkpoint's folder, read as untrusted input.

Nothing is unpickled. Only plain files are opened, no links, pipes or devices; no more is read than the checkpoint's
document declares, and than memory allows.
"""

from __future__ import annotations

import errno
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from hexpipe.errors import CheckpointError, DamagedCheckpointError
from hexpipe.plain_files import read_document, read_plain, write_synced
from hexpipe.shm import available_memory

Arrays = dict[str, NDArray[Any]]
_OTHER_DTYPES = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8 (e4m3)",
    "F8_E5M2": "float8 (e5m2)",
    "F8_E8M0": "float8 (e8m0)",
    "F8_E4M3FNUZ": "float8 (e4m3fnuz)",
    "F8_E5M2FNUZ": "float8 (e5m2fnuz)",
    "F6_E2M3": "float6 (e2m3)",
    "F6_E3M2": "float6 (e3m2)",
    "F4": "float4",
}
"""Dtypes of safetensors that numpy lacks."""
_WORDS = 300  # characters of a library's error that are quoted
_COPIES = 2  # copies of a file's bytes in memory while it is read
_LARGEST = 1e18  # its square is about the largest float32
_MAY_PASS = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def write_group(folder: Path, group: str, tensors: Mapping[str, Any]) -> dict[str, int]:
    """Write GROUP.safetensors and return its entry in the document: its length and its checksum."""
    # safetensors' numpy side writes raw memory: non-contiguous arrays would be scrambled
    arrays = {name: np.ascontiguousarray(_as_array(tensor)).reshape(tensor.shape) for name, tensor in tensors.items()}
    data = safetensors_numpy.save(arrays)
    write_synced(folder / f"{group}.safetensors", data)
    return {"bytes": len(data), "crc32": zlib.crc32(data)}


def read_group(file: Path, entry: Mapping[str, int]) -> Arrays:
    """Read the arrays of `write_group`, whose document has ``entry``.

    DamagedCheckpointError if they differ from it, CheckpointError if that cannot be determined.
    """
    available = available_memory()
    try:
        if _COPIES * min(file.lstat().st_size, entry["bytes"]) > available:
            words = (
                f"{file} has {entry['bytes']:,} bytes, too many for the memory that is left ({available:,}); free some"
            )
            raise CheckpointError(words, kind="full", path=file)
        data = read_plain(file, entry["bytes"])
    except OSError as error:
        raise _unreadable(file, error) from error
    if len(data) != entry["bytes"] or zlib.crc32(data) != entry["crc32"]:
        raise DamagedCheckpointError(
            f"{file} is damaged (its size or checksum is wrong); take an older checkpoint", path=file
        )
    try:
        arrays = dict(safetensors_numpy.load(data))
    except KeyError as error:  # the file is intact, but numpy lacks its dtype
        dtype = _OTHER_DTYPES.get(str(error.args[0]), f"{error.args[0]!s:.20}")
        words = (
            f"{file} holds {dtype} numbers, hexpipe reads float32: convert its tensors to float32, or take the "
            "checkpoint that it was made from"
        )
        raise CheckpointError(words, kind="type", path=file) from error
    except (SafetensorError, ValueError, OverflowError) as error:
        why = f"{file} is no safetensors file ({brief(error)}); take another checkpoint"
        raise DamagedCheckpointError(why, path=file) from error
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise DamagedCheckpointError(f"{file}: {name[:80]!r} is not finite; take another checkpoint", path=file)
        if array.dtype.kind == "f" and array.size and max(float(array.max()), -float(array.min())) > _LARGEST:
            why = f"{file}: {name[:80]!r} has numbers that no training gives; take another checkpoint"
            raise DamagedCheckpointError(why, path=file)
    return arrays


def read_meta(file: Path) -> Any:
    """Read checkpoint.json; DamagedCheckpointError if it is no JSON."""
    try:
        return read_document(file)
    except OSError as error:
        raise _unreadable(file, error) from error
    except ValueError as error:
        why = f"{file} is damaged (no JSON: {brief(error)}); take an older checkpoint"
        raise DamagedCheckpointError(why, path=file) from error


def brief(error: BaseException) -> str:
    """Return the message of ``error`` on one line, shortened."""
    words = " ".join(str(error).split())
    return words if len(words) <= _WORDS else f"{words[:_WORDS]}..."


def _unreadable(file: Path, error: OSError) -> CheckpointError:
    kind = CheckpointError if error.errno in _MAY_PASS else DamagedCheckpointError
    words = f"{file} cannot be read ({error.strerror or error}); take another checkpoint"
    return kind(words, kind="access" if kind is CheckpointError else "damaged", path=file)


def _as_array(tensor: Any) -> NDArray[Any]:
    if isinstance(tensor, np.ndarray):
        return tensor
    array: NDArray[Any] = tensor.detach().cpu().numpy()  # a torch tensor; torch itself is not imported here
    return array
