"""What a run of a drill is given: its parameters with their limits, its broker, registry and mitigation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from attune_ops.drills.remedies import Remedy
from attune_ops.drills.scratch_registry import Kind, Registry
from attune_ops.drills.undo import UndoList
from attune_ops.installation.config.settings import Settings
from attune_ops.lab import Lab
from attune_ops.model.errors import ConfigError
from attune_ops.model.snapshot import PolicyState

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


class Setup(NamedTuple):
    """What a run uses: settings that point at its scratch virtual host, its folder, undo list and registry.

    `lab` is the broker that the drill started, if any; `server` is the RabbitMQ to start a second one from.
    """

    settings: Settings
    parameters: Parameters
    folder: Path
    undo: UndoList
    registry: Registry
    lab: Lab | None
    server: str | None
    remedy: Remedy | None
    policies: tuple[PolicyState, ...]


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
