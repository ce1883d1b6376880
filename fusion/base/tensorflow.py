"""TensorFlow checkpoints (the V2 format) as plain arrays, read without TensorFlow.

A checkpoint consists of ``NAME.index``, a table from names of tensors to their type, shape and
place, and ``NAME.data-00000-of-0000N``, the tensors' bytes. The table has LevelDB's format, and its
values are protocol buffers. Every block and every tensor has a checksum (CRC-32C), which is
verified. Nothing in these files is code.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fusion.base.errors import UserError

_MAGIC, _FOOTER = 0xDB4775248B80FB57, 48  # of LevelDB's tables
#: NumPy types of TensorFlow's numbers of types. Others, such as text, hold no weights.
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}


class _DamagedError(ValueError):
    """The bytes are not those of a checkpoint."""


def read_tensorflow(path: str | Path) -> dict[str, Tensor]:
    """Read all numbers of a TensorFlow checkpoint.

    Args:
        path: the ``.index`` file; the ``.data`` files are beside it.

    Returns:
        Tensors by name; convolution kernels are ``(height, width, inputs, outputs)``.

    Raises:
        UserError: a file is missing, damaged, or uses a feature that is not supported.
    """
    path = Path(path)
    table = _read(path)
    try:
        entries = dict(_table(table))
        shards = _number(_message(entries.pop(b"", b"")), 1)
        found = {name.decode(): _Place.of(value) for name, value in entries.items()}
    except (ValueError, IndexError, struct.error) as error:
        why = str(error) if isinstance(error, _DamagedError) else "its table is unreadable"
        raise UserError(
            f"{path}: not a TensorFlow checkpoint, or damaged ({why}); download it again"
        ) from error
    tensors: dict[str, Tensor] = {}
    contents: dict[int, bytes] = {}
    for name, place in found.items():
        if place.sliced:
            raise UserError(f"{path}: {name} is stored in slices, which are not read")
        if place.type not in _TYPES:
            continue
        data = path.with_name(f"{path.stem}.data-{place.shard:05d}-of-{shards:05d}")
        if place.shard not in contents:
            contents[place.shard] = _read(data)
        raw = contents[place.shard][place.offset : place.offset + place.size]
        kind = np.dtype(_TYPES[place.type])
        if len(raw) != place.size or math.prod(place.shape) * kind.itemsize != place.size:
            raise UserError(f"{data}: truncated at {name}; download it again")
        if _crc32c(raw) != place.checksum:
            raise UserError(f"{data}: damaged at {name} (checksum); download it again")
        array = np.frombuffer(raw, kind).reshape(place.shape)
        tensors[name] = torch.from_numpy(array.astype(kind.newbyteorder("=")))
    return tensors


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); a TensorFlow checkpoint is an .index file "
            "and the .data files beside it"
        ) from error


@dataclass(frozen=True)
class _Place:
    """A tensor's type and shape, and where its bytes are: TensorFlow's ``BundleEntryProto``."""

    type: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool

    @classmethod
    def of(cls, value: bytes) -> "_Place":
        fields = _message(value)
        dimensions = _message(_bytes(fields.get(2, [b""])[-1])).get(2, [])
        shape = tuple(_number(_message(_bytes(each)), 1) for each in dimensions)
        shard, offset, size, checksum = (_number(fields, key) for key in (3, 4, 5, 6))
        return cls(_number(fields, 1), shape, shard, offset, size, checksum, 7 in fields)


def _number(fields: Mapping[int, list[int | bytes]], key: int) -> int:
    found = fields.get(key, [0])[-1]
    if not isinstance(found, int):
        raise _DamagedError("an entry of its table is of another kind")
    return found


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise _DamagedError("an entry of its table is of another kind")
    return value


# --- Tables ---------------------------------------------------------------------------------------


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a LevelDB table."""
    if len(data) < _FOOTER or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise _DamagedError("it does not end as such a table does")
    footer = data[-_FOOTER:]
    at = 0
    for _ in range(2):  # the place of a block that is not used, as offset and size
        _, at = _varint(footer, at)
    for _, handle in _block(data, footer[at:]):
        yield from _block(data, handle)


def _block(data: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block, each key without what it shares with the one before it."""
    offset, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    if offset + size + 5 > len(data):
        raise _DamagedError("truncated")
    checked = data[offset : offset + size + 1]  # the block and its kind of compression
    if _crc32c(checked) != struct.unpack_from("<I", data, offset + size + 1)[0]:
        raise _DamagedError("checksum of its table")
    if checked[-1] != 0:
        raise _DamagedError("its table is compressed, which is not read")
    block = checked[:-1]
    end = size - 4 * (1 + struct.unpack_from("<I", block, size - 4)[0])
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + length]
        at += length


def _message(data: bytes) -> dict[int, list[int | bytes]]:
    """Values of a protocol buffer by the numbers of its fields."""
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(data, at)
        elif tag & 7 == 5:
            value, at = struct.unpack_from("<I", data, at)[0], at + 4
        elif tag & 7 == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            raise _DamagedError("an entry of its table is of another kind")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, least significant first, and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise _DamagedError("a number in its table does not end")


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()


def _crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), masked as both formats store it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
