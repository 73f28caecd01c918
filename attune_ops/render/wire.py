"""Forms for programs: JSON, CSV and how they reach stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

import msgspec

from attune_ops.model.errors import AttuneOpsError
from attune_ops.model.table import Cell

FORMULA = tuple("=+-@＝＋－＠")  # how a formula begins in a spreadsheet


def json_text(data: Any) -> str:
    """Indented JSON of plain data; what a terminal would interpret is escaped, and reads back as the same text."""
    text = msgspec.json.format(msgspec.json.encode(data, enc_hook=_builtin), indent=2).decode()
    if text.isascii() and "\x7f" not in text:  # JSON itself escapes the other control characters
        return text
    lines = (line if line.isprintable() else "".join(map(_escaped, line)) for line in text.split("\n"))
    return "\n".join(lines)


def _escaped(character: str) -> str:
    """Characters that are not printable occur only inside strings, where JSON allows an escape."""
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def _builtin(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON form")


def utc(value: datetime) -> str:
    """A time as JSON has it: UTC, RFC 3339."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def milliseconds(value: timedelta) -> float:
    """A span as JSON has it."""
    return round(value.total_seconds() * 1000, 3)


def plain(value: Cell) -> str | int | float | bool | list[str] | None:
    """A cell as JSON has it: UTC RFC 3339 for a time, milliseconds for a span."""
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, timedelta):
        return milliseconds(value)
    return list(value) if isinstance(value, tuple) else value


def csv_text(header: Iterable[str], rows: Iterable[Iterable[Cell]], *, raw: bool = False) -> str:
    """RFC 4180: CRLF after each record, quotes where needed; None is an empty field.

    The text in a cell is made harmless (`_harmless`), or with `raw` is exactly the data.
    """
    import csv
    import io

    out = io.StringIO(newline="")
    writer = csv.writer(out)

    def shown(value: Any) -> Any:
        return value if raw else _harmless(value)

    writer.writerow(map(shown, header))
    writer.writerows([shown(_field(plain(value))) for value in row] for row in rows)
    return out.getvalue()


def _harmless(value: Any) -> Any:
    """A text without what a terminal or a spreadsheet acts on; a number stays a number.

    Control characters and bidirectional overrides are escaped; what a spreadsheet would take for a formula, also after
    white space, begins with an apostrophe.
    """
    if not isinstance(value, str):
        return value
    from attune_ops.render.text import escaped

    return "'" * value.lstrip().startswith(FORMULA) + escaped(value)


def _field(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        import json

        return json.dumps(value, ensure_ascii=False)
    return value


def write(text: str) -> bool:
    """Writes text to stdout at once, exactly as it is; for a terminal, control characters are escaped.

    Returns False where the reader of a pipe has closed it (`attune-ops queues | head -1`); that is no failure. Raises
    `AttuneOpsError` when, for example, the disk is full.
    """
    from attune_ops.render.text import visible_lines

    if sys.stdout.isatty():
        text = visible_lines(text)
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except OSError as e:
        silence(sys.stdout)
        if isinstance(e, BrokenPipeError):
            return False
        raise AttuneOpsError(f"cannot write to stdout: {e.strerror}") from None
    return True


def silence(stream: TextIO) -> None:
    """Discards what is written from now on to a stream that its reader has closed, the flush at exit included."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
