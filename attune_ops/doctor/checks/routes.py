"""Where the topology's messages really go on this broker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._own import lost_cause, unread
from attune_ops.doctor.checks._phrases import listed, route_name
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import is_wanted, own_queues
from attune_ops.model.snapshot import BindingState
from attune_ops.model.topology import binding_name
from attune_ops.routing.live import Letters, Live, dead_letters, live_router, live_routes, steps_to
from attune_ops.routing.route import Route, Step


@check(
    "AT301",
    "publishes-arrive",
    group="routes",
    title="every published message is routed to a queue",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
)
def publishes_arrive(facts: Facts) -> Iterator[Problem]:
    """The broker drops an unroutable message, and still confirms it to the publisher.

    Every publish of the topology, for every live worker, is routed through the exchanges, bindings and policies on
    the broker. If a missing object explains the loss, that object has the finding and this one follows from it.
    Messages that only replicas of a service receive are not reported while no replica is running.
    """
    for live in facts.memo(live_routes):
        if live.queues or live.for_replicas:
            continue
        key, error = live.key, live.route(facts).error
        whom = f" for worker {live.worker}" if live.worker is not None else ""
        why = f": {error.text}" if error else ""
        yield Problem(
            Subject("route", route_name(live.publish.exchange, key)),
            f"{live.publish.message_type}{whom} reaches no queue ({live.publish.exchange}, key {key}){why}",
            evidence={"message_type": live.publish.message_type, "exchange": live.publish.exchange,
                      "routing_key": key, "worker": live.worker, "expected": sorted(live.expected)},
            remedy="Bind a queue for this key.",
            inspect_commands=(command_lines.route(live.publish.exchange, key),),
            severity=None if live.expected else Severity.WARNING,  # the topology itself has no queue for it
            causes=causes_of_loss(facts, live),
        )  # fmt: skip


@check(
    "AT302",
    "publishes-complete",
    group="routes",
    title="messages are routed to all expected queues",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
)
def publishes_complete(facts: Facts) -> Iterator[Problem]:
    """A message that is routed to one of its queues and not to the other is lost for one service.

    Nobody gets an error, because the message was routed. The check compares the queues given by the topology with
    the queues given by the objects on the broker.
    """
    for live in facts.memo(live_routes):
        lacking = live.expected.difference(live.queues)
        if not live.queues or not lacking:
            continue
        key, unmet = live.key, listed(sorted(lacking))
        yield Problem(
            Subject("route", route_name(live.publish.exchange, key)),
            f"{live.publish.message_type} ({live.publish.exchange}, key {key}) does not reach {unmet}",
            evidence={"exchange": live.publish.exchange, "routing_key": key, "lacking": sorted(lacking),
                      "queues": sorted(live.queues)},
            remedy="Bind them as the topology says.",
            inspect_commands=(command_lines.route(live.publish.exchange, key),),
            causes=causes_of_loss(facts, live, lacking),
        )  # fmt: skip


@check(
    "AT303",
    "publishes-confined",
    group="routes",
    title="messages are routed to expected queues only",
    severity=Severity.WARNING,
    needs=(Source.BROKER,),
)
def publishes_confined(facts: Facts) -> Iterator[Problem]:
    """A consumer that receives messages for others handles them twice or rejects them.

    A queue without a consumer collects them. A message in the wrong queue of Attune is a warning. A foreign queue
    that is bound to Attune's exchanges is only reported as info: it may be intended, but it keeps a copy of each
    message.
    """
    extra: dict[str, set[str]] = {}
    ways: dict[str, dict[str, Step]] = {}
    for live in facts.memo(live_routes):
        for q in set(live.queues).difference(live.expected):
            extra.setdefault(q, set()).add(live.publish.message_type)
            ways.setdefault(q, {}).update({repr(s): s for s in steps_to(live.route(facts).path, q)})
    for name, kinds in sorted(extra.items()):
        own = name in facts.memo(own_queues)
        if own and facts.actual.queue_named[name].exclusive:  # a replica's, whose bindings are not known by name
            continue
        steps = ways[name].values()
        names, last = sorted(map(_name, steps)), [_last(s) for s in steps if s.destination == name]
        yield Problem(
            Subject("queue", name),
            f"{name} also gets {listed(sorted(kinds))} ({listed(last)})"
            + (", which is not meant for it" if own else ""),
            evidence={"message_types": sorted(kinds), "by": names},
            remedy="Remove the binding, unless it is meant.",
            commands=tuple(command_lines.binding("unbind", b) for b in _unwanted(facts, steps, name)),
            severity=None if own else Severity.INFO,
            causes=(
                *(("AT205", source) for source in sorted({s.exchange for s in steps})),
                *((code, way) for way in names for code in ("AT207", "AT208")),
            ),
        )


def _last(step: Step) -> str:
    """How the last step of a way is told."""
    if step.binding_key is None:
        return f"as {step.exchange} has it for its alternate"
    return f"from {step.exchange or 'the default exchange'} by {step.binding_key!r}"


def _unwanted(facts: Facts, steps: Iterable[Step], queue: str) -> list[BindingState]:
    """The bindings on the way to the queue that are not of the topology: its own, else those further up."""
    bound = [
        BindingState(facts.vhost, s.exchange, s.destination, s.binding_key or "", s.destination_kind, s.arguments)
        for s in steps
        if s.via == "binding"
    ]
    found = [b for b in bound if not is_wanted(facts, b)]
    return [b for b in found if b.destination == queue] or found


@check(
    "AT304",
    "publishes-read",
    group="routes",
    title="every routed queue has a consumer",
    severity=Severity.ERROR,
    needs=(Source.BROKER, Source.CONSUMERS),
)
def publishes_read(facts: Facts) -> Iterator[Problem]:
    """A message in a queue without a consumer is not processed.

    Checks every queue of the topology that receives messages and should have a consumer. If the cause is known (the
    service is down, the worker's consumer is missing), this finding follows from it.
    """
    meant = {c.queue for c in facts.topology.consumers}
    read: dict[str, str] = {}
    for live in facts.memo(live_routes):
        for reached in live.queues:
            read.setdefault(reached, live.publish.message_type)
    for name, message_type in read.items():
        if name not in facts.actual.unconsumed or facts.memo(own_queues).get(name) not in meant:
            continue
        yield Problem(
            Subject("queue", name),
            f"{message_type} reaches {name}, which has no consumer",
            evidence={"message_type": message_type, "messages": facts.actual.queue_named[name].messages},
            remedy="Start the service that consumes from it.",
            inspect_commands=(command_lines.consumers(name),),
            causes=(*unread(facts, name), ("AT501", name)),
        )


@check(
    "AT305",
    "dead-letters-arrive",
    group="routes",
    title="every dead letter is routed to a queue",
    severity=Severity.WARNING,
    needs=(Source.BROKER,),
)
def dead_letters_arrive(facts: Facts) -> Iterator[Problem]:
    """When a message is dead-lettered and no queue is bound to the dead-letter exchange, it is lost silently.

    Checks every queue with a dead-letter exchange, set by argument or policy, for each reason (rejected, expired,
    length limit) and each routing key of its messages. A missing dead-letter exchange is not an error for the
    broker. Faults of the topology itself are reported in the group design.
    """
    lost: dict[str, list[Letters]] = {}
    for letters in facts.memo(dead_letters):
        first = letters.route.hops[0]
        if first.unroutable and not first.dropped and first.exchange is not None:
            lost.setdefault(first.exchange, []).append(letters)
    for exchange, ways in lost.items():
        queues = list(dict.fromkeys(q for w in ways for q in w.queues))
        bindings = [b for b in facts.topology.bindings if b.source == exchange]
        names = [binding_name(b.source, b.destination, b.routing_key) for b in bindings]
        yield Problem(
            Subject("exchange", exchange),
            f"dead letters of {listed(queues)} go to {exchange or 'the default exchange'} and are lost: "
            f"{ways[0].route.hops[0].end}",
            evidence={"queues": queues, "routing_keys": sorted({w.route.routing_key for w in ways})},
            remedy=f"Bind a queue to {exchange} that takes these keys." if exchange else "Correct the routing key.",
            inspect_commands=(_way(ways[0]),),
            severity=None if any(w.own for w in ways) else Severity.INFO,
            causes=(
                *((code, exchange) for code in ("AT610", "AT604", "AT201", "AT205")),
                *((code, name) for name in names for code in ("AT603", "AT204")),
                *(("AT202", b.destination) for b in bindings),
            ),
        )


@check(
    "AT306",
    "dead-letters-end",
    group="routes",
    title="no dead-letter cycles",
    severity=Severity.WARNING,
    needs=(Source.BROKER,),
)
def dead_letters_end(facts: Facts) -> Iterator[Problem]:
    """A dead-letter cycle repeats endlessly if a consumer rejects the message in it. Otherwise the message is lost.

    The broker drops a message that returns to a queue only by expiry or length limit. A retry by TTL (work →
    rejected → retry → expired → work) stops at the work queue in between and is not reported.
    """
    told: set[frozenset[str]] = set()
    for letters in facts.memo(dead_letters):
        circle = frozenset(h.queue for h in letters.route.hops)
        turning = [h for h in letters.route.hops if h.loops or h.dropped]
        if not turning or circle in told:
            continue
        told.add(circle)
        turns = "turns for ever" if turning[0].loops else "is dropped by the broker as a cycle"
        yield Problem(
            Subject("queue", letters.queues[0]),
            f"a message that {listed(letters.queues, 2)} gives up ({letters.route.reason}) goes round by "
            f"{listed(sorted(circle))} and {turns}",
            evidence={"queues": list(letters.queues), "reason": letters.route.reason, "circle": sorted(circle),
                      "dropped": [q for h in turning for q in h.dropped]},
            remedy="Let the last dead-letter exchange lead to a queue that keeps what has failed too often.",
            inspect_commands=(_way(letters),),
            severity=None if letters.own else Severity.INFO,
            causes=(*(("AT605", q) for q in circle), *(("AT207", way) for way in _ways(letters.route))),
        )  # fmt: skip


def _way(letters: Letters) -> str:
    """The command that shows where these go."""
    return command_lines.dead_letter(letters.queues[0], str(letters.route.reason), letters.route.routing_key)


def _ways(route: Route) -> list[str]:
    """The bindings that a dead letter goes by, by name."""
    return list(dict.fromkeys(_name(s) for hop in route.hops for s in hop.path))


def _name(step: Step) -> str:
    return binding_name(step.exchange, step.destination, step.binding_key or "")


@check(
    "AT307",
    "dead-letters-bounded",
    group="routes",
    title="dead-letter queues have a consumer or a length limit",
    severity=Severity.INFO,
    needs=(Source.BROKER, Source.CONSUMERS),
    required=False,
)
def dead_letters_bounded(facts: Facts) -> Iterator[Problem]:
    """A dead-letter queue without a consumer and without a limit grows slowly and unnoticed.

    If the messages are kept for inspection, a length limit or TTL protects the disk. AT510 reports when the queue
    holds messages.
    """
    router, ends = facts.memo(live_router), dict[str, list[str]]()
    for letters in facts.memo(dead_letters):
        for q in {q for h in letters.route.hops for q in h.queues} if letters.own else ():
            ends.setdefault(q, []).extend(letters.queues)
    for name, sources in sorted(ends.items()):
        state, settings = facts.actual.queue_named.get(name), router.queue_settings(name)
        limited = settings.keys() & {"message-ttl", "max-length", "max-length-bytes", "expires"}
        if state is None or state.consumers != 0 or limited:
            continue
        yield Problem(
            Subject("queue", name),
            f"dead letters of {listed(dict.fromkeys(sources), 3)} end in {name}, without consumer and limit",
            evidence={"queues": list(dict.fromkeys(sources)), "messages": state.messages},
            remedy="Give it a max-length or message-ttl, or a consumer.",
            inspect_commands=(command_lines.queue(name),),
            causes=(("AT405", name), ("AT606", name), ("AT510", name)),
        )


def causes_of_loss(facts: Facts, live: Live, queues: frozenset[str] | None = None) -> tuple[tuple[str, str], ...]:
    """What explains that a publish does not reach these of its queues (default: all).

    It is the topology itself, or what is missing on the way.
    """
    lacking = live.expected if queues is None else queues
    topology, exchange = facts.topology, live.publish.exchange
    found = [("AT601", route_name(exchange, live.publish.routing_key)), ("AT205", exchange)]
    found += [("AT201", facts.vhost), ("AT201", exchange)]
    found += [("AT202", q) for q in sorted(lacking)]
    owners = {owner[0] for q in lacking if (owner := topology.worker_of(q))}
    found += [cause for i in sorted(owners) for cause in lost_cause(facts, i)]
    for b in (*topology.base_bindings, *(b for i in owners for b in topology.worker_bindings(i))):
        if b.destination in lacking:
            name = binding_name(b.source, b.destination, b.routing_key)
            found += [("AT204", name), ("AT402", name)]
    return tuple(found)
