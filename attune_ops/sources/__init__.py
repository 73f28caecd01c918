"""Everything that reads: the management API, AMQP, the registry's database. Nothing here changes anything.

`collect` is loaded when it is used: a probe takes single modules of this package and must start fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attune_ops.sources.collecting import collect

__all__ = ["collect"]


def __getattr__(name: str) -> Any:
    if name == "collect":
        from attune_ops.sources.collecting import collect

        return collect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
