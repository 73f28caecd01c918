"""The registered workers, joined with what the broker has for them."""

from __future__ import annotations

from collections import Counter

from attune_ops.inventory import clock_skew, freshness, row, wrong_vhost
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import (
    backlog,
    is_consumed,
    is_wrongly_inactive,
    missing_queues,
    require,
    starting_workers,
)
from attune_ops.model.registry import Worker, WorkerStatus
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.worker_process import worker_process

SOURCES = (
    Source.BROKER,
    Source.DEPTHS,
    Source.CONSUMERS,
    Source.CONNECTIONS,
    Source.REGISTRY,
    Source.EXECUTIONS,
    Source.ASSIGNMENTS,
)

COLUMNS = (
    Column("id", Kind.INTEGER, doc="the id in the registry and in its queue names"),
    Column("name", doc="the registered name; unknown for an id that is only in a queue name"),
    Column(
        "state",
        Kind.CATEGORY,
        doc="ready, or why it cannot work: unregistered, starting, stopped, crashed, set inactive (although it "
        "sends heartbeats and consumes), error, stale, no queue, no consumer; unknown where the broker was not read",
    ),
    Column("process", doc="whether its process is connected; unknown where its connections are", priority=3),
    Column("status", Kind.CATEGORY, doc="its status in the registry", priority=2),
    Column("heartbeat", Kind.AGE, "s", "age of the last heartbeat; stale after 90 s (setting stale_after)"),
    Column("queue", Kind.FLAG, doc="all its queues are on the broker; unknown for a role without queues"),
    Column("consumer", Kind.FLAG, doc="each of its queues has the consumer with its tag", priority=2),
    Column("messages", Kind.INTEGER, "messages", "in its queues", 2),
    Column("executions", Kind.INTEGER, "executions", "assigned to it in the registry and not finished", 4),
    Column("cordoned", Kind.FLAG, doc="live, but gets no new executions", priority=4),
    Column("role", Kind.CATEGORY, doc="action, sensor or hybrid", priority=5),
    Column("type", Kind.CATEGORY, doc="local, remote or container", priority=6),
    Column("host", doc="the registered host", priority=5),
    Column("concurrency", Kind.INTEGER, "executions", "executions at a time", 7),
    Column("missing", Kind.LIST, doc="its queues that are not on the broker", priority=7),
    Column("last_heartbeat", Kind.TIME, doc="UTC", priority=7),
    Column("cordon_reason", doc="why it was cordoned", priority=8),
)


def workers(facts: Facts) -> Table:
    """Every registered worker, and every unregistered id in the name of a worker queue.

    Raises `SourceError` without a registry; without a broker its columns are unknown.
    """
    require(facts, Source.REGISTRY)
    known = facts.worker_named
    running = Counter(e.worker for e in (facts.registry and facts.registry.executions) or ())
    rows = [_row(facts, worker, running) for worker in known.values()]
    rows += [_unregistered(facts, i) for i in facts.worker_queues if i not in known]
    return Table(
        name="workers",
        columns=COLUMNS,
        rows=tuple(rows),
        taken_at=facts.taken_at,
        notes=(
            *wrong_vhost(facts),
            *freshness(
                facts,
                live={
                    "registry": Source.REGISTRY,
                    "queue": Source.BROKER,
                    "messages": Source.DEPTHS,
                    "executions": Source.EXECUTIONS,
                },
                sampled={"consumer": Source.CONSUMERS, "process": Source.CONNECTIONS},
            ),
            *clock_skew(facts),
            *(facts.registry.notes if facts.registry else ()),
        ),
        key=("name", "id"),
    ).sorted("id")


def _row(facts: Facts, worker: Worker, running: Counter[int | None]) -> tuple[Cell, ...]:
    missing = missing_queues(facts, worker) if facts.missing_reason((Source.BROKER,)) is None else None
    queued = missing is not None and worker.has_queues
    consumer = is_consumed(facts, worker) if queued else None
    return row(
        COLUMNS,
        worker,
        state=_state(facts, worker, missing, consumer),
        process=worker_process(facts, worker).cell if queued else None,
        heartbeat=worker.heartbeat_age(facts.taken_at),
        queue=not missing if queued else None,
        consumer=consumer,
        messages=backlog(facts, worker.id) if queued else None,
        executions=running[worker.id]
        if facts.missing_reason((Source.EXECUTIONS, Source.ASSIGNMENTS)) is None
        else None,
        missing=missing,
    )


def _state(facts: Facts, worker: Worker, missing: tuple[str, ...] | None, consumer: bool | None) -> str | None:
    if worker.id in facts.memo(starting_workers):
        return "starting"
    if worker.status == WorkerStatus.INACTIVE:
        return "set inactive" if is_wrongly_inactive(facts, worker) else "crashed" if worker.crashed else "stopped"
    if not worker.is_registered_live:
        return worker.status
    if facts.registry is not None and worker.is_stale(facts.taken_at, facts.registry.limit):
        return "stale"
    if missing:
        return "no queue"
    if consumer is False:
        return "no consumer"
    return None if missing is None or (consumer is None and worker.has_queues) else "ready"


def _unregistered(facts: Facts, unknown: int) -> tuple[Cell, ...]:
    known: dict[str, Cell] = {"id": unknown, "state": "unregistered", "messages": backlog(facts, unknown)}
    return tuple(known.get(c.name) for c in COLUMNS)
