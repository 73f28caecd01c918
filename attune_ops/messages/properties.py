"""AMQP message properties as they are on the wire.

Properties stay the original bytes, because a client library that decodes and encodes them changes them: pika cuts the
fraction off a double and changes the width of integers. These functions decode such bytes, and set one header in them
without changing the rest.

The layout is that of AMQP 0-9-1 (content header, 4.2.6.1), the field types those of RabbitMQ's errata.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

# In the order of their flags, from bit 15 downwards.
NAMES = (
    "content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
    "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
)  # fmt: skip
HEADERS_FLAG = 1 << 13
USER_ID_FLAG = 1 << 4
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Field type → layout of a number; 'L' and 'l' are both signed in RabbitMQ.
NUMBERS = {
    b"b": ">b", b"B": ">B", b"s": ">h", b"U": ">h", b"u": ">H", b"I": ">i", b"i": ">I", b"l": ">q", b"L": ">q",
    b"f": ">f", b"d": ">d",
}  # fmt: skip


class BadProperties(ValueError):
    """Bytes that are not valid AMQP properties."""


class Properties(msgspec.Struct, frozen=True):
    """Decoded properties, for display: in texts, bytes that are not UTF-8 are replaced."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Any] | None = None
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None  # seconds since 1970
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    cluster_id: str | None = None


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (struct.error, IndexError, RecursionError) as e:
        raise BadProperties(f"invalid AMQP properties: {e}") from None


@_reading()
def decode(raw: bytes) -> Properties:
    """Reads properties; raises `BadProperties`."""
    flags, at = _flags(raw)
    found: dict[str, Any] = {}
    for i, name in enumerate(NAMES):
        if flags & (1 << (15 - i)):
            found[name], at = _READERS.get(name, _short)(raw, at)
    return Properties(**found)


def names_user(raw: bytes) -> bool:
    """Whether the property `user_id` is set; the broker accepts only the connection's user there.

    Raises `BadProperties`.
    """
    return bool(_flags(raw)[0] & USER_ID_FLAG)


@_reading()
def with_header(raw: bytes, name: str, value: int) -> bytes:
    """The same properties with one header set to a 32-bit integer; all other bytes are unchanged.

    Raises `BadProperties`.
    """
    flags, at = _flags(raw)
    for i in range(2):  # content type and encoding precede the headers
        if flags & (1 << (15 - i)):
            at = _short(raw, at)[1]
    entry = struct.pack(">B", len(name.encode())) + name.encode() + b"I" + struct.pack(">i", value)
    if not flags & HEADERS_FLAG:
        table = struct.pack(">I", len(entry)) + entry
        return struct.pack(">H", flags | HEADERS_FLAG) + raw[2:at] + table + raw[at:]
    start, end = _span(raw, at)
    kept, position = b"", start
    while position < end:
        key, after_key = _short(raw, position)
        _, after = _value(raw, after_key)
        kept += b"" if key == name else raw[position:after]
        position = after
    return raw[:at] + struct.pack(">I", len(kept + entry)) + kept + entry + raw[end:]


def _flags(raw: bytes) -> tuple[int, int]:
    if len(raw) < 2:
        raise BadProperties("invalid AMQP properties: no flags")
    flags = int.from_bytes(raw[:2], "big")
    if flags & 1:
        raise BadProperties("invalid AMQP properties: more flags than AMQP 0-9-1 has")
    return flags, 2


def _short(raw: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + raw[at]
    return _text(raw, at + 1, end), end


def _seconds(raw: bytes, at: int) -> tuple[int, int]:
    return int(struct.unpack_from(">Q", raw, at)[0]), at + 8


def _span(raw: bytes, at: int) -> tuple[int, int]:
    """Start and end of a value that begins with its 32-bit length."""
    return at + 4, at + 4 + int(struct.unpack_from(">I", raw, at)[0])


def _table(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
    at, end = _span(raw, at)
    found: dict[str, Any] = {}
    while at < end:
        name, at = _short(raw, at)
        found[name], at = _value(raw, at)
    return found, end


def _array(raw: bytes, at: int) -> tuple[list[Any], int]:
    at, end = _span(raw, at)
    found = []
    while at < end:
        value, at = _value(raw, at)
        found.append(value)
    return found, end


def _value(raw: bytes, at: int) -> tuple[Any, int]:
    kind, at = raw[at : at + 1], at + 1
    if kind in NUMBERS:
        layout = NUMBERS[kind]
        return struct.unpack_from(layout, raw, at)[0], at + struct.calcsize(layout)
    reader = _VALUES.get(kind)
    if reader is None:
        raise BadProperties(f"unknown AMQP field type {kind!r}")
    return reader(raw, at)


def _long_text(raw: bytes, at: int) -> tuple[str, int]:
    value, end = _bytes(raw, at)
    return value.decode(errors="replace"), end


def _bytes(raw: bytes, at: int) -> tuple[bytes, int]:
    start, end = _span(raw, at)
    if end > len(raw):
        raise BadProperties("a value exceeds the end")
    return raw[start:end], end


def _text(raw: bytes, start: int, end: int) -> str:
    if end > len(raw):
        raise BadProperties("a text exceeds the end")
    return raw[start:end].decode(errors="replace")


def _decimal(raw: bytes, at: int) -> tuple[Decimal, int]:
    scale, number = struct.unpack_from(">Bi", raw, at)
    return Decimal(number).scaleb(-scale), at + 5


def _time(raw: bytes, at: int) -> tuple[Any, int]:
    """A time, or the number of seconds where `datetime` cannot represent it."""
    seconds, at = _seconds(raw, at)
    return moment(seconds) or seconds, at


def moment(seconds: int) -> datetime | None:
    """The time that many seconds after 1970, or None where `datetime` cannot represent it."""
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _octet(raw: bytes, at: int) -> tuple[int, int]:
    return raw[at], at + 1


_Reader = Callable[[bytes, int], tuple[Any, int]]
_READERS: dict[str, _Reader] = {
    "headers": _table, "delivery_mode": _octet, "priority": _octet, "timestamp": _seconds,
}  # fmt: skip
_VALUES: dict[bytes, _Reader] = {
    b"t": lambda raw, at: (raw[at] != 0, at + 1), b"V": lambda raw, at: (None, at), b"S": _long_text, b"x": _bytes,
    b"A": _array, b"F": _table, b"T": _time, b"D": _decimal,
}  # fmt: skip
