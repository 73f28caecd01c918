"""The routing simulator: which queues a message is routed to, in one virtual host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attune_ops.routing.dead_letters import follow
from attune_ops.routing.route import Reason, Refusal, Route
from attune_ops.routing.routed_message import RoutedMessage, routing_keys
from attune_ops.routing.virtual_host import VirtualHost


class Router(VirtualHost):
    """Answers where messages go in one virtual host. Pure: it changes nothing and connects nowhere.

    Memory is linear in the objects; the time of a route depends on the words of the key and on what it passes. `notes`
    says what the answers leave out.
    """

    def route(self, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None) -> Route:
        """The queues that a message published with this key is routed to; `error` where the broker refuses it."""
        keys = self.refusal(exchange) or routing_keys(routing_key, headers)
        if isinstance(keys, Refusal):
            return Route(exchange, routing_key, vhost=self.vhost, error=keys)
        walk = self.walk(exchange, RoutedMessage(keys, headers, self.rules.numbers_are_loose))
        return Route(
            exchange,
            routing_key,
            queues=walk.certain,
            unroutable=not walk.queues,
            via_alternate=walk.via_alternate,
            uncertain=tuple(walk.uncertain),
            path=tuple(walk.path),
            possible=walk.possible,
            vhost=self.vhost,
            notes=self.notes,
        )

    def reached(self, exchange: str, routing_key: str) -> tuple[str, ...]:
        """The queues that a publish reaches, for certain or perhaps; none where it is refused.

        Takes half the time of `route`.
        """
        if self.refusal(exchange) is not None:
            return ()
        return tuple(self.walk(exchange, RoutedMessage((routing_key,), None, self.rules.numbers_are_loose)).queues)

    def dead_letter(
        self,
        queue: str,
        reason: Reason,
        routing_key: str,
        headers: Mapping[str, Any] | None = None,
        exchange: str = "",
    ) -> Route:
        """Where a message goes that this queue dead-letters, hop by hop.

        `routing_key`, `headers` and `exchange` are those of its publish to the queue; only a headers exchange uses
        `exchange` (`x-first-death-exchange`).
        """
        return follow(self, queue, reason, routing_key, headers, exchange)
