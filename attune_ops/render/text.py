"""Words and cells for people: what is not told, ages, times, and names that may hold anything.

Names come from the broker and are hostile text. `visible` makes every control character, line break,
bidirectional override and look-alike space seen; each human form goes through it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from attune_ops.table import Cell, Column, Kind

NOT_TOLD = "—"


def visible(text: str, keep: str = "") -> str:
    r"""The text with what cannot be seen written as an escape (`\n`, `\x1b`, `\u202e`), `keep` left as it is.

    A space is seen between other characters, so one at the start or end is written `\x20`.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)
    if not keep and text != text.strip(" "):
        text = re.sub(r"^ +| +$", lambda m: r"\x20" * len(m[0]), text)
    return text


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def cell(value: Cell, column: Column) -> str:
    """One cell for people; None, which is "not told", is "—" and never 0."""
    if value is None:
        return NOT_TOLD
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
    return str(value) if isinstance(value, int) or column.kind is Kind.INTEGER else f"{value:.3g}"


def moment(time: datetime) -> str:
    """A time in UTC to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def age(span: timedelta) -> str:
    """A span in its two largest units; a clock that runs ahead gives a negative one."""
    seconds = span.total_seconds()
    if seconds < 0:
        return f"-{age(-span)}"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    for size_of, unit, smaller_size, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size_of:
            rest = whole % size_of // smaller_size
            return f"{whole // size_of} {unit} {rest} {smaller}" if rest else f"{whole // size_of} {unit}"
    return f"{whole} s"


def size(count: float) -> str:
    """A number of bytes with a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def markdown(text: str) -> str:
    """Visible text with whatever Markdown or HTML would act on escaped, links that GitHub makes by itself included."""
    text = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("://", r":\//").replace("www.", r"www\.")
