"""Whether AMQP and the management API lead to the same broker."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model.facts import Facts, Source


def _unknown(facts: Facts) -> str | None:
    """Why the two cannot be compared, or None."""
    if _greeting(facts) is None:
        return "the broker did not report its cluster name when the AMQP connection was opened"
    return None if facts.broker is not None and facts.broker.cluster else "the management API reports no cluster name"


def _greeting(facts: Facts) -> str | None:
    return next((r.cluster for r in facts.reach if r.source is Source.AMQP), None)


@check(
    "AT116",
    "same-broker",
    "AMQP and the management API are of the same broker",
    Severity.ERROR,
    needs=(Source.AMQP, Source.MANAGEMENT),
    required=False,
    may_recover=False,
    unknown=_unknown,
)
def same_broker(facts: Facts) -> Iterator[Problem]:
    """With the AMQP URL of one broker and the management URL of another, the findings mix two installations.

    A broker reports its cluster name when an AMQP connection is opened, and in the management API. If the names
    differ, the URLs lead to different clusters, and no other finding prints a command that changes anything. Two
    clusters with the same name cannot be distinguished: `rabbitmqctl set_cluster_name` gives each its own.
    """
    greeting, listed = _greeting(facts), facts.actual.cluster
    if greeting == listed:
        return
    target = {r.source: r.target for r in facts.reach}
    yield Problem(
        Subject("broker", target.get(Source.MANAGEMENT) or "management API"),
        f"AMQP is connected to cluster {greeting}, the management API is of cluster {listed}: "
        "these are two different brokers",
        evidence={"amqp_cluster": greeting, "management_cluster": listed},
        remedy="Set the management URL of the same broker (--management-url, ATTUNE_OPS_MANAGEMENT_URL). "
        "`attune-ops config show` shows where each URL comes from.",
    )
