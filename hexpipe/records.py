"""GameRecord, the form of every finished game, and the packing of its policy targets.

A packed policy is a bitmask of ceil(A / 8) bytes (bit a of byte a // 8, lowest bit first: action a has weight) and then
one byte for each set bit, in order of actions: the code c of p / pmax = 2 ** (-c / 16). A step of 1/16 octave keeps a
target within 2.2% of each weight, which costs about 1e-4 nats of Kullback-Leibler divergence. The largest weight has
the code 0, so that a policy whose one code is `MAX_CODE` is none: its ply was searched too little to learn from
(``selfplay.fast_share``), and its action is the move played.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hexpipe.errors import ArchiveError

IMPORTED = -1
"""``weights_version`` of a game that was not played by a net of the run."""
STEPS_PER_OCTAVE = 16
MAX_CODE = 255

_MAGIC = b"HXGR"
_VERSION = 3
# magic, version, name length, board size, win length, swap, seats, opponents, actions, plies, opening plies, origins,
# policy bytes, weights version, simulations
_HEADER = struct.Struct("<4sHHHHBBBIIIIIqq")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, eq=False)
class GameRecord:
    """One finished game of T plies, S seats and A actions; every action and value in absolute coordinates.

    ``board_size``, ``swap`` and ``win_length`` (0 where the game has none) are the rules of this game: in a run whose
    board grows they differ between games.

    ``actions`` int16 [T]; ``seats`` int8 [T], who moved; ``views`` int8 [T], the frame the mover saw the state in;
    ``root_values`` float32 [T, S] in [-1, 1], the root value of each seat; ``policy_offsets`` uint32 [T + 1] into
    ``policy_bytes`` uint8 (see `pack_policies`); ``outcome`` float32 [S]; ``weights_version`` of the first move,
    `IMPORTED` where the game was played elsewhere; ``simulations`` a move; ``opening_plies``, the plies at the start
    that were played at random and are not learned from (their policies are the moves played); ``origins`` int16 [T, 2]
    of the local view that each action is a place in, [0, 2] where the view stays where the game starts; ``opponents``,
    a bit mask of the seats (1 << seat) that a league opponent played. Raises ValueError when the parts do not fit
    together.
    """

    game: str
    board_size: int
    swap: bool
    num_seats: int
    num_actions: int
    actions: NDArray[np.int16]
    seats: NDArray[np.int8]
    views: NDArray[np.int8]
    root_values: NDArray[np.float32]
    policy_offsets: NDArray[np.uint32]
    policy_bytes: NDArray[np.uint8]
    outcome: NDArray[np.float32]
    weights_version: int
    simulations: int
    opening_plies: int = 0
    win_length: int = 0
    opponents: int = 0
    origins: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 2), np.int16))

    def __post_init__(self) -> None:
        plies = len(self.actions)
        wanted = (
            ("actions", self.actions, np.int16, (plies,)),
            ("seats", self.seats, np.int8, (plies,)),
            ("views", self.views, np.int8, (plies,)),
            ("root_values", self.root_values, np.float32, (plies, self.num_seats)),
            ("policy_offsets", self.policy_offsets, np.uint32, (plies + 1,)),
            ("policy_bytes", self.policy_bytes, np.uint8, (len(self.policy_bytes),)),
            ("outcome", self.outcome, np.float32, (self.num_seats,)),
            ("origins", self.origins, np.int16, (plies if len(self.origins) else 0, 2)),
        )
        for name, array, dtype, shape in wanted:
            if array.dtype != dtype or array.shape != shape:
                found = f"{array.dtype} {array.shape}"
                raise ValueError(f"{name} of a game record must be {np.dtype(dtype)} {shape}, not {found}")
        if plies == 0:
            raise ValueError("a game record needs at least one ply")
        if not 0 <= self.opponents < 1 << self.num_seats:
            raise ValueError(f"a game record of {self.num_seats} seats cannot have the opponents {self.opponents:b}")
        if not 0 <= self.opening_plies < plies:
            raise ValueError(f"a game record of {plies} plies cannot have {self.opening_plies} opening plies")
        _check_range("actions", self.actions, self.num_actions)
        _check_range("seats", self.seats, self.num_seats)
        _check_range("views", self.views, 16)
        if not (np.abs(self.root_values) <= 1).all() or not (np.abs(self.outcome) <= 1).all():
            raise ValueError("root_values and outcome of a game record must be numbers in [-1, 1]")
        check_policies(self.policy_offsets, self.policy_bytes, self.num_actions)

    @property
    def num_positions(self) -> int:
        """Number of positions to learn from: one a ply after the opening."""
        return len(self.actions) - self.opening_plies

    @property
    def num_plies(self) -> int:
        """Number of plies of the game, T."""
        return len(self.actions)

    def to_bytes(self) -> bytes:
        """Serialize the record: header, name, arrays, crc32 of all before it; little-endian on every machine."""
        name = self.game.encode()
        header = _HEADER.pack(
            _MAGIC,
            _VERSION,
            len(name),
            self.board_size,
            self.win_length,
            int(self.swap),
            self.num_seats,
            self.opponents,
            self.num_actions,
            self.num_plies,
            self.opening_plies,
            len(self.origins),
            len(self.policy_bytes),
            self.weights_version,
            self.simulations,
        )
        parts = [header, name]
        for array, dtype in (
            (self.actions, "<i2"),
            (self.seats, "<i1"),
            (self.views, "<i1"),
            (self.root_values, "<f4"),
            (self.policy_offsets, "<u4"),
            (self.policy_bytes, "<u1"),
            (self.outcome, "<f4"),
            (self.origins, "<i2"),
        ):
            parts.append(np.ascontiguousarray(array, dtype).tobytes())
        body = b"".join(parts)
        return body + _CRC.pack(zlib.crc32(body))

    @staticmethod
    def from_bytes(data: bytes) -> GameRecord:
        """Parse the bytes of `to_bytes`. Raises ArchiveError if they are damaged, foreign or newer."""
        if len(data) < _HEADER.size + _CRC.size or data[:4] != _MAGIC:
            raise ArchiveError("these bytes are no game record; take the archive from a backup", kind="foreign")
        _, version, name_length, board_size, win_length, swap, seats, opponents, *rest = _HEADER.unpack_from(data)
        num_actions, plies, opening_plies, num_origins, policy_length, weights, simulations = rest
        if version != _VERSION:
            raise ArchiveError(
                f"a game record has format {version}, this version reads {_VERSION}; update hexpipe", kind="version"
            )
        if zlib.crc32(data[: -_CRC.size]) != _CRC.unpack_from(data, len(data) - _CRC.size)[0]:
            raise ArchiveError(
                "a game record is damaged (its checksum does not fit); take the archive from a backup", kind="damaged"
            )
        sizes = (plies * 2, plies, plies, plies * seats * 4, (plies + 1) * 4, policy_length, seats * 4, num_origins * 4)
        if _HEADER.size + name_length + sum(sizes) + _CRC.size != len(data):
            raise ArchiveError(
                "a game record is damaged (its length does not fit); take the archive from a backup", kind="damaged"
            )
        ends = np.cumsum((_HEADER.size + name_length, *sizes)).tolist()
        parts = [data[start:end] for start, end in pairwise(ends)]
        try:
            return GameRecord(
                game=data[_HEADER.size : ends[0]].decode(),
                board_size=board_size,
                swap=bool(swap),
                num_seats=seats,
                num_actions=num_actions,
                actions=np.frombuffer(parts[0], "<i2").astype(np.int16, copy=False),
                seats=np.frombuffer(parts[1], np.int8),
                views=np.frombuffer(parts[2], np.int8),
                root_values=np.frombuffer(parts[3], "<f4").astype(np.float32, copy=False).reshape(plies, seats),
                policy_offsets=np.frombuffer(parts[4], "<u4").astype(np.uint32, copy=False),
                policy_bytes=np.frombuffer(parts[5], np.uint8),
                outcome=np.frombuffer(parts[6], "<f4").astype(np.float32, copy=False),
                weights_version=weights,
                simulations=simulations,
                opening_plies=opening_plies,
                win_length=win_length,
                opponents=opponents,
                origins=np.frombuffer(parts[7], "<i2").astype(np.int16, copy=False).reshape(num_origins, 2),
            )
        except ValueError as error:
            raise ArchiveError(
                f"a game record is damaged ({error}); take the archive from a backup", kind="damaged"
            ) from error


def pack_policies(
    weights: NDArray[np.float32], known: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Pack ``weights`` float [T, A], nonnegative, any scale, of absolute actions: offsets uint32 [T + 1] and bytes.

    Entries under 2**-16 of their row's largest are dropped. Where ``known`` bool [T] is False a row is no policy, but
    1 for the move played. Raises ValueError where a row has no weight.
    """
    weights = np.asarray(weights, np.float32)
    largest = weights.max(axis=1, initial=0.0)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and (largest > 0).all()):
        raise ValueError("policy weights must be finite and nonnegative, with something above 0 in every row")
    # float64: the quotient of two tiny float32 must not lose its bits
    ratio = weights / largest[:, None].astype(np.float64)
    kept = ratio >= 2.0**-16
    codes = np.rint(-STEPS_PER_OCTAVE * np.log2(ratio[kept])).clip(0, MAX_CODE).astype(np.uint8)
    mask_bytes = mask_length(weights.shape[1])
    counts = kept.sum(axis=1)
    if known is not None:
        codes[np.repeat(~known, counts)] = MAX_CODE
    offsets = np.zeros(len(weights) + 1, np.uint32)
    np.cumsum(counts + mask_bytes, out=offsets[1:])
    packed = np.empty(int(offsets[-1]), np.uint8)
    is_mask = _mask_positions(offsets, mask_bytes)
    packed[is_mask] = np.packbits(kept, axis=1, bitorder="little").ravel()
    packed[~is_mask] = codes
    return offsets, packed


def unpack_policies(offsets: NDArray[np.uint32], packed: NDArray[np.uint8], num_actions: int) -> NDArray[np.float32]:
    """Unpack the policies of `pack_policies`: float32 [T, A], absolute actions, rows summing to 1, or 0 where there is
    none."""
    is_mask = _mask_positions(offsets, mask_length(num_actions))
    bits = packed[is_mask].reshape(len(offsets) - 1, -1)
    kept = np.unpackbits(bits, axis=1, count=num_actions, bitorder="little").astype(bool)
    policies = np.zeros(kept.shape, np.float32)
    policies[kept] = np.exp2(packed[~is_mask].astype(np.float32) / -STEPS_PER_OCTAVE)
    policies /= policies.sum(axis=1, keepdims=True)
    alone = np.diff(offsets) == mask_length(num_actions) + 1
    policies[alone & (packed[offsets[1:] - 1] == MAX_CODE)] = 0
    return policies


def check_policies(offsets: NDArray[np.uint32], packed: NDArray[np.uint8], num_actions: int) -> None:
    """Raise ValueError unless every packed policy has as many codes as its mask has bits, and at least one."""
    mask_bytes = mask_length(num_actions)
    lengths = np.diff(offsets.astype(np.int64))
    if offsets[0] != 0 or offsets[-1] != len(packed) or (lengths <= mask_bytes).any():
        raise ValueError("policy_offsets of a game record do not fit policy_bytes")
    bits = np.unpackbits(
        packed[_mask_positions(offsets, mask_bytes)].reshape(len(lengths), -1), axis=1, bitorder="little"
    )
    if bits[:, num_actions:].any() or (bits.sum(axis=1, dtype=np.int64) != lengths - mask_bytes).any():
        raise ValueError("a policy's mask in a game record does not fit its length")


def mask_length(num_actions: int) -> int:
    """Return the bytes of a packed policy's bitmask."""
    return (num_actions + 7) // 8


def _mask_positions(offsets: NDArray[np.uint32], mask_bytes: int) -> NDArray[np.bool_]:
    is_mask = np.zeros(int(offsets[-1]), bool)
    is_mask[(offsets[:-1, None].astype(np.int64) + np.arange(mask_bytes)).ravel()] = True
    return is_mask


def _check_range(name: str, array: NDArray[np.int16] | NDArray[np.int8], end: int) -> None:
    if array.min() < 0 or array.max() >= end:
        raise ValueError(f"{name} of a game record must be in 0..{end - 1}")
