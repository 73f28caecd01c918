"""The dashboard's HTML fragments; every name in them is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from attune_ops.doctor import report_text
from attune_ops.doctor.findings import Report
from attune_ops.drills import timeline_svg
from attune_ops.drills.journal import Timeline
from attune_ops.model.facts import Facts
from attune_ops.model.table import Table
from attune_ops.model.units import age, number
from attune_ops.notebook.dashboard.widgets import Content, Heading
from attune_ops.render import html, text

WIDTH, HEIGHT = 120, 18
LINES = 200  # of a timeline
TONED = ("messages", "ready", "consumers")  # columns that are coloured where messages wait without a consumer


def message(said: str) -> str:
    """A sentence."""
    return html.fragment("dashboard_message.html", said=text.visible(said))


def lines(said: Sequence[str]) -> str:
    """The last lines of a running task."""
    return html.preformatted("\n".join(map(text.visible, said[-LINES:])))


def picture(timeline: Timeline) -> str:
    """The timeline of a running drill."""
    return html.pictured(timeline_svg.svg(timeline))


def status(facts: Facts | None, diagnosis: Report | None, stale: str | None, reads: int, where: str) -> str:
    """The status line: the verdict, or what was read last and the reason why the last read failed."""
    if facts is None or diagnosis is None:
        return banner("error", "no connection", stale) if stale else banner("skipped", "reading", where)
    if facts.broker is None and stale is not None:
        return banner("error", "broker not read", stale, facts, reads)
    if stale is not None:
        return banner("warning", f"stale for {_age(facts)}", stale, facts, reads)
    tone = report_text.VERDICTS[diagnosis.status]
    return banner(tone, diagnosis.status, diagnosis.verdict.partition(": ")[2], facts, reads)


def banner(tone: str, word: str, said: str, facts: Facts | None = None, reads: int = 0) -> str:
    """A badge in the colour of the `tone`, a sentence, and when the facts were read."""
    mark = "…" if word == "reading" else report_text.MARKS[tone][0]
    return html.fragment(
        "dashboard_status.html", tone=tone, mark=mark, word=word, said=text.visible(said), reads=reads,
        taken_at=facts and facts.taken_at,
    )  # fmt: skip


def overview(facts: Facts, stale: str | None) -> str:
    """The numbers of the installation."""
    return html.fragment("dashboard_overview.html", numbers=_numbers(facts), stale=_stale(facts, stale))


def content(shown: Table, depths: Mapping[str, Sequence[int]], stale: str | None) -> Content:
    """A table for the grid; a queue with known `depths` has a chart line of them beside its name."""
    headings: list[Heading] = [
        {"name": c.name, "doc": f"{c.doc} ({c.unit})" if c.unit else c.doc, "right": c.kind in text.RIGHT}
        for c in shown.columns
    ]
    rows = []
    for cells, record in zip(text.cells(shown), shown.records(), strict=True):
        tone = "warning" if record.get("messages") and record.get("consumers") == 0 else ""
        row = [(cell, tone if c.name in TONED else "", "") for cell, c in zip(cells, shown.columns, strict=True)]
        if depths:
            row.insert(1, ("", "", _points(depths.get(str(record["name"]), ()))))
        rows.append(row)
    if depths:
        headings.insert(1, {"name": "", "doc": "the depth since the dashboard was opened", "right": False})
    notes = text.remarks(shown)[1:] if rows else ["No rows."]
    return {"columns": headings, "rows": rows, "notes": notes, "stale": stale is not None}


def findings(diagnosis: Report, severity: str, group: str, stale: str | None) -> str:
    """The findings of a severity and group; `any` means all."""
    found = [
        f for f in diagnosis.findings if severity in ("any", str(f.severity)) and group in ("any", f.group)
    ]  # fmt: skip
    return html.fragment(
        "dashboard_findings.html", findings=found[:LINES], more=max(0, len(found) - LINES), marks=report_text.MARKS,
        stale=stale is not None,
    )  # fmt: skip


def _numbers(facts: Facts) -> list[tuple[str, str, str]]:
    """Name, value and colour of each number; what was not read has no colour and is no zero."""
    broker = facts.broker
    if broker is None:
        return []
    queues = list(broker.queue_named.values())
    depths = [q.messages for q in queues if q.messages is not None]
    numbers = [
        ("broker", f"{broker.product} {broker.version or ''}".strip(), ""),
        ("queues", str(len(queues)), ""),
        ("messages", f"{sum(depths):,}" if depths else text.UNKNOWN, ""),
        ("without a consumer", f"{broker.unread:,}" if depths else text.UNKNOWN, "warning" if broker.unread else ""),
        ("in", _rate([q.publish_rate for q in queues]), ""),
        ("out", _rate([q.deliver_rate for q in queues]), ""),
        ("consumers", text.UNKNOWN if broker.consumers is None else str(len(broker.consumers)), ""),
        ("workers", *_workers(facts)),
        ("alarms", text.UNKNOWN if broker.alarms is None else str(len(broker.alarms) or "none"),
         "error" if broker.alarms else ""),
    ]  # fmt: skip
    return [(name, text.visible(value), tone) for name, value, tone in numbers]


def _workers(facts: Facts) -> tuple[str, str]:
    if facts.registry is None:
        return text.UNKNOWN, ""
    live, known = len(facts.live_workers), len(facts.registry.workers)
    return f"{live} live of {known}", "ok" if live == known else "warning"


def _rate(rates: Sequence[float | None]) -> str:
    known = [r for r in rates if r is not None]
    return f"{number(sum(known))} / s" if known else text.UNKNOWN


def _points(depths: Sequence[int]) -> str:
    """The points of a chart line of depths."""
    if len(depths) < 2:
        return ""
    most = max(*depths, 1)
    step = WIDTH / (len(depths) - 1)
    return " ".join(f"{i * step:.1f},{HEIGHT - 1 - (HEIGHT - 2) * d / most:.1f}" for i, d in enumerate(depths))


def _stale(facts: Facts, stale: str | None) -> str | None:
    return None if stale is None else f"stale: read {_age(facts)} ago"


def _age(facts: Facts) -> str:
    return age(datetime.now(UTC) - facts.taken_at)
