"""What became of messages, in words: numbers below each other, an upper bound where that is all that is known."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from attune_ops.messages.transfer import Share, Transfer
from attune_ops.render import form

NOW = datetime(2026, 1, 16, 12, 0, tzinfo=UTC)
RESTORED = Transfer(
    what="restore",
    source="f.jsonl",
    target="where each came from",
    applied=True,
    shares=(
        Share("published", 15, "", "q"),
        Share("returned", 2, "x", "k", "no queue takes them there"),
        Share("damaged", 1, why="torn by a crash"),
    ),
    taken_at=NOW,
    duration_ms=500.0,
)


def test_what_was_done() -> None:
    assert form(RESTORED, "text").splitlines() == [
        "15 published and confirmed to queue q",
        " 2 returned from exchange x, key k: no queue takes them there",
        " 1 unreadable: torn by a crash",
        "published 15 messages from f.jsonl to where each came from in 0.5 s (30/s), 3 stay",
    ]


def test_what_would_be_done_at_most() -> None:
    dry = msgspec.structs.replace(RESTORED, what="move", applied=False, at_most=True, shares=(Share("published", 1),))
    assert form(dry, "text").splitlines() == [
        "at most 1 to publish",
        "would move at most 1 message from f.jsonl to where each came from",
    ]
