"""The journal of a drill: what was done, what was expected and measured, and what became of every message.

It is readable alone: versions, topology, parameters, times, every step. Times within a drill are milliseconds
since it began.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from attune_ops.model.display import Shown

Verdict = Literal["held", "violated", "inconclusive"]
EventKind = Literal["step", "fault", "undo"]

# Every number that was attempted is in exactly one of these.
CLASSES = (
    "acknowledged_once", "duplicated", "redelivered", "returned", "dead_lettered", "expired", "lost", "queued",
    "indeterminate",
)  # fmt: skip


NONE_IS = "no message is "  # and then a class, in the title of an expectation that the ledger is judged by


class Event(msgspec.Struct, frozen=True):
    """Something that the drill did; a fault is what it broke, an undo what mends it."""

    at_ms: float
    kind: EventKind
    text: str


class Expected(msgspec.Struct, frozen=True):
    """What was expected within a limit, and whether it came: `took_ms` is None where it did not."""

    title: str
    held: bool
    limit_ms: float
    took_ms: float | None
    seen: str = ""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """Ready messages and consumers of each queue of the journal at one moment; None where the queue was missing."""

    at_ms: float
    messages: tuple[int | None, ...]
    consumers: tuple[int | None, ...]


class Look(msgspec.Struct, frozen=True):
    """What the doctor said: its status, and the codes and subjects of errors and warnings outside of design."""

    status: str
    findings: tuple[str, ...] = ()


class Loss(msgspec.Struct, frozen=True):
    """Numbers that are lost for one reason."""

    reason: str
    numbers: tuple[int, ...]


class Ledger(msgspec.Struct, frozen=True):
    """What became of every message: `classes` sum up to `attempted`, or `unaccounted` are left over.

    `published` counts attempts on the wire, so that a message sent twice counts twice; `delivered`,
    `acknowledged` and `redelivered` count what the consumers' own logs have.
    """

    attempted: int = 0
    published: int = 0
    confirmed: int = 0
    returned: int = 0
    delivered: int = 0
    acknowledged: int = 0
    redelivered: int = 0
    dead_lettered: int = 0
    duplicated: int = 0
    lost: int = 0
    unaccounted: int = 0
    classes: dict[str, int] = {}
    losses: tuple[Loss, ...] = ()
    duplicates: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()

    @property
    def adds_up(self) -> bool:
        """Whether every number is in exactly one class."""
        return self.unaccounted == 0 and sum(self.classes.values()) == self.attempted


class Course(msgspec.Struct, frozen=True):
    """How a drill goes, or went: what its picture is drawn from. `verdict` is None while it runs."""

    drill: str
    duration_ms: float
    steps: tuple[Event, ...]
    queues: tuple[str, ...]
    samples: tuple[Sample, ...]
    remedy: str | None = None
    verdict: Verdict | None = None


class Journal(Shown, msgspec.Struct, frozen=True, tag_field="schema", tag="attune-ops/drill/1"):
    """One run of one drill."""

    drill: str
    hypothesis: str
    promise: str
    source: str
    verdict: Verdict
    reason: str
    started_at: datetime
    duration_ms: float
    versions: dict[str, str]
    topology: str
    parameters: dict[str, Any]
    steps: tuple[Event, ...]
    expectations: tuple[Expected, ...]
    ledger: Ledger
    before: Look
    after: Look | None = None
    remedy: str | None = None
    queues: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()

    @property
    def course(self) -> Course:
        """What its picture is drawn from."""
        return Course(
            self.drill, self.duration_ms, self.steps, self.queues, self.samples, self.remedy, self.verdict
        )  # fmt: skip


class Comparison(Shown, msgspec.Struct, frozen=True, tag_field="schema", tag="attune-ops/drill-comparison/1"):
    """Two runs side by side: without and with a remedy, or any two journals."""

    first: Journal
    second: Journal


def decode(data: bytes) -> Journal | Comparison:
    """Reads a journal, or two, from JSON; raises `msgspec.ValidationError` where it is something else."""
    return msgspec.json.decode(data, type=Journal | Comparison)
