"""Which way a message takes: the answer of the routing simulator, as plain values.

`Route` answers a publish or one dead letter; `Hop` is one dead-lettering of the chain that follows it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from attune_ops.model.display import Shown
from attune_ops.model.topology import Arguments, DestinationKind

SCHEMA = "attune-ops/route/1"
NO_ROUTE = "no queue receives it"

# Why a queue gives a message up (rabbit_dead_letter:reason()).
Reason = Literal["expired", "rejected", "maxlen", "delivery_limit"]
REASONS: tuple[Reason, ...] = ("expired", "rejected", "maxlen", "delivery_limit")

# How a step leads on: by a binding, by the default exchange's implicit one, or as the alternate exchange.
Via = Literal["binding", "default", "alternate"]


class RouteStep(msgspec.Struct, frozen=True):
    """One edge of the way: the exchange that the message was at, and where that edge led.

    `binding_key` is None where no binding leads on (an alternate exchange); `arguments` are the binding's.
    """

    exchange: str
    binding_key: str | None
    destination_kind: DestinationKind
    destination: str
    via: Via = "binding"
    arguments: Arguments = {}


class Refusal(msgspec.Struct, frozen=True):
    """What the broker answers to such a publish, or why the question itself cannot be answered (code None)."""

    code: int | None
    text: str


class Hop(msgspec.Struct, frozen=True):
    """One dead-lettering: `queue` gives the message up for `reason`, and `queues` receive it.

    `exchange` is the dead-letter exchange, None where the queue has none. `dropped` are the queues that would
    receive it but for the broker's cycle rule. `end` says why the message goes no further; it is empty where
    it does. `loops` says that from here on the way repeats for ever.
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
    """What the broker itself did with such a message, in a scratch virtual host with the same definitions.

    `missing` are queues that should have received it, `unexpected` those that should not. `notes` say what of
    the definitions could not be copied, which may explain a difference.
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
        """Whether the message went where the displayed bindings say."""
        return not self.missing and not self.unexpected


class Route(Shown, msgspec.Struct, frozen=True):
    """Where one message goes.

    `queues` receive it for certain, one copy each, sorted. `possible` are the queues that an exchange of
    `uncertain` may choose; `unroutable` says that no queue of either kind receives it. `via_alternate` says
    that some queue is reached by way of an alternate exchange only.

    For a dead letter `dead_letter` and `reason` are set, `exchange` is the dead-letter exchange (None without
    one), `queues` are those after the first hop, and `hops` follow the message to its end.

    `error` is the broker's refusal of the publish. `notes` say why no queue receives it, and what is left out;
    `types` are those of the exchanges on the way, where they were asked for.
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
