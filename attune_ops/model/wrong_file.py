"""Words for what is wrong in a file that was decoded: the field's path, what was found, what is allowed."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_AT = re.compile(r" - at `(?:key in )?\$\.?(?P<path>.*)`$")
_STEP = re.compile(r"\.?(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")


def explain(error: msgspec.ValidationError, data: Any, kind: type) -> str:
    """Says what `msgspec.convert(data, kind)` complained of, in one line that begins with the field's path."""
    from msgspec import inspect

    found = _AT.search(str(error))
    what = _AT.sub("", str(error))
    path, value, at = _walk(found["path"] if found else "", data, inspect.type_info(kind))
    place = path or "the file"
    if "unknown field" in what and isinstance(at, inspect.StructType):
        return f"{place}: {what}; allowed are {', '.join(f.encode_name for f in at.fields)}"
    if isinstance(at, inspect.EnumType):
        what += f" (allowed: {', '.join(str(m.value) for m in at.cls)})"
    if isinstance(at, inspect.LiteralType):
        what += f" (allowed: {', '.join(map(str, at.values))})"
    shown = repr(value)
    return f"{place}: {what}" + (f"; found {shown}" if path and len(shown) <= 80 else "")


def _walk(path: str, value: Any, at: Any) -> tuple[str, Any, Any]:
    """Follows msgspec's path through the data and the types; `[...]`, any key of a table, becomes the guilty key."""
    said = ""
    for step in _STEP.finditer(path):
        at = _plain(at)
        try:
            if step["any"]:
                key = _guilty(value, at.value_type)
                said, value, at = (f"{said}.{key}" if said else key), value[key], at.value_type
            elif step["index"]:
                said, value, at = f"{said}{step[0]}", value[int(step["index"])], at.item_type
            else:
                said = f"{said}.{step['name']}" if said else step["name"]
                value, at = value[step["name"]], next(f.type for f in at.fields if f.encode_name == step["name"])
        except (KeyError, IndexError, TypeError, AttributeError, StopIteration):
            return path, None, None
    return said, value, _plain(at)


def _plain(at: Any) -> Any:
    """The type itself where it is `T | None`."""
    from msgspec import inspect

    if isinstance(at, inspect.UnionType):
        return next((t for t in at.types if not isinstance(t, inspect.NoneType)), at)
    return at


def _guilty(table: dict[str, Any], at: Any) -> str:
    """The key whose value is not of that type: msgspec does not name it."""
    for key, value in table.items():
        try:
            msgspec.convert(value, _annotation(at))
        except msgspec.ValidationError:
            return key
    raise KeyError


def _annotation(at: Any) -> Any:
    """The Python type of a description by `msgspec.inspect`, for those that our files have in tables."""
    from typing import Literal

    from msgspec import inspect

    if isinstance(at, inspect.LiteralType):
        return Literal[at.values]
    if isinstance(at, inspect.StructType | inspect.EnumType):
        return at.cls
    return float if isinstance(at, inspect.FloatType) else str
