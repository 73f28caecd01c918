"""The private broker: a throw-away RabbitMQ of one's own on loopback."""

from __future__ import annotations

import msgspec

from attune_ops.config.running_lab import RunningLab
from attune_ops.errors import ActionError


class Lab(msgspec.Struct, frozen=True):
    """A lab that is up."""

    state: RunningLab


def up(name: str = "default", *, nodes: int = 1, server: str | None = None) -> Lab:
    """Starts the lab of that name, or returns the running one."""
    raise ActionError("the lab has not landed yet")


def down(name: str = "default") -> None:
    """Stops what `up` started and removes the lab's folder."""
