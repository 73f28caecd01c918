"""The metrics of workers: how many are in which state, and each one by the registry and the broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta

from attune_ops.inventory import consumer_count
from attune_ops.inventory.workers import workers
from attune_ops.model.facts import Facts, Source
from attune_ops.model.registry import Worker
from attune_ops.model.startup_progress import Step, progress
from attune_ops.model.table import Cell
from attune_ops.monitoring.prometheus import GaugeMetricFamily, Metric

STATES = ("ready", "starting", "stopped", "crashed", "set inactive", "error", "stale", "no queue", "no consumer",
          "unregistered")  # fmt: skip
# The states that are unknown without the list of consumers, and those without that of queues.
BY_CONSUMERS = ("ready", "starting", "set inactive", "no consumer")
BY_QUEUES = ("no queue", "unregistered")
WORKER = ("worker", "id")


def gauge(name: str, doc: str, counted: Iterable[object]) -> Metric:
    """A metric with one sample: how many there are."""
    made = GaugeMetricFamily(f"attune_ops_{name}", doc)
    made.add_metric([], len(list(counted)))
    return made


DEPTHS = (
    ("messages_ready", "Ready messages", lambda facts, q: q.messages_ready),
    ("messages_unacknowledged", "Delivered, unacknowledged messages", lambda facts, q: q.messages_unacknowledged),
    ("consumers", "Consumers", consumer_count),
)


def fleet_families(facts: Facts, most: int) -> Iterator[Metric]:
    """The metrics of all workers together, and of each of at most `most` of them."""
    assert facts.registry is not None
    records = facts.memo(workers).records()
    yield worker_counts(records)
    live = facts.live_workers
    yield gauge("workers_live", "Workers with queues, registered as running, with a fresh heartbeat.", live)
    yield gauge("workers_cordoned", "Live workers that get no new executions.", (w for w in live if w.cordoned))
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


def worker_counts(records: Collection[dict[str, Cell]]) -> Metric:
    """The number of workers in each state, of the records of the table of workers; no sample where it is unknown."""
    counts = GaugeMetricFamily("attune_ops_workers", "Workers by state.", labels=("state",))
    found = Counter(str(r["state"]) for r in records if r["state"] is not None)
    unknown = set(BY_CONSUMERS) if any(r["state"] is None for r in records) else set[str]()
    if any(r["missing"] is None and r["state"] != "unregistered" for r in records):
        unknown.update(BY_QUEUES)
    for state, count in {**dict.fromkeys(STATES, 0), **found}.items():
        if state not in unknown:
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
    ("ready", "1: it can take executions.", lambda r: None if r["state"] is None else float(r["state"] == "ready")),
    ("cordoned", "1: it gets no new executions.", lambda r: _flag(r, "cordoned") or 0.0),
    ("heartbeat_age_seconds", "Age of the last heartbeat.", _age),
    ("queues_present", "1: all its queues are on the broker.", lambda r: _flag(r, "queue")),
)


def _worker_queues(facts: Facts, known: list[Worker]) -> Iterator[Metric]:
    """What the broker has for each worker; the queues of one that is gone read 0."""
    named = facts.actual.queue_named
    own = {w.id: [named.get(q.name) for q in facts.topology.worker_queues(w.id)] for w in known}
    for metric, doc, read in DEPTHS:
        values = ((w, total(0 if q is None else read(facts, q) for q in own[w.id])) for w in known)
        yield _per_worker(metric, f"{doc} of the worker's queues.", values)
    steps = {p.worker.id: _done(p.stuck_at) for p in progress(facts) if not p.unknown}
    bound = ((w, steps[w.id] > _done(Step.BIND)) for w in known if w.id in steps)
    yield _per_worker("bound", "1: all its queues are bound.", bound)
    done = ((w, steps[w.id]) for w in known if w.id in steps)
    yield _per_worker("startup_steps_done", f"Of the {len(Step)} steps of a start-up, in order.", done)


def _done(stuck_at: Step | None) -> int:
    return len(Step) if stuck_at is None else list(Step).index(stuck_at)


def total(values: Iterable[int | None]) -> int | None:
    """The sum, None where one is unknown."""
    known = list(values)
    return None if None in known else sum(v for v in known if v is not None)


def _per_worker(name: str, doc: str, values: Iterable[tuple[Worker, float | None]]) -> Metric:
    family = GaugeMetricFamily(f"attune_ops_worker_{name}", doc, labels=WORKER)
    for worker, value in values:
        if value is not None:
            family.add_metric([worker.name, str(worker.id)], value)
    return family
