"""Header values as the broker compares them: by value and not by the field's width, but never across kinds."""

from __future__ import annotations

from typing import Any

# A hashable stand-in for a field value: its kind first, so that 1, True, "1" and (from 3.13) 1.0 all differ.
Value = tuple[Any, ...]

VOID: Value = ("void",)


def comparable(value: Any, loose: bool) -> Value:
    """The stand-in for one value; with `loose` an integer equals the same number with a fraction (up to 3.12)."""
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("number" if loose else "integer", value)
    if isinstance(value, float):
        return ("number" if loose else "float", value)
    if isinstance(value, (list, tuple)):
        return ("array", *(comparable(v, loose) for v in value))
    if isinstance(value, dict):
        return ("table", *sorted((k, comparable(v, loose)) for k, v in value.items()))
    return VOID
