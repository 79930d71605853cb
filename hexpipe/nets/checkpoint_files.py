"""The files of a checkpoint's folder, written to outlive a power cut and read as if a stranger had made them.

Nothing is unpickled. Only plain files are opened, no links, pipes or devices; what is read is no longer than its
checkpoint says, and than there is memory for.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from hexpipe.errors import CheckpointError, DamagedCheckpointError

Arrays = dict[str, NDArray[Any]]
MOST_DOCUMENT_BYTES = 2**20
"""checkpoint.json has some ten thousand."""
_WORDS = 300  # characters of another's error that are repeated
_MAY_PASS = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_COPIES = 2  # of a file's bytes that are in memory at once while it is read


def write_group(folder: Path, group: str, tensors: Mapping[str, Any]) -> dict[str, int]:
    """Write GROUP.safetensors and return what the document says of it: its length and its checksum."""
    arrays = {name: np.ascontiguousarray(_as_array(tensor)).reshape(tensor.shape) for name, tensor in tensors.items()}
    data = safetensors_numpy.save(arrays)
    write_synced(folder / f"{group}.safetensors", data)
    return {"bytes": len(data), "crc32": zlib.crc32(data)}


def read_group(file: Path, entry: Mapping[str, int]) -> Arrays:
    """The arrays that `write_group` has written, of which ``entry`` is said; DamagedCheckpointError if they are any
    other, CheckpointError where that cannot be told."""
    data = _read_plain(file, entry["bytes"])
    if len(data) != entry["bytes"] or zlib.crc32(data) != entry["crc32"]:
        raise DamagedCheckpointError(f"{file} is damaged (its size or checksum is wrong); take an older checkpoint")
    try:
        arrays = dict(safetensors_numpy.load(data))
    except (SafetensorError, KeyError, ValueError, OverflowError) as error:  # KeyError: a dtype that numpy has not
        why = f"{file} is no safetensors file ({brief(error)}); take another checkpoint"
        raise DamagedCheckpointError(why) from error
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise DamagedCheckpointError(f"{file}: {name[:80]!r} is not finite; take another checkpoint")
    return arrays


def read_document(file: Path) -> Any:
    """What is in a JSON file; DamagedCheckpointError if it is none, has a key twice, or
    numbers that JSON has not."""
    data = _read_plain(file, MOST_DOCUMENT_BYTES)
    if len(data) > MOST_DOCUMENT_BYTES:
        raise DamagedCheckpointError(f"{file} is damaged (it is far too long); take an older checkpoint")
    try:
        return json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = f"{file} is damaged (no JSON: {brief(error)}); take an older checkpoint"
        raise DamagedCheckpointError(why) from error


def brief(error: BaseException) -> str:
    """The words of ``error`` on one line, and not too many."""
    words = " ".join(str(error).split())
    return words if len(words) <= _WORDS else f"{words[:_WORDS]}..."


def write_synced(file: Path, data: bytes) -> None:
    """Write a file; when this returns it is on the disk."""
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """When this returns the names in ``folder`` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_plain(file: Path, most: int) -> bytes:
    """The first ``most`` bytes of a plain file, and one more where there are more."""
    try:
        if not stat.S_ISREG(file.lstat().st_mode):  # before it is opened: that alone may do something to a device
            raise DamagedCheckpointError(f"{file} is no plain file but a link, a folder or a pipe; put the file there")
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            length = min(os.fstat(descriptor).st_size, most + 1)
            available = psutil.virtual_memory().available
            if _COPIES * length > available:
                raise CheckpointError(
                    f"{file} has {length:,} bytes, too many for the memory that is left ({available:,}); free some"
                )
            return stream.read(length)
    except OSError as error:
        kind = CheckpointError if error.errno in _MAY_PASS else DamagedCheckpointError
        raise kind(f"{file} cannot be read ({error.strerror or error}); take another checkpoint") from error


def _as_array(tensor: Any) -> NDArray[Any]:
    if isinstance(tensor, np.ndarray):
        return tensor
    array: NDArray[Any] = tensor.detach().cpu().numpy()  # a torch tensor; torch itself is not imported here
    return array


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it has a key twice")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"it has {word} for a number")
