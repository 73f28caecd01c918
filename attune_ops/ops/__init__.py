"""The Python interface: `Ops`, one installation.

Each method calls one function of a room; the command of the same purpose calls the same one. What a method returns
shows itself in a terminal and in a notebook (`attune_ops.model.display`).
"""

from __future__ import annotations

from attune_ops.model.errors import ConfigError
from attune_ops.ops.cleanup_operations import CleanupOperations
from attune_ops.ops.diagnoses import Diagnoses
from attune_ops.ops.inspections import Inspections
from attune_ops.ops.simulated_routes import SimulatedRoutes
from attune_ops.ops.topology_operations import TopologyOperations


def connect(env: str | None = None, lab: bool | str = False, **options: str) -> Ops:
    """Chooses an installation, as the command line does; connects to nothing yet.

    `env` is a named environment of the configuration file; `lab` is True for the running lab, or the name of a lab;
    `options` are those of the command line (`amqp_url="amqp://…"`, `topology="attune-2026-09"`). Raises `ConfigError`.

    >>> with attune_ops.connect(amqp_url="amqp://guest:guest@localhost", topology="attune-0.6") as ops:
    ...     ops.settings.topology.name
    'attune-0.6'
    """
    from attune_ops.installation.config import resolve
    from attune_ops.installation.config.resolve import KEYS

    unknown = sorted(set(options) - set(KEYS))
    if unknown:
        raise ConfigError(f"connect has no option {unknown[0]!r}; its options are {', '.join(KEYS)}")
    return Ops(resolve({**options, **({"env": env} if env else {})}, lab=lab))


class Ops(Inspections, Diagnoses, SimulatedRoutes, TopologyOperations, CleanupOperations):
    """One installation. Use it as a context manager, or call `close`; no connection stays open between calls."""
