"""By which names a server may be asked: a page of another site must not read a run through its visitor's browser."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import NamedTuple

from hexpipe.errors import UsageError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERYWHERE = ("0.0.0.0", "::")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?)\.?(:\d{0,5})?", re.ASCII)
_ORIGIN = re.compile(r"https?://([^/?#@]+)", re.ASCII | re.IGNORECASE)


class Hosts(NamedTuple):
    """Hosts that a server answers to: ``names`` (addresses among them), and with ``any_address`` every address that is
    written in numbers, which no name service can turn to somewhere else."""

    names: frozenset[str] = LOOPBACK
    any_address: bool = False

    def allow(self, host: str | None) -> bool:
        """Return whether ``host``, as `host_of` gives it, is one of them."""
        return host is not None and (host in self.names or (self.any_address and _is_address(host)))


def hosts_of(listens_on: str, more: Iterable[str] = ()) -> Hosts:
    """Return the hosts of a server that listens on ``listens_on``: those of this machine, what it listens on and
    ``more``; where it listens on every address, any of them and the machine's own name.

    UsageError for one of ``more`` that is no host.
    """
    listens_on = _bare(listens_on)
    everywhere = listens_on in _EVERYWHERE
    names = set(LOOPBACK)
    if everywhere:
        own = socket.gethostname().lower()
        names |= {own, own.partition(".")[0]}
    else:
        names.add(listens_on)
    for word in more:
        host = host_of(word) or host_of(f"[{word}]")
        if host is None:
            raise UsageError(f"{word!r} is no host: give a name or an address as in a link, without scheme and path")
        names.add(host)
    return Hosts(frozenset(names), everywhere)


def host_of(authority: str) -> str | None:
    """Return the host of ``authority`` ("Box.example:8000", "[::1]"): lower case, without port and brackets, addresses
    in their shortest form. None where it is none."""
    lower = authority.lower()
    found = _AUTHORITY.fullmatch(lower)
    if found is None:
        return None
    host = found[1]
    if not host.startswith("["):
        return host
    return _bare(host) if _is_address(host[1:-1]) else None


def host_of_origin(origin: str) -> str | None:
    """Return the host of an Origin header ("https://box.example:8443"); None for "null" and whatever else is none."""
    found = _ORIGIN.fullmatch(origin)
    return host_of(found[1]) if found else None


def _bare(host: str) -> str:
    bare = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    return str(ipaddress.ip_address(bare)) if _is_address(bare) else bare


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
