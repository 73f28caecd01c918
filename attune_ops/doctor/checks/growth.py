"""Whether queues grow faster than they are consumed, and when a backlog is gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import UNREAD_BY_DESIGN, counted, expected_consumers_of, listed, own
from attune_ops.doctor.findings import Problem, Severity, Subject, Unknown
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import unread_by_design
from attune_ops.model.snapshot import QueueState
from attune_ops.model.units import age

STEADY = 10  # messages: less growth between two samples is chance


@check(
    "AT506",
    "backlog-not-growing",
    "no queue of Attune is growing",
    Severity.WARNING,
    needs=(Source.EARLIER, Source.DEPTHS),
    required=False,
)
def backlog_not_growing(
    facts: Facts, *, growth: float = 100, growth_percent: float = 10, drain_s: float = 60
) -> Iterator[Problem]:
    """A queue that is filled faster than it is consumed grows until a limit or alarm is reached.

    Compares two samples, 7 s apart by default. Short bursts are normal: reported is growth of 100 messages and 10 %.
    Less growth (from 10 messages on) is reported where the consumers need more than 60 s for what is there already:
    a queue that grows by 7 messages per second never drains. To find slower growth, use a longer interval
    (`attune-ops doctor --interval 10m`), lower thresholds, or a recording (`attune-ops history record`).
    """
    before = facts.earlier.queue_named if facts.earlier else {}
    seconds = (facts.actual.taken_at - facts.earlier.taken_at).total_seconds() if facts.earlier else 0
    unjudged = list[str]()
    for q in facts.memo(own):
        old = before.get(q.name)
        if old is None or old.messages is None or q.messages is None or seconds <= 0:
            continue
        grew, through = q.messages - old.messages, _consumed_per_second(old, q, seconds)
        large = grew >= max(growth, old.messages * growth_percent / 100)
        steady = through is not None and grew >= STEADY and q.messages > through * drain_s
        if not (large or steady):
            if grew >= STEADY and through is None and q.consumers != 0:
                unjudged.append(q.name)
            continue
        rate = grew / seconds
        yield Problem(
            Subject("queue", q.name),
            f"{q.name} grew from {old.messages:,} to {counted(q.messages, 'message')} in {seconds:.0f} s: "
            f"by {rate:,.0f}/s"
            + ("" if through is None else f"; its consumers process {through:,.0f}/s")
            + (", so it never drains" if steady else ""),
            evidence={
                "before": old.messages,
                "after": q.messages,
                "seconds": seconds,
                "consumers": q.consumers,
                "growth_per_s": round(rate, 1),
                "consumed_per_s": None if through is None else round(through, 1),
            },
            remedy=UNREAD_BY_DESIGN
            if q.name in facts.memo(unread_by_design)
            else "Add consumers, or find out why they are slow.",
            inspect_commands=(command_lines.consumers(q.name),),
            related=expected_consumers_of(facts, q.name),
        )
    if unjudged:
        raise Unknown(f"what the consumers of {listed(unjudged, 3)} process is not reported")


def _consumed_per_second(old: QueueState, new: QueueState, seconds: float) -> float | None:
    """What the consumers of a queue processed per second between two samples, None where it is not known."""
    if not new.consumers:
        return None  # AT501 reports it
    if old.consumed is not None and new.consumed is not None and new.consumed >= old.consumed:
        return (new.consumed - old.consumed) / seconds
    return new.ack_rate


@check(
    "AT511",
    "backlog-moderate",
    "depths of Attune's queues are within limit",
    Severity.WARNING,
    needs=(Source.BROKER, Source.DEPTHS),
)
def backlog_moderate(facts: Facts, *, backlog: float = 10_000) -> Iterator[Problem]:
    """A large backlog means that consumers are slower than publishers, or were stopped for a while."""
    for q in facts.memo(own):
        ready = q.messages_ready or 0
        if ready > backlog:
            yield Problem(
                Subject("queue", q.name),
                f"{q.name} has a backlog of {counted(ready, 'message')}"
                + ("" if q.consumers is None else f" and {counted(q.consumers, 'consumer')}")
                + _drains(q, ready),
                evidence={"messages_ready": ready, "consumers": q.consumers, "limit": backlog},
                remedy="Add consumers. Two samples show whether the queue is growing.",
                inspect_commands=(command_lines.TWICE,),
                related=expected_consumers_of(facts, q.name),
            )


def _drains(q: QueueState, ready: int) -> str:
    """When this backlog will be gone at the present rates, as the end of a sentence; empty where they are not known."""
    if not q.consumers or q.ack_rate is None or q.publish_rate is None:
        return ""
    net = q.ack_rate - q.publish_rate
    if net <= 0:
        return f"; {q.publish_rate:,.0f}/s come in, {q.ack_rate:,.0f}/s are processed: it never drains"
    return f"; it drains in about {age(timedelta(seconds=ready / net))}"
