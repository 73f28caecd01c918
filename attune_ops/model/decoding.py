"""Typed values from JSON and MessagePack, in any number of threads.

msgspec inspects a type when it is first decoded. Version 0.22 ends the process with a segmentation fault where two
threads do that at once, also for two types with a common part. So one thread at a time makes a decoder, and it is kept.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_decoders: dict[tuple[Any, Any], Any] = {}
_making = threading.Lock()


def decode(data: bytes | str, kind: type[T]) -> T:
    """The value of this type in JSON; raises `msgspec.DecodeError`, `UnicodeDecodeError`, `RecursionError`."""
    decoded: T = _decoder(msgspec.json.Decoder, kind).decode(data)
    return decoded


def decode_msgpack(data: bytes, kind: type[T]) -> T:
    """The value of this type in MessagePack; raises `msgspec.DecodeError`."""
    decoded: T = _decoder(msgspec.msgpack.Decoder, kind).decode(data)
    return decoded


def _decoder(form: Any, kind: Any) -> Any:
    found = _decoders.get((form, kind))
    if found is None:
        with _making:
            found = _decoders.setdefault((form, kind), form(kind))
    return found
