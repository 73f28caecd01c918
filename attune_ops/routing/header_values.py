"""Header values as the broker compares them: by value, not by field width, and never across types.

The broker also compares field widths inside arrays and tables, and the order of a table's entries; its management API
shows neither. Here such values are equal if their JSON is.
"""

from __future__ import annotations

from typing import Any

import msgspec

# A hashable form of a field value: its type first, so that 1, True, "1" and (from 3.13) 1.0 all differ.
Value = tuple[Any, ...]

VOID: Value = ("void",)
DEEPEST = 64  # levels; below them only the JSON text is compared


def comparable(value: Any, loose: bool = False, depth: int = 0) -> Value:
    """The hashable form of one value; with `loose` (up to 3.12) an integer equals the same float.

    Inside arrays and tables it never does: there the broker compares field types too.
    """
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("number" if loose else "integer", value)
    if isinstance(value, float):
        return ("number" if loose else "float", value)
    if value is None:
        return VOID
    if not isinstance(value, dict | list | tuple):  # of a message over AMQP: a time, a decimal, bytes
        return ("other", type(value).__name__, str(value))
    if not value and not depth:  # an empty array and an empty table are both Erlang's []; further in, types count
        return ("empty",)
    if depth == DEEPEST:
        return ("deep", _text(value))
    if isinstance(value, dict):
        return ("table", *sorted((k, comparable(v, depth=depth + 1)) for k, v in value.items()))
    return ("array", *(comparable(v, depth=depth + 1) for v in value))


def _text(value: Any) -> bytes | None:
    try:
        return msgspec.json.encode(value, order="deterministic")
    except RecursionError:
        return None
