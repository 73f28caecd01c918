"""A message as routing sees it: routing keys and headers; and the bindings that match it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from attune_ops.routing.header_values import Value, comparable
from attune_ops.routing.route import Refusal, RouteStep

EXTRA_KEYS = ("CC", "BCC")
FIELD_TYPES = {str: "longstr", bool: "bool", int: "long", float: "double", dict: "table", type(None): "void"}


class Match(NamedTuple):
    """The bindings of one exchange that match: for certain, or perhaps.

    `some` says that one of `perhaps` matches for certain, though not which.
    """

    certain: Sequence[RouteStep]
    perhaps: Sequence[RouteStep] = ()
    some: bool = False


NOTHING = Match(())


class RoutedMessage:
    """The routing keys and headers of a message."""

    def __init__(self, keys: Sequence[str], headers: Mapping[str, Any] | None, loose: bool) -> None:
        self.keys = keys
        self.headers = headers or {}
        self._loose = loose

    @cached_property
    def values(self) -> dict[str, Value]:
        """The headers in comparable form; `BCC` is removed before routing."""
        return {name: comparable(v, self._loose) for name, v in self.headers.items() if name != "BCC"}


def routing_keys(routing_key: str, headers: Mapping[str, Any] | None) -> Sequence[str] | Refusal:
    """The publish key and those of the headers `CC` and `BCC`, which are arrays; other values are refused with 406.

    Elements that are not strings are skipped (rabbit_basic:header_routes/1).
    """
    if not headers:
        return (routing_key,)
    keys = [routing_key]
    for name in EXTRA_KEYS:
        if name not in headers:
            continue
        value = headers[name]
        if not isinstance(value, (list, tuple)):
            kind = FIELD_TYPES.get(type(value), "longstr")
            text = f'{{unacceptable_type_in_header,"{name}",{kind}}}'
            return Refusal(406, f"PRECONDITION_FAILED - invalid message: {text}")
        keys += [key for key in value if isinstance(key, str)]
    return list(dict.fromkeys(keys))
