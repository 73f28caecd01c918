"""The file that messages are kept in: one JSON object a line, the first says what it is (docs/messages.md).

Properties and body are base64 of the very bytes that came. A line that has no end was cut off by a crash; it was
never acknowledged, so the broker still has its message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from attune_ops.messages.message import Message
from attune_ops.model.errors import ConfigError

SCHEMA = "attune-ops/messages/1"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `id` tells this file from another of the same name; `broker` is the URL, password masked."""

    schema: str = SCHEMA
    id: str
    queue: str
    vhost: str
    broker: str
    created: datetime


class Damaged(msgspec.Struct, frozen=True):
    """A line that is no message; `torn` says that it is the last one and has no end."""

    line: int
    torn: bool


_encoder = msgspec.json.Encoder()
_header = msgspec.json.Decoder(Header)
_message = msgspec.json.Decoder(Message)


def encode(record: Header | Message) -> bytes:
    """The line for a record, its end included."""
    return _encoder.encode(record) + b"\n"


def header(line: bytes, name: str) -> Header:
    """Reads the first line of the file `name`; raises `ConfigError` where it is no such file."""
    try:
        found = _header.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError(f"{name!r} is no file of messages: its first line is not {SCHEMA}") from None
    if found.schema != SCHEMA:
        raise ConfigError(f"{name!r} is {found.schema!r}, and this release reads {SCHEMA}")
    return found


def messages(lines: Iterable[bytes]) -> Iterator[Message | Damaged]:
    """Reads the lines after the first. The position of a message is that of its line, whatever the line says."""
    for n, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            yield Damaged(n, torn=True)
            return
        try:
            message = _message.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield Damaged(n, torn=False)
            continue
        yield message if message.n == n else msgspec.structs.replace(message, n=n)
