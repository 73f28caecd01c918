"""Setting dead workers to inactive in the registry, as their clean stop would have done."""

from __future__ import annotations

from attune_ops.installation import audit
from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.installation.registry_write import retire as retire_row
from attune_ops.model import units
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import consumes, require, starting_workers
from attune_ops.model.registry import Worker
from attune_ops.model.table import Cell, Column, Kind, Table, matcher

SOURCES = (Source.REGISTRY, Source.CONSUMERS, Source.BROKER)

COLUMNS = (
    Column("worker_id", Kind.INTEGER, doc="the worker's id"),
    Column("name", doc="its name"),
    Column("status", Kind.CATEGORY, doc="its status in the registry"),
    Column("heartbeat", Kind.AGE, "s", "the age of its last heartbeat"),
    Column("verdict", Kind.CATEGORY, doc="retires or kept; after --apply retired or kept"),
    Column("reason", doc="the reason for the verdict"),
)


def retire(settings: Settings, pattern: str = "*", *, apply: bool = False, confirm: str | None = None) -> Table:
    """Sets dead workers to inactive; without `apply` changes nothing and returns which it would set.

    A dead worker is registered as running, has a stale heartbeat and no consumer on its queues. Workers that may be
    starting and sensors, which renew a lease instead, are kept. `pattern` is a glob on
    id or name, or a regular expression between slashes; `confirm` is the environment's name where it is protected.
    Undo: the worker's next heartbeat or start sets it to active. Raises `SourceError` where the registry cannot be
    read, `ConfigError` where `confirm` is missing, `ActionError` where a worker sent a heartbeat meanwhile.
    """
    matches = matcher(pattern)
    facts = collect(settings, SOURCES, listings=("queues", "statistics"))
    require(facts, Source.REGISTRY)
    if apply:
        audit.check_confirmation(settings, confirm)
    assert facts.registry is not None
    chosen = [w for w in facts.registry.workers if w.is_registered_live and (matches(str(w.id)) or matches(w.name))]
    rows = [_row(settings, facts, w, apply, confirm) for w in chosen]
    unknown = facts.missing_reason((Source.CONSUMERS,))
    notes = (f"consumers unknown: {unknown}",) if unknown and rows else ()
    return Table("running workers", COLUMNS, tuple(rows), facts.taken_at, notes)


def _row(settings: Settings, facts: Facts, worker: Worker, apply: bool, confirm: str | None) -> tuple[Cell, ...]:
    age, alive = worker.heartbeat_age(facts.taken_at), _alive(facts, worker)
    old = "it never sent a heartbeat" if age is None else f"its heartbeat is {units.age(age)} old"
    if alive is None and apply:
        assert settings.database is not None
        with audit.change(
            settings, "retire", worker.name, confirm=confirm, worker=worker.id, heartbeat=age and str(age)
        ):
            retire_row(settings.database, worker, timeout=settings.timeout)
    verdict = "kept" if alive else "retired" if apply else "retires"
    return worker.id, worker.name, worker.status, age, verdict, alive or old


def _alive(facts: Facts, worker: Worker) -> str | None:
    """Why this worker is not dead, or None."""
    assert facts.registry is not None
    if not worker.is_stale(facts.taken_at, facts.registry.limit):
        return "its heartbeat is fresh"
    if not worker.has_queues:
        return f"its role is {worker.role}: it renews a lease, its heartbeat does not tell whether it is live"
    if facts.missing_reason((Source.CONSUMERS,)) is not None:
        unknown = worker.can_be_starting(facts.taken_at, facts.registry.limit)
        return "it may be starting, and its queues are unknown" if unknown else None
    if consumes(facts, worker):
        return "its queue has its consumer"
    if worker.id in facts.memo(starting_workers):
        return "it may be starting: its queues exist, its row is of the last 10 minutes"
    return None
