"""Whether AMQP, the management API and the registry are of the same installation."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed
from attune_ops.doctor.checks.causes import OTHER_REGISTRY
from attune_ops.doctor.findings import Problem, Severity, Subject, Unknown
from attune_ops.model.command_lines import CONFIGURED
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import has_consumer
from attune_ops.model.registry import Worker
from attune_ops.model.worker_process import LISTED_AFTER, worker_process


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


@check(
    "AT118",
    "same-installation",
    "broker and registry are of the same installation",
    Severity.ERROR,
    needs=(Source.REGISTRY, Source.BROKER, Source.CONSUMERS),
    required=False,
)
def same_installation(facts: Facts) -> Iterator[Problem]:
    """With the broker of one installation and the registry of another, every worker appears dead or orphaned.

    So it is where no live worker of the registry has a queue, a consumer or a connection on this broker, and the
    broker has queues of other workers that are consumed, or that have a higher id than every worker in the registry.
    Where the registry has no live worker at all, it is reported only if queues of workers that it does not have are
    consumed. Without such queues the two cannot be compared, and the check is skipped. Queues that nobody consumes, of
    workers that the registry may have had, are those of removed workers (AT407). Where the two are of different
    installations, no other finding prints a command that changes anything: it would delete the queues of live workers.
    """
    live = facts.live_workers
    others = _of_others(facts) if live else _consumed_of_unregistered(facts)
    if not live and not others and (facts.worker_queues or facts.worker_named):
        raise Unknown("the registry has no live worker to compare with the broker")
    if not others or any(_is_here(facts, w) for w in live):
        return
    ids = listed(map(str, others))
    yield Problem(
        Subject("registry", OTHER_REGISTRY[1]),
        f"none of the registry's {counted(len(live), 'live worker')} ({listed(w.name for w in live)}) has a queue, "
        f"a consumer or a connection on this broker, but it has queues of other workers ({ids}): "
        "these are two installations"
        if live
        else f"the registry has no live worker, but the broker has consumed queues of workers that are not in it "
        f"({ids}): these are two installations, or the registry lost its rows",
        evidence={"workers": {w.name: w.id for w in live}, "worker_ids_on_broker": others},
        remedy="Set the registry of this broker's workers (--database-url, ATTUNE_OPS_DATABASE_URL), or the broker of "
        "this registry's workers (--amqp-url, ATTUNE_OPS_AMQP_URL). `attune-ops config show` shows where each URL "
        "comes from.",
        inspect_commands=(CONFIGURED,),
    )


def _of_others(facts: Facts) -> list[int]:
    """The ids of workers with a queue on the broker that cannot be the queue of a removed worker of this registry."""
    newest = max(facts.worker_named, default=0)
    return sorted(
        i
        for i, queues in facts.worker_queues.items()
        if i not in facts.live_ids and (i > newest or any(has_consumer(facts, q) for q in queues))
    )


def _consumed_of_unregistered(facts: Facts) -> list[int]:
    """The ids of workers that the registry does not have, and of which a queue is consumed."""
    unknown = ((i, queues) for i, queues in facts.worker_queues.items() if i not in facts.worker_named)
    return sorted(i for i, queues in unknown if any(has_consumer(facts, q) for q in queues))


def _is_here(facts: Facts, worker: Worker) -> bool:
    """Whether the broker knows the worker, or can not know it yet."""
    if worker.created is not None and facts.taken_at - worker.created < LISTED_AFTER:
        return True
    return worker.id in facts.worker_queues or worker_process(facts, worker).state == "connected"
