"""The canary: proves a route on the live broker; no application queue receives the message."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from attune_ops.installation import audit
from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.installation.http import ApiError
from attune_ops.installation.management_write import ManagementWriter
from attune_ops.installation.scratch_vhost import scratch_vhost
from attune_ops.model.definitions import export
from attune_ops.model.errors import ActionError
from attune_ops.model.facts import Source
from attune_ops.model.ownership import broker_of
from attune_ops.model.snapshot import BrokerSnapshot, PolicyState, QueueState
from attune_ops.model.waiting import wait_until
from attune_ops.routing import Router
from attune_ops.routing.route import Canary, Route
from attune_ops.routing.route_notes import with_notes
from attune_ops.routing.virtual_host import ALTERNATE_EXCHANGE

ARRIVAL_S = 5.0  # a confirmed message is in its queues; the API counts it some milliseconds later
SURPLUS_S = 0.2  # wait for unexpected copies
STAND_IN = "attune-ops "  # prefix of the stand-in of a server-named queue, which cannot be declared
HARMLESS = {"max-length": 2**31}  # replaces a policy's definition for queues; has no effect on an exchange
MOST_QUEUES = 1_000  # copies; 10,000 would take the broker some ten seconds and a GB of memory


def prove(
    settings: Settings,
    exchange: str,
    routing_key: str,
    headers: Mapping[str, Any] | None = None,
    *,
    confirm: str | None = None,
) -> Route:
    """Simulates a publish, then publishes in a scratch virtual host with the same exchanges, queues and bindings.

    What no message to this exchange can reach, with any key, is not copied. The queues there have no arguments and no
    consumers, so that messages stay; more than 1,000 are refused. Creates that virtual host and deletes it again, also
    after an interrupt; needs tag administrator. `Route.canary` has the broker's result. `confirm` is the environment's
    name where it is protected. Raises `SourceError` where the broker cannot be read, `ConfigError` and `ActionError`.
    """
    audit.check_confirmation(settings, confirm)
    broker = broker_of(collect(settings, (Source.BROKER,), listings=Router.LISTINGS))
    router = Router.from_snapshot(broker)
    route = with_notes(router, router.route(exchange, routing_key, headers))
    if route.error is not None:
        return route
    broker = within_reach(router, broker, route)
    if len(broker.queues or ()) > MOST_QUEUES:
        raise ActionError(
            f"the canary would copy {len(broker.queues or ()):,} queues to a scratch virtual host, more than "
            f"{MOST_QUEUES:,}: too much for a broker in use; without --canary the route is simulated"
        )
    started = time.perf_counter()
    names = {q.name: STAND_IN + q.name if q.name.startswith("amq.") else q.name for q in broker.queues or ()}
    with audit.change(settings, "route --canary", exchange, confirm=confirm), scratch_vhost(settings) as scratch:
        notes = [line for kind, items in _copy(broker, names).items() for line in scratch.define(kind, items)]
        key = names.get(routing_key, routing_key) if exchange == "" else routing_key
        _publish(scratch, exchange, key, dict(headers or {}))
        arrived = _arrived(scratch, {names[q] for q in route.queues})
        real = {stand_in: name for name, stand_in in names.items()}
        queues = tuple(sorted(real.get(q, q) for q in arrived))
    certain, possible = set(route.queues), set(route.possible)
    canary = Canary(
        broker=f"{broker.product} {broker.version}",
        vhost=scratch.vhost,
        queues=queues,
        missing=tuple(sorted(certain - set(queues))),
        unexpected=tuple(sorted(set(queues) - certain - possible)),
        duration_ms=round((time.perf_counter() - started) * 1000, 1),
        notes=tuple(notes),
    )
    return msgspec.structs.replace(route, canary=canary)


def within_reach(router: Router, broker: BrokerSnapshot, route: Route) -> BrokerSnapshot:
    """The broker with the objects that a message to the exchange of this route can reach, whatever its key.

    An exchange of a policy is always one of them: the broker decides itself where the policy applies.
    """
    waiting: list[str | None] = [route.exchange, *(p.definition.get(ALTERNATE_EXCHANGE) for p in broker.policies or ())]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name is not None and name not in reached:
            reached.add(name)
            waiting += router.alternates(name)
            waiting += (b.destination for b in router.bindings(name) if b.destination_kind == "exchange")
    bindings = tuple(b for b in broker.bindings or () if b.source in reached)
    queues = {*route.queues, *route.possible, *(b.destination for b in bindings if b.destination_kind == "queue")}
    return msgspec.structs.replace(
        broker,
        exchanges=tuple(e for e in broker.exchanges or () if e.name in reached),
        queues=tuple(q for q in broker.queues or () if q.name in queues),
        bindings=bindings,
    )


def _copy(broker: BrokerSnapshot, names: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The definitions of the copy: exchanges and bindings unchanged, plain queues, policies of exchanges."""
    plain = tuple(QueueState(stand_in, broker.vhost) for stand_in in names.values())
    bindings = tuple(
        msgspec.structs.replace(b, destination=names.get(b.destination, b.destination))
        if b.destination_kind == "queue"
        else b
        for b in broker.bindings or ()
    )
    made = export(broker.exchanges or (), plain, bindings, tuple(_for_exchanges(broker.policies or ())))
    return {kind: made[kind] for kind in ("exchanges", "queues", "policies", "bindings")}


def _for_exchanges(policies: tuple[PolicyState, ...]) -> Iterator[PolicyState]:
    """The policies that apply to exchanges; one without an alternate exchange still shadows those of lower priority."""
    for policy in policies:
        if not policy.operator and policy.apply_to in ("all", "exchanges"):
            kept = {k: v for k, v in policy.definition.items() if k == "alternate-exchange"}
            yield msgspec.structs.replace(policy, apply_to="exchanges", definition=kept or HARMLESS)


def _publish(scratch: ManagementWriter, exchange: str, routing_key: str, headers: dict[str, Any]) -> None:
    try:
        scratch.publish(exchange, routing_key, headers)
    except ApiError as e:
        raise ActionError(f"the broker refused the canary's message: {e.reason}") from None


def _arrived(scratch: ManagementWriter, expected: set[str]) -> list[str]:
    """The queues that hold the message, once all expected ones do, or at the timeout."""
    wait_until(lambda: expected <= set(_holding(scratch)), timeout=ARRIVAL_S, interval=0.05)
    time.sleep(SURPLUS_S)
    return _holding(scratch)


def _holding(scratch: ManagementWriter) -> list[str]:
    return sorted(q.name for q in scratch.totals() if q.messages)
