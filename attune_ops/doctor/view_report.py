"""How a diagnosis is shown: its data, Markdown and HTML; `view_screen` is the form for a terminal."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attune_ops.doctor import view_finding
from attune_ops.doctor.findings import CheckResult, CheckStatus, Report, Severity
from attune_ops.model.table import Table
from attune_ops.model.units import counted
from attune_ops.render import html, text, view_table, wire

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "attune-ops/doctor/1"
LABEL = 12  # width of the label of a heading line
SHOWN = 20  # consequences of one finding that a page shows
PAGE = Path("docs", "checks.md")

# Mark and style of each outcome of a check: colour is never the only difference.
MARKS = {
    **view_finding.MARKS,
    "ok": ("√", "green"),
    "skipped": ("–", "dim"),
    "crashed": ("?", "magenta"),
}

VERDICTS = {"unhealthy": "error", "degraded": "warning", "unknown": "crashed", "healthy": "ok"}


def word(result: CheckResult) -> str:
    """The outcome of a check: ok, info, warning, error, skipped or crashed."""
    if result.status is CheckStatus.PASSED:
        return "ok"
    return str(result.severity or Severity.INFO) if result.status is CheckStatus.FAILED else str(result.status)


def as_table(report: Report) -> Any:
    """The screen of `attune-ops doctor`, without its options."""
    from attune_ops.doctor import view_screen
    from attune_ops.doctor.screen import Screen

    return view_screen.as_table(Screen(report))


def outcome(result: CheckResult) -> str:
    """What a list of checks says of one: its title where it passed, else its name, its findings or the reason."""
    if result.status is CheckStatus.PASSED:
        return result.title
    found = [counted(result.findings, "finding")] if result.findings else []
    return f"{result.check}: " + ", ".join([*found, *([result.reason] if result.reason else [])] or ["known finding"])


def page(code: str, check: str) -> str | None:
    """The URL of the page that explains a check, on this host; None where it is not installed."""
    package = Path(__file__).parents[1]
    file = next((f for f in (package / PAGE, package.parent / PAGE) if f.is_file()), None)
    return f"file://{socket.gethostname()}{quote(f'{file}')}#{quote(f'{code.lower()}-{check}')}" if file else None


def _order(result: CheckResult) -> int:
    """By group, in the order of the codes: AT1xx first."""
    return int(result.code[2]) if result.code[2:3].isdigit() else 9


def heading(report: Report) -> list[str]:
    """The sources that were read, the users, and the response times; visible text, a line each."""
    return _visible([_first(report), *(f"{label:<{LABEL}}{said}" for label, said in _sources(report))], report)


def short_heading(report: Report) -> list[str]:
    """What was checked, in a few lines: topology, virtual host, workers, time; the broker; notes. Visible text."""
    facts = report.facts
    workers = counted(len(facts.registry.workers), "worker") if facts.registry else ""
    live = f"{len(facts.live_workers)} of {workers} live, " if workers else ""
    said = dict(_sources(report))
    address = next((a for name, a in said.items() if name in ("amqp", "management")), None)
    broker = ", ".join(part for part in (said.get("broker"), address and address.split(" as ")[0]) if part)
    return _visible([_first(report, live), *([broker] if broker else [])], report)


def _first(report: Report, workers: str = "") -> str:
    facts = report.facts
    env = f", environment {facts.env}" if facts.env else ""
    source = "" if report.file is None else f"not live: file {report.file} of "
    topology = facts.recognition.line if facts.recognised and facts.recognition else facts.topology.name
    return f"{topology} in virtual host {facts.vhost}{env}, {workers}{source}{text.moment(facts.taken_at)}"


def _visible(lines: list[str], report: Report) -> list[str]:
    return [text.visible(line) for line in (*lines, *(f"{'note':<{LABEL}}{note}" for note in report.notes))]


def _sources(report: Report) -> Iterator[tuple[str, str]]:
    facts, broker = report.facts, report.facts.broker
    if broker is not None and broker.version:
        yield "broker", f"{broker.product} {broker.version}" + (f", {broker.cluster}" if broker.cluster else "")
    for reach in facts.reach:
        if reach.error is None:
            user = f" as {reach.user}" if reach.user else ""
            tags = f" ({', '.join(reach.tags)})" if reach.tags else ""
            latency = f", {reach.latency_ms:.0f} ms" if reach.latency_ms is not None else ""
            yield str(reach.source), f"{reach.target}{user}{tags}{latency}"
    if facts.registry is not None:
        yield "workers", f"{len(facts.registry.workers)} registered, {len(facts.live_workers)} live"


def as_json(report: Report) -> dict[str, Any]:
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
        "taken_at": wire.plain(report.taken_at),
        "duration_ms": round(report.duration_ms, 3),
        "summary": {"status": report.status, "verdict": report.verdict, "counts": counts(report), "known": known,
                    "unread": [r.code for r in report.unread],
                    "notes": list(report.notes)},
        "findings": [view_finding.data(f) for f in report.findings],
        "checks": [_check(r) for r in report.results],
    }  # fmt: skip


def counts(report: Report) -> dict[str, int]:
    """The findings by severity, and the passed and skipped checks."""
    return {
        **{str(s): report.count(s) for s in (Severity.ERROR, Severity.WARNING, Severity.INFO)},
        "ok": sum(r.status is CheckStatus.PASSED for r in report.results),
        "skipped": len(report.not_run),
    }


def _check(r: CheckResult) -> dict[str, Any]:
    status = word(r)
    return {
        "code": r.code, "check": r.check, "group": r.group, "title": r.title,
        "status": "skipped" if status == "crashed" else status, "reason": r.reason, "findings": r.findings,
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
