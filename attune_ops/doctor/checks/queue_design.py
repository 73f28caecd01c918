"""Faults of the topology file in its queues: which can lose messages, and which grow without limit."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import listed
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import own_queues
from attune_ops.model.topology import ID, Per, Queue
from attune_ops.routing.topology_routes import desired_routes, live_router

LIMITS = ("x-message-ttl", "x-max-length", "x-max-length-bytes", "x-expires")
DEAD_LETTER_EXCHANGE = "x-dead-letter-exchange"


@check(
    "AT606", "design-queues-bounded", "every queue that receives messages has a consumer or a limit", Severity.WARNING
)
def queues_bounded(facts: Facts) -> Iterator[Problem]:
    """A queue that receives messages and has no consumer grows until a disk or memory alarm blocks all publishers.

    Consumers are those of the topology file. A limit is a message TTL, a length limit or an expiry, also by a policy
    of this broker. A queue for inspection (a catch-all, dead letters) needs a limit.
    """
    desired, consumed = facts.memo(desired_routes), {c.queue for c in facts.topology.consumers}
    for queue in facts.topology.queues if consumed else ():
        if queue.name in consumed or queue.name not in desired.reached or _is_limited(facts, queue):
            continue
        keys = desired.keys.get(queue.name, [])
        yield Problem(
            Subject("queue", queue.name),
            f"{queue.name} receives messages ({listed(keys, 3) or 'dead letters'}), but has no consumer and no limit: "
            "it grows without bound",
            evidence={"routing_keys": keys, "arguments": queue.arguments},
            remedy="Consume from the queue, limit it (max-length, message-ttl, or a policy), or remove its binding.",
        )


@check("AT607", "design-backlog-kept", "no auto-delete or transient queue can lose a backlog", Severity.WARNING)
def backlog_kept(facts: Facts) -> Iterator[Problem]:
    """An auto-delete queue is deleted with its last consumer. Its messages are lost, not dead-lettered.

    So a worker that restarts loses the executions that wait in its queue or are unacknowledged. A queue that is not
    durable is also lost when the broker restarts, with its persistent messages. A durable queue with an expiry
    (`x-expires`) keeps them until the worker returns. Exclusive queues are not checked: they are meant to be deleted
    with their connection.
    """
    desired = facts.memo(desired_routes)
    for queue in facts.topology.queues:
        if queue.exclusive or queue.name not in desired.reached or (queue.durable and not queue.auto_delete):
            continue
        ends = ["its last consumer"] if queue.auto_delete else []
        ends += [] if queue.durable else ["a restart of the broker"]
        yield Problem(
            Subject("queue", queue.name),
            f"{queue.name} is deleted with {' and by '.join(ends)}; the messages in it are lost",
            evidence={"durable": queue.durable, "auto_delete": queue.auto_delete},
            remedy="Make it durable with x-expires instead of auto-delete, or let the sender retry.",
        )


@check("AT608", "design-queues-expire", "queues of removed workers expire", Severity.INFO)
def queues_expire(facts: Facts) -> Iterator[Problem]:
    """Durable queues remain when their worker is removed, and must be deleted by hand.

    With `x-expires` the broker deletes a queue that had no consumer for that time. If such a queue also receives
    messages for all workers and has no TTL or length limit, it grows without a consumer: that is a warning.
    """
    desired = facts.memo(desired_routes)
    lasting = [
        q
        for q in facts.topology.queues
        if q.per is Per.WORKER
        and not q.auto_delete
        and not q.exclusive
        and "x-expires" not in q.arguments
        and not _by_policy(facts, q, ("x-expires",))
    ]
    broadcast = {desired.template(q) for p, r in desired.routes if ID not in p.routing_key for q in r.queues}
    growing = [q.name for q in lasting if q.name in broadcast and not _is_limited(facts, q)]
    if lasting:
        names = [q.name for q in lasting]
        yield Problem(
            Subject("queue", (growing or names)[0]),
            f"{listed(names)} have no x-expires and remain when their worker is removed"
            + (f"; these also grow, with the messages for all workers: {listed(growing)}" if growing else ""),
            evidence={"queues": names, "growing": growing},
            remedy="Declare them with x-expires (for existing queues, a policy with `expires`).",
            severity=Severity.WARNING if growing else None,
        )


@check("AT611", "design-rejects-kept", "rejected messages are dead-lettered", Severity.INFO)
def rejects_kept(facts: Facts) -> Iterator[Problem]:
    """Attune's consumers reject, without requeue, messages that they cannot decode or handle.

    Without a dead-letter exchange such a message is lost. A policy of this broker can set one for all such queues.
    Checks the queues that the topology consumes from, except dead-letter queues.
    """
    consumed = {c.queue for c in facts.topology.consumers}
    ends = {
        facts.memo(desired_routes).template(q)
        for _, r in facts.memo(desired_routes).dead_letters
        for h in r.hops
        for q in h.queues
    }
    exchanges = {q.arguments.get(DEAD_LETTER_EXCHANGE) for q in facts.topology.queues} - {None}
    ends |= {b.destination for b in facts.topology.bindings if b.source in exchanges}
    bare = [
        q.name
        for q in facts.topology.queues
        if q.name in consumed - ends
        and q.per is not Per.REPLICA
        and DEAD_LETTER_EXCHANGE not in q.arguments
        and not _by_policy(facts, q, (DEAD_LETTER_EXCHANGE,))
    ]
    if bare:
        yield Problem(
            Subject("queue", bare[0]),
            f"messages rejected by a consumer of {listed(bare)} are lost: no dead-letter exchange",
            evidence={"queues": bare},
            remedy="Set a dead-letter exchange, for example by a policy.",
        )


def _by_policy(facts: Facts, queue: Queue, arguments: tuple[str, ...]) -> bool:
    """Whether the policies of this broker give each such queue there one of these settings; there is at least one."""
    if facts.missing_reason((Source.BROKER,)) is not None or not facts.actual.policies:
        return False
    names = [name for name, template in facts.memo(own_queues).items() if template == queue.name]
    keys = {argument.removeprefix("x-") for argument in arguments}
    router = facts.memo(live_router)
    return bool(names) and all(keys & router.queue_settings(name).keys() for name in names)


def _is_limited(facts: Facts, queue: Queue) -> bool:
    """Whether an argument limits the queue, or a policy of this broker all such queues."""
    return any(name in queue.arguments for name in LIMITS) or _by_policy(facts, queue, LIMITS)
