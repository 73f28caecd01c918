"""Orphaned worker queues that were deleted, or would be, or must wait, and why."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from attune_ops.model.display import Shown

# deletes: it would be deleted · waits: the grace period is not over · kept: something speaks against it
# deleted: it is gone · given back: deleted, but its worker came back in that moment, so it was declared again
Verdict = Literal["deletes", "waits", "kept", "deleted", "given back"]


class Candidate(msgspec.Struct, frozen=True):
    """One orphaned queue. `why` it is orphaned, and `reason` for the verdict.

    `seen_since` is when it was first seen orphaned, without a break since; `saved` the file with its messages.
    """

    queue: str
    worker_id: int
    why: str
    verdict: Verdict
    reason: str
    messages: int | None
    seen_since: datetime
    orphaned_for: timedelta
    saved: str | None = None
    saved_messages: int = 0


class Reaped(Shown, msgspec.Struct, frozen=True):
    """What became of the orphaned queues; `applied` is False where it was only looked at."""

    applied: bool
    candidates: tuple[Candidate, ...]
    grace: timedelta
    taken_at: datetime
    notes: tuple[str, ...] = ()

    def count(self, verdict: Verdict) -> int:
        """How many have that verdict."""
        return sum(c.verdict == verdict for c in self.candidates)
