"""Queues and exchanges that another release of Attune left on the broker."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.orphans import known_leftovers, may_be_in_use
from attune_ops.model.ownership import exchange_kind, has_consumer, own_queues, why_not_live, worker_id
from attune_ops.model.snapshot import COUNTED, QueueState
from attune_ops.model.topology import ID, Leftover, Topology
from attune_ops.routing.topology_routes import live_router, live_routes

LIMITS = ("max-length", "max-length-bytes", "message-ttl", "expires")


@check("AT412", "no-leftovers", "no leftovers of other releases", Severity.WARNING, needs=(Source.BROKER,))
def no_leftovers(facts: Facts) -> Iterator[Problem]:
    """After an upgrade, queues of the old release remain bound and fill up without a consumer.

    Known by name and release are the queues that upgrades leave: `attune.rules.lifecycle.queue` (on 0.6), the
    `sensor.…` queues of the timer sensor (durable, without arguments, bound by `rule.…` keys only),
    `attune.executions.queue`, `attune.notifications.queue`, and transient worker queues. Of each the finding
    says what is still routed to it, whether a limit stops its growth, and the command that saves its messages and
    deletes it. No command is printed while the queue has a consumer, or while the release that uses it fits the broker
    as well as the one in use.

    Other objects that are named like the topology's (the common prefix of its exchanges, or `worker.<id>.`) and are not
    part of it are one finding: another release made them, or the doctor uses the wrong topology. If such an object is
    intended, add it to the topology file. Streams and exclusive queues are not among them: no release has a stream, and
    the broker deletes an exclusive queue with its connection.
    """
    known = known_leftovers(facts)
    for queue, left in known:
        yield _known_leftover(facts, queue, left)
    yield from _others(facts, {q.name for q, _ in known})


def _known_leftover(facts: Facts, queue: QueueState, left: Leftover) -> Problem:
    name, owner = queue.name, worker_id(facts.topology, queue.name)
    receives = sorted({r.publish.message_type for r in facts.memo(live_routes).wrong if name in r.queues})
    limited = any(key in facts.memo(live_router).queue_settings(name) for key in LIMITS)
    consumed = has_consumer(facts, queue)
    unsure = may_be_in_use(facts, left)
    live = owner is not None and why_not_live(facts, owner) is None
    blind = facts.missing_reason((Source.CONSUMERS, Source.REGISTRY)) is not None
    depth = f"; {counted(queue.messages, 'message')} in it" if queue.messages else ""
    growth = f"it still gets {listed(receives)}" if receives else "no message is routed to it"
    growth += ", without a limit" if receives and not limited and not consumed else ""
    if consumed:
        remedy = f"It has a consumer: a service of {left.release} still runs. Stop or upgrade that service first."
    elif unsure:
        remedy = (
            f"{left.topology} uses it and may be what runs here: start all services of the new release, then repeat."
        )
    elif live:
        remedy = "Its worker is registered as live: stop that worker first."
    elif blind:
        remedy = "Delete it with `reap`, which needs the worker registry (--database-url) and the consumers."
    else:
        remedy = "Delete it; its messages are saved to a file first."
    deletable = not (consumed or unsure or live or blind)
    return Problem(
        Subject("queue", name),
        f"{name} is a leftover of {left.release}: {growth}{depth}" + ("; it has a consumer" if consumed else ""),
        evidence={"release": left.release, "receives": receives, "limited": limited, "messages": queue.messages,
                  "consumed": consumed, "durable": queue.durable},
        remedy=remedy,
        commands=(command_lines.reap(name),) if deletable else (),
        inspect_commands=(command_lines.consumers(name) if consumed else command_lines.queue(name),),
    )  # fmt: skip


def _others(facts: Facts, known_leftovers: set[str]) -> Iterator[Problem]:
    """One finding for everything else that is named like Attune's."""
    topology, broker = facts.topology, facts.actual
    names = _namespace(topology)
    if names is None:
        return
    known = {*facts.memo(own_queues), *known_leftovers}
    foreign = [
        q
        for q in broker.queues or ()
        if q.name not in known and names.match(q.name) and q.type in COUNTED and not q.exclusive
    ]
    queues = [q.name for q in foreign]
    exchanges = [
        e.name for e in broker.exchanges or () if names.match(e.name) and exchange_kind(topology, e.name) == "foreign"
    ]
    if queues or exchanges:
        depth = sum(q.messages or 0 for q in foreign)
        kinds = [counted(len(queues), "queue")] if queues else []
        kinds += [counted(len(exchanges), "exchange")] if exchanges else []
        yield Problem(
            Subject("queue" if queues else "exchange", (queues or exchanges)[0]),
            f"{' and '.join(kinds)} named like Attune's, but not part of {topology.name}: {listed(queues + exchanges)}"
            + (f"; backlog: {counted(depth, 'message')}" if depth else ""),
            evidence={"queues": queues, "exchanges": exchanges, "messages": depth},
            remedy=f"If this broker runs another release than {topology.name}, use --topology; else delete them.",
            inspect_commands=(command_lines.queue(queues[0]) if queues else command_lines.exchange(exchanges[0]),),
        )


def _namespace(topology: Topology) -> re.Pattern[str] | None:
    """Matches names that begin like the topology's; None where its names have no common prefix."""
    words = [e.name.split(".")[:-1] for e in topology.exchanges]
    common = []
    for column in zip(*words, strict=False):
        if len(set(column)) > 1:
            break
        common.append(column[0])
    begins = [re.escape(".".join(common) + ".")] if common else []
    begins += [re.escape(q.name.split(ID)[0]) + r"[0-9]+\." for q in topology.queues if ID in q.name]
    return re.compile("|".join(dict.fromkeys(begins))) if begins else None
