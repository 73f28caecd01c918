"""The journal of a drill: what was done, expected and measured, and the outcome of every message.

It is readable alone: versions, topology, parameters, times, every step. Times are milliseconds since the drill began.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from attune_ops.model.display import Shown
from attune_ops.model.errors import ConfigError

Verdict = Literal["held", "violated", "inconclusive"]
EventKind = Literal["step", "fault", "undo"]

# How texts call the verdicts; `held` stays the value in JSON.
VERDICTS: dict[Verdict, str] = {"held": "confirmed", "violated": "violated", "inconclusive": "inconclusive"}
# Every message that was attempted is in exactly one of these.
CLASSES = (
    "acknowledged_once", "duplicated", "redelivered", "returned", "nacked", "dead_lettered", "expired", "lost",
    "queued", "indeterminate",
)  # fmt: skip
NONE_IS = "no message is "  # and then a class: the title of an expectation about the ledger


class Event(msgspec.Struct, frozen=True):
    """Something that the drill did: a step, a fault, or the undo of a fault."""

    at_ms: float
    kind: EventKind
    text: str


class Expected(msgspec.Struct, frozen=True):
    """What was expected within a limit, and whether it was met: `took_ms` is None where it was not."""

    title: str
    held: bool
    limit_ms: float
    took_ms: float | None
    seen: str = ""


class DepthSample(msgspec.Struct, frozen=True, array_like=True):
    """Ready messages and consumers of each queue of the journal at one moment; None where the queue was missing."""

    at_ms: float
    messages: tuple[int | None, ...]
    consumers: tuple[int | None, ...]


class DoctorStatus(msgspec.Struct, frozen=True):
    """The doctor's result: its status, and the codes and subjects of errors and warnings outside of design."""

    status: str
    findings: tuple[str, ...] = ()


class Loss(msgspec.Struct, frozen=True):
    """Messages that are lost for one reason, by their numbers."""

    reason: str
    numbers: tuple[int, ...]


class Ledger(msgspec.Struct, frozen=True):
    """The outcome of every message: `classes` and `unaccounted` sum up to `attempted`.

    `published` counts attempts on the wire, so that a message sent twice counts twice; `delivered`,
    `acknowledged` and `redelivered` are counted in the consumers' own logs.
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
        """Whether every message is in exactly one class."""
        return self.unaccounted == 0 and sum(self.classes.values()) == self.attempted


class Timeline(msgspec.Struct, frozen=True):
    """What happened in a drill over time, as its picture shows it. `verdict` is None while the drill runs."""

    drill: str
    duration_ms: float
    steps: tuple[Event, ...]
    queues: tuple[str, ...]
    samples: tuple[DepthSample, ...]
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
    before: DoctorStatus
    after: DoctorStatus | None = None
    remedy: str | None = None
    queues: tuple[str, ...] = ()
    samples: tuple[DepthSample, ...] = ()

    @property
    def timeline(self) -> Timeline:
        """What its picture shows."""
        return Timeline(self.drill, self.duration_ms, self.steps, self.queues, self.samples, self.remedy, self.verdict)


class JournalComparison(Shown, msgspec.Struct, frozen=True, tag_field="schema", tag="attune-ops/drill-comparison/1"):
    """Two runs side by side: without and with a remedy, or any two journals."""

    first: Journal
    second: Journal


def decode(data: bytes) -> Journal | JournalComparison:
    """Reads a journal or a comparison from JSON; raises `msgspec.ValidationError` for anything else."""
    return msgspec.json.decode(data, type=Journal | JournalComparison)


def read_journals(first: str, second: str | None = None) -> Journal | JournalComparison:
    """Reads a journal from a file, or two to compare them; of a comparison in a file its second journal counts.

    Raises `ConfigError` where a file holds no journal.
    """
    one = _read(first)
    return one if second is None else JournalComparison(_last(one), _last(_read(second)))


def _last(made: Journal | JournalComparison) -> Journal:
    return made if isinstance(made, Journal) else made.second


def _read(path: str) -> Journal | JournalComparison:
    try:
        return decode(Path(path).expanduser().read_bytes())
    except (OSError, ValueError, msgspec.DecodeError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise ConfigError(f"cannot read {path!r} as the journal of a drill (drill run --save): {reason}") from None
