"""What an installation's `Ops` answers in one look: `health.worker`, `health.broker`, `health.route`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attune_ops.doctor.health_result import Health
    from attune_ops.installation.config import Settings


class Probing:
    """The part of `Ops` that answers a probe."""

    settings: Settings

    @property
    def health(self) -> Probes:
        """One look, one answer: `worker`, `broker`, `route`."""
        return Probes(self.settings)


class Probes:
    """Looks whether something is healthy; again until it is, for at most `wait` s. Changes nothing.

    Each returns a `Health` (`healthy`, `reasons`, `seen`) and raises `SourceError` where it could not look.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def worker(self, worker: str | None = None, *, wait: float = 0.0) -> Health:
        """Whether a worker (id or name; default: this host's own) can get work (`sources.health.worker_health`)."""
        from attune_ops.doctor.health import worker_health

        return _until(lambda: worker_health(self._settings, worker or self._settings.own_worker), wait)

    def broker(self, *, wait: float = 0.0) -> Health:
        """Whether services can use the broker (`sources.health.broker_health`)."""
        from attune_ops.doctor.health import broker_health

        return _until(lambda: broker_health(self._settings), wait)

    def route(self, exchange: str, routing_key: str, *, wait: float = 0.0) -> Health:
        """Whether a message published there would reach a queue (`sources.health.route_health`)."""
        from attune_ops.doctor.health import route_health

        return _until(lambda: route_health(self._settings, exchange, routing_key), wait)

    def __repr__(self) -> str:
        return f"<attune_ops health of {self._settings.amqp}: worker, broker, route>"


def _until(look: Callable[[], Health], wait: float) -> Health:
    from attune_ops.doctor.health import wait as until

    return until(look, wait)
