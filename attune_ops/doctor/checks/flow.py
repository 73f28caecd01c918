"""Whether messages are processed: backlogs, age, redeliveries, dead letters."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import (
    UNREAD_BY_DESIGN,
    counted,
    expected_consumers_of,
    own,
    require_all_asked,
    without_statistics,
)
from attune_ops.doctor.checks.orphaned_queues import removable_queues
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import own_queues, unread_by_design, why_not_live
from attune_ops.model.snapshot import QueueState
from attune_ops.model.units import age

REPLICATED = ("quorum", "stream")  # the types that run on several nodes, and need a majority of these


@check(
    "AT501",
    "no-backlog-unread",
    "no queue of Attune has a backlog without consumers",
    Severity.ERROR,
    needs=(Source.BROKER, Source.DEPTHS, Source.CONSUMERS),
    passive=True,
    any_broker=True,
)
def no_backlog_unread(facts: Facts, *, foreign_backlog: float = 10_000) -> Iterator[Problem]:
    """Messages without a consumer wait until a consumer starts, the queue expires, or the broker runs out of disk.

    Message counts are read from the queues and are live. The number of consumers comes from statistics that are up
    to 10 s old; a queue without statistics yet is not checked. If another check knows why there is no consumer, this
    finding follows from it. A queue that no service of the topology consumes is a warning: a policy limits it (AT606).
    A queue of another application is an info from 10,000 messages on: its backlog can fill the disk and then stops
    Attune, too.
    """
    expected = {c.queue for c in facts.topology.consumers}
    for q in facts.memo(own):
        if not q.messages or q.name not in facts.actual.unconsumed:
            continue
        owner = facts.topology.worker_of(q.name)
        orphaned = owner is not None and owner[0] in facts.memo(removable_queues)
        yield Problem(
            Subject("queue", q.name),
            f"{q.name} holds {counted(q.messages, 'message')} and has no consumer",
            evidence={"messages": q.messages, "consumers": 0},
            remedy=f"Its worker is not live: {why_not_live(facts, owner[0])}. Start it, or delete the queue; "
            "its messages are saved to a file."
            if owner and orphaned
            else UNREAD_BY_DESIGN
            if q.name in facts.memo(unread_by_design)
            else "Start the service that consumes from it.",
            commands=(command_lines.reap(q.name),) if orphaned else (),
            inspect_commands=(command_lines.queue(q.name),),
            severity=None if q.name in expected or owner else Severity.WARNING,
            related=expected_consumers_of(facts, q.name),
        )
    for q in facts.actual.queues or ():
        if not q.messages or q.messages < foreign_backlog or q.name in facts.memo(own_queues):
            continue
        if q.name in facts.actual.unconsumed:
            yield Problem(
                Subject("queue", q.name),
                f"{q.name}, which is not Attune's, holds {counted(q.messages, 'message')} and has no consumer",
                evidence={"messages": q.messages, "consumers": 0, "foreign": True},
                remedy="Tell the owner of the queue: a backlog without a limit fills the broker's disk.",
                inspect_commands=(command_lines.queue(q.name),),
                severity=Severity.INFO,
                alike="foreign",
            )
    require_all_asked(facts)


@check(
    "AT504",
    "queues-answer",
    "all queues are available",
    Severity.ERROR,
    needs=(Source.BROKER, Source.DEPTHS),
    any_broker=True,
)
def queues_answer(facts: Facts) -> Iterator[Problem]:
    """A queue that is listed without a message count has crashed, or its node is down. It is not empty.

    The broker still lists it. Publishers may or may not get confirms, and clients that declare or consume it get a
    timeout or 404. Its `state`, where known, is down, stopped, crashed or minority. Down and stopped: its node is down,
    or its virtual host is stopped there. A durable queue then keeps its persistent messages. Minority: too few members
    of a quorum queue or stream run; it keeps its messages. Only a queue that crashed must be deleted and redeclared.
    """
    stopped = tuple(n.name for n in facts.actual.nodes or () if not n.running)
    for q in facts.actual.queues or ():
        if not q.is_silent and not q.is_unavailable:
            continue
        reasons = ["too few of its members run"] if q.state == "minority" else []
        reasons += ["no message count is reported"] if q.is_silent else []
        nodes = stopped if q.type in REPLICATED else (q.node,) if q.node else ()
        remedy = _restoring(q, q.node in stopped)
        yield Problem(
            Subject("queue", q.name),
            f"{q.name} is unavailable"
            + (f" (state {q.state})" if q.state else "")
            + (f": {', '.join(reasons)}" if reasons else ""),
            evidence={"state": q.state, "node": q.node, "messages": q.messages},
            remedy=remedy,
            inspect_commands=(command_lines.queue(q.name),),
            severity=None if q.name in facts.memo(own_queues) else Severity.INFO,
            related={"node": nodes},
            alike=(q.state, nodes, remedy, q.is_silent),
        )


def _restoring(q: QueueState, is_node_down: bool) -> str:
    """What makes an unavailable queue available again."""
    if q.type in REPLICATED:
        return "Start the nodes of its other members; its messages are kept."
    kept = "keeps its persistent messages" if q.durable else "is transient and loses its messages"
    if q.state == "crashed":
        return "Delete and redeclare the queue (its messages are lost)."
    if is_node_down:
        return f"Start its node; the queue {kept}."
    if q.state in ("down", "stopped"):
        restart = "restart the virtual host there (`rabbitmqctl restart_vhost`)"
        return f"Start its node. If the node is running, {restart}. The queue {kept}."
    return (
        "Start its node. If the node is running, read its log: if the queue's process crashed, delete and redeclare "
        "the queue (its messages are lost)."
    )


@check(
    "AT507",
    "no-redelivery-storm",
    "no redelivery storm in Attune's queues",
    Severity.WARNING,
    needs=(Source.BROKER, Source.DEPTHS),
    unknown=without_statistics,
)
def no_redelivery_storm(facts: Facts, *, redeliveries: float = 5, redelivered_percent: float = 50) -> Iterator[Problem]:
    """A message that is nacked with requeue is redelivered at once, and keeps its consumer busy.

    Attune's consumers requeue after connection, publish and timeout errors. While the dependency is unavailable,
    they repeat this at full speed. Read from statistics: more than 5 redeliveries per second that make up half of
    all deliveries.
    """
    for q in facts.memo(own):
        again, delivered = q.redeliver_rate or 0, q.deliver_rate or 0
        if again > redeliveries and again >= delivered * redelivered_percent / 100:
            yield Problem(
                Subject("queue", q.name),
                f"{q.name}: {again:.0f} of {max(delivered, again):.0f} deliveries per second are redeliveries",
                evidence={"redeliver_rate": again, "deliver_rate": delivered, "ack_rate": q.ack_rate},
                remedy="Read the consumer's log for the error. If one message causes it, remove that message.",
                inspect_commands=(command_lines.consumers(q.name),),
            )


@check(
    "AT508",
    "oldest-message-young",
    "age of the oldest message in Attune's queues is within limit",
    Severity.WARNING,
    needs=(Source.BROKER, Source.DEPTHS),
    required=False,
    unknown=without_statistics,
)
def oldest_message_young(facts: Facts, *, oldest_s: float = 600) -> Iterator[Problem]:
    """The age of the oldest message says more than the queue depth: a queue of three messages can be stuck for hours.

    The age is known only if publishers set the `timestamp` property and the message is in the broker's memory.
    Otherwise the queue is not checked.
    """
    for q in facts.memo(own):
        if q.head_message_timestamp is None or not q.messages:
            continue
        waits = facts.taken_at - q.head_message_timestamp
        if waits.total_seconds() > oldest_s:
            yield Problem(
                Subject("queue", q.name),
                f"the oldest of {counted(q.messages, 'message')} in {q.name} is {age(waits)} old",
                evidence={"oldest": q.head_message_timestamp, "messages": q.messages},
                remedy="Check the consumers of the queue.",
                inspect_commands=(command_lines.consumers(q.name),),
                related=expected_consumers_of(facts, q.name),
            )


@check(
    "AT509",
    "nothing-unroutable",
    "no unroutable messages",
    Severity.INFO,
    needs=(Source.BROKER, Source.DEPTHS),
    required=False,
    unknown=without_statistics,
    any_broker=True,
)
def nothing_unroutable(facts: Facts) -> Iterator[Problem]:
    """The broker counts unroutable messages: dropped silently, or returned to a publisher that set `mandatory`.

    The counters cover all virtual hosts since the broker started, and include direct reply-to messages. So a total
    is only reported as info, a total that rises between two samples is a warning, and one that stays the same is
    fine. The counters do not include the routing key: AT301 and AT601 find it.
    """
    now, before = facts.actual, facts.earlier
    for kind, total, old in (
        ("dropped", now.dropped_unroutable, before and before.dropped_unroutable),
        ("returned", now.returned_unroutable, before and before.returned_unroutable),
    ):
        if not total or total == old:
            continue
        if isinstance(old, int) and total < old:  # the broker, or a node of it, has stopped between the two
            old = None
        rise = total - old if isinstance(old, int) else 0
        yield Problem(
            Subject("broker", kind),
            f"{counted(total, 'unroutable message')} {kind} since the broker started"
            + (f", {rise:,} of them between the two samples" if rise else ""),
            evidence={"total": total, "rise": rise if isinstance(old, int) else None},
            remedy="The findings of the group routes show the exchange and the routing key."
            if rise
            else "The counter never falls, also where the cause is fixed: --samples 2 shows whether it still rises.",
            severity=Severity.WARNING if rise else None,
        )


@check(
    "AT510",
    "dead-letters-read",
    "Attune's dead-letter queues are empty",
    Severity.WARNING,
    needs=(Source.BROKER, Source.DEPTHS),
)
def dead_letters_read(facts: Facts, *, dead_letters: float = 0) -> Iterator[Problem]:
    """Messages in a dead-letter queue were rejected, expired or dropped by a length limit, and wait for a decision.

    Dead-letter queues are those bound to a dead-letter exchange of the topology. A dead-letter queue with a consumer
    is only checked by AT511 (more than ten thousand messages).
    """
    targets = {q.arguments.get("x-dead-letter-exchange") for q in facts.topology.queues} - {None}
    names = {
        b.destination for t in sorted(map(str, targets)) for b in facts.actual.bindings_from.get(t, ())
        if b.destination_kind == "queue"
    }  # fmt: skip
    for name in sorted(names):
        q = facts.actual.queue_named.get(name)
        if q is None or not q.messages or q.messages <= dead_letters or q.consumers:
            continue
        yield Problem(
            Subject("queue", name),
            f"{name} holds {counted(q.messages, 'dead letter')}"
            + ("; its consumers are unknown" if q.consumers is None else " and has no consumer"),
            evidence={
                "messages": q.messages,
                "bound_to": sorted({b.source for b in facts.actual.bindings_to_queue[name]}),
            },
            remedy="Peek at the messages, then restore, keep or purge them.",
            inspect_commands=(command_lines.peek(name),),
            related=expected_consumers_of(facts, name),
        )
