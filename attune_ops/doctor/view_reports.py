"""How the diagnoses of several environments are shown: a verdict line each, then what is wrong in which of them."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Literal, NotRequired, TypedDict, cast

from attune_ops.doctor import view_finding, view_report, view_screens
from attune_ops.doctor.reports import NOT_DIAGNOSED, EnvironmentReport, Reports
from attune_ops.doctor.screen import Screens
from attune_ops.model.table import Column, Kind, Table
from attune_ops.render import html, text, wire

SCHEMA: Final = "attune-ops/doctor-all/1"


def as_table(reports: Reports) -> Any:
    """The screen of `attune-ops doctor` for several environments, without its options."""
    return view_screens.as_table(Screens(reports))


class EnvironmentVerdictJson(TypedDict):
    """The verdict on one environment; `incomplete`: an answer did not come in time."""

    env: str
    status: str
    verdict: str
    incomplete: bool


class SummariesJson(TypedDict):
    """The outcome of all: the number of environments by status, and the verdict on each."""

    verdict: str
    statuses: dict[str, int]
    environments: list[EnvironmentVerdictJson]


class EnvironmentTargetJson(TypedDict):
    """What was diagnosed; only `env` where it could not be."""

    env: str | None
    vhost: NotRequired[str]
    topology: NotRequired[str]
    recognised: NotRequired[bool]
    broker: NotRequired[view_report.BrokerJson | None]
    registry: NotRequired[view_report.RegistryJson | None]


class EnvironmentSummaryJson(TypedDict):
    """As in `attune-ops/doctor/1`; only `status` where it was not diagnosed."""

    status: str
    verdict: NotRequired[str]
    counts: NotRequired[view_report.CountsJson]
    known: NotRequired[int]
    unread: NotRequired[list[str]]
    origin: NotRequired[str]
    notes: NotRequired[list[str]]


class EnvironmentFindingJson(view_finding.FindingData):
    """A finding with its environment."""

    env: str


class EnvironmentJson(TypedDict):
    """An `attune-ops/doctor/1`, or the `error` that prevented it."""

    schema: Literal["attune-ops/doctor/1"]
    target: EnvironmentTargetJson
    taken_at: NotRequired[str]
    duration_ms: NotRequired[float]
    summary: EnvironmentSummaryJson
    error: NotRequired[str]
    findings: list[EnvironmentFindingJson]
    checks: list[view_report.CheckJson]


class ReportsJson(TypedDict):
    """The diagnoses of several environments, by environment."""

    schema: Literal["attune-ops/doctor-all/1"]
    taken_at: str
    duration_ms: float
    summary: SummariesJson
    environments: dict[str, EnvironmentJson]


JSON = ReportsJson


def as_json(reports: Reports) -> ReportsJson:
    """`attune-ops/doctor-all/1`: a member an environment, each an `attune-ops/doctor/1` or its `error`."""
    return {
        "schema": SCHEMA,
        "taken_at": wire.utc(reports.taken_at),
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


def _data(e: EnvironmentReport) -> EnvironmentJson:
    if e.report is None:
        return {"schema": view_report.SCHEMA, "target": {"env": e.env}, "summary": {"status": NOT_DIAGNOSED},
                "error": e.error, "findings": [], "checks": []}  # fmt: skip
    made = view_report.as_json(e.report)
    return {
        "schema": made["schema"],
        "target": cast("EnvironmentTargetJson", made["target"]),
        "taken_at": made["taken_at"],
        "duration_ms": made["duration_ms"],
        "summary": cast("EnvironmentSummaryJson", made["summary"]),
        "findings": [{"env": e.env, **f} for f in made["findings"]],
        "checks": made["checks"],
    }


def rows(reports: Reports) -> Table:
    """A row a finding, the environment first; an environment that was not diagnosed is a note."""
    tables = [(e.env, view_report.rows(e.report)) for e in reports.environments if e.report is not None]
    columns = next((t.columns for _, t in tables), ())
    return Table(
        name="findings",
        columns=(Column("env", Kind.CATEGORY, doc="the environment"), *columns),
        rows=tuple((env, *row) for env, table in tables for row in table.rows),
        taken_at=reports.taken_at,
        notes=tuple(f"{e.env}: {e.verdict}{e.incomplete}" for e in reports.environments),
    )


def as_markdown(reports: Reports) -> str:
    """The verdict of each environment in a table, then each report under its own heading."""
    lines = [f"**{text.markdown(reports.headline)}**", "", "| environment | verdict |", "| --- | --- |"]
    lines += [f"| {_md(e.env)} | {_md(e.verdict + e.incomplete)} |" for e in reports.environments]
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
