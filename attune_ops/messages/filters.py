"""Message filters: `type=ExecutionRequested`, `key=worker.*`, `age>1h`, `reason=expired`, `$.payload.x=1`.

A filter is NAME, a comparison and a value; all of several must match. Texts are compared as globs, numbers and
durations by size. A value that the message lacks matches only `!=`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from attune_ops.messages.message import Message
from attune_ops.model.errors import ConfigError
from attune_ops.model.units import seconds

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b, ">": lambda a, b: a > b, "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b,
}  # fmt: skip

_FILTER = re.compile(
    r"(?P<name>\$(?:[^=!<>\"]|\"[^\"]*\")*|[a-z-]+)\s*(?P<sign>!=|>=|<=|=|>|<)(?P<value>.*)", re.DOTALL
)
_STEP = re.compile(r"\.(?P<name>[^.\[\"]+)|\.?\[\"(?P<quoted>[^\"]*)\"\]|\[(?P<index>\d+)\]")

# The names that a filter may use, and their values in a message. Of several values one match is enough.
Values = Callable[[Message, datetime], Iterable[Any]]
TEXTS: dict[str, Values] = {
    "type": lambda m, at: (m.type,),
    "key": lambda m, at: (m.routing_key,),
    "exchange": lambda m, at: (m.exchange,),
    "id": lambda m, at: (m.id,),
    "reason": lambda m, at: (d.reason for d in m.deaths[:1]),
    "queue": lambda m, at: (d.queue for d in m.deaths[:1]),
}
NUMBERS: dict[str, Values] = {
    "age": lambda m, at: () if (age := m.age(at)) is None else (age.total_seconds(),),
    "retries": lambda m, at: (m.retries,),
    "deaths": lambda m, at: (sum(d.count for d in m.deaths),),
    "size": lambda m, at: (len(m.body),),
}
ALLOWED = (
    f"{', '.join(TEXTS)} (text: = or !=, with * and ?), {', '.join(NUMBERS)} (=, !=, >, <, >=, <=), or $.path.in.body"
)


class Filter(msgspec.Struct, frozen=True):
    """One filter: its text and its parts."""

    text: str
    name: str
    sign: str
    value: str

    def accepts(self, message: Message, at: datetime) -> bool:
        """Whether the message matches at that time."""
        read = TEXTS.get(self.name) or NUMBERS.get(self.name)
        values = at_path(message.data, self.name) if read is None else [v for v in read(message, at) if v is not None]
        found = any(self._matches(v) for v in values)
        return not found if self.sign == "!=" else found

    def _matches(self, value: Any) -> bool:
        """Whether one value matches; `!=` compares as `=`, so that it means "none of them"."""
        sign = "=" if self.sign == "!=" else self.sign
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            expected = seconds(self.value) if self.name == "age" else _number(self.value)
            return expected is not None and COMPARISONS[sign](value, expected)
        return sign == "=" and fnmatch.fnmatchcase(_text(value), self.value)


def parse(texts: Iterable[str]) -> tuple[Filter, ...]:
    """Parses filters; raises `ConfigError` that says what is allowed."""
    return tuple(_parse(text) for text in texts)


def accepts(filters: Iterable[Filter], message: Message, at: datetime) -> bool:
    """Whether the message matches all of them."""
    return all(f.accepts(message, at) for f in filters)


def at_path(data: Any, path: str) -> list[Any]:
    """The value in a body at `$.a.b[0]` or `$.a["b.c"]`, as a list of one; [] where there is none."""
    for step in _STEP.finditer(path, 1):
        if step["index"] is not None:
            if not isinstance(data, list) or int(step["index"]) >= len(data):
                return []
            data = data[int(step["index"])]
        else:
            name = step["name"] if step["quoted"] is None else step["quoted"]
            if not isinstance(data, dict) or name not in data:
                return []
            data = data[name]
    return [data]


def _parse(text: str) -> Filter:
    found = _FILTER.fullmatch(text.strip())
    if not found:
        raise ConfigError(f"invalid filter {text!r}: write NAME=VALUE, where NAME is {ALLOWED}")
    name, sign, value = found["name"].strip(), found["sign"], found["value"].strip()
    if name.startswith("$"):
        if "".join(m[0] for m in _STEP.finditer(name, 1)) != name[1:]:
            raise ConfigError(f'filter {text!r}: invalid path {name!r}; write $.payload.a, $.list[0], $["a.b"]')
        if sign not in ("=", "!=") and _number(value) is None:
            raise ConfigError(f"filter {text!r}: {sign} compares numbers, not {value!r}")
    elif name in TEXTS:
        if sign not in ("=", "!="):
            raise ConfigError(f"filter {text!r}: {name} is text: only = and != compare it")
    elif name not in NUMBERS:
        raise ConfigError(f"filter {text!r}: no name {name!r}; NAME is {ALLOWED}")
    elif (seconds(value) if name == "age" else _number(value)) is None:
        expected = "a duration: 500ms, 30s, 5m, 1h, 2d" if name == "age" else "a number"
        raise ConfigError(f"filter {text!r}: {value!r} is not {expected}")
    return Filter(text, name, sign, value)


def _text(value: Any) -> str:
    """A value as it is written in a filter."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
