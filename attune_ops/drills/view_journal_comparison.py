"""How a `JournalComparison` shows itself: the classes of two ledgers side by side."""

from __future__ import annotations

from typing import Any

import msgspec

from attune_ops.drills import view_journal
from attune_ops.drills.journal import CLASSES, Journal, JournalComparison
from attune_ops.model.notice import Notice
from attune_ops.model.table import Column, Kind, Table
from attune_ops.render import text, view_notice, view_table


def rows(comparison: JournalComparison) -> Table:
    """A row a class of the ledger."""
    first, second = comparison.first, comparison.second
    counts = [("attempted", first.ledger.attempted, second.ledger.attempted)]
    counts += [(c.replace("_", " "), first.ledger.classes.get(c, 0), second.ledger.classes.get(c, 0)) for c in CLASSES]
    counts += [("not accounted for", first.ledger.unaccounted, second.ledger.unaccounted)]
    columns = (
        Column("messages", Kind.CATEGORY),
        *(Column(name, Kind.INTEGER) for name in (*_names(first, second), "difference")),
    )
    cells = tuple((name, one, two, two - one) for name, one, two in counts)
    return Table(f"drill {first.drill}", columns, cells, second.started_at, key=("messages",))


def differences(comparison: JournalComparison) -> str:
    """What differs between the two runs besides the mitigation, so that their counts do not compare; '' for nothing."""
    first, second = (
        {"drill": j.drill, "topology": j.topology, "RabbitMQ": j.versions.get("rabbitmq"), **j.parameters}
        for j in (comparison.first, comparison.second)
    )
    pairs = ((name, first.get(name), second.get(name)) for name in first | second)
    found = [f"{name} {one} and {other}" for name, one, other in pairs if one != other]
    return text.visible(f"not the same conditions: {', '.join(found)}") if found else ""


def _names(first: Journal, second: Journal) -> tuple[str, str]:
    """Names of the two runs: the mitigation where it differs, else the drill, else the time."""
    pairs = (
        (first.remedy or "as it is", second.remedy or "as it is"),
        (first.drill, second.drill),
        (text.moment(first.started_at), text.moment(second.started_at)),
    )
    return next((pair for pair in pairs if pair[0] != pair[1]), ("first", "second"))


def as_table(comparison: JournalComparison) -> Any:
    """The two verdicts, the classes that have messages, and the time until each expectation was met."""
    from rich.console import Group
    from rich.text import Text

    heads = (
        Text(line, style=view_journal.STYLES[j.verdict])
        for j in (comparison.first, comparison.second)
        for line in (view_journal.outcome(j), f"  {view_journal.headline(j)}")
    )
    differ = [Text(line, style="bold yellow") for line in [differences(comparison)] if line]
    ledger = rows(comparison)
    used = msgspec.structs.replace(ledger, rows=tuple(row for row in ledger.rows if row[1] or row[2]))
    return Group(*heads, *differ, "", view_table.as_table(used), "", view_table.as_table(_times(comparison)))


def _times(comparison: JournalComparison) -> Table:
    """Milliseconds of each expectation with a limit, None where it was not met or a run does not have it."""
    first, second = (
        {e.title: round(e.took_ms) if e.took_ms is not None else None for e in j.expectations if e.limit_ms}
        for j in (comparison.first, comparison.second)
    )
    names = _names(comparison.first, comparison.second)
    columns = (Column("expectation"), *(Column(f"{name}, ms", Kind.INTEGER, "ms") for name in names))
    cells = tuple((title, first.get(title), second.get(title)) for title in first | second)
    return Table("times", columns, cells, comparison.second.started_at)


JSON = JournalComparison


def as_json(comparison: JournalComparison) -> Any:
    """Both journals."""
    return msgspec.to_builtins(comparison)


def as_markdown(comparison: JournalComparison) -> str:
    """The numbers side by side, then both journals."""
    journals = (view_journal.as_markdown(j) for j in (comparison.first, comparison.second))
    tables = (view_table.as_markdown(t) for t in (rows(comparison), _times(comparison)))
    differ = text.markdown(differences(comparison))
    return "\n\n".join([*([differ] if differ else []), *tables, *journals])


def as_html(comparison: JournalComparison) -> str:
    """The two verdicts and the numbers side by side, then both journals with their timelines."""
    runs = (comparison.first, comparison.second)
    first, *others = [said(j) for j in runs for said in (view_journal.outcome, view_journal.headline)]
    others += filter(None, [differences(comparison)])
    heads = Notice(first, tuple(others))
    journals = (view_journal.as_html(j) for j in (comparison.first, comparison.second))
    return "\n".join([view_notice.as_html(heads), view_table.as_html(rows(comparison)), *journals])


def as_svg(comparison: JournalComparison) -> str:
    """The timeline of the second run, which is the one with the mitigation."""
    return view_journal.as_svg(comparison.second)
