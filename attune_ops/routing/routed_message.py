"""A message as routing sees it: its routing keys and headers; and what matching it to an exchange's bindings says."""

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
    """What is routed: every routing key, and the headers as a headers exchange compares them."""

    def __init__(self, keys: Sequence[str], headers: Mapping[str, Any] | None, loose: bool) -> None:
        self.keys = keys
        self.headers = headers or {}
        self._loose = loose

    @cached_property
    def values(self) -> dict[str, Value]:
        """The headers in the form in which they are compared; `BCC` is taken out before routing."""
        return {name: comparable(v, self._loose) for name, v in self.headers.items() if name != "BCC"}


def routing_keys(routing_key: str, headers: Mapping[str, Any] | None) -> Sequence[str] | Refusal:
    """The publish key and the keys in the headers `CC` and `BCC`, which are arrays.

    Elements that are not strings are skipped (rabbit_basic:header_routes/1). Anything but an array is refused with 406.
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
            told = f'{{unacceptable_type_in_header,"{name}",{kind}}}'
            return Refusal(406, f"PRECONDITION_FAILED - invalid message: {told}")
        keys += [key for key in value if isinstance(key, str)]
    return list(dict.fromkeys(keys))
