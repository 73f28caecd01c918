"""The metrics of one reading, by Prometheus' conventions: https://prometheus.io/docs/practices/naming/.

What was not read has no sample. A registered worker that is gone has its samples, reading 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from attune_ops.doctor.checks.dead_letters import lost_dead_letters
from attune_ops.doctor.checks.lost_dead_letters import dead_letter_queues, missing_dead_letters
from attune_ops.doctor.findings import CheckStatus, Report, Severity
from attune_ops.doctor.health_check import Health
from attune_ops.inventory import consumer_count
from attune_ops.model.facts import Facts, Source
from attune_ops.model.orphans import orphaned_queues
from attune_ops.model.ownership import unread_by_design
from attune_ops.model.table import Table
from attune_ops.model.topology import Per
from attune_ops.model.version import __version__
from attune_ops.monitoring.prometheus import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    generate_latest,
)
from attune_ops.monitoring.worker_metrics import (
    DEPTHS,
    fleet_families,
    gauge,
    total,
    worker_counts,
    worker_families,
)

MOST_WORKERS = 1_000  # workers with series of their own, 8 each
QUEUE = ("queue",)


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
        yield from fleet_families(facts, most_workers)
    if facts.missing_reason((Source.BROKER, Source.REGISTRY)) is None:
        orphans = [o.state for o in orphaned_queues(facts) if o.state is not None]
        yield gauge("orphaned_queues", "Worker queues that no registered live worker owns.", orphans)
        held = GaugeMetricFamily("attune_ops_orphaned_queue_messages", "Messages in orphaned queues.")
        messages = total(q.messages for q in orphans)
        if messages is not None:
            held.add_metric([], messages)
        yield held


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
        yield gauge("broker_alarms", "Memory and disk alarms in effect: each blocks publishers.", broker.alarms)
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
    yield gauge("queues_losing_dead_letters", "Attune's queues of which no queue receives the dead letters.", {*lost})
    read = facts.missing_reason((Source.DEPTHS, Source.CONSUMERS, Source.DEAD_LETTERED)) is None
    if read and (count := missing_dead_letters(facts)) is not None:
        missing = GaugeMetricFamily("attune_ops_dead_letters_lost", "Since the broker started: no queue received them.")
        missing.add_metric([], count)
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
        else QueueRow(name, True, q.messages_ready, q.messages_unacknowledged, consumer_count(facts, q))
        for name, q in states.items()
    )
    expected = GaugeMetricFamily(
        "attune_ops_queue_consumer_expected", "1: a service consumes the queue; 0: none does, by design.", labels=QUEUE
    )
    for name in states:
        expected.add_metric([name], name not in facts.memo(unread_by_design))
    yield expected


def queue_families(rows: Iterable[QueueRow]) -> Iterator[Metric]:
    """The metrics of queues by their names."""
    listed = list(rows)
    present = GaugeMetricFamily("attune_ops_queue_present", "1: the queue is on the broker.", labels=QUEUE)
    for row in listed:
        present.add_metric([row.name], row.present)
    yield present
    for metric, doc, _ in DEPTHS:
        family = GaugeMetricFamily(f"attune_ops_queue_{metric}", f"{doc} of a queue.", labels=QUEUE)
        for row in listed:
            value = getattr(row, metric)
            if value is not None:
                family.add_metric([row.name], value)
        yield family


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
