"""The dashboard's HTML fragments; every name in them is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from attune_ops.doctor import view_report
from attune_ops.doctor.findings import Report
from attune_ops.drills import timeline_svg
from attune_ops.drills.journal import Timeline
from attune_ops.model.facts import Facts
from attune_ops.model.table import Table
from attune_ops.model.units import age, number
from attune_ops.render import html, text

WIDTH, HEIGHT = 120, 18
LINES = 200  # of a timeline


def message(said: str) -> str:
    """A sentence."""
    return html.fragment("dashboard_message.html", said=text.visible(said))


def lines(said: Sequence[str]) -> str:
    """The last lines of a running task."""
    return html.preformatted("\n".join(map(text.visible, said[-LINES:])))


def picture(timeline: Timeline) -> str:
    """The timeline of a running drill."""
    return html.pictured(timeline_svg.svg(timeline))


def status(facts: Facts | None, diagnosis: Report | None, stale: str | None, reads: int) -> str:
    """The status line: the verdict, or the age of the shown facts and the reason why the last read failed."""
    if facts is None or diagnosis is None:
        return message(stale or "reading …")
    verdict = diagnosis.verdict if stale is None else f"stale for {_age(facts)}: {stale}"
    mark = view_report.MARKS[view_report.VERDICTS[diagnosis.status]][0] if stale is None else "?"
    return html.fragment(
        "dashboard_status.html", mark=mark, verdict=text.visible(verdict), taken_at=facts.taken_at, reads=reads,
        stale=stale is not None,
    )  # fmt: skip


def overview(facts: Facts, stale: str | None) -> str:
    """The numbers of the installation."""
    return html.fragment("dashboard_overview.html", numbers=_numbers(facts), stale=_stale(facts, stale))


def listing(shown: Table, depths: Mapping[str, Sequence[int]], stale: str | None) -> str:
    """A table; a queue with known `depths` has a chart line of them."""
    rows = list(zip(text.cells(shown), (_points(depths.get(str(r[0]), ())) for r in shown.rows), strict=True))
    return html.fragment(
        "dashboard_listing.html", table=shown, rows=rows, right=text.RIGHT, lines=bool(depths),
        width=WIDTH, height=HEIGHT, remarks=text.remarks(shown)[1:], stale=stale is not None,
    )  # fmt: skip


def findings(diagnosis: Report, severity: str, group: str, stale: str | None) -> str:
    """The findings of a severity and group; `any` means all."""
    found = [
        f for f in diagnosis.findings if severity in ("any", str(f.severity)) and group in ("any", f.group)
    ]  # fmt: skip
    return html.fragment(
        "dashboard_findings.html", findings=found[:LINES], more=max(0, len(found) - LINES), marks=view_report.MARKS,
        stale=stale is not None,
    )  # fmt: skip


def _numbers(facts: Facts) -> list[tuple[str, str]]:
    broker = facts.broker
    if broker is None:
        return []
    queues = list(broker.queue_named.values())
    depths = [q.messages for q in queues if q.messages is not None]
    numbers = [
        ("broker", f"{broker.product} {broker.version or ''}".strip()),
        ("queues", str(len(queues))),
        ("messages", f"{sum(depths):,}" if depths else text.UNKNOWN),
        ("in", _rate([q.publish_rate for q in queues])),
        ("out", _rate([q.deliver_rate for q in queues])),
        ("consumers", text.UNKNOWN if broker.consumers is None else str(len(broker.consumers))),
        ("workers", text.UNKNOWN if facts.registry is None
         else f"{len(facts.live_workers)} live of {len(facts.registry.workers)}"),
        ("alarms", text.UNKNOWN if broker.alarms is None else str(len(broker.alarms) or "none")),
    ]  # fmt: skip
    return [(name, text.visible(value)) for name, value in numbers]


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
