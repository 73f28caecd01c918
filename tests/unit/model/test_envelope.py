"""The envelope of Attune's messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from attune_ops.model.envelope import NotAnEnvelope, build, parse

AT = datetime(2026, 1, 16, 13, 0, tzinfo=timezone(timedelta(hours=1)))
FIRST, SECOND = UUID(int=1), UUID(int=2)


def test_a_message_has_the_members_that_attune_reads() -> None:
    sent = build("ExecutionRequested", {"execution_id": 7}, message_id=FIRST, at=AT, source="executor")
    assert json.loads(sent.encode()) == {
        "message_id": str(FIRST),
        "correlation_id": str(FIRST),
        "message_type": "ExecutionRequested",
        "version": "1.0",
        "timestamp": "2026-01-16T12:00:00Z",
        "headers": {"retry_count": 0, "source_service": "executor"},
        "payload": {"execution_id": 7},
    }


def test_what_follows_from_a_message_keeps_its_correlation_id() -> None:
    cause = build("EventCreated", {}, message_id=FIRST, at=AT)
    follows = build("EnforcementCreated", {}, message_id=SECOND, at=AT, cause=cause)
    assert (follows.message_id, follows.correlation_id) == (SECOND, FIRST)


def test_a_message_survives_the_way() -> None:
    sent = build("EventCreated", {"emoji": "🐇", "quote": "'\"\n"}, message_id=FIRST, at=AT)
    assert parse(sent.encode()) == sent
    assert sent.timestamp == AT.astimezone(UTC)
    assert sent.retry_count == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"message_id": 1}', b'{"payload": {}}'])
def test_other_bodies_are_no_envelopes(body: bytes) -> None:
    with pytest.raises(NotAnEnvelope, match=f"{len(body)} bytes"):
        parse(body)


def test_a_complaint_does_not_quote_the_body() -> None:
    with pytest.raises(NotAnEnvelope) as complaint:
        parse(b'{"message_id": "secret-token"}')
    assert "secret-token" not in str(complaint.value)
