"""The inspections: pure questions over `Facts` whose answer is a `Table`, one file each.

Each file has `COLUMNS`, whose docs are the documentation of the table, and one function `Facts` → `Table`.
Objects that the topology does not know are shown too, as `foreign`; they are never an error.
"""

from __future__ import annotations

from typing import TypedDict

from attune_ops.facts import Facts, Source
from attune_ops.table import Table
from attune_ops.topology import Arguments

STATISTICS = "statistics, up to 10 s old"


class Narrowing(TypedDict, total=False):
    """What every inspection can be asked: `-column` sorts from large to small, `facts` are those taken before."""

    facts: Facts | None
    pattern: str | None
    sort: tuple[str, ...]
    columns: tuple[str, ...]
    limit: int | None


def narrowed(table: Table, narrow: Narrowing) -> Table:
    """The rows that match, in the order, number and columns asked for; raises `ConfigError` for an unknown column."""
    pattern, columns = narrow.get("pattern"), narrow.get("columns", ())
    if pattern is not None:
        table = table.matching(pattern)
    table = table.sorted(*narrow.get("sort", ())).limit(narrow.get("limit"))
    return table.select(columns) if columns else table


def freshness(facts: Facts, ages: dict[str, tuple[Source, str]]) -> tuple[str, ...]:
    """One note on how old the numbers are, and one for each source that did not tell, with the reason."""
    fresh = [f"{what}: {age}" for what, (source, age) in ages.items() if source not in facts.missing]
    reasons = {s: facts.missing[s] for s, _ in ages.values() if s in facts.missing}
    silent = tuple(
        f"not told: {', '.join(what for what, (s, _) in ages.items() if s is source)} ({reason})"
        for source, reason in reasons.items()
    )
    return (("; ".join(fresh),) if fresh else ()) + silent


def arguments(values: Arguments) -> tuple[str, ...]:
    """Arguments as `key=value`, text bare and everything else as JSON."""
    import json

    return tuple(f"{k}={v if isinstance(v, str) else json.dumps(v, default=str)}" for k, v in sorted(values.items()))
