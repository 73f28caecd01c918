"""What each form of a diagnosis says in the same words: marks, headings, and the outcome of a check."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from attune_ops.doctor import view_finding
from attune_ops.doctor.findings import CheckResult, CheckStatus, Report, Severity
from attune_ops.model.units import counted
from attune_ops.render import text

LABEL = 12  # width of the label of a heading line
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
    if facts.no_topology:
        topology = "no Attune topology"
    elif facts.assumed:
        topology = "unknown topology"
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
