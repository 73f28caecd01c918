"""Orphaned queues: worker queues without a live worker; and live workers without their queue."""

from __future__ import annotations

from itertools import chain

from attune_ops.inventory import clock_skew, consumer_count, freshness, origin, row, wrong_vhost
from attune_ops.model.facts import Facts, Source
from attune_ops.model.orphans import Orphan, orphaned_queues, workers_without_queue
from attune_ops.model.ownership import require
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.worker_process import worker_process

SOURCES = (Source.BROKER, Source.DEPTHS, Source.CONSUMERS, Source.CONNECTIONS, Source.REGISTRY)

COLUMNS = (
    Column(
        "kind", Kind.CATEGORY, doc="queue: no registered live worker owns it; worker: it is live, its queue is missing"
    ),
    Column("queue", doc="the orphaned or missing queue"),
    Column("worker_id", Kind.INTEGER, doc="the id in the queue's name", priority=4),
    Column("worker", doc="the registered name of that worker", priority=2),
    Column("messages", Kind.INTEGER, "messages", "in the queue"),
    Column("consumers", Kind.INTEGER, "consumers", "still attached, for example by a half-open connection"),
    Column("why", doc="why it is orphaned"),
    Column("process", doc="whether the worker's process is connected; unknown where its connections are", priority=3),
    Column("status", Kind.CATEGORY, doc="the worker's status in the registry", priority=5),
    Column("heartbeat", Kind.AGE, "s", "age of the worker's last heartbeat", 3),
    origin(),
)


def orphans(facts: Facts) -> Table:
    """Both kinds of orphans; raises `SourceError` where broker or registry was not read."""
    require(facts, Source.BROKER, Source.REGISTRY)
    return Table(
        name="orphans",
        columns=COLUMNS,
        rows=tuple(_row(facts, o) for o in chain(orphaned_queues(facts), workers_without_queue(facts))),
        taken_at=facts.taken_at,
        notes=(
            *wrong_vhost(facts),
            *freshness(
                facts,
                live={"registry": Source.REGISTRY, "queues": Source.BROKER, "messages": Source.DEPTHS},
                sampled={"consumers": Source.BROKER, "process": Source.CONNECTIONS},
            ),
            *clock_skew(facts),
        ),
        key=("queue", "worker"),
    ).sorted("kind", "queue")


def _row(facts: Facts, orphan: Orphan) -> tuple[Cell, ...]:
    state, worker = orphan.state, orphan.worker
    process = worker_process(facts, worker).cell if worker is not None and worker.has_queues else None
    deleted = orphan.kind == "worker" and process == "connected"
    return row(
        COLUMNS,
        orphan,
        worker=None if worker is None else worker.name,
        messages=None if state is None else state.messages,
        consumers=None if state is None else consumer_count(facts, state),
        why="the worker is connected, but its queue was deleted under it or never declared" if deleted else orphan.why,
        process=process,
        status=None if worker is None else worker.status,
        heartbeat=None if worker is None else worker.heartbeat_age(facts.taken_at),
        origin=facts.origin,
    )
