"""How an overview shows itself: the report, then each table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attune_ops.overview import Overview
from attune_ops.render import report, table

if TYPE_CHECKING:
    import pandas as pd


def as_table(overview: Overview) -> Any:
    """The report and the tables below each other."""
    from rich.console import Group

    return Group(report.as_table(overview.report), *(part for t in overview.tables for part in ("", table.as_table(t))))


def as_html(overview: Overview) -> str:
    """The same."""
    return "\n".join([report.as_html(overview.report), *map(table.as_html, overview.tables)])


def as_json(overview: Overview) -> dict[str, Any]:
    """`attune-ops/overview/1`."""
    return {
        "schema": "attune-ops/overview/1",
        "report": report.as_json(overview.report),
        "tables": [table.as_json(t) for t in overview.tables],
    }


def as_frame(overview: Overview) -> pd.DataFrame:
    """The findings, a row each; each table has a frame of its own."""
    return report.as_frame(overview.report)
