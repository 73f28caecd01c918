"""The inspections: pure functions `Facts` → `Table`, one file each.

Each file has `SOURCES`, the sources that it reads, `COLUMNS` with the documentation of the table, and the function,
which has the file's name. Unmanaged objects, which the topology does not know, are shown as `foreign`; they are never
an error.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, TypedDict, Unpack

import msgspec

from attune_ops.model.facts import CLOCK_OFFSET_S, Facts, Source
from attune_ops.model.ownership import check_registry
from attune_ops.model.passive import MANAGEMENT_API, PASSIVE_DECLARE
from attune_ops.model.snapshot import QueueState
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.topology import Arguments
from attune_ops.model.units import counted, listed

if TYPE_CHECKING:
    from attune_ops.installation.config import Settings

BY_PASSIVE_DECLARE = ("queues", "consumers", "orphans", "workers")  # they use what passive declares tell
STATISTICS = "statistics, up to 10 s old"


class TableFilters(TypedDict, total=False):
    """The filters of every inspection: `-column` sorts from large to small, `facts` were read before."""

    facts: Facts | None
    pattern: str | None
    sort: tuple[str, ...]
    columns: tuple[str, ...]
    limit: int | None


def inspect(settings: Settings, name: str, **filters: Unpack[TableFilters]) -> Table:
    """The table of that inspection. Reads its sources unless `facts` are given, changes nothing.

    Raises `SourceError`, and `ConfigError` for an unknown column, or without a configured registry for `orphans` and
    `workers`. Orphans are only listed with the registry of this
    broker's workers: by another one every queue seems orphaned.
    """
    from attune_ops.installation.collect import collect

    inspection = importlib.import_module(f"{__name__}.{name}")
    facts = filters.get("facts")
    if facts is None:
        if name in ("orphans", "workers"):
            _ = settings.registry
        facts = collect(settings, inspection.SOURCES, passive=name in BY_PASSIVE_DECLARE)
        if name == "orphans":
            check_registry(facts.by_passive_declare)
    if name in BY_PASSIVE_DECLARE:
        facts = facts.by_passive_declare
    table = filtered(getattr(inspection, name)(facts), filters)
    return msgspec.structs.replace(table, unread=_unread(facts, inspection.SOURCES))


def _unread(facts: Facts, sources: Collection[Source]) -> tuple[str, ...]:
    """Why registry, executions or the whole broker were not read; what else lacks is in the notes of the table."""
    lost = {Source.REGISTRY} & set(sources) | ({Source.MANAGEMENT} if facts.broker is None else set())
    failed = Source.EXECUTIONS in sources and facts.could_not_read(Source.EXECUTIONS)
    executions = (facts.missing[Source.EXECUTIONS],) if failed else ()
    return (*(r.error for r in facts.reach if r.source in lost and r.error), *executions)


def filtered(table: Table, filters: TableFilters) -> Table:
    """The rows that match, sorted, limited, with the chosen columns; raises `ConfigError` for an unknown column."""
    pattern, columns = filters.get("pattern"), filters.get("columns", ())
    if pattern is not None:
        table = _matching(table, pattern)
    table = table.sorted(*filters.get("sort", ())).limit(filters.get("limit"))
    return table.select(columns) if columns else table


def _matching(table: Table, pattern: str) -> Table:
    """The rows that match; where none does, those with a plain word in their name, or a note on how it is read."""
    found = table.matching(pattern)
    if found.rows or not table.rows:
        return found
    if not re.search(r"[*?[\]]", pattern) and not pattern.startswith("/"):  # a word: "worker.3" of worker.3.executions
        like = table.matching(rf"/(?<!\w){re.escape(pattern)}(?!\w)/")
        if like.rows:
            note = f"no name is {pattern!r}: these contain it"
            return msgspec.structs.replace(like, notes=(note, *like.notes))
    how = "a glob must match the whole name (worker.*); write a regular expression between slashes (/^worker/)"
    note = f"no match for {pattern!r} in {counted(len(table.rows), 'row')}: {how}"
    return msgspec.structs.replace(found, notes=(note, *found.notes))


def wrong_vhost(facts: Facts) -> tuple[str, ...]:
    """A note where nothing of Attune is in the virtual host: live workers then seem to lack their queues."""
    if not facts.no_topology:
        return ()
    there = f"; virtual host {listed(facts.elsewhere)} has exchanges of Attune" if facts.elsewhere else ""
    return (
        f"{facts.no_topology}{there}: check the virtual host at the end of the AMQP URL before you restart a worker",
    )


def freshness(facts: Facts, live: dict[str, Source], sampled: dict[str, Source] | None = None) -> tuple[str, ...]:
    """Notes on how old the columns are, and why some are unknown; `live` and `sampled` map columns to their source."""
    if facts.passive is not None and facts.origin == PASSIVE_DECLARE:
        unknown_sources = () if facts.passive.only_consumers else (Source.BROKER, Source.DEPTHS, Source.CONSUMERS)
        live = {columns: source for columns, source in live.items() if source not in unknown_sources}
        return (*facts.passive.notes, *freshness(msgspec.structs.replace(facts, passive=None), live))
    known: dict[str, list[str]] = {}
    unknown: dict[str, list[str]] = {}
    for columns, age in ((live, "live"), (sampled or {}, STATISTICS)):
        for column, source in columns.items():
            reason = facts.missing_reason((source,))
            if reason is None:
                known.setdefault(age, []).append(column)
            else:
                unknown.setdefault(reason, []).append(column)
    ages = "; ".join(f"{', '.join(columns)}: {age}" for age, columns in known.items())
    reasons = [f"{', '.join(columns)}: unknown ({reason})" for reason, columns in unknown.items()]
    return (*([ages] if ages else []), *reasons)


def clock_skew(facts: Facts) -> tuple[str, ...]:
    """A note where the clock of the registry is off, by which the age of every heartbeat is wrong."""
    offset = facts.registry_clock_offset_s or 0.0
    if abs(offset) <= CLOCK_OFFSET_S:
        return ()
    ahead = offset > 0
    effect = f"a {'dead' if ahead else 'live'} worker can appear {'live' if ahead else 'dead'}"
    skew = f"{abs(offset):,.0f} s {'ahead of' if ahead else 'behind'} this host's"
    return (f"the registry's clock is {skew}: {effect} here (AT107)",)


def row(columns: tuple[Column, ...], item: object, **computed: Cell) -> tuple[Cell, ...]:
    """The cells of a row: those computed, by the column's name; each other is the item's attribute of that name."""
    return tuple(computed[c.name] if c.name in computed else getattr(item, c.name) for c in columns)


def consumer_count(facts: Facts, queue: QueueState) -> int | None:
    """The consumers of a queue: those in the list, which is more recent than the queue's statistics.

    None where the broker reports neither yet. A list without consumers of the queue does not make a young queue's 0.
    """
    unread = facts.actual.consumers is None or facts.missing_reason((Source.CONSUMERS,)) is not None
    listed = None if unread else len(facts.actual.consumers_of.get(queue.name, ()))
    if listed is None or (not listed and queue.consumers is None):
        return queue.consumers
    return listed


def origin() -> Column:
    """The column that names where a row is from."""
    return Column("origin", Kind.CATEGORY, doc=f"{MANAGEMENT_API}, or {PASSIVE_DECLARE} over AMQP", priority=9)


def arguments(values: Arguments) -> tuple[str, ...]:
    """Arguments as `key=value`, text bare and everything else as JSON."""
    import json

    return tuple(f"{k}={v if isinstance(v, str) else json.dumps(v, default=str)}" for k, v in sorted(values.items()))
