"""How a diagnosis is shown: its data, Markdown and HTML; `view_screen` is the form for a terminal."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from attune_ops.doctor import view_finding, view_screen
from attune_ops.doctor.findings import CheckResult, CheckStatus, Report, Severity
from attune_ops.doctor.report_text import MARKS, VERDICTS, heading, outcome, word
from attune_ops.doctor.screen import Screen
from attune_ops.model.table import Table
from attune_ops.model.units import counted
from attune_ops.render import html, text, view_table, wire

if TYPE_CHECKING:
    import pandas as pd

SCHEMA: Final = "attune-ops/doctor/1"
SHOWN = 20  # consequences of one finding that a page shows


def as_table(report: Report) -> Any:
    """The screen of `attune-ops doctor`, without its options."""
    return view_screen.as_table(Screen(report))


def _order(result: CheckResult) -> int:
    """By group, in the order of the codes: AT1xx first."""
    return int(result.code[2]) if result.code[2:3].isdigit() else 9


class BrokerJson(TypedDict):
    """The broker that was read; null is what it did not report."""

    product: str | None
    version: str | None
    cluster: str | None
    nodes: list[str] | None


class RegistryJson(TypedDict):
    """The registry that was read."""

    kind: str
    workers: int


class TargetJson(TypedDict):
    """What was diagnosed. `recognised`: the topology was recognised from the broker."""

    env: str | None
    vhost: str
    topology: str
    recognised: bool
    broker: BrokerJson | None
    registry: RegistryJson | None


class CountsJson(TypedDict):
    """The findings by severity, and the passed and skipped checks."""

    error: int
    warning: int
    info: int
    ok: int
    skipped: int


class SummaryJson(TypedDict):
    """The outcome. `known` findings of the baseline are left out; `unread` are required checks that gave no answer."""

    status: Literal["healthy", "degraded", "unhealthy", "unknown"]
    verdict: str
    counts: CountsJson
    known: int
    unread: list[str]
    origin: str
    notes: list[str]


CheckStatusJson = Literal["ok", "info", "warning", "error", "skipped"]


class CheckJson(TypedDict):
    """How one check ended; `reason` says why it was skipped, or what explains its findings."""

    code: str
    check: str
    group: str
    title: str
    status: CheckStatusJson
    reason: str | None
    findings: int
    duration_ms: float


class ReportJson(TypedDict):
    """The outcome of one diagnosis."""

    schema: Literal["attune-ops/doctor/1"]
    target: TargetJson
    taken_at: str
    duration_ms: float
    summary: SummaryJson
    findings: list[view_finding.FindingData]
    checks: list[CheckJson]


JSON = ReportJson


def as_json(report: Report) -> ReportJson:
    """`attune-ops/doctor/1`."""
    facts, broker, known = report.facts, report.facts.broker, report.known
    return {
        "schema": SCHEMA,
        "target": {
            "env": facts.env,
            "vhost": facts.vhost,
            "topology": facts.topology.name,
            "recognised": facts.recognised,
            "broker": None if broker is None else {
                "product": broker.product, "version": broker.version, "cluster": broker.cluster,
                "nodes": None if broker.nodes is None else [n.name for n in broker.nodes],
            },
            "registry": None if facts.registry is None else {
                "kind": facts.registry.kind, "workers": len(facts.registry.workers),
            },
        },
        "taken_at": wire.utc(report.taken_at),
        "duration_ms": round(report.duration_ms, 3),
        "summary": {"status": report.status, "verdict": report.verdict, "counts": counts(report), "known": known,
                    "unread": [r.code for r in report.unread],
                    "origin": facts.by_passive_declare.origin,
                    "notes": list(report.notes)},
        "findings": [view_finding.data(f, full=report.full) for f in report.findings],
        "checks": [_check(r) for r in report.results],
    }  # fmt: skip


def counts(report: Report) -> CountsJson:
    """The findings by severity, and the passed and skipped checks."""
    return {
        "error": report.count(Severity.ERROR),
        "warning": report.count(Severity.WARNING),
        "info": report.count(Severity.INFO),
        "ok": sum(r.status is CheckStatus.PASSED for r in report.results),
        "skipped": len(report.not_run),
    }


def _status(r: CheckResult) -> CheckStatusJson:
    """A crashed check gave no answer, so it is skipped."""
    if r.status is CheckStatus.PASSED:
        return "ok"
    return (r.severity or Severity.INFO).value if r.status is CheckStatus.FAILED else "skipped"


def _check(r: CheckResult) -> CheckJson:
    return {
        "code": r.code, "check": r.check, "group": r.group, "title": r.title,
        "status": _status(r), "reason": r.reason, "findings": r.findings,
        "duration_ms": round(r.duration_ms, 3),
    }  # fmt: skip


def rows(report: Report) -> Table:
    """A row a finding."""
    return Table(
        name="findings",
        columns=view_finding.COLUMNS,
        rows=tuple(view_finding.row(f) for f in report.findings),
        taken_at=report.taken_at,
        notes=(report.verdict,),
    )


def as_frame(report: Report) -> pd.DataFrame:
    """The findings, a row each; `attrs` hold status and verdict."""
    return view_table.as_frame(rows(report), {"status": report.status, "verdict": report.verdict})


def as_markdown(report: Report) -> str:
    """The verdict, the findings with their fix, and the outcome of each check."""
    lines = [f"**{text.markdown(text.visible(report.verdict))}**", ""]
    lines += [f"- {text.markdown(line)}" for line in heading(report)]
    if report.findings:
        lines += ["", "| | finding | what to do |", "| --- | --- | --- |"]
    for f in report.findings:
        said = text.markdown(text.visible(f.detail))
        said += f" ({counted(len(f.consequences), 'consequence')})" if f.consequences else ""
        do = text.markdown(text.visible(f.remedy)) + "".join(
            f"<br>`{text.visible(str(c))}`".replace("|", r"\|") for c in (*f.commands, *f.inspect_commands)
        )
        lines.append(f"| {f.severity} {f.code} | {said} | {do} |")
    lines += ["", "| check | | |", "| --- | --- | --- |"]
    for r in report.results:
        reason = text.markdown(text.visible(r.reason or ""))
        said = r.title if r.status is CheckStatus.PASSED else r.check
        lines.append(f"| {r.code} {text.markdown(said)} | {word(r)} | {reason} |")
    return "\n".join(lines)


def as_junit(report: Report) -> str:
    """JUnit XML: a suite for each group, a case for each check; findings of severity error or warning are failures."""
    from attune_ops.doctor.junit import document

    return document(report)


def as_html(report: Report) -> str:
    """The verdict and the findings unfolded, the checks that hold folded by group."""
    groups = [(name, list(rs)) for name, rs in groupby(sorted(report.results, key=_order), key=lambda r: r.group)]
    return html.fragment(
        "report.html",
        report=report,
        groups=groups,
        word=word,
        heading=heading(report),
        outcome=outcome,
        marks=MARKS,
        verdicts=VERDICTS,
        shown=SHOWN,
    )
