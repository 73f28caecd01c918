"""The upper lines of the live view: title, verdict, four numbers, tabs, and the line above the table."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.text import Text

from attune_ops.installation.config import Settings
from attune_ops.model import units
from attune_ops.model.facts import Facts, Source
from attune_ops.monitoring.live_reading import Depths, Reader, Reading, numbers
from attune_ops.monitoring.live_rows import TABS, Listing, spark
from attune_ops.render.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping


TILES = ("workers", "messages", "unacknowledged", "orphaned")
MARKS = {"healthy": ("√", "bold green"), "degraded": ("!", "bold yellow"), "unhealthy": ("×", "bold red"),
         "unknown": ("?", "bold yellow")}  # fmt: skip
SLOW_S = 2.0  # a reading that takes longer is mentioned
VERDICT_LINES = 3  # as the style says
REFUSED = re.compile(r"refused the|\b40[13]\b|permission|\btag\b", re.IGNORECASE)  # whole words: a port has digits, too


def title(settings: Settings, reader: Reader, reading: Reading | None, width: int) -> Text:
    """Where this is at the left, the state of the readings at the right."""
    at = f"{reading.report.facts.taken_at:%H:%M:%S}Z" if reading and reading.report else ""
    right = "paused" if reader.paused else f"every {reader.interval:g} s"
    if reader.busy >= SLOW_S:
        right = f"reading for {reader.busy:.0f} s"
    right = " · ".join(x for x in (at, right) if x)
    topology = reading.report.facts.topology.name if reading and reading.report else settings.topology.name
    parts = [x for x in (settings.env, str(settings.amqp).rpartition("@")[2], topology) if x]
    left = visible(" · ".join(parts))
    room = max(8, width - len(right) - 17 - 3)
    left = left if len(left) <= room else left[: room - 1] + "…"
    text = Text("attune-ops watch ", "bold", no_wrap=True).append(left, "dim not bold")
    gap = max(1, width - 2 - text.cell_len - len(right))
    return text.append(" " * gap).append(right, "bold yellow" if reader.paused else "dim not bold")


def verdict(reading: Reading | None, waited: float, width: int) -> Text:
    """The verdict of the doctor in one line, or why there is none."""
    if reading is None:
        return Text(f"… first reading ({waited:.0f} s)", "bold", no_wrap=True)
    if reading.away is not None:
        since = f"{reading.away_since:%H:%M:%S}Z" if reading.away_since else "now"
        refused = REFUSED.search(reading.away) is not None
        what = "no access" if refused else "broker away"
        text = Text(f"× {what} since {since}", "bold red", overflow="fold")  # the reason stands at its end
        if reading.report is not None and reading.report.facts.missing_reason((Source.BROKER,)) is None:
            text.append(f" · values are {units.age(timedelta(seconds=round(reading.age)))} old", "yellow not bold")
        said = visible(reading.away)
        if text.cell_len + len(said) > VERDICT_LINES * (width - 2) * 0.9:  # words are not broken
            said, _, advice = said.partition("; ")
            said += " …" if advice else ""
        return text.append(f" · {said}", "not bold default")
    assert reading.report is not None
    mark, style = MARKS[reading.report.status]
    said = visible(reading.report.headline)
    if reading.report.facts.no_topology:
        said = visible(f"{reading.report.status}: {reading.report.facts.no_topology}")
    status, _, rest = said.partition(":")
    text = Text(f"{mark} {status}", style, overflow="ellipsis", no_wrap=True)
    return text.append(f":{rest}" if rest else "", "not bold default")


def tiles(reading: Reading | None, depths: Depths, width: int) -> Mapping[str, Text]:
    """The four numbers that matter, two lines each; an unknown one is a dash. `width` is that of all four."""
    facts = reading.report.facts if reading and reading.report else None
    known = numbers(facts) if facts is not None else {}
    ready, workers = known.get("workers_ready"), known.get("workers")
    bad = ready is not None and workers is not None and ready < workers
    orphaned = known.get("orphaned_queues")
    messages = _number(known.get("messages"))
    trend = _trend(facts, depths, max(0, min(24, width // len(TILES) - len(messages) - 3)))
    return {
        "workers": _tile("workers ready", f"{_number(ready)} of {_number(workers)}", _colour(ready, bad)),
        "messages": _tile("messages", messages, "default").append(f" {trend}", "cyan not bold"),
        "unacknowledged": _tile("unacknowledged", _number(known.get("unacknowledged")), "default"),
        "orphaned": _tile("orphaned queues", _number(orphaned), _colour(orphaned, bool(orphaned))),
    }


def _colour(value: int | None, bad: bool) -> str:
    """Of a number that is yellow or green; one that is unknown is neither."""
    return "default" if value is None else "yellow" if bad else "green"


def _tile(label: str, number: str, style: str) -> Text:
    return Text(f"{label}\n", "dim", no_wrap=True).append(number, f"bold not dim {style}")


def _trend(facts: Facts | None, depths: Depths, width: int) -> str:
    if facts is None or facts.broker is None:
        return ""
    return spark(depths.of(*facts.actual.queue_named), width).strip()


def _number(value: int | None) -> str:
    return "—" if value is None else f"{value:,}"


def tabs(view: str, listings: Mapping[str, Listing], long: bool) -> Text:
    """The tabs with their counts and keys."""
    text = Text(no_wrap=True)
    for i, name in enumerate(TABS):
        found = listings.get(name)
        count = "" if found is None else " —" if found.reason else f" {len(found.rows):,}"
        style = "bold reverse" if name == view else "default"
        text.append(f" {i + 1} {name}{count} " if long else f"{i + 1} {name[:4]}{count} ", style).append(" ")
    return text


def note(view: str, found: Listing | None, words: str, by: int | None, descending: bool) -> Text:
    """What the rows are sorted by and filtered with."""
    if by is None or found is None:
        order = "worst first"
    else:
        column = found.columns[by]
        ends = ("small", "large") if column.measured else ("A", "Z")
        order = f"by {column.name}, from {ends[descending]} to {ends[not descending]}"
    return Text(f"sorted {order}" + (f" · filter {words!r}" if words else ""), "dim", no_wrap=True)


def unread(found: Listing | None, reading: Reading | None) -> Text:
    """Why there are no rows: nothing was read yet, or this could not be read."""
    if found is not None and found.reason is not None:
        return Text(f"? unknown: {visible(found.reason)}", "yellow", overflow="fold")
    return Text("nothing was read yet" if reading is None else "? unknown: nothing could be read", "dim")


def more(shown: int, there: int, order: Text) -> Text:
    """That a long list is cut; `order` is the line above a list that is not."""
    text = Text(f"the first {shown:,} of {there:,} rows; / finds the others · ", "yellow", no_wrap=True)
    return text.append_text(order)


def empty(view: str, words: str, rows: int) -> Text:
    """Why the table is empty: the filter, or there is nothing."""
    if rows:
        return Text(f"no match for {words!r} in {units.counted(rows, 'row')}; Esc clears the filter", "yellow")
    good = {"Workers": "– no workers are registered", "Queues": "– no queues", "Orphans": "√ no orphaned queues, "
            "and each live worker has its queues", "Findings": "√ no findings"}  # fmt: skip
    return Text(good[view], "green" if good[view].startswith("√") else "dim")
