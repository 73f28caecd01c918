"""Header values as the broker compares them: by value and not by the field's width, but never across kinds.

What JSON cannot say is lost: widths inside arrays and tables do count on the broker, and the order of a table's
entries as well, but neither is shown by its management API. Here such values are equal where their JSON is.
"""

from __future__ import annotations

from typing import Any

import msgspec

# A hashable stand-in for a field value: its kind first, so that 1, True, "1" and (from 3.13) 1.0 all differ.
Value = tuple[Any, ...]

VOID: Value = ("void",)


DEEPEST = 64  # levels; below them only the text of the JSON is compared


def comparable(value: Any, loose: bool = False, depth: int = 0) -> Value:
    """The stand-in for one value; with `loose` an integer equals the same number with a fraction (up to 3.12).

    Inside arrays and tables it never does, since there the fields' types are compared too.
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
    if not value:  # an empty array and an empty table are both Erlang's []
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
