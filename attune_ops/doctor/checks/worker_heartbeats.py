"""Whether the registered workers live: heartbeats against the consumers that the broker sees."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._phrases import worker_name
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import backlog, consumes
from attune_ops.model.registry import STALE_AFTER_INTERVALS, RegistryView, Worker
from attune_ops.model.units import age


def _stale(facts: Facts) -> tuple[tuple[Worker, str, tuple[tuple[str, str], ...]], ...]:
    """For `facts.memo`: who is registered as running with too old a heartbeat, how old, and what clock explains it."""
    return tuple(_stale_in(facts, facts.registry)) if facts.registry else ()


def _stale_in(facts: Facts, registry: RegistryView) -> Iterator[tuple[Worker, str, tuple[tuple[str, str], ...]]]:
    interval = registry.interval
    for worker in registry.workers:
        if not worker.is_registered_live or not worker.is_stale(facts.taken_at, interval):
            continue
        old = worker.heartbeat_age(facts.taken_at)
        beyond = None if old is None else (old - STALE_AFTER_INTERVALS * interval).total_seconds()
        clocks = tuple(
            ("AT107", r.target)
            for r in facts.reach
            if r.source is Source.REGISTRY and beyond is not None and abs(r.clock_offset_s or 0) >= beyond
        )
        yield worker, "it never sent a heartbeat" if old is None else f"its heartbeat is {age(old)} old", clocks


@check(
    "AT409",
    "heartbeats-fresh",
    group="workers",
    title="every worker registered as running has a fresh heartbeat",
    severity=Severity.ERROR,
    needs=(Source.REGISTRY,),
)
def heartbeats_fresh(facts: Facts) -> Iterator[Problem]:
    """A worker that crashed stays `active` in the registry, and the scheduler may go on choosing it.

    A running worker writes its heartbeat every 30 s (unless configured otherwise); older than three intervals
    it is stale. A clean stop sets the status to inactive, a crash does not. Executions sent to it meet no
    queue (and are dropped) or one that nobody reads. Workers that still consume are reported by AT410 instead.
    """
    for worker, why, clocks in facts.memo(_stale):
        if facts.broker is not None and consumes(facts, worker):
            continue
        depth = backlog(facts, worker.id) if facts.missing_reason((Source.BROKER,)) is None else None
        yield Problem(
            Subject("worker", worker.name),
            f"{worker_name(worker)} is registered as {worker.status}, but {why}"
            + (f", and {depth} messages wait in its queues" if depth else ""),
            evidence={"worker": worker.id, "status": worker.status, "last_heartbeat": worker.last_heartbeat,
                      "host": worker.host, "messages": depth},
            remedy="Restart the worker; if it is gone for good, set its status to inactive:",
            commands=(command_lines.retire(worker.id),),
            severity=None if worker.has_queues else Severity.WARNING,
            causes=clocks,
        )  # fmt: skip


@check(
    "AT410",
    "consumers-beat",
    group="workers",
    title="every worker that consumes also writes its heartbeat",
    severity=Severity.WARNING,
    needs=(Source.REGISTRY, Source.CONSUMERS),
)
def consumers_beat(facts: Facts) -> Iterator[Problem]:
    """A worker whose heartbeat is stale but whose consumer is there lives, yet cannot reach the database.

    Or it hangs: the client library keeps the connection alive while the worker's own loop stands still. Or the
    process is gone and its connection half open: the broker notices only after two missed AMQP heartbeats, and
    never without them. It is taken for dead and gets no work, while its queue is held.
    """
    for worker, why, clocks in facts.memo(_stale):
        if consumes(facts, worker):
            yield Problem(
                Subject("worker", worker.name),
                f"{worker_name(worker)} consumes, but {why}",
                evidence={"worker": worker.id, "status": worker.status, "last_heartbeat": worker.last_heartbeat,
                          "host": worker.host},
                remedy="Look whether that worker reaches the database; restart it if it hangs.",
                inspect_commands=(command_lines.worker(worker.name),),
                causes=clocks,
            )  # fmt: skip


@check(
    "AT411",
    "not-cordoned",
    group="workers",
    title="no worker is cordoned",
    severity=Severity.INFO,
    needs=(Source.REGISTRY,),
    required=False,
)
def not_cordoned(facts: Facts) -> Iterator[Problem]:
    """A cordoned worker is alive but must get no new work; somebody set that on purpose, and may forget it."""
    for worker in facts.live_workers:
        if worker.cordoned:
            yield Problem(
                Subject("worker", worker.name),
                f"{worker_name(worker)} is cordoned" + (f": {worker.cordon_reason}" if worker.cordon_reason else ""),
                evidence={"worker": worker.id, "reason": worker.cordon_reason},
                remedy="Lift the cordon when the worker may take work again.",
                inspect_commands=(command_lines.worker(worker.name),),
            )
