"""Setting dead workers to inactive in the registry, as their clean stop would have done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from attune_ops.installation import audit
from attune_ops.installation.amqp import depth, short_connection
from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.installation.registry_write import retire as retire_row
from attune_ops.model import units
from attune_ops.model.errors import ActionError, reports_done
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import check_registry, consumes, has_consumer, require, starting_workers
from attune_ops.model.registry import Worker
from attune_ops.model.table import Cell, Column, Kind, Table, matcher

SOURCES = (Source.REGISTRY, Source.BROKER, Source.CONSUMERS)

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
    starting and sensors, which renew a lease instead, are kept, and all where the virtual host has nothing of Attune.
    `pattern` is a glob on id or name, or a regular expression between slashes; `confirm` is the environment's name
    where it is protected.
    Undo: the worker's next start sets it to active; since Attune 0.6.0 its next heartbeat does, too. Raises
    `SourceError` where the registry or the consumers cannot be read, `ConfigError` where `confirm` is missing or the
    registry is not the one of this broker's workers, `ActionError` where a worker sent a heartbeat meanwhile. The text
    says what was changed before it.
    """
    matches, _ = matcher(pattern), settings.registry
    facts = collect(settings, SOURCES, listings=("queues", "statistics", "exchanges", "bindings"))
    require(facts, *SOURCES)
    check_registry(facts)
    if apply:
        audit.check_confirmation(settings, confirm)
    chosen = _chosen(facts, matches)
    why = {w.id: _alive(facts, w) for w in chosen}
    consuming = _consuming(settings, facts, [w for w in chosen if why[w.id] is None])
    rows: list[tuple[Cell, ...]] = []

    def retired() -> str:
        done = [f"{row[0]} ({row[1]})" for row in rows if row[4] == "retired"]
        return f"retired before: {units.listed(done)}" if done else ""

    with reports_done(retired):
        for worker in chosen:
            rows.append(_row(settings, facts, worker, why[worker.id] or consuming.get(worker.id), apply, confirm))
    return Table("running workers", COLUMNS, tuple(rows), facts.taken_at)


def _chosen(facts: Facts, matches: Callable[[str], bool]) -> list[Worker]:
    """The workers that are registered as running, by id or name."""
    assert facts.registry is not None
    return [w for w in facts.registry.workers if w.is_registered_live and (matches(str(w.id)) or matches(w.name))]


def _row(
    settings: Settings, facts: Facts, worker: Worker, alive: str | None, apply: bool, confirm: str | None
) -> tuple[Cell, ...]:
    age = worker.heartbeat_age(facts.taken_at)
    old = "it never sent a heartbeat" if age is None else f"its heartbeat is {units.age(age)} old"
    if alive is None and apply:
        with audit.change(
            settings, "retire", worker.name, confirm=confirm, worker=worker.id, heartbeat=age and str(age)
        ):
            retire_row(settings.registry, worker, timeout=settings.timeout)
    verdict = "kept" if alive else "retired" if apply else "retires"
    return worker.id, worker.name, worker.status, age, verdict, alive or old


def _alive(facts: Facts, worker: Worker) -> str | None:
    """Why this worker is not dead, or None."""
    assert facts.registry is not None
    if not worker.is_stale(facts.taken_at, facts.registry.limit):
        return "its heartbeat is fresh"
    if not worker.has_queues:
        return f"its role is {worker.role}: it renews a lease, its heartbeat does not tell whether it is live"
    if facts.no_topology:
        return f"{facts.no_topology}: it may consume in another one"
    if consumes(facts, worker):
        return "its queue has its consumer"
    if any(has_consumer(facts, q) for q in facts.worker_queues.get(worker.id, ())):
        return "its queue has a consumer"
    if worker.id in facts.memo(starting_workers):
        return "it may be starting: its queues exist, its row is of the last 10 minutes"
    return None


def _consuming(settings: Settings, facts: Facts, workers: list[Worker]) -> dict[int, str]:
    """Why some of these are not dead: the management API lists a consumer seconds late, a passive declare at once."""
    found: dict[int, str] = {}
    if not workers:
        return found
    with short_connection(settings, "retire") as connection:
        for worker in workers:
            for queue in facts.worker_queues.get(worker.id, ()):
                with contextlib.suppress(ActionError):  # not permitted: what the management API lists stands
                    live = depth(connection, queue.name)
                    if live is not None and live.consumers:
                        found[worker.id] = "its queue has a consumer"
    return found
