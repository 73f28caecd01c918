"""How the diagnoses of several environments are shown: a verdict line each, then what is wrong in which of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from attune_ops.doctor import view_report, view_screens
from attune_ops.doctor.reports import NOT_DIAGNOSED, EnvironmentReport, Reports
from attune_ops.doctor.screen import Screens
from attune_ops.model.table import Column, Kind, Table
from attune_ops.render import html, text, wire

SCHEMA = "attune-ops/doctor-all/1"


def as_table(reports: Reports) -> Any:
    """The screen of `attune-ops doctor` for several environments, without its options."""
    return view_screens.as_table(Screens(reports))


def as_json(reports: Reports) -> dict[str, Any]:
    """`attune-ops/doctor-all/1`: a member an environment, each an `attune-ops/doctor/1` or its `error`."""
    return {
        "schema": SCHEMA,
        "taken_at": wire.plain(reports.taken_at),
        "duration_ms": round(reports.duration_ms, 3),
        "summary": {
            "verdict": reports.headline,
            "statuses": dict(Counter(e.status for e in reports.environments)),
            "environments": [
                {"env": e.env, "status": e.status, "verdict": e.verdict, "incomplete": e.silent}
                for e in reports.environments
            ],
        },
        "environments": {e.env: _data(e) for e in reports.environments},
    }


def _data(e: EnvironmentReport) -> dict[str, Any]:
    if e.report is None:
        return {"schema": view_report.SCHEMA, "target": {"env": e.env}, "summary": {"status": NOT_DIAGNOSED},
                "error": e.error, "findings": [], "checks": []}  # fmt: skip
    made = view_report.as_json(e.report)
    return {**made, "findings": [{"env": e.env, **f} for f in made["findings"]]}


def rows(reports: Reports) -> Table:
    """A row a finding, the environment first; an environment that was not diagnosed is a note."""
    tables = [(e.env, view_report.rows(e.report)) for e in reports.environments if e.report is not None]
    columns = next((t.columns for _, t in tables), ())
    return Table(
        name="findings",
        columns=(Column("env", Kind.CATEGORY, doc="the environment"), *columns),
        rows=tuple((env, *row) for env, table in tables for row in table.rows),
        taken_at=reports.taken_at,
        notes=tuple(f"{e.env}: {e.verdict}" for e in reports.environments),
    )


def as_markdown(reports: Reports) -> str:
    """The verdict of each environment in a table, then each report under its own heading."""
    lines = [f"**{text.markdown(reports.headline)}**", "", "| environment | verdict |", "| --- | --- |"]
    lines += [f"| {_md(e.env)} | {_md(e.verdict)} |" for e in reports.environments]
    for e in reports.environments:
        if (named := e.named) is not None:
            lines += ["", f"## {_md(e.env)}", "", view_report.as_markdown(named)]
    return "\n".join(lines)


def _md(said: str) -> str:
    return text.markdown(text.visible(said))


def as_html(reports: Reports) -> str:
    """The verdict of each environment with a link to its report below."""
    from markupsafe import Markup

    return html.fragment(
        "reports.html",
        reports=reports,
        marks=view_screens.marks(reports),
        anchors={e.env: i for i, e in enumerate(reports.environments, 1)},
        parts=[(e.env, Markup(view_report.as_html(named))) for e in reports.environments if (named := e.named)],
    )


def as_junit(reports: Reports) -> str:
    """JUnit XML: the suites of all environments, each with the environment in front of its name."""
    from attune_ops.doctor.junit import document_of_several

    return document_of_several(reports)
