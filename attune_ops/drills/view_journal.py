"""How a `Journal` shows itself: verdict, ledger, expectations, steps; `timeline_svg` draws its timeline."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from attune_ops.drills import timeline_svg
from attune_ops.drills.journal import CLASSES, NONE_IS, VERDICTS, DoctorStatus, Expected, Journal
from attune_ops.model.table import Column, Kind, Table
from attune_ops.model.units import counted
from attune_ops.render import html, text, view_table
from attune_ops.render.text import Line

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    Column("expectation"),
    Column("held", Kind.FLAG),
    Column("took_ms", Kind.INTEGER, "ms", "time until it was met"),
    Column("limit_ms", Kind.INTEGER, "ms", "time limit"),
    Column("seen", doc="what was seen"),
)
STYLES = {"held": "bold green", "violated": "bold red", "inconclusive": "bold yellow"}
SHOWN = 20  # runs of message numbers in a text; the JSON has all


def lines(journal: Journal, limit: int | None) -> Iterator[Line]:
    """What was lost, then the verdict, the other messages, and the expectations."""
    yield 0, outcome(journal), STYLES[journal.verdict]
    yield from ((2, f"{text.visible(loss.reason)}: {numbers(loss.numbers)}", "") for loss in journal.ledger.losses)
    yield from ((2, line, "") for line in _others(journal))
    yield 0, "", ""
    yield 0, headline(journal), STYLES[journal.verdict]
    yield 2, journal.hypothesis, ""
    yield 0, "", ""
    for e in _summed(journal):
        yield 2, f"{'passed' if e.held else 'FAILED'}  {_expectation(e)}", "" if e.held else "bold red"
    yield 0, "", ""
    yield 2, _doctor(journal), ""


def outcome(journal: Journal) -> str:
    """One line: how many messages were lost, and whether that was predicted."""
    ledger = journal.ledger
    if not ledger.attempted:
        return "no messages were sent"
    lost = f"{ledger.lost} of {counted(ledger.attempted, 'message')} lost"
    if ledger.missing:
        return f"{lost}, {len(ledger.missing)} not accounted for"
    if journal.verdict == "held":
        return f"{lost}, as predicted"
    return f"{lost}; {'a prediction failed' if journal.verdict == 'violated' else 'the drill is inconclusive'}"


def _others(journal: Journal) -> Iterator[str]:
    """The messages that were not lost, by class, and the numbers of those that nobody expects."""
    ledger = journal.ledger
    found = [f"{n} {name.replace('_', ' ')}" for name, n in ledger.classes.items() if n and name != "lost"]
    if found:
        yield f"the other messages: {', '.join(found)}" if ledger.lost else ", ".join(found)
    if ledger.duplicates:
        yield f"duplicated: {numbers(ledger.duplicates)}"
    if ledger.missing:
        yield f"not accounted for: {numbers(ledger.missing)}"


def _summed(journal: Journal) -> list[Expected]:
    """The expectations; the classes of the ledger that are empty as expected are one line."""
    none = [e for e in journal.expectations if e.held and e.title.startswith(NONE_IS)]
    classes = ", ".join(e.title.removeprefix(NONE_IS) for e in none)
    others = [e for e in journal.expectations if e not in none]
    return [*others, *([msgspec.structs.replace(none[0], title=NONE_IS + classes)] if none else [])]


def _expectation(e: Expected) -> str:
    """Its title, the time where it has a limit, and what was seen."""
    took = f", {e.took_ms:.0f} ms" if e.took_ms is not None else f", not within {e.limit_ms:.0f} ms"
    return text.visible(e.title + (took if e.limit_ms else "") + (f" ({e.seen})" if e.seen else ""))


def _doctor(journal: Journal) -> str:
    after = f", after {_status(journal.after)}" if journal.after else ""
    return f"doctor: before {_status(journal.before)}{after}"


def headline(journal: Journal) -> str:
    """One line: drill, verdict and why."""
    mitigation = f" with mitigation {journal.remedy}" if journal.remedy else ""
    return text.visible(f"{journal.drill}{mitigation}: {VERDICTS[journal.verdict]} — {journal.reason}")


def accounts(journal: Journal) -> list[str]:
    """The ledger in words: the classes that are not empty, and the numbers of lost messages."""
    ledger = journal.ledger
    found = [f"{n} {name.replace('_', ' ')}" for name, n in ledger.classes.items() if n]
    lines = [f"{ledger.attempted} attempted: {', '.join(found) or 'none'}"]
    lines += [f"lost, {text.visible(loss.reason)}: {numbers(loss.numbers)}" for loss in ledger.losses]
    lines += [f"duplicated: {numbers(ledger.duplicates)}"] if ledger.duplicates else []
    lines += [f"not accounted for: {numbers(ledger.missing)}"] if ledger.missing else []
    return lines


def numbers(values: tuple[int, ...]) -> str:
    """Message numbers as runs, at most `SHOWN` of them."""
    runs: list[list[int]] = []
    for n in sorted(values):
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    shown = [str(a) if a == b else f"{a}–{b}" for a, b in runs[:SHOWN]]
    return ", ".join(shown) + (f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else "")


def _status(doctor: DoctorStatus) -> str:
    by_design = " (by design only)" if doctor.status in ("degraded", "unhealthy") else ""
    found = f" ({text.visible(', '.join(doctor.findings))})" if doctor.findings else by_design
    return f"{doctor.status}{found}"


JSON = Journal


def as_json(journal: Journal) -> Any:
    """`attune-ops/drill/1`."""
    return msgspec.to_builtins(journal)


def rows(journal: Journal) -> Table:
    """A row an expectation."""
    cells = tuple(
        (e.title, e.held, None if e.took_ms is None else round(e.took_ms), round(e.limit_ms), e.seen or None)
        for e in journal.expectations
    )
    return Table("expectations", COLUMNS, cells, journal.started_at)


def as_markdown(journal: Journal) -> str:
    """The whole journal: hypothesis, ledger, expectations, steps."""
    mitigation = f" ({journal.remedy})" if journal.remedy else ""
    versions = ", ".join(f"{name} {version}" for name, version in journal.versions.items())
    parameters = ", ".join(f"{name} {value}" for name, value in journal.parameters.items())
    parts = [
        f"## {_escaped(journal.drill)}{_escaped(mitigation)}: {VERDICTS[journal.verdict]}",
        _escaped(journal.reason),
        f"**Hypothesis.** {_escaped(journal.hypothesis)}",
        f"**RabbitMQ promises.** {_escaped(journal.promise)} <{journal.source}>",
        "**Messages.**\n\n" + ledger_markdown(journal),
        "\n".join(f"- {_escaped(line)}" for line in accounts(journal)),
        view_table.as_markdown(rows(journal)),
        "| s | | step |\n| ---: | --- | --- |\n"
        + "\n".join(f"| {e.at_ms / 1000:.2f} | {e.kind} | {_escaped(e.text)} |" for e in journal.steps),
        f"{_escaped(versions)}; topology {_escaped(journal.topology)}; {_escaped(parameters)}; "
        f"started {text.moment(journal.started_at)}",
    ]
    return "\n\n".join(parts)


def _escaped(value: str) -> str:
    return text.markdown(text.visible(value))


def ledger_markdown(journal: Journal) -> str:
    """The ledger as a table of one row."""
    names = ("attempted", *CLASSES)
    values = (journal.ledger.attempted, *(journal.ledger.classes.get(n, 0) for n in CLASSES))
    head = " | ".join(n.replace("_", " ") for n in names)
    return f"| {head} |\n| {' | '.join('---:' for _ in names)} |\n| {' | '.join(map(str, values))} |"


def as_html(journal: Journal) -> str:
    """The text and the timeline."""
    return html.preformatted(text.indented(lines(journal, None))) + html.pictured(as_svg(journal))


def as_svg(journal: Journal) -> str:
    """The timeline."""
    return timeline_svg.svg(journal.timeline)


def as_frame(journal: Journal) -> pd.DataFrame:
    """A row an expectation; verdict and ledger are in its `attrs`."""
    attrs: dict[Hashable, Any] = {"drill": journal.drill, "verdict": journal.verdict, "ledger": journal.ledger.classes}
    return view_table.as_frame(rows(journal), attrs)
