"""Values as RabbitMQ writes them in JSON where nothing was given: `"undefined"` for a flag, `[]` for an empty table."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypeVar

from attune_ops.model.topology import Argument

# An import of definitions without `auto_delete` stores `undefined`; every export and listing then has the text.
Flag: TypeAlias = bool | Literal["undefined"] | None
# Several libraries and old exports write an empty table as an empty array.
WireTable: TypeAlias = dict[str, Argument] | tuple[()] | None

T = TypeVar("T")


def flag(value: Flag) -> bool | None:
    """The flag, None where the broker itself has no value for it."""
    return value if isinstance(value, bool) else None


def table(value: dict[str, T] | tuple[Any, ...] | list[Any] | None) -> dict[str, T]:
    """The table, an empty one for an empty array or null."""
    return value if isinstance(value, dict) else {}
