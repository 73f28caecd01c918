"""The routing methods of `Ops`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attune_ops.model.facts import Facts
from attune_ops.ops.installation_facts import InstallationFacts

if TYPE_CHECKING:
    from attune_ops.routing import Router
    from attune_ops.routing.route import Reason, Route


class SimulatedRoutes(InstallationFacts):
    """Which queues a message is routed to."""

    def router(self, facts: Facts | None = None) -> Router:
        """The routing simulator over the broker as it is now, or over `facts`; for many routes.

        Reads exchanges, queues, bindings and policies, needs tag management, changes nothing. Raises `SourceError`.

        >>> router = ops.router()
        >>> [router.route("attune.executions", key).queues for key in ("worker.1", "worker.99")]
        [('worker.1.executions',), ()]
        """
        from attune_ops.routing.topology_routes import read_router

        return read_router(self.settings, facts)

    def route(
        self, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None, *, facts: Facts | None = None
    ) -> Route:
        """Simulates which queues a message is routed to, and how.

        Needs tag management, publishes and changes nothing. Raises `SourceError`.

        >>> ops.route("attune.executions", "worker.1").queues
        ('worker.1.executions',)
        """
        from attune_ops.routing.route_notes import with_notes

        return with_notes(router := self.router(facts), router.route(exchange, routing_key, headers))

    def dead_letter(
        self,
        queue: str,
        routing_key: str,
        reason: Reason = "rejected",
        headers: Mapping[str, Any] | None = None,
        *,
        facts: Facts | None = None,
    ) -> Route:
        """Simulates where a message goes that `queue` dead-letters, up to the last queue.

        Needs tag management, publishes and changes nothing. Raises `SourceError`.

        >>> ops.dead_letter("attune.executions.queue", "execution.requested").queues
        ()
        """
        from attune_ops.routing.route_notes import with_notes

        return with_notes(router := self.router(facts), router.dead_letter(queue, reason, routing_key, headers))

    def canary(
        self, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None, *, confirm: str | None = None
    ) -> Route:
        """Proves a route on the broker: publishes in a scratch virtual host, which it removes again.

        Needs tag administrator; no queue of this virtual host gets the message. `confirm` is the name of a protected
        environment. The outcome is in `Route.canary`. Raises `SourceError`, `ConfigError`, `ActionError`.

        >>> ops.canary("attune.executions", "worker.1").canary.agrees
        True
        """
        from attune_ops.routing.canary import prove

        return prove(self.settings, exchange, routing_key, headers, confirm=confirm)
