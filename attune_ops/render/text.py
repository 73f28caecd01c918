"""Text for people: cells of a table, times, and names, which may hold any character.

Names come from the broker and are hostile text. `visible` escapes every control character, line break,
bidirectional override and special space; each human form goes through it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

from attune_ops.model.secret import Secret, needles, scrub
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import age, number, size

UNKNOWN = "—"
RIGHT = (Kind.INTEGER, Kind.NUMBER, Kind.AGE)  # columns that are aligned right
Line = tuple[int, str, str]  # indent, words, style of rich
_masked: ContextVar[tuple[tuple[str, ...], tuple[Secret, ...]] | None] = ContextVar("masked", default=None)
COPY = "dim not italic"  # the style of a line that holds a command: the terminal wraps it, so that it can be copied


@contextmanager
def masking(secrets: tuple[Secret, ...]) -> Iterator[None]:
    """Masks secrets and passwords of URLs in every text that is escaped in the block: wrapped, none is found whole."""
    token = _masked.set((needles(secrets), secrets))
    try:
        yield
    finally:
        _masked.reset(token)


def visible(text: str) -> str:
    r"""The text with invisible characters as escapes (`\n`, `\x1b`, `\u202e`), so that it is one line.

    A space at the start or end is invisible too, and written `\x20`.
    """
    text = escaped(text)
    if text != text.strip(" "):
        text = re.sub(r"^ +| +$", lambda m: r"\x20" * len(m[0]), text)
    return text


def visible_lines(text: str) -> str:
    """The same for text of several lines: line ends, tabs and indents stay."""
    if _masked.get() is None and text.replace("\r\n", "").replace("\n", "").replace("\t", "").isprintable():
        return text  # the search below takes ten times as long
    return re.sub(r"(?:[^\r\n\t]|\r(?!\n))+", lambda m: escaped(m[0]), text)


def escaped(text: str) -> str:
    """The text with every character that is not printable as an escape; within `masking`, secrets are masked."""
    masked = _masked.get()
    if masked is not None and ("://" in text or any(mark in text for mark in masked[0])):
        text = scrub(text, masked[1])
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def cell(value: Cell, column: Column) -> str:
    """One cell for people; None is unknown: "—", never 0."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, timedelta):
        return age(value)
    if isinstance(value, tuple):
        return ", ".join(visible(v) or '""' for v in value)
    if isinstance(value, str):
        return visible(value) or '""'
    if column.unit == "bytes":
        return size(value)
    return number(value) if isinstance(value, float) else str(value)


def heading(column: Column) -> str:
    """The heading of a column for people, one word: its name with the unit that its cells lack: `publish_rate/s`."""
    name, _, per = column.unit.rpartition("/")
    shown = column.kind is Kind.AGE or not (name or per == "s")
    return visible(column.name) if shown else visible(f"{column.name}/{per}" if name else f"{column.name}_{per}")


def cells(table: Table) -> list[list[str]]:
    """Every cell of a table for people."""
    return [[cell(v, c) for v, c in zip(row, table.columns, strict=True)] for row in table.rows]


def remarks(table: Table) -> list[str]:
    """The lines below a table: that it is empty, and its notes."""
    lines = [*([] if table.rows else [f"no {visible(table.name)}"]), *(visible(n) for n in table.notes)]
    return ["", *lines] if lines and table.rows else lines


def indented(lines: Iterable[Line]) -> str:
    """Lines of words under their indents, nothing wrapped, without their styles."""
    return "\n".join((" " * indent + visible(words)).rstrip() for indent, words, _ in lines)


def moment(time: datetime) -> str:
    """A time in UTC to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def markdown(text: str) -> str:
    """Visible text with the syntax of Markdown and HTML escaped, and URLs, which GitHub would turn into links."""
    text = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("://", r":\//").replace("www.", r"www\.")
