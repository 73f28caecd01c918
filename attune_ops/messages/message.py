"""One message as the broker delivered it, decoded on demand, and its `x-death` history."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from typing import Any

import msgspec

from attune_ops.messages.properties import BadProperties, Properties, decode, moment

LARGEST = 1 << 20  # bytes of a body that is still shown, decompressed
ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # how zlib calls them
REPLAYS = "x-attune-ops-replays"  # consumers and dead-lettering preserve this header
# Why a queue dead-lettered a message, in words.
DEATHS = {
    "rejected": "a consumer of {queue} rejected it",
    "expired": "its message TTL expired in {queue}",
    "maxlen": "{queue} exceeded its length limit",
    "delivery_limit": "it exceeded the delivery limit of {queue}",
}


class Death(msgspec.Struct, frozen=True):
    """One entry of `x-death`: queue, reason and count, and how the message had been published to that queue."""

    queue: str
    reason: str
    count: int
    exchange: str
    routing_keys: tuple[str, ...]
    time: datetime | None  # of the first time

    @property
    def words(self) -> str:
        """What happened, in words."""
        words = DEATHS.get(self.reason, "{queue} dead-lettered it ({reason})")
        happened = words.format(queue=self.queue, reason=self.reason)
        return happened if self.count == 1 else f"{happened}, {self.count} times"


class Message(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A message as delivered: exchange and routing key, properties as they are on the wire, body.

    `n` is its position in the file or among the messages read, from 1; `run` is the run of `drain` that wrote it.
    `redelivered` is the broker's flag. `key` is the routing key where that is not UTF-8; `routing_key` is then only
    for display.
    """

    n: int
    exchange: str
    routing_key: str
    properties: bytes
    body: bytes
    redelivered: bool = False
    key: bytes | None = None
    run: int = 1

    @classmethod
    def received(cls, n: int, method: Any, properties: Any, body: bytes) -> Message:
        """The message that pika delivered with raw properties."""
        key = method.routing_key  # pika gives bytes where it is not UTF-8
        shown, odd = (key, None) if isinstance(key, str) else (key.decode(errors="replace"), key)
        return cls(n, method.exchange, shown, properties.raw, body, method.redelivered, odd)

    @property
    def publish_key(self) -> str | bytes:
        """The routing key, byte for byte."""
        return self.routing_key if self.key is None else self.key

    @cached_property
    def decoded(self) -> Properties:
        """The properties; empty where the bytes are invalid."""
        try:
            return decode(self.properties)
        except BadProperties:
            return Properties()

    @property
    def headers(self) -> Mapping[str, Any]:
        """The headers, {} where there are none."""
        return self.decoded.headers or {}

    @cached_property
    def deaths(self) -> tuple[Death, ...]:
        """How it was dead-lettered before, newest first."""
        if b"\x07x-death" not in self.properties:  # most have none; decoding is slow
            return ()
        return _deaths(self.headers)

    @cached_property
    def content(self) -> bytes:
        """The body, decompressed where its content encoding says gzip or deflate and it is at most `LARGEST`."""
        encoding = (self.decoded.content_encoding or "").lower()
        if encoding not in ENCODINGS:
            return self.body
        unpack = zlib.decompressobj(ENCODINGS[encoding])
        try:
            content = unpack.decompress(self.body, LARGEST)
        except zlib.error:
            return self.body
        return content if unpack.eof else self.body

    @cached_property
    def data(self) -> Any:
        """The content as JSON, or None where it is not JSON."""
        try:
            return msgspec.json.decode(self.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    @property
    def type(self) -> str | None:
        """Attune's message type: from the envelope, else the property `type`."""
        found = self._envelope("message_type")
        return found if isinstance(found, str) else self.decoded.type

    @property
    def id(self) -> str | None:
        """The message id: from the properties, else the envelope."""
        found = self.decoded.message_id or self._envelope("message_id")
        return found if isinstance(found, str) else None

    @property
    def retries(self) -> int | None:
        """The envelope's retry count; None where it has none."""
        headers = self._envelope("headers")
        count = headers.get("retry_count") if isinstance(headers, dict) else None
        return count if isinstance(count, int) and not isinstance(count, bool) else None

    @property
    def deliveries(self) -> int:
        """How often a quorum queue delivered it before (`x-delivery-count`); 0 without the header."""
        if b"\x10x-delivery-count" not in self.properties:  # most have none; decoding is slow
            return 0
        count = self.headers.get("x-delivery-count")
        return count if isinstance(count, int) else 0

    @property
    def replays(self) -> int:
        """How often this tool replayed it as a dead letter (`x-attune-ops-replays`)."""
        count = self.headers.get(REPLAYS)
        return count if isinstance(count, int) and count > 0 else 0

    @property
    def execution_id(self) -> int | None:
        """The `execution_id` of the payload, or None."""
        payload = self._envelope("payload")
        found = payload.get("execution_id") if isinstance(payload, dict) else None
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    @property
    def made_at(self) -> datetime | None:
        """When it was created: the envelope's timestamp, else the property `timestamp`; None without either."""
        created = self._envelope("timestamp")
        if isinstance(created, str):
            with contextlib.suppress(ValueError):
                time = datetime.fromisoformat(created)
                return time.replace(tzinfo=UTC) if time.tzinfo is None else time
        seconds = self.decoded.timestamp
        return None if seconds is None else moment(seconds)

    def age(self, at: datetime) -> timedelta | None:
        """How old it is at that time; None where its creation time is unknown."""
        made = self.made_at
        return None if made is None else at - made

    @cached_property
    def identity(self) -> bytes | None:
        """A digest of id and body, equal for two copies of one message only; None where it has no id.

        Headers are not included: a queue may add its own on redelivery (`x-delivery-count`).
        """
        return None if self.id is None else blake2b(self.body, digest_size=16, key=_key(self.id)).digest()

    def _envelope(self, member: str) -> Any:
        return self.data.get(member) if isinstance(self.data, dict) else None


def _key(text: str) -> bytes:
    encoded = text.encode()
    return encoded if len(encoded) <= 64 else blake2b(encoded).digest()


def _deaths(headers: Mapping[str, Any]) -> tuple[Death, ...]:
    """The deaths, newest first (rabbit_dead_letter prepends the newest); () where `x-death` is malformed."""
    history = headers.get("x-death")
    entries = history if isinstance(history, list) else []
    return tuple(_death(e) for e in entries if isinstance(e, dict) and isinstance(e.get("queue"), str))


def _death(entry: dict[str, Any]) -> Death:
    keys = entry.get("routing-keys")
    count, time = entry.get("count"), entry.get("time")
    return Death(
        queue=entry["queue"],
        reason=str(entry.get("reason", "")),
        count=count if isinstance(count, int) else 1,
        exchange=str(entry.get("exchange", "")),
        routing_keys=tuple(k for k in keys if isinstance(k, str)) if isinstance(keys, list) else (),
        time=time if isinstance(time, datetime) else None,
    )
