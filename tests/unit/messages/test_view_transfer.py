"""What became of messages, in words: numbers below each other, an upper bound where that is all that is known."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from attune_ops.messages.transfer import OutcomeCount, Transfer
from attune_ops.render import form

NOW = datetime(2026, 1, 16, 12, 0, tzinfo=UTC)
RESTORED = Transfer(
    what="restore",
    source="f.jsonl",
    target="their original exchange",
    applied=True,
    outcomes=(
        OutcomeCount("published", 15, "", "q"),
        OutcomeCount("returned", 2, "x", "k", "unroutable"),
        OutcomeCount("damaged", 1, why="incomplete line"),
    ),
    taken_at=NOW,
    duration_ms=500.0,
)


def test_what_was_done() -> None:
    assert form(RESTORED, "text").splitlines() == [
        "15 published and confirmed to queue q",
        " 2 not published to exchange x, key k: unroutable",
        " 1 unreadable: incomplete line",
        "published 15 messages from f.jsonl to their original exchange in 0.5 s (30/s), 3 not published",
    ]


def test_what_would_be_done_at_most() -> None:
    dry = msgspec.structs.replace(
        RESTORED, what="move", applied=False, at_most=True, outcomes=(OutcomeCount("published", 1),)
    )
    assert form(dry, "text").splitlines() == [
        "at most 1 to publish",
        "would move at most 1 message from f.jsonl to their original exchange",
    ]
