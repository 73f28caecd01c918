"""Command lines that are printed reach the installation that this run was pointed at."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, TypeVar, cast

T = TypeVar("T")

REPEATED = ("env", "lab", "config", "attune_config", "topology")  # options that hold no secret
LINES = frozenset(("commands", "inspect_commands", "undo", "notes"))  # members that hold command lines
LINE = re.compile(r"(?<![\w/-])attune-ops (?=[a-z])(?!lab |completion )(?!\S+( \S+)? --help)")


def pointed(value: T, options: Mapping[str, str]) -> T:
    """A result, or a text, whose command lines repeat these options; URLs, which may hold a password, are left out."""
    extra = "".join(f"--{name.replace('_', '-')} {shlex.quote(options[name])} " for name in REPEATED if name in options)
    if not extra:
        return value
    return cast("T", _line(value, extra) if isinstance(value, str) else _walked(value, extra))


def _walked(value: Any, extra: str) -> Any:
    import msgspec  # here, because a probe has no use for it

    from attune_ops.model.facts import Facts

    if isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
        return tuple(_walked(v, extra) for v in value)
    if not isinstance(value, msgspec.Struct) or isinstance(value, Facts):
        return value
    changes = {}
    for name in value.__struct_fields__:
        before = getattr(value, name)
        after = _lines(before, extra) if name in LINES else _walked(before, extra)
        if after is not before:
            changes[name] = after
    return msgspec.structs.replace(value, **changes) if changes else value


def _lines(value: Any, extra: str) -> Any:
    return _line(value, extra) if isinstance(value, str) else tuple(_line(line, extra) for line in value)


def _line(text: str, extra: str) -> str:
    return LINE.sub(lambda found: found[0] + extra, text)
