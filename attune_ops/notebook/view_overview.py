"""How an `Overview` is shown: the report, then each table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from attune_ops.doctor import view_report
from attune_ops.notebook.dashboard import Overview
from attune_ops.render import view_table

if TYPE_CHECKING:
    import pandas as pd


def as_table(overview: Overview) -> Any:
    """The report and the tables below each other."""
    from rich.console import Group

    return Group(
        view_report.as_table(overview.report), *(part for t in overview.tables for part in ("", view_table.as_table(t)))
    )


def as_html(overview: Overview) -> str:
    """The same."""
    return "\n".join([view_report.as_html(overview.report), *map(view_table.as_html, overview.tables)])


class OverviewJson(TypedDict):
    """The report and the tables of the dashboard."""

    schema: Literal["attune-ops/overview/1"]
    report: view_report.ReportJson
    tables: list[view_table.TableJson]


JSON = OverviewJson


def as_json(overview: Overview) -> OverviewJson:
    """`attune-ops/overview/1`."""
    return {
        "schema": "attune-ops/overview/1",
        "report": view_report.as_json(overview.report),
        "tables": [view_table.as_json(t) for t in overview.tables],
    }


def as_frame(overview: Overview) -> pd.DataFrame:
    """The findings, a row each; each table has a frame of its own."""
    return view_report.as_frame(overview.report)
