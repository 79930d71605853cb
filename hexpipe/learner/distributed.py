"""Training on several GPUs of one machine: one learner process a GPU, gradients averaged by DDP.

Each rank samples its own batches (`rank_seed`, `rank_batch_size`), all ranks step together and hold the same weights,
average and optimiser state; rank 0 alone publishes and saves. The caller that starts the processes gives them a
rendezvous address. Tensors on GPUs go over NCCL, those on CPUs (in tests all) over gloo.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import FileStore  # type: ignore[attr-defined]
from torch.nn.parallel import DistributedDataParallel

from hexpipe.errors import SettingsError


@contextmanager
def process_group(rank: int, ranks: int, address: str, device: torch.device, timeout: float = 120.0) -> Iterator[None]:
    """Join the group of ``ranks`` learners within the block.

    ``address`` is torch's rendezvous: "file:///path" (a new file that all ranks see) or "tcp://127.0.0.1:port". A rank
    that does not join, or dies, is an error in the others after ``timeout`` seconds. Learners of one machine use only
    its loopback: otherwise gloo would listen at the address of the machine's name.
    """
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not address.startswith("tcp://") or address.startswith("tcp://127."):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
    # create the file's store here: torch reads such an address as a URL, in which "#" and "?" are special
    path = address.removeprefix("file://")
    where: dict[str, Any] = {"init_method": address} if path == address else {"store": FileStore(path, ranks)}
    dist.init_process_group(backend, rank=rank, world_size=ranks, timeout=timedelta(seconds=timeout), **where)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _loopback() -> str:
    """Return the name of the loopback interface: "lo" on Linux, "lo0" elsewhere."""
    return next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")


def ddp_wrap(device: torch.device) -> Callable[[nn.Module], nn.Module]:
    """Return a wrapper for `Learner`'s net: it broadcasts rank 0's weights, then averages gradients in every backward
    pass."""

    def wrap(net: nn.Module) -> nn.Module:
        # channels_last gradients would be copied into the buckets' layout and back; views avoid that
        return DistributedDataParallel(
            net,
            device_ids=[device] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
            broadcast_buffers=False,  # every rank writes the same rows into an episodic memory: see `rows_of_all`
        )

    return wrap


def rank_batch_size(batch_size: int, ranks: int) -> int:
    """Return one rank's share of ``learner.batch_size``; SettingsError unless it divides evenly (the mean would be
    skewed)."""
    if batch_size % ranks:
        words = f"learner.batch_size is {batch_size}: it must be a multiple of the {ranks} devices that train together"
        raise SettingsError(words, kind="conflict", setting="learner.batch_size")
    return batch_size // ranks


def rank_seed(seed: int, rank: int) -> int:
    """Return the sampling seed of a rank; rank 0's is ``seed`` itself."""
    return seed + rank * 2**32


def rows_of_all(rows: Tensor) -> Tensor:
    """Gather ``rows`` [B, ...] of every rank, rank 0's first; ``rows`` itself where one learner trains alone."""
    if not dist.is_initialized():
        return rows
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def agree(number: int) -> int:
    """Return the minimum of ``number`` over all ranks, such as the steps that all may do; ``number`` itself for one
    rank.

    It goes over gloo, so that no GPU has to finish a step first.
    """
    if not dist.is_initialized():
        return number
    least = torch.tensor([number], dtype=torch.int64)
    dist.all_reduce(least, op=dist.ReduceOp.MIN)
    return int(least.item())
