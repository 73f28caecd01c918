"""The envelope of every message of Attune's services: building and parsing one.

Its members are those of Attune's releases: `message_id`, `correlation_id`, `message_type`, `version`,
`timestamp`, `headers`, `payload`; JSON, with the same ids in the AMQP properties.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from attune_ops.model.decoding import decode

VERSION = "1.0"
CONTENT_TYPE = "application/json"


class Envelope(msgspec.Struct, frozen=True):
    """One message of Attune. `correlation_id` is first the message's own id; messages that follow from it keep it."""

    message_id: UUID
    correlation_id: UUID
    message_type: str
    timestamp: datetime
    payload: dict[str, Any]
    headers: dict[str, Any] = {}
    version: str = VERSION

    @property
    def retry_count(self) -> int:
        """The number of retries; 0 where the header is missing or not a number."""
        count = self.headers.get("retry_count")
        return count if isinstance(count, int) else 0

    def encode(self) -> bytes:
        """The JSON body."""
        return msgspec.json.encode(self)


class NotAnEnvelope(ValueError):
    """A body that no service of Attune can decode; each of them would reject it without requeue."""


def build(
    message_type: str,
    payload: dict[str, Any],
    *,
    message_id: UUID,
    at: datetime,
    source: str | None = None,
    cause: Envelope | None = None,
) -> Envelope:
    """A new envelope; with a `cause` it has its correlation id. `source` is the service that sends it."""
    return Envelope(
        message_id=message_id,
        correlation_id=cause.correlation_id if cause else message_id,
        message_type=message_type,
        timestamp=at.astimezone(UTC),
        headers={"retry_count": 0} | ({"source_service": source} if source else {}),
        payload=payload,
    )


def parse(body: bytes) -> Envelope:
    """Parses a body; raises `NotAnEnvelope` with the error, without quoting the content."""
    try:
        return decode(body, Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise NotAnEnvelope(f"{len(body)} bytes that are not an envelope: {e}") from None
