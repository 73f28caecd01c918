"""The metrics of one reading, by Prometheus' conventions: https://prometheus.io/docs/practices/naming/.

What was not read has no sample. A registered worker that is gone has its samples, reading 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple

from attune_ops.doctor.checks.dead_letters import lost_dead_letters
from attune_ops.doctor.checks.lost_dead_letters import dead_letter_queues, missing_dead_letters
from attune_ops.doctor.findings import CheckStatus, Report, Severity
from attune_ops.doctor.health_check import Health
from attune_ops.inventory.workers import workers
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import orphaned_queues
from attune_ops.model.registry import Worker
from attune_ops.model.snapshot import QueueState
from attune_ops.model.startup_progress import Step, progress
from attune_ops.model.table import Cell, Table
from attune_ops.model.topology import Per
from attune_ops.model.version import __version__
from attune_ops.monitoring.prometheus import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    generate_latest,
)

MOST_WORKERS = 1_000  # workers with series of their own, 8 each
STATES = ("ready", "starting", "stopped", "crashed", "error", "stale", "no queue", "no consumer", "unregistered")
WORKER, QUEUE = ("worker", "id"), ("queue",)


class _Registry:
    """What `generate_latest` asks of a registry."""

    def __init__(self, made: Iterable[Metric]) -> None:
        self._made = made

    def collect(self) -> Iterable[Metric]:
        return self._made


def exposition(made: Iterable[Metric]) -> bytes:
    """Metrics in Prometheus' text format; made one by one, since its samples take ten times the memory of the text."""
    return b"".join(generate_latest(_Registry([metric])) for metric in made)


def families(report: Report, most_workers: int = MOST_WORKERS) -> Iterator[Metric]:
    """The metrics of a diagnosis and its facts; workers that are not ready come first where there are too many."""
    facts = report.facts
    info = {"version": __version__, "topology": facts.topology.name, "vhost": facts.vhost}
    yield InfoMetricFamily("attune_ops", "This exporter and what it judges by.", value=info)
    yield from _findings(report)
    yield from _broker(facts)
    if facts.missing_reason((Source.BROKER,)) is None:
        yield from _service_queues(facts)
        yield from _dead_letters(facts)
    if facts.missing_reason((Source.REGISTRY,)) is None:
        yield from _workers(facts, most_workers)
    if facts.missing_reason((Source.BROKER, Source.REGISTRY)) is None:
        orphans = [o.state for o in orphaned_queues(facts) if o.state is not None]
        yield _gauge("orphaned_queues", "Worker queues that no registered live worker owns.", orphans)
        held = GaugeMetricFamily("attune_ops_orphaned_queue_messages", "Messages in orphaned queues.")
        held.add_metric([], sum(q.messages or 0 for q in orphans))
        yield held


def _gauge(name: str, doc: str, counted: Iterable[object]) -> Metric:
    made = GaugeMetricFamily(f"attune_ops_{name}", doc)
    made.add_metric([], len(list(counted)))
    return made


def _findings(report: Report) -> Iterator[Metric]:
    found = GaugeMetricFamily("attune_ops_findings", "Findings by check; no sample: none.", labels=("code", "severity"))
    for (code, severity), count in sorted(Counter((f.code, str(f.severity)) for f in report.findings).items()):
        found.add_metric([code, severity], count)
    yield found
    subjects = GaugeMetricFamily(
        "attune_ops_finding_subjects", "Objects that the findings of a check are about.", labels=("code", "severity")
    )
    numbers: Counter[tuple[str, str]] = Counter()
    for f in report.findings:
        numbers[f.code, str(f.severity)] += len(f.subjects)
    for (code, severity), count in sorted(numbers.items()):
        subjects.add_metric([code, severity], count)
    yield subjects
    by_severity = GaugeMetricFamily("attune_ops_severity_findings", "Findings by severity.", labels=("severity",))
    for severity in Severity:
        by_severity.add_metric([str(severity)], report.count(severity))
    yield by_severity
    checks = GaugeMetricFamily("attune_ops_checks", "Checks by outcome.", labels=("status",))
    for status in CheckStatus:
        checks.add_metric([str(status)], sum(r.status is status for r in report.results))
    yield checks


def _broker(facts: Facts) -> Iterator[Metric]:
    """What the broker says of itself: alarms, and counters that include all its virtual hosts."""
    broker = facts.broker
    if broker is None:
        return
    if broker.alarms is not None:
        yield _gauge("broker_alarms", "Memory and disk alarms in effect: each blocks publishers.", broker.alarms)
    unroutable = CounterMetricFamily(
        "attune_ops_unroutable_messages", "Unroutable messages, all virtual hosts.", labels=("outcome",)
    )
    for outcome, count in (("dropped", broker.dropped_unroutable), ("returned", broker.returned_unroutable)):
        # The broker leaves out a counter that is 0. Without that 0 the first increase would not be one.
        if not broker.statistics_disabled:
            unroutable.add_metric([outcome], count or 0)
    yield unroutable
    dead = CounterMetricFamily(
        "attune_ops_dead_lettered_messages", "Dead-lettered messages, all virtual hosts.", labels=("reason",)
    )
    for reason, count in sorted((broker.dead_lettered or {}).items()):
        dead.add_metric([reason], count)
    yield dead


def _dead_letters(facts: Facts) -> Iterator[Metric]:
    lost = (q for several in facts.memo(lost_dead_letters).values() for d in several if d.own for q in d.queues)
    yield _gauge("queues_losing_dead_letters", "Attune's queues of which no queue receives the dead letters.", {*lost})
    if facts.missing_reason((Source.DEPTHS, Source.CONSUMERS, Source.DEAD_LETTERED)) is None:
        missing = GaugeMetricFamily("attune_ops_dead_letters_lost", "Since the broker started: no queue received them.")
        missing.add_metric([], missing_dead_letters(facts))
        yield missing
    waiting = GaugeMetricFamily("attune_ops_dead_letter_queue_messages", "In a dead-letter queue.", labels=QUEUE)
    for queue in dead_letter_queues(facts):
        if queue.messages is not None:
            waiting.add_metric([queue.name], queue.messages)
    yield waiting


class QueueRow(NamedTuple):
    """A queue by its name: whether it is on the broker, and its numbers; None is unknown."""

    name: str
    present: bool
    messages_ready: int | None
    messages_unacknowledged: int | None
    consumers: int | None


def _service_queues(facts: Facts) -> Iterator[Metric]:
    named = facts.actual.queue_named
    states = {q.name: named.get(q.name) for q in facts.topology.queues if q.per is Per.ONCE}
    yield from queue_families(
        QueueRow(name, False, 0, 0, 0)
        if q is None
        else QueueRow(name, True, q.messages_ready, q.messages_unacknowledged, _consumers(facts, q))
        for name, q in states.items()
    )


def queue_families(rows: Iterable[QueueRow]) -> Iterator[Metric]:
    """The metrics of queues by their names."""
    listed = list(rows)
    present = GaugeMetricFamily("attune_ops_queue_present", "1: the queue is on the broker.", labels=QUEUE)
    for row in listed:
        present.add_metric([row.name], row.present)
    yield present
    for metric, doc, _ in _DEPTHS:
        family = GaugeMetricFamily(f"attune_ops_queue_{metric}", f"{doc} of a queue.", labels=QUEUE)
        for row in listed:
            value = getattr(row, metric)
            if value is not None:
                family.add_metric([row.name], value)
        yield family


def _consumers(facts: Facts, queue: QueueState) -> int | None:
    if facts.missing_reason((Source.CONSUMERS,)) is None:
        return len(facts.actual.consumers_of.get(queue.name, ()))
    return queue.consumers


_DEPTHS = (
    ("messages_ready", "Ready messages", lambda facts, q: q.messages_ready),
    ("messages_unacknowledged", "Delivered, unacknowledged messages", lambda facts, q: q.messages_unacknowledged),
    ("consumers", "Consumers", _consumers),
)


def _workers(facts: Facts, most: int) -> Iterator[Metric]:
    assert facts.registry is not None
    records = facts.memo(workers).records()
    yield worker_counts(records)
    live = facts.live_workers
    yield _gauge("workers_live", "Workers with queues, registered as running, with a fresh heartbeat.", live)
    yield _gauge("workers_cordoned", "Live workers that get no new executions.", (w for w in live if w.cordoned))
    state = {r["id"]: r["state"] for r in records}
    known = sorted(facts.registry.workers, key=lambda w: (state.get(w.id) == "ready", w.id))
    left_out = GaugeMetricFamily("attune_ops_workers_without_series", "Registered workers beyond --max-workers.")
    left_out.add_metric([], max(0, len(known) - most))
    yield left_out
    known = known[:most]
    chosen = {w.id for w in known}
    yield from worker_families(r for r in records if r["id"] in chosen)
    if facts.missing_reason((Source.BROKER,)) is None:
        yield from _worker_queues(facts, [w for w in known if w.has_queues])


def worker_counts(records: Iterable[dict[str, Cell]]) -> Metric:
    """The number of workers in each state, of the records of the table of workers."""
    counts = GaugeMetricFamily("attune_ops_workers", "Workers by state.", labels=("state",))
    found = Counter(str(r["state"]) for r in records if r["state"] is not None)
    for state, count in {**dict.fromkeys(STATES, 0), **found}.items():
        counts.add_metric([state], count)
    return counts


def worker_families(records: Iterable[dict[str, Cell]]) -> Iterator[Metric]:
    """The metrics of registered workers by name and id, of the records of the table of workers."""
    listed = [(str(r["name"]), str(r["id"]), r) for r in records if r["name"] is not None]
    state = GaugeMetricFamily("attune_ops_worker_state", "1: the worker is in this state.", labels=(*WORKER, "state"))
    for name, id, record in listed:
        if record["state"] is not None:
            state.add_metric([name, id, str(record["state"])], 1)
    yield state
    for metric, doc, read in _OF_A_WORKER:
        family = GaugeMetricFamily(f"attune_ops_worker_{metric}", doc, labels=WORKER)
        for name, id, record in listed:
            value = read(record)
            if value is not None:
                family.add_metric([name, id], value)
        yield family


def _age(record: dict[str, Cell]) -> float | None:
    age = record["heartbeat"]
    return max(0.0, age.total_seconds()) if isinstance(age, timedelta) else None


def _flag(record: dict[str, Cell], column: str) -> float | None:
    return None if record[column] is None else float(bool(record[column]))


_OF_A_WORKER: tuple[tuple[str, str, Callable[[dict[str, Cell]], float | None]], ...] = (
    ("ready", "1: it can take executions.", lambda r: float(r["state"] == "ready")),
    ("cordoned", "1: it gets no new executions.", lambda r: _flag(r, "cordoned") or 0.0),
    ("heartbeat_age_seconds", "Age of the last heartbeat.", _age),
    ("queues_present", "1: all its queues are on the broker.", lambda r: _flag(r, "queue")),
)


def _worker_queues(facts: Facts, known: list[Worker]) -> Iterator[Metric]:
    """What the broker has for each worker; the queues of one that is gone read 0."""
    named = facts.actual.queue_named
    own = {w.id: [named.get(q.name) for q in facts.topology.worker_queues(w.id)] for w in known}
    for metric, doc, read in _DEPTHS:
        values = ((w, _sum(0 if q is None else read(facts, q) for q in own[w.id])) for w in known)
        yield _per_worker(metric, f"{doc} of the worker's queues.", values)
    steps = {p.worker.id: _done(p.stuck_at) for p in progress(facts) if not p.unknown}
    bound = ((w, steps[w.id] > _done(Step.BIND)) for w in known if w.id in steps)
    yield _per_worker("bound", "1: all its queues are bound.", bound)
    done = ((w, steps[w.id]) for w in known if w.id in steps)
    yield _per_worker("startup_steps_done", f"Of the {len(Step)} steps of a start-up, in order.", done)


def _done(stuck_at: Step | None) -> int:
    return len(Step) if stuck_at is None else list(Step).index(stuck_at)


def _sum(values: Iterable[int | None]) -> int | None:
    """The sum, None where one is unknown."""
    known = list(values)
    return None if None in known else sum(v for v in known if v is not None)


def _per_worker(name: str, doc: str, values: Iterable[tuple[Worker, float | None]]) -> Metric:
    family = GaugeMetricFamily(f"attune_ops_worker_{name}", doc, labels=WORKER)
    for worker, value in values:
        if value is not None:
            family.add_metric([worker.name, str(worker.id)], value)
    return family


def health_families(health: Health) -> Iterator[Metric]:
    """The metrics of a health check."""
    labels = ("kind", "name")
    healthy = GaugeMetricFamily("attune_ops_healthy", "1: the health check found nothing against it.", labels=labels)
    healthy.add_metric([health.kind, health.name], health.healthy)
    took = GaugeMetricFamily("attune_ops_health_duration_seconds", "Of the health check.", labels=labels)
    took.add_metric([health.kind, health.name], health.duration_ms / 1000)
    yield from (healthy, took)


def table_families(table: Table) -> Iterator[Metric]:
    """The metrics of a table of queues or workers, with the names that `serve` gives them."""
    records = table.records()
    if table.name == "workers":
        yield worker_counts(records)
        yield from worker_families(records)
        return
    numbers = ("ready", "unacked", "consumers")
    yield from queue_families(
        QueueRow(str(r["name"]), True, *(v if isinstance(v := r[n], int) else None for n in numbers)) for r in records
    )
