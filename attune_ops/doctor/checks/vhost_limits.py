"""Whether the limits of the virtual host leave room for what a worker declares."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, without_statistics
from attune_ops.doctor.findings import Problem, Severity, Subject, Unknown
from attune_ops.model.command_lines import CONNECTIONS, QUEUES
from attune_ops.model.facts import Facts, Source


@check(
    "AT119",
    "vhost-limits",
    "virtual host limits have room for a worker",
    Severity.WARNING,
    needs=(Source.LIMITS, Source.BROKER),
    required=False,
)
def vhost_limits(facts: Facts) -> Iterator[Problem]:
    """At a limit of the virtual host, no further worker can start.

    At `max-queues` the broker refuses each new queue with 406 "queue limit in vhost … is reached": a worker registers,
    and its declare fails. A queue that exists can still be declared. At `max-connections` it refuses each connection
    with 530 "connection limit … is reached". Services that are connected do not notice. All queues of the virtual host
    count, whoever declared them, and so do all connections. Without the tag monitoring the connections are unknown,
    and only the queues are checked.
    """
    limits, broker, topology = facts.actual.limits or {}, facts.actual, facts.topology
    new = len(topology.worker_queues(0)) + len(topology.replica_queues("worker"))
    for limit, there, adds, what, end, listing in (
        ("max-queues", broker.queues, new, "queue", "delete", QUEUES),
        ("max-connections", broker.connections, 1, "connection", "close", CONNECTIONS),
    ):
        most = limits.get(limit, -1)
        if most < 0:
            continue
        if limit == "max-connections" and (unknown := _unlisted(facts)):
            raise Unknown(f"the virtual host has a limit of connections, and {unknown}")
        if there is None or len(there) + adds <= most:
            continue
        yield Problem(
            Subject("broker", facts.vhost, facts.vhost),
            f"virtual host {facts.vhost!r} has {counted(len(there), what)}, and {limit} is {most:,}: the next worker "
            f"needs {counted(adds, what)} more and cannot start",
            evidence={"limit": limit, "maximum": most, f"{what}s": len(there), "needs": adds},
            remedy=f"Raise the limit, or {end} {what}s that nobody needs.",
            inspect_commands=(listing,),
        )


def _unlisted(facts: Facts) -> str | None:
    """Why the connections cannot be counted, or None."""
    return without_statistics(facts) or facts.missing_reason((Source.CONNECTIONS,))
