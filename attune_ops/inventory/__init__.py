"""The inspections: pure questions over `Facts` whose answer is a `Table`, one file each.

Each file has `SOURCES`, the sources that it reads, `COLUMNS`, whose docs are the documentation of the table, and
one function `Facts` → `Table` with the file's name.
Objects that the topology does not know are shown too, as `foreign`; they are never an error.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, TypedDict, Unpack

from attune_ops.model.facts import Facts, Source
from attune_ops.model.table import Table
from attune_ops.model.topology import Arguments
from attune_ops.model.units import counted

if TYPE_CHECKING:
    from attune_ops.installation.config import Settings

STATISTICS = "statistics, up to 10 s old"


class TableFilters(TypedDict, total=False):
    """What every inspection can be asked: `-column` sorts from large to small, `facts` are those taken before."""

    facts: Facts | None
    pattern: str | None
    sort: tuple[str, ...]
    columns: tuple[str, ...]
    limit: int | None


def inspect(settings: Settings, name: str, **filters: Unpack[TableFilters]) -> Table:
    """The table of that inspection; reads its sources unless `facts` are given, changes nothing.

    Raises `SourceError`, and `ConfigError` for an unknown column.
    """
    from attune_ops.installation.collect import collect

    inspection = importlib.import_module(f"{__name__}.{name}")
    facts = filters.get("facts") or collect(settings, inspection.SOURCES)
    return filtered(getattr(inspection, name)(facts), filters)


def filtered(table: Table, filters: TableFilters) -> Table:
    """The rows that match, in the order, number and columns asked for; raises `ConfigError` for an unknown column."""
    pattern, columns = filters.get("pattern"), filters.get("columns", ())
    if pattern is not None:
        table = _matching(table, pattern)
    table = table.sorted(*filters.get("sort", ())).limit(filters.get("limit"))
    return table.select(columns) if columns else table


def _matching(table: Table, pattern: str) -> Table:
    """The rows that match; where there are some and none does, a note on how a pattern is read."""
    import msgspec

    found = table.matching(pattern)
    if found.rows or not table.rows:
        return found
    how = "a glob is for the whole name (worker.*), a regular expression stands between slashes (/^worker/)"
    rows = counted(len(table.rows), "row")
    return msgspec.structs.replace(found, notes=(f"{pattern!r} matches none of {rows}: {how}", *found.notes))


def freshness(facts: Facts, live: dict[str, Source], sampled: dict[str, Source] | None = None) -> tuple[str, ...]:
    """How old the numbers are, and the reason for what was not told; both map what is told of to its source."""
    fresh: dict[str, list[str]] = {}
    silent: dict[str, list[str]] = {}
    for told, age in ((live, "live"), (sampled or {}, STATISTICS)):
        for what, source in told.items():
            reason = facts.missing_reason((source,))
            if reason is None:
                fresh.setdefault(age, []).append(what)
            else:
                silent.setdefault(reason, []).append(what)
    ages = "; ".join(f"{', '.join(whats)}: {age}" for age, whats in fresh.items())
    reasons = [f"{', '.join(whats)}: not told ({reason})" for reason, whats in silent.items()]
    return (*([ages] if ages else []), *reasons)


def arguments(values: Arguments) -> tuple[str, ...]:
    """Arguments as `key=value`, text bare and everything else as JSON."""
    import json

    return tuple(f"{k}={v if isinstance(v, str) else json.dumps(v, default=str)}" for k, v in sorted(values.items()))
