"""The result of the routing simulator, as plain values.

`Route` is the route of a publish or of one dead letter; `Hop` is one dead-lettering.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from attune_ops.model.display import Shown
from attune_ops.model.topology import Arguments, DestinationKind

SCHEMA: Final = "attune-ops/route/1"
NO_ROUTE = "no queue receives it"

# Why a queue dead-letters a message (rabbit_dead_letter:reason()).
Reason = Literal["expired", "rejected", "maxlen", "delivery_limit"]
REASONS: tuple[Reason, ...] = ("expired", "rejected", "maxlen", "delivery_limit")

# By a binding, by the default exchange's implicit binding, or to the alternate exchange.
Via = Literal["binding", "default", "alternate"]


class RouteStep(msgspec.Struct, frozen=True, gc=False):
    """One step of a route: an exchange and the destination of one of its bindings.

    `binding_key` is None for an alternate exchange; `arguments` are the binding's.
    """

    exchange: str
    binding_key: str | None
    destination_kind: DestinationKind
    destination: str
    via: Via = "binding"
    arguments: Arguments = {}


class Refusal(msgspec.Struct, frozen=True):
    """The broker's error for such a publish, or why the question cannot be answered (code None)."""

    code: int | None
    text: str


class Hop(msgspec.Struct, frozen=True):
    """One dead-lettering: `queue` dead-letters the message for `reason`, and `queues` receive it.

    `exchange` is the dead-letter exchange, None where the queue has none. `dropped` are the queues that do not receive
    it because of the broker's cycle rule. `end` says why no queue receives it, or is empty. `loops` says that the
    route repeats endlessly from here.
    """

    queue: str
    reason: Reason
    exchange: str | None
    routing_keys: tuple[str, ...]
    queues: tuple[str, ...]
    unroutable: bool
    via_alternate: bool = False
    uncertain: tuple[str, ...] = ()
    possible: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    path: tuple[RouteStep, ...] = ()
    loops: bool = False
    end: str = ""


class Canary(msgspec.Struct, frozen=True):
    """How the broker routed such a message, in a scratch virtual host with the same definitions.

    `missing` are queues that should have received it, `unexpected` those that should not have. `notes` say which
    definitions could not be copied, which may explain a difference.
    """

    broker: str
    vhost: str
    queues: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    duration_ms: float
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether the broker routed the message as simulated."""
        return not self.missing and not self.unexpected


class Route(Shown, msgspec.Struct, frozen=True):
    """The queues that one message is routed to, and how.

    `queues` receive it for certain, one copy each, sorted. `possible` are queues that an exchange of `uncertain` may
    route it to; `unroutable` says that no queue of either kind receives it. `via_alternate` says that some queue is
    reached only by an alternate exchange.

    For a dead letter `dead_letter` and `reason` are set, `exchange` is the dead-letter exchange (None without one),
    `queues` are those after the first hop, and `hops` are all dead-letterings.

    `error` is the broker's refusal of the publish. `notes` say why no queue receives it, and what is not simulated;
    `types` are the types of the exchanges of the route, where requested.
    """

    exchange: str | None
    routing_key: str
    queues: tuple[str, ...] = ()
    unroutable: bool = True
    via_alternate: bool = False
    uncertain: tuple[str, ...] = ()
    path: tuple[RouteStep, ...] = ()
    hops: tuple[Hop, ...] = ()
    possible: tuple[str, ...] = ()
    vhost: str = "/"
    dead_letter: str | None = None
    reason: Reason | None = None
    error: Refusal | None = None
    notes: tuple[str, ...] = ()
    types: dict[str, str] = {}
    canary: Canary | None = None
