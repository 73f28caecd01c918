"""The parameters of a drill, and their limits."""

from __future__ import annotations

from typing import Any

import msgspec

from attune_ops.drills.scratch_registry import Kind
from attune_ops.model.errors import ConfigError

LIMITS = {
    "workers": (1, 20), "rate": (0.1, 5000), "duration": (0.1, 600), "size": (0, 10_000_000), "prefetch": (0, 65535),
    "heartbeat": (1, 60),
}  # fmt: skip


class Parameters(msgspec.Struct, frozen=True):
    """The parameters of a run: `rate` messages per s for `duration` s, with `size` more bytes each.

    `durable` False sends transient messages; `heartbeat` is the AMQP heartbeat in s of a worker that hangs or loses the
    network. The same `seed` gives the same message ids. `registry` is where workers register.
    """

    workers: int = 2
    rate: float = 100.0
    size: int = 0
    durable: bool = True
    prefetch: int | None = None
    duration: float = 1.0
    seed: int = 1
    heartbeat: int = 2
    registry: Kind = "sqlite"

    @property
    def count(self) -> int:
        """How many messages are sent."""
        return max(1, round(self.rate * self.duration))


def read_parameters(given: dict[str, Any]) -> Parameters:
    """Checks parameters; raises `ConfigError` for an unknown or wrong one."""
    unknown = sorted(set(given) - set(Parameters.__struct_fields__))
    if unknown:
        raise ConfigError(f"a drill has no parameter {unknown[0]!r}; it has {', '.join(Parameters.__struct_fields__)}")
    try:
        made = msgspec.convert(given, Parameters, strict=False)
    except msgspec.ValidationError as e:
        raise ConfigError(f"wrong drill parameter: {e}") from None
    for name, (least, most) in LIMITS.items():
        value = getattr(made, name)
        if value is not None and not least <= value <= most:
            raise ConfigError(f"a drill's {name} must be {least:g} to {most:g}, not {value:g}")
    return made
