"""One message as it was taken from a queue, and what is in it, decoded when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from typing import Any

import msgspec

from attune_ops.messages import x_death
from attune_ops.messages.properties import BadProperties, Properties, decode, moment


class Message(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """A message as it came: where it had been published, its properties as they are on the wire, its body.

    `n` is its position in the file or in what was taken, from 1, and `run` the run of `drain` that wrote it.
    `redelivered` says that the broker had handed it to somebody before. `key` is the routing key where that is not
    UTF-8; `routing_key` then only shows it.
    """

    n: int
    exchange: str
    routing_key: str
    properties: bytes
    body: bytes
    redelivered: bool = False
    key: bytes | None = None
    run: int = 1

    @property
    def publish_key(self) -> str | bytes:
        """The routing key exactly as it came."""
        return self.routing_key if self.key is None else self.key

    @cached_property
    def decoded(self) -> Properties:
        """The properties; empty ones where the bytes are none."""
        try:
            return decode(self.properties)
        except BadProperties:
            return Properties()

    @property
    def headers(self) -> Mapping[str, Any]:
        """The headers, {} where there are none."""
        return self.decoded.headers or {}

    @cached_property
    def deaths(self) -> tuple[x_death.Death, ...]:
        """Its history of deaths, newest first."""
        if b"\x07x-death" not in self.properties:  # most have none, and need not be decoded for that
            return ()
        return x_death.read(self.headers)

    @cached_property
    def data(self) -> Any:
        """The body's JSON, or None where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    @property
    def type(self) -> str | None:
        """Attune's message type, of the envelope or else of the property `type`."""
        told = self._envelope("message_type")
        return told if isinstance(told, str) else self.decoded.type

    @property
    def id(self) -> str | None:
        """The message id, of the properties or else of the envelope."""
        told = self.decoded.message_id or self._envelope("message_id")
        return told if isinstance(told, str) else None

    @property
    def retries(self) -> int | None:
        """The envelope's retry count; None where it tells none."""
        told = self._envelope("headers")
        count = told.get("retry_count") if isinstance(told, dict) else None
        return count if isinstance(count, int) and not isinstance(count, bool) else None

    @property
    def deliveries(self) -> int:
        """How often a quorum queue has delivered it before; 0 where none counts."""
        count = self.headers.get("x-delivery-count")
        return count if isinstance(count, int) else 0

    @property
    def execution_id(self) -> int | None:
        """The execution that the payload names, or None."""
        told = self._envelope("payload")
        found = told.get("execution_id") if isinstance(told, dict) else None
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    @property
    def made_at(self) -> datetime | None:
        """When it was made, as the envelope says or else the property `timestamp`; None where neither does."""
        told = self._envelope("timestamp")
        if isinstance(told, str):
            try:
                time = datetime.fromisoformat(told)
            except ValueError:
                pass
            else:
                return time.replace(tzinfo=UTC) if time.tzinfo is None else time
        seconds = self.decoded.timestamp
        return None if seconds is None else moment(seconds)

    def age(self, at: datetime) -> timedelta | None:
        """How old it is at that time; None where it does not tell when it was made."""
        made = self.made_at
        return None if made is None else at - made

    @cached_property
    def identity(self) -> bytes | None:
        """What is the same for two copies of one message, and for no other; None where it has no id.

        Headers are left out: a queue may add its own to a copy that it delivers again (`x-delivery-count`).
        """
        return None if self.id is None else blake2b(self.body, digest_size=16, key=_key(self.id)).digest()

    def _envelope(self, member: str) -> Any:
        return self.data.get(member) if isinstance(self.data, dict) else None


def _key(text: str) -> bytes:
    encoded = text.encode()
    return encoded if len(encoded) <= 64 else blake2b(encoded).digest()
