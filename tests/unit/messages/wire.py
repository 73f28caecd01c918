"""AMQP properties written byte by byte, each field type as RabbitMQ has it."""

from __future__ import annotations

import struct
from typing import Any

from attune_ops.messages.properties import NAMES

LAYOUT = {
    b"b": ">b", b"B": ">B", b"s": ">h", b"u": ">H", b"I": ">i", b"i": ">I", b"l": ">q", b"f": ">f", b"d": ">d",
    b"T": ">Q",
}  # fmt: skip


class Typed:
    """A header value with its field type: `Typed(b"u", 5)` is an unsigned 16-bit integer."""

    def __init__(self, kind: bytes, value: Any) -> None:
        self.kind, self.value = kind, value

    def encode(self) -> bytes:
        if self.kind in LAYOUT:
            return self.kind + struct.pack(LAYOUT[self.kind], self.value)
        if self.kind == b"D":
            return self.kind + struct.pack(">Bi", *self.value)
        return self.kind + struct.pack(">I", len(self.value)) + bytes(self.value)  # S, x


def properties(**values: Any) -> bytes:
    """Raw properties; texts, numbers and `headers`."""
    flags, parts = 0, b""
    for i, name in enumerate(NAMES):
        if name not in values:
            continue
        flags |= 1 << (15 - i)
        value = values[name]
        if name == "headers":
            parts += table(value)
        elif name in ("delivery_mode", "priority"):
            parts += struct.pack(">B", value)
        elif name == "timestamp":
            parts += struct.pack(">Q", value)
        else:
            parts += short(value)
    return struct.pack(">H", flags) + parts


def short(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">B", len(data)) + data


def table(values: dict[str, Any]) -> bytes:
    inner = b"".join(short(k) + field(v) for k, v in values.items())
    return struct.pack(">I", len(inner)) + inner


def field(value: Any) -> bytes:
    if isinstance(value, Typed):
        return value.encode()
    if isinstance(value, bool):
        return b"t" + struct.pack(">B", value)
    if isinstance(value, int):
        return b"l" + struct.pack(">q", value)
    if isinstance(value, str):
        return Typed(b"S", value.encode()).encode()
    if isinstance(value, dict):
        return b"F" + table(value)
    if isinstance(value, list):
        inner = b"".join(map(field, value))
        return b"A" + struct.pack(">I", len(inner)) + inner
    assert value is None
    return b"V"
