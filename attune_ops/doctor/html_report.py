"""A report to send: the diagnosis, every table, the topology and the snapshot in one HTML file.

The file needs no network and is readable without JavaScript; with it, tables sort and filter. The content security
policy allows one script by its hash, so that no text of the broker can run, even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import pkgutil
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from attune_ops import inventory as package
from attune_ops.doctor import report_text, view_report
from attune_ops.doctor.diagnose import garbage_collection_paused
from attune_ops.doctor.findings import CheckResult, Finding, Report
from attune_ops.model.decoding import decode
from attune_ops.model.errors import SourceError
from attune_ops.model.files import write_file
from attune_ops.model.orphans import orphaned_queues
from attune_ops.model.secret import Secret, mask_url, without
from attune_ops.model.snapshot_file import masked, packed
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted
from attune_ops.render import html, text
from attune_ops.render.graph_svg import as_svg
from attune_ops.render.text import RIGHT, remarks
from attune_ops.topology.topology_graph import topology_graph

if TYPE_CHECKING:
    from attune_ops.model.facts import Facts

FIRST = ("queues", "workers", "orphans")  # the first tables of the page
SHOWN = 20  # findings of one check that the page shows in full; the attached snapshot has them all
MOST = 600  # characters of one piece of evidence
ROWS = 5_000  # rows of one table in the page; the attached snapshot has the data of all
DEEPEST = 20  # queues in the chart of depths


class _Listing(NamedTuple):
    table: Table
    columns: list[Column]
    rows: list[str]  # the cells of each row as HTML
    unknown: list[str]  # the columns in which every cell is unknown
    notes: list[str]


class _Bar(NamedTuple):
    name: str
    messages: int
    consumers: int | None  # None: unknown
    width: float  # per cent of the deepest


class _Card(NamedTuple):
    name: str
    number: str
    detail: str
    tone: str = ""  # class of the colour: error, warning or ok; none where the number is unknown


@garbage_collection_paused()
def report_html(diagnosis: Report, secrets: tuple[Secret, ...] = (), *, rows: int = ROWS) -> str:
    """The page of a diagnosis and its facts, without passwords, with at most `rows` rows of each table.

    Needs Jinja2 (`ConfigError`).
    """
    facts = masked(diagnosis.facts, secrets)
    diagnosis = _masked(diagnosis, facts)
    listings: list[_Listing] = []
    bars: list[_Bar] = []
    unread: list[str] = []
    for name in _inspections():  # one table at a time: of each only the shown rows stay
        try:
            table: Table = getattr(importlib.import_module(f"{package.__name__}.{name}"), name)(facts)
        except SourceError as e:
            unread.append(f"Table {name} is missing: {e}.")
            continue
        bars = _bars(table) if name == "queues" else bars
        listings.append(_listing(table, rows))
    script = html.script("report_page.js") + html.script("copy_button.js")
    snapshot = packed(facts)
    page = html.fragment(
        "report_page.html",
        report=diagnosis,
        title=_title(facts),
        said=diagnosis.verdict.partition(": ")[2],
        heading=_pairs(report_text.heading(diagnosis)),
        cards=list(_cards(diagnosis, facts)),
        counts=view_report.counts(diagnosis),
        marks=report_text.MARKS,
        verdicts=report_text.VERDICTS,
        word=report_text.word,
        findings=_findings(diagnosis),
        evidence=_evidence,
        svg=as_svg(topology_graph(facts.topology if facts.broker is None else facts)),
        bars=bars,
        listings=listings,
        right=RIGHT,
        unread=unread,
        snapshot=base64.b64encode(snapshot).decode(),
        snapshot_bytes=len(snapshot),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return without(text.visible_lines(page), secrets)


def write_report(diagnosis: Report, path: str, *, replace: bool = False, secrets: tuple[Secret, ...] = ()) -> int:
    """Writes the page and returns its size in bytes. Undo: delete the file. Raises `ConfigError`."""
    return write_file(path, report_html(diagnosis, secrets).encode(), "the report", replace=replace)


def _masked(diagnosis: Report, facts: Facts) -> Report:
    """The report with the masked facts; URLs that findings quote are masked too."""

    def text(values: object) -> str:
        return mask_url(msgspec.json.encode(values).decode())

    findings = decode(text(diagnosis.findings), tuple[Finding, ...])
    results = decode(text(diagnosis.results), tuple[CheckResult, ...])
    return msgspec.structs.replace(diagnosis, facts=facts, findings=findings, results=results)


def _inspections() -> list[str]:
    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "snapshot_diff")
    return [*FIRST, *(n for n in names if n not in FIRST)]


def _title(facts: Facts) -> str:
    where = f"{facts.env}, " if facts.env else ""
    return text.visible(f"Attune on RabbitMQ: {where}virtual host {facts.vhost}")


def _pairs(heading: list[str]) -> list[tuple[str, str]]:
    """The lines of the heading, each with its label."""
    first, *others = heading
    return [("read", first), *((line[: report_text.LABEL].strip(), line[report_text.LABEL :]) for line in others)]


def _cards(diagnosis: Report, facts: Facts) -> Iterator[_Card]:
    """The four numbers that matter: findings, live workers, waiting messages, orphaned queues."""
    counts = view_report.counts(diagnosis)
    worst = next((s for s in ("error", "warning") if counts[s]), "ok" if diagnosis.status == "healthy" else "")
    yield _Card(
        "errors", str(counts["error"]), f"{counted(counts['warning'], 'warning')}, {counts['info']} info", worst
    )
    if facts.registry is None:
        yield _Card("live workers", text.UNKNOWN, "the registry was not read")
    else:
        live, known = len(facts.live_workers), len(facts.registry.workers)
        yield _Card("live workers", f"{live} of {known}", "registered", "ok" if live == known else "warning")
    queues = () if facts.broker is None else facts.broker.queue_named.values()
    depths = [q.messages for q in queues if q.messages is not None]
    if not depths:
        yield _Card("messages", text.UNKNOWN, "queue depths were not read")
    else:
        unread = facts.actual.unread
        said = f"{unread:,} in queues without a consumer" if unread else f"in {counted(len(depths), 'queue')}"
        yield _Card("messages", f"{sum(depths):,}", said, "warning" if unread else "ok")
    if facts.registry is None or facts.broker is None or facts.broker.queues is None:
        yield _Card("orphaned queues", text.UNKNOWN, "broker and registry are needed")
    else:
        orphans = list(orphaned_queues(facts))
        held = sum(o.state.messages or 0 for o in orphans if o.state is not None)
        yield _Card(
            "orphaned queues", str(len(orphans)), f"with {counted(held, 'message')}", "warning" if orphans else "ok"
        )


def _findings(diagnosis: Report) -> list[tuple[str, list[Any], list[Any]]]:
    """By check: its code, the findings shown in full, and the others."""
    found = [(code, list(fs)) for code, fs in groupby(diagnosis.findings, key=lambda f: f.code)]
    return [(code, fs[:SHOWN], fs[SHOWN:]) for code, fs in found]


def _evidence(value: object) -> str:
    said = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text.visible(said if len(said) <= MOST else said[:MOST] + "…")


def _bars(queues: Table) -> list[_Bar]:
    """The deepest queues, where depths are known."""
    deep = [r for r in queues.records() if r["messages"]]
    deep.sort(key=lambda r: (-int(str(r["messages"])), str(r["name"])))
    depths = [(str(r["name"]), int(str(r["messages"])), r["consumers"]) for r in deep[:DEEPEST]]
    return [_Bar(name, n, None if c is None else int(str(c)), 100 * n / depths[0][1]) for name, n, c in depths]


def _listing(table: Table, most: int) -> _Listing:
    """A table without the columns that are unknown in every row, to keep the page of a thousand rows small."""
    known = [i for i in range(len(table.columns)) if not table.rows or any(r[i] is not None for r in table.rows)]
    columns = [table.columns[i] for i in known]
    shown = table.rows[:most]
    rows = list(map("".join, zip(*(_cells((row[i] for row in shown), table.columns[i]) for i in known), strict=True)))
    unknown = [c.name for i, c in enumerate(table.columns) if i not in known]
    left = f"The first {most:,} of {len(table.rows):,} rows; the attached snapshot has the data of all."
    notes = [left] if len(rows) < len(table.rows) else []
    return _Listing(table, columns, rows, unknown, [*notes, *remarks(table)[1:]])


def _cells(values: Iterable[Cell], column: Column) -> list[str]:
    """The cells of a column as HTML. Equal ones are made once: most columns have few values."""
    made: dict[tuple[type, Cell], str] = {}
    cells = []
    for value in values:
        key = (type(value), value)  # True equals 1
        cell = made.get(key)
        if cell is None:
            cell = made[key] = _cell(value, column)
        cells.append(cell)
    return cells


def _cell(value: Cell, column: Column) -> str:
    """One cell as HTML, with its sort key where that differs from the shown text."""
    shown = text.cell(value, column)
    if isinstance(value, timedelta):
        return html.cell(shown, f"{value.total_seconds():.3f}")
    sized = column.kind in (Kind.INTEGER, Kind.NUMBER) and value is not None and shown != str(value)
    return html.cell(shown, str(value) if sized else None)
