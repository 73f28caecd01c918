"""What the live view lists of a reading: workers, queues, orphaned queues and findings, worst first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from rich.text import Text

from attune_ops.doctor.findings import Finding, Report, Subject
from attune_ops.inventory.orphans import orphans
from attune_ops.inventory.queues import queues
from attune_ops.inventory.workers import workers
from attune_ops.model import units
from attune_ops.model.facts import Facts, Source
from attune_ops.model.severity import Severity
from attune_ops.model.table import Cell
from attune_ops.monitoring.live_reading import Depths, orphans_known
from attune_ops.render.text import visible

# Mark, style and rank of a row: the mark and the word say it without colours too.
ERROR, WARNING, INFO, GOOD, REST = (
    ("×", "red", 0),
    ("!", "yellow", 1),
    ("i", "cyan", 2),
    ("√", "green", 4),
    ("–", "dim", 3),
)
Mark = tuple[str, str, int]
WORKER_MARKS: dict[str | None, Mark] = {
    "no queue": ERROR, "no consumer": ERROR, "crashed": ERROR, "set inactive": ERROR, "stale": ERROR,
    "error": ERROR, "unregistered": WARNING, "starting": INFO, "ready": GOOD, "stopped": REST, None: REST,
}  # fmt: skip
ALERT_MARKS: dict[str | None, Mark] = {
    "no consumer": ERROR, "stuck": ERROR, "unavailable": ERROR, "unread": WARNING, "prefetch full": WARNING,
    "ok": GOOD, None: REST,
}  # fmt: skip
SEVERITY_MARKS = {Severity.ERROR: ERROR, Severity.WARNING: WARNING, Severity.INFO: INFO}
STATE = len("√ ready, cordoned")  # the widest column of states
BARS = "▁▂▃▄▅▆▇█"


class Col(NamedTuple):
    """A column: its heading, its width, 0 for the rest of the line, and the least terminal that shows it."""

    name: str
    width: int
    right: bool = False
    least: int = 0

    @property
    def measured(self) -> bool:
        """Whether it has quantities: sorted from large to small first."""
        return self.right or self.name == "depth"


class Row(NamedTuple):
    """A row: what it is about, its mark, a value for each column, and what a filter is matched against."""

    key: str
    mark: Mark
    cells: tuple[Any, ...]
    text: str


class Listing(NamedTuple):
    """What one tab lists; `reason` says why nothing is known."""

    columns: tuple[Col, ...]
    rows: tuple[Row, ...]
    reason: str | None = None


class Spark(NamedTuple):
    """The depths of a queue, oldest first, for a sparkline."""

    values: list[int | None]


WORKERS = (Col("state", 14), Col("worker", 0), Col("id", 6, True), Col("heartbeat", 12, True),
           Col("messages", 9, True), Col("depth", 0, True), Col("executions", 10, True, 140),
           Col("role", 8, False, 140), Col("missing queues", 40, False, 140))  # fmt: skip
QUEUES = (Col("state", 15), Col("queue", 0), Col("messages", 9, True), Col("unacked", 7, True, 100),
          Col("consumers", 9, True), Col("depth", 0, True), Col("ready", 9, True, 140), Col("type", 8, False, 140),
          Col("worker", 20, False, 140))  # fmt: skip
ORPHANS = (Col("state", 12), Col("queue", 0), Col("messages", 9, True), Col("consumers", 9, True),
           Col("depth", 0, True), Col("worker", 16, False, 140), Col("why", 60, False, 140))  # fmt: skip
FINDINGS = (Col("severity", 10), Col("code", 6), Col("finding", 0))
TABS = ("Workers", "Queues", "Orphans", "Findings")


def listing(tab: str, report: Report, depths: Depths) -> Listing:
    """What a tab lists."""
    facts = report.facts
    if tab == "Findings":
        return Listing(FINDINGS, tuple(_finding(f) for f in report.findings))
    columns = {"Workers": WORKERS, "Queues": QUEUES, "Orphans": ORPHANS}[tab]
    reason = _reason(tab, facts)
    if reason is not None:
        return Listing(columns, (), reason)
    if tab == "Queues":
        return Listing(columns, tuple(_queues(report, depths)))
    rows = tuple((_workers if tab == "Workers" else _orphans)(facts, depths))
    states = max((len(str(row.cells[0])) for row in rows), default=0) + len("√ ")
    return Listing((columns[0]._replace(width=max(columns[0].width, min(states, STATE))), *columns[1:]), rows)


def _reason(tab: str, facts: Facts) -> str | None:
    if tab == "Orphans":
        return orphans_known(facts)
    return facts.missing_reason((Source.REGISTRY if tab == "Workers" else Source.BROKER,))


def _workers(facts: Facts, depths: Depths) -> Iterator[Row]:
    for r in facts.memo(workers).records():
        found = WORKER_MARKS.get(_text(r["state"]), WARNING)
        number = r["id"] if isinstance(r["id"], int) else -1
        named = [q.name for q in facts.worker_queues.get(number, ())]
        cells = (
            _state(r["state"], bool(r["cordoned"])), r["name"], r["id"], r["heartbeat"], r["messages"],
            Spark(depths.of(*named)), r["executions"], r["role"], r["missing"],
        )  # fmt: skip
        yield Row(f"worker {number}", found, cells, f"{r['name'] or ''} {number} {r['state'] or 'unknown'}")


def _state(state: Cell, cordoned: bool) -> str:
    return f"{state or 'unknown'}{', cordoned' if cordoned else ''}"


def _queues(report: Report, depths: Depths) -> Iterator[Row]:
    worst: dict[str, Severity] = {}  # of the doctor's findings, so that no mark contradicts the verdict
    for f in report.findings:
        for s in subjects(f):
            if s.kind == "queue":
                worst[s.name] = max(f.severity, worst.get(s.name, f.severity), key=lambda severity: severity.rank)
    for r in report.facts.memo(queues).records():
        found = ALERT_MARKS.get(_text(r["alert"]), WARNING)
        if found in (ERROR, WARNING) and str(r["name"]) in worst:
            found = SEVERITY_MARKS[worst[str(r["name"])]]
        cells = (
            r["alert"] or "unknown", r["name"], r["messages"], r["unacked"], r["consumers"],
            Spark(depths.of(str(r["name"]))), r["ready"], r["type"], r["worker"],
        )  # fmt: skip
        yield Row(f"queue {r['name']}", found, cells, f"{r['name']} {r['alert'] or ''} {r['worker'] or ''}")


def _orphans(facts: Facts, depths: Depths) -> Iterator[Row]:
    for r in facts.memo(orphans).records():
        missing = r["kind"] == "worker"
        cells = (
            "missing" if missing else "orphaned", r["queue"], r["messages"], r["consumers"],
            Spark(depths.of(str(r["queue"]))), r["worker"], r["why"],
        )  # fmt: skip
        key = f"worker {r['worker_id']}" if missing else f"queue {r['queue']}"
        yield Row(key, ERROR if missing else WARNING, cells, f"{r['queue']} {r['worker'] or ''} {r['why']}")


def subjects(f: Finding) -> Iterator[Subject]:
    """What a finding is about, and what the findings that follow from it are about: they are listed with it."""
    yield from f.subjects
    yield from (c.subject for c in f.consequences)


def _finding(f: Finding) -> Row:
    cells = (str(f.severity), f.code, f.detail)
    text = f"{f.severity} {f.code} {f.subject.name} {f.detail}"
    return Row(f"finding {f.code} {f.subject.kind} {f.subject.name}", SEVERITY_MARKS[f.severity], cells, text)


def _text(cell: Cell) -> str | None:
    return None if cell is None else str(cell)


def chosen(rows: Sequence[Row], words: str, by: int | None, descending: bool) -> list[Row]:
    """The rows that have all the words, sorted by that column, or worst first; unknown values are last."""
    wanted = words.casefold().split()
    found = [r for r in rows if all(w in r.text.casefold() for w in wanted)] if wanted else list(rows)
    if by is None:
        return sorted(found, key=lambda r: r.mark[2])
    known = [r for r in found if _sortable(r.cells[by]) is not None]
    known.sort(key=lambda r: _sortable(r.cells[by]), reverse=descending)
    return known + [r for r in found if _sortable(r.cells[by]) is None]


def _sortable(cell: Any) -> Any:
    if isinstance(cell, Spark):
        values = [v for v in cell.values if v is not None]
        return values[-1] - values[0] if values else None  # what grew
    if isinstance(cell, str):  # w2 before w10
        return [(len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(re.split(r"([0-9]+)", cell))]
    return cell


def spark(values: Sequence[int | None], width: int) -> str:
    """A sparkline of the last `width` depths; its top is the largest one shown, a gap is a space."""
    last = list(values)[-width:] if width else []
    top = max((v for v in last if v is not None), default=0)
    bars = (" " if v is None else BARS[0] if not v else BARS[min(7, 1 + v * 7 // (top + 1))] for v in last)
    return "".join(bars).rjust(width)


def widths(columns: Sequence[Col], total: int) -> dict[int, int]:
    """The width of each column that a terminal of `total` columns shows, by its index; depths get a quarter at most."""
    shown = [i for i, c in enumerate(columns) if total >= c.least - 2]
    found = {i: columns[i].width for i in shown}
    rest = total - sum(found.values()) - 2 * len(shown) - 1
    flexible = [i for i in shown if not columns[i].width]
    for i in flexible[1:]:
        found[i] = max(8, min(48, rest // 4 if total < 100 else rest // 3))
        rest -= found[i]
    found[flexible[0]] = max(12, rest)
    return found


def drawn(cell: Any, mark: Mark | None, column: Col, width: int) -> Text:
    """One cell: numbers to the right, a sparkline, a text that is cut in the middle where it is too long."""
    if isinstance(cell, Spark):
        return Text(spark(cell.values, width), "cyan", no_wrap=True)
    if cell is None:
        return Text("—", "dim", justify="right" if column.right else "left")
    if isinstance(cell, timedelta):
        said = units.age(cell)
    elif isinstance(cell, int) and column.name != "id":
        said = f"{cell:,}"
    else:
        said = visible(", ".join(cell) if isinstance(cell, tuple) else str(cell))
    if mark is not None:
        said = f"{mark[0]} {said}"
    if len(said) > width:
        half = (width - 1) // 2
        said = (
            said[: width - 1 - half] + "…" + said[len(said) - half :]
            if column.name != "finding"
            else said[: width - 1] + "…"
        )
    return Text(said, mark[1] if mark else "", justify="right" if column.right else "left", no_wrap=True)
