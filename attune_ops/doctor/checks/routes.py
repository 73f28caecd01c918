"""Where the topology's messages are routed on this broker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import (
    expected_consumers_of,
    listed,
    missing_queue_of,
    route_name,
    step_name,
)
from attune_ops.doctor.checks.orphaned_queues import START_UNKNOWN
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import is_desired, own_queues, starting_workers
from attune_ops.model.snapshot import BindingState
from attune_ops.model.topology import binding_name
from attune_ops.routing.route import RouteStep
from attune_ops.routing.topology_routes import LiveRoute, live_routes, steps_to


@check(
    "AT301",
    "publishes-arrive",
    "every message that Attune publishes is routed to a queue",
    Severity.ERROR,
    needs=(Source.BROKER,),
)
def publishes_arrive(facts: Facts) -> Iterator[Problem]:
    """The broker drops an unroutable message, and still confirms it to the publisher.

    Every publish of the topology, for every live worker, is routed through the exchanges, bindings and policies on the
    broker. If a missing object is the cause, the finding is about that object, and this one is listed as its
    consequence. Messages that only replicas of a service receive are not reported while no replica is running.
    """
    for live in facts.memo(live_routes).wrong:
        if live.queues or live.for_replicas:
            continue
        key, error = live.key, live.route(facts).error
        receiver = f" for worker {live.worker}" if live.worker is not None else ""
        reason = f": {error.text}" if error else ""
        yield Problem(
            Subject("route", route_name(live.publish.exchange, key)),
            f"{live.publish.message_type}{receiver} is unroutable ({live.publish.exchange}, key {key}){reason}",
            evidence={"message_type": live.publish.message_type, "exchange": live.publish.exchange,
                      "routing_key": key, "worker": live.worker, "expected": sorted(live.expected)},
            remedy="Bind a queue with this key.",
            inspect_commands=(command_lines.route(live.publish.exchange, key),),
            severity=None if live.expected else Severity.WARNING,  # the topology itself has no queue for it
            related=_related(facts, live, frozenset(live.expected)),
        )  # fmt: skip


@check(
    "AT302",
    "publishes-complete",
    "Attune's messages are routed to all expected queues",
    Severity.ERROR,
    needs=(Source.BROKER,),
)
def publishes_complete(facts: Facts) -> Iterator[Problem]:
    """A message that is routed to one of its queues and not to the other is lost for one service.

    Nobody gets an error, because the message was routed. The check compares the queues given by the topology with
    the queues given by the objects on the broker.
    """
    for live in facts.memo(live_routes).wrong:
        lacking = frozenset(live.expected).difference(live.queues)
        if not live.queues or not lacking:
            continue
        key = live.key
        yield Problem(
            Subject("route", route_name(live.publish.exchange, key)),
            f"{live.publish.message_type} ({live.publish.exchange}, key {key}) is not routed to "
            f"{listed(sorted(lacking))}",
            evidence={"exchange": live.publish.exchange, "routing_key": key, "lacking": sorted(lacking),
                      "queues": sorted(live.queues)},
            remedy="Bind these queues as in the topology.",
            inspect_commands=(command_lines.route(live.publish.exchange, key),),
            related=_related(facts, live, lacking),
        )  # fmt: skip


@check(
    "AT303",
    "publishes-confined",
    "Attune's messages are routed to expected queues only",
    Severity.WARNING,
    needs=(Source.BROKER,),
)
def publishes_confined(facts: Facts) -> Iterator[Problem]:
    """A consumer that receives messages for others handles them twice or rejects them.

    A queue without a consumer collects them. A message in the wrong queue of Attune is a warning. A foreign queue
    that is bound to Attune's exchanges is only reported as info: it may be intended, but it keeps a copy of each
    message.
    """
    extra: dict[str, set[str]] = {}
    steps_of: dict[str, dict[str, RouteStep]] = {}
    for live in facts.memo(live_routes).wrong:
        for q in set(live.queues).difference(live.expected):
            extra.setdefault(q, set()).add(live.publish.message_type)
            steps_of.setdefault(q, {}).update({repr(s): s for s in steps_to(live.route(facts).path, q)})
    for name, kinds in sorted(extra.items()):
        own = name in facts.memo(own_queues)
        if own and facts.actual.queue_named[name].exclusive:  # a replica's, whose bindings are not known by name
            continue
        steps = steps_of[name].values()
        names, last = sorted(map(step_name, steps)), [_last(s) for s in steps if s.destination == name]
        yield Problem(
            Subject("queue", name),
            f"{name} also receives {listed(sorted(kinds))} ({listed(last)})"
            + (", which the topology does not route to it" if own else ""),
            evidence={"message_types": sorted(kinds), "by": names},
            remedy="Remove the binding, unless it is intended.",
            commands=tuple(command_lines.binding("unbind", b) for b in _unwanted(facts, steps, name)),
            severity=None if own else Severity.INFO,
            related={"exchange": tuple(sorted({s.exchange for s in steps})), "binding": tuple(names)},
        )


def _last(step: RouteStep) -> str:
    """The last step of a route in words."""
    if step.binding_key is None:
        return f"as the alternate exchange {step.exchange}"
    return f"from {step.exchange or 'the default exchange'} with key {step.binding_key!r}"


def _unwanted(facts: Facts, steps: Iterable[RouteStep], queue: str) -> list[BindingState]:
    """The bindings on the route to the queue that are not part of the topology: its own, else those before."""
    bound = [
        BindingState(facts.vhost, s.exchange, s.destination, s.binding_key or "", s.destination_kind, s.arguments)
        for s in steps
        if s.via == "binding"
    ]
    found = [b for b in bound if not is_desired(facts, b)]
    return [b for b in found if b.destination == queue] or found


@check(
    "AT304",
    "publishes-read",
    "every queue that Attune's messages reach has a consumer",
    Severity.ERROR,
    needs=(Source.BROKER, Source.CONSUMERS),
)
def publishes_read(facts: Facts) -> Iterator[Problem]:
    """A message in a queue without a consumer is not processed.

    Checks every queue of the topology that receives messages and should have a consumer. If the cause is known (the
    service is down, the worker's consumer is missing), this finding follows from it. The queues of a worker that is not
    live are reported by AT407. Where no registry was read, and other workers consume, the worker may have been removed:
    it is a warning.
    """
    consumed = {c.queue for c in facts.topology.consumers}
    unconsumed, own, starting = facts.actual.unconsumed, facts.memo(own_queues), facts.memo(starting_workers)
    served = any(queue not in unconsumed for queue in facts.owner_of)
    for name, message_type in facts.memo(live_routes).reached.items():
        if name not in unconsumed or own.get(name) not in consumed:
            continue
        owner = facts.owner_of.get(name)
        if owner is not None and (
            owner in starting  # AT415 reports it
            or (facts.registry is not None and owner not in facts.live_ids)  # AT407 reports its queues
        ):
            continue
        unregistered = owner is not None and facts.registry is None
        removed = unregistered and served  # its worker may be: others are alive
        yield Problem(
            Subject("queue", name),
            f"{message_type} is routed to {name}, which has no consumer",
            evidence={"message_type": message_type, "messages": facts.actual.queue_named[name].messages},
            remedy=START_UNKNOWN if unregistered else "Start the service that consumes from it.",
            inspect_commands=(command_lines.consumers(name),),
            severity=Severity.WARNING if removed else None,
            related=expected_consumers_of(facts, name),
        )


def _related(facts: Facts, live: LiveRoute, missed: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """What a publish needs to reach these of its queues: exchange, queues, bindings."""
    topology, exchange = facts.topology, live.publish.exchange
    owners = sorted({owner[0] for q in missed if (owner := topology.worker_of(q))})
    bindings = (*topology.base_bindings, *(b for i in owners for b in topology.worker_bindings(i)))
    return {
        "route": (route_name(exchange, live.publish.routing_key),),
        "exchange": (exchange,),
        "vhost": (facts.vhost,),
        "queue": tuple(sorted(missed)),
        "missing worker queue": tuple(name for i in owners for name in missing_queue_of(facts, i)),
        "binding": tuple(
            binding_name(b.source, b.destination, b.routing_key) for b in bindings if b.destination in missed
        ),
    }
