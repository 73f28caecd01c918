"""What the topology file itself gets wrong about its queues: what they lose, and what they hoard."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._phrases import listed
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model.facts import Facts
from attune_ops.model.topology import ID, Per, Queue
from attune_ops.routing.expected import wanted

LIMITS = ("x-message-ttl", "x-max-length", "x-max-length-bytes", "x-expires")


@check(
    "AT606",
    "design-queues-bounded",
    group="design",
    title="every queue that gets messages has a consumer or a limit",
    severity=Severity.WARNING,
    may_recover=False,
)
def queues_bounded(facts: Facts) -> Iterator[Problem]:
    """A queue that is filled and that nobody reads grows until the broker's disk or memory alarm stops everybody.

    Consumers are those of the topology file; a limit is a message TTL, a length or an expiry. A queue for
    inspection (a catch-all, dead letters) needs a limit of its own.
    """
    world, consumed = facts.memo(wanted), {c.queue for c in facts.topology.consumers}
    for queue in facts.topology.queues if consumed else ():
        if queue.name in consumed or queue.name not in world.reached or _limit(queue):
            continue
        keys = world.keys.get(queue.name, [])
        yield Problem(
            Subject("queue", queue.name),
            f"{queue.name} is filled ({listed(keys, 3) or 'by dead letters'}), but no service of the topology consumes "
            "from it and it has no limit: it grows for ever",
            evidence={"routing_keys": keys, "arguments": queue.arguments},
            remedy="Give it a max-length or message-ttl (a policy can), consume from it, or remove its binding.",
        )


@check(
    "AT607",
    "design-backlog-kept",
    group="design",
    title="no queue takes its backlog with it when it goes",
    severity=Severity.WARNING,
    may_recover=False,
)
def backlog_kept(facts: Facts) -> Iterator[Problem]:
    """An auto-delete queue goes with its last consumer, and what still waits in it goes too, not dead-lettered.

    So a worker that restarts loses the executions that were sent to it and not yet taken, and those that it held
    unacknowledged. A queue that is not durable is lost with a restart of the broker as well, persistent
    messages included. A durable queue with an expiry (`x-expires`) keeps them for a worker that comes back.
    Exclusive queues are not looked at: they are meant to go with their connection.
    """
    world = facts.memo(wanted)
    for queue in facts.topology.queues:
        if queue.exclusive or queue.name not in world.reached or (queue.durable and not queue.auto_delete):
            continue
        ends = ["its last consumer"] if queue.auto_delete else []
        ends += [] if queue.durable else ["a restart of the broker"]
        yield Problem(
            Subject("queue", queue.name),
            f"{queue.name} goes with {' and with '.join(ends)}, and takes the messages that wait in it along",
            evidence={"durable": queue.durable, "auto_delete": queue.auto_delete},
            remedy="Make it durable with x-expires in place of auto-delete, or let the sender send again.",
        )


@check(
    "AT608",
    "design-queues-expire",
    group="design",
    title="the queues of a worker that is gone go too",
    severity=Severity.INFO,
    may_recover=False,
)
def queues_expire(facts: Facts) -> Iterator[Problem]:
    """Durable worker queues stay when their worker is gone for good, and whoever removes it must think of them.

    With `x-expires` the broker deletes a queue that has had no consumer for that long. Without, each worker
    that ever was leaves its queues behind. Where such a queue also gets what is sent to all workers and has no
    TTL or length, it grows for ever without a consumer: that is a warning.
    """
    world = facts.memo(wanted)
    lasting = [
        q
        for q in facts.topology.queues
        if q.per is Per.WORKER and not q.auto_delete and not q.exclusive and "x-expires" not in q.arguments
    ]
    broadcast = {world.template(q) for p, r in world.routes if ID not in p.routing_key for q in r.queues}
    growing = [q.name for q in lasting if q.name in broadcast and not _limit(q)]
    if lasting:
        names = [q.name for q in lasting]
        yield Problem(
            Subject("queue", (growing or names)[0]),
            f"{listed(names)} have no x-expires and stay when their worker is gone"
            + (
                f"; {listed(growing)} then also grow for ever, as they get what is sent to all workers"
                if growing
                else ""
            ),
            evidence={"queues": names, "growing": growing},
            remedy="Declare them with x-expires (a policy with `expires` does it for queues that are there).",
            severity=Severity.WARNING if growing else None,
        )


@check(
    "AT611",
    "design-rejects-kept",
    group="design",
    title="what a consumer rejects is kept",
    severity=Severity.INFO,
    may_recover=False,
)
def rejects_kept(facts: Facts) -> Iterator[Problem]:
    """Attune's consumers reject, without requeue, what they cannot decode or handle; without a dead-letter
    exchange such a message is gone.

    Only queues that the topology consumes from and that are not themselves the end of a dead-letter way.
    """
    consumed = {c.queue for c in facts.topology.consumers}
    ends = {
        facts.memo(wanted).template(q) for _, r in facts.memo(wanted).dead_letters for h in r.hops for q in h.queues
    }
    exchanges = {q.arguments.get("x-dead-letter-exchange") for q in facts.topology.queues} - {None}
    ends |= {b.destination for b in facts.topology.bindings if b.source in exchanges}
    bare = [
        q.name
        for q in facts.topology.queues
        if q.name in consumed - ends and q.per is not Per.REPLICA and "x-dead-letter-exchange" not in q.arguments
    ]
    if bare:
        yield Problem(
            Subject("queue", bare[0]),
            f"what a consumer of {listed(bare)} rejects is gone: no dead-letter exchange",
            evidence={"queues": bare},
            remedy="Give the queue a dead-letter exchange (a policy can).",
        )


def _limit(queue: Queue) -> bool:
    return any(name in queue.arguments for name in LIMITS)
