"""Whether the registered workers are live: their heartbeats compared with their consumers."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, worker_name
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import backlog, consumes
from attune_ops.model.registry import STALE_AFTER_INTERVALS, RegistryView, Worker
from attune_ops.model.units import age


def _stale(facts: Facts) -> tuple[tuple[Worker, str, tuple[str, ...]], ...]:
    """For `facts.memo`: the workers with a stale heartbeat, its age, and the skewed clocks that explain it."""
    return tuple(_stale_in(facts, facts.registry)) if facts.registry else ()


def _stale_in(facts: Facts, registry: RegistryView) -> Iterator[tuple[Worker, str, tuple[str, ...]]]:
    interval = registry.interval
    for worker in registry.workers:
        if not worker.is_registered_live or not worker.is_stale(facts.taken_at, interval):
            continue
        old = worker.heartbeat_age(facts.taken_at)
        beyond = None if old is None else (old - STALE_AFTER_INTERVALS * interval).total_seconds()
        clocks = tuple(
            r.target
            for r in facts.reach
            if r.source is Source.REGISTRY and beyond is not None and abs(r.clock_offset_s or 0) >= beyond
        )
        yield worker, "it never sent a heartbeat" if old is None else f"its heartbeat is {age(old)} old", clocks


@check("AT409", "heartbeats-fresh", "no running worker has a stale heartbeat", Severity.ERROR, needs=(Source.REGISTRY,))
def heartbeats_fresh(facts: Facts) -> Iterator[Problem]:
    """A crashed worker stays `active` in the registry, and the scheduler can still choose it.

    A running worker writes its heartbeat every 30 s by default. After three missed intervals it is stale. A clean
    stop sets the status to inactive, a crash does not. Messages for such a worker are dropped (no queue), or wait
    without a consumer. AT410 reports workers that still consume.
    """
    for worker, why, clocks in facts.memo(_stale):
        if facts.broker is not None and consumes(facts, worker):
            continue
        depth = backlog(facts, worker.id) if facts.missing_reason((Source.BROKER,)) is None else None
        yield Problem(
            Subject("worker", worker.name),
            f"{worker_name(worker)} is registered as {worker.status}, but {why}"
            + (f"; backlog: {counted(depth, 'message')}" if depth else ""),
            evidence={"worker": worker.id, "status": worker.status, "last_heartbeat": worker.last_heartbeat,
                      "host": worker.host, "messages": depth},
            remedy="Restart the worker. If it was removed, set its status to inactive:",
            commands=(command_lines.retire(worker.id),),
            severity=None if worker.has_queues else Severity.WARNING,
            related={"clock": clocks},
        )  # fmt: skip


@check(
    "AT410",
    "consumers-beat",
    "consuming workers send heartbeats",
    Severity.WARNING,
    needs=(Source.REGISTRY, Source.CONSUMERS),
)
def consumers_beat(facts: Facts) -> Iterator[Problem]:
    """A worker with a consumer and a stale heartbeat is alive, but does not write to the database.

    It cannot reach the database, or it hangs: the client library keeps the connection open while the worker's main
    loop is stuck. Or the process is dead and its connection is half-open: the broker notices after two missed AMQP
    heartbeats, without heartbeats never. The scheduler treats the worker as dead and sends it no work.
    """
    for worker, why, clocks in facts.memo(_stale):
        if consumes(facts, worker):
            yield Problem(
                Subject("worker", worker.name),
                f"{worker_name(worker)} has consumers, but {why}",
                evidence={"worker": worker.id, "status": worker.status, "last_heartbeat": worker.last_heartbeat,
                          "host": worker.host},
                remedy="Check that the worker can connect to the database. If it hangs, restart it.",
                inspect_commands=(command_lines.worker(worker.name),),
                related={"clock": clocks},
            )  # fmt: skip


@check("AT411", "not-cordoned", "no workers are cordoned", Severity.INFO, needs=(Source.REGISTRY,), required=False)
def not_cordoned(facts: Facts) -> Iterator[Problem]:
    """A cordoned worker is alive but gets no new work. Somebody set this on purpose, and may have forgotten it."""
    for worker in facts.live_workers:
        if worker.cordoned:
            yield Problem(
                Subject("worker", worker.name),
                f"{worker_name(worker)} is cordoned" + (f": {worker.cordon_reason}" if worker.cordon_reason else ""),
                evidence={"worker": worker.id, "reason": worker.cordon_reason},
                remedy="Uncordon the worker when it should get work again.",
                inspect_commands=(command_lines.worker(worker.name),),
            )
