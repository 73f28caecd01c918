"""Faults of the topology file in its exchanges, bindings and routes, found without a broker."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed, route_name
from attune_ops.doctor.checks.dead_letters import fix
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model.facts import Facts, Source
from attune_ops.model.topology import ID, Topology, binding_name
from attune_ops.routing.topology_routes import WORKERS, desired_routes


@check("AT601", "design-publishes-arrive", "topology has a queue for every published message", Severity.WARNING)
def publishes_arrive(facts: Facts) -> Iterator[Problem]:
    """The broker drops an unroutable message, and still confirms it to its publisher.

    Each publish of the topology file is routed through the topology's own exchanges and bindings. A message that
    reaches no queue is lost on every installation. If the same key is bound on another exchange, one of the two
    names is probably wrong.
    """
    desired = facts.memo(desired_routes)
    for publish, route in desired.routes:
        if not route.unroutable:
            continue
        elsewhere = [b for b in facts.topology.bindings if b.routing_key == publish.routing_key]
        hint = f"; this key is bound on {elsewhere[0].source} (to {elsewhere[0].destination})" if elsewhere else ""
        yield Problem(
            Subject("route", route_name(publish.exchange, publish.routing_key)),
            f"{publish.message_type} is unroutable: no binding on {publish.exchange} matches the key "
            f"{publish.routing_key}{hint}",
            evidence={"message_type": publish.message_type, "exchange": publish.exchange,
                      "routing_key": publish.routing_key, "by": list(publish.by),
                      "bound_on": [b.source for b in elsewhere]},
            remedy="Bind a queue with this key, or set an alternate exchange that keeps unroutable messages.",
            related={"exchange": (publish.exchange,)},
        )  # fmt: skip


@check("AT602", "design-bindings-used", "every binding of the topology is used", Severity.INFO)
def bindings_used(facts: Facts) -> Iterator[Problem]:
    """An unused binding is a name that was changed on one side only, or a leftover.

    All publishes and dead letters are followed through all exchanges. An unused binding loses no message by itself,
    but the queue's consumer waits for messages that are never published.
    """
    desired = facts.memo(desired_routes)
    for binding in facts.topology.bindings if facts.topology.publishes else ():
        if desired.uses(binding):
            continue
        name = binding_name(binding.source, binding.destination, binding.routing_key)
        elsewhere = [p for p in facts.topology.publishes if p.routing_key == binding.routing_key]
        yield Problem(
            Subject("binding", name),
            f"{binding.destination} is bound to {binding.source} with key {binding.routing_key!r}, but no message is "
            "published there with a matching key"
            + (f" (it is published to {elsewhere[0].exchange})" if elsewhere else ""),
            evidence={"source": binding.source, "routing_key": binding.routing_key,
                      "destination": binding.destination, "published_on": [p.exchange for p in elsewhere]},
            remedy="Bind it to the exchange of these messages, or remove the binding.",
            related={"route": tuple(route_name(p.exchange, p.routing_key) for p in elsewhere)},
        )  # fmt: skip


@check("AT603", "design-wildcards", "wildcards are used on topic exchanges only", Severity.WARNING)
def wildcards(facts: Facts) -> Iterator[Problem]:
    """`#` and `*` are wildcards only on a topic exchange, and only as whole words between dots.

    On a direct exchange the binding key `#` matches only the routing key `#`. On a topic exchange `worker.#1` and
    `a*` are literal as well. Headers and fanout exchanges ignore the key. A binding that matches literally is not
    reported: a policy of the broker can give dead letters the routing key `#`.
    """
    desired = facts.memo(desired_routes)
    for binding in facts.topology.bindings:
        exchange = facts.topology.exchange(binding.source)
        if exchange is None or not taken_literally(exchange.type, binding.routing_key) or desired.uses(binding):
            continue
        by_policy, commands = fix(facts, binding.source) if facts.missing_reason((Source.BROKER,)) is None else ("", ())
        yield Problem(
            Subject("binding", binding_name(binding.source, binding.destination, binding.routing_key)),
            f"{binding.routing_key!r} is literal on the {exchange.type} exchange {binding.source}: "
            f"{binding.destination} receives only messages with exactly this key",
            evidence={"source": binding.source, "type": exchange.type, "routing_key": binding.routing_key,
                      "destination": binding.destination},
            remedy=by_policy
            if commands
            else f"Make {binding.source} a topic exchange (or fanout, if all keys are intended), or bind each key.",
            commands=commands,
        )  # fmt: skip


def taken_literally(exchange_type: str, key: str) -> bool:
    """Whether the key has a wildcard character that is literal on this exchange type."""
    if exchange_type == "direct":
        return any(word in ("#", "*") for word in key.split("."))
    return exchange_type == "topic" and any(
        word not in ("#", "*") and ("#" in word or "*" in word) for word in key.split(".")
    )


@check("AT604", "design-dead-letters-arrive", "topology has a queue for every dead letter", Severity.WARNING)
def dead_letters_arrive(facts: Facts) -> Iterator[Problem]:
    """A dead letter that no binding matches is lost: the broker neither returns nor logs it.

    Checks every queue with a dead-letter exchange, for each routing key and each reason (rejected, TTL, length
    limit). Without `x-dead-letter-routing-key` a dead letter keeps its original routing key, so the dead-letter
    exchange must route all of these keys.
    """
    lost: dict[str, dict[str, list[str]]] = {}
    for queue, route in facts.memo(desired_routes).dead_letters:
        if route.hops and route.hops[0].unroutable and not route.hops[0].dropped:
            keys = lost.setdefault(route.exchange or "", {}).setdefault(queue.name, [])
            keys.append(route.routing_key)
    for exchange, queues in lost.items():
        there = facts.topology.exchange(exchange)
        bindings = [b for b in facts.topology.bindings if b.source == exchange]
        yield Problem(
            Subject("exchange", exchange),
            f"dead letters of {listed(queues)} are lost: "
            + (
                f"{exchange or 'the default exchange'} does not route them"
                if there
                else f"the topology does not declare {exchange or 'the default exchange'}"
            ),
            evidence={"queues": {q: sorted(set(keys)) for q, keys in queues.items()}},
            remedy=f"Bind a queue to {exchange} with these keys.",
            related={"binding": tuple(binding_name(b.source, b.destination, b.routing_key) for b in bindings)},
        )


@check("AT605", "design-no-circle", "no dead-letter cycles", Severity.WARNING)
def no_cycle(facts: Facts) -> Iterator[Problem]:
    """A dead-letter cycle repeats endlessly or ends with the loss of the message.

    The broker drops a message that returns to a queue only by expiry or length limit. A cycle with a rejection
    repeats endlessly (and fast, if the consumer rejects at once). A retry by TTL (work → rejected → retry → expired
    → work) stops at the work queue in between and is not reported.
    """
    reported: set[frozenset[str]] = set()
    for queue, route in facts.memo(desired_routes).dead_letters:
        cycle = frozenset(h.queue for h in route.hops)
        for hop in route.hops:
            if (hop.loops or hop.dropped) and cycle not in reported:
                reported.add(cycle)
                end = "repeats endlessly" if hop.loops else "is dropped by the broker as a cycle"
                yield Problem(
                    Subject("queue", queue.name),
                    f"a dead letter of {queue.name} ({route.reason}) returns to {hop.queue} and {end}",
                    evidence={"reason": route.reason, "hops": [h.queue for h in route.hops],
                              "routing_key": route.routing_key, "dropped": list(hop.dropped)},
                    remedy="Bind a queue that keeps failed messages to the last dead-letter exchange.",
                )  # fmt: skip


@check("AT609", "design-queues-reached", "every queue of the topology receives messages", Severity.INFO)
def queues_reached(facts: Facts) -> Iterator[Problem]:
    """A queue that no publish and no dead letter is routed to stays empty. Its consumer never gets a message."""
    desired = facts.memo(desired_routes)
    for queue in facts.topology.queues if facts.topology.publishes else ():
        if queue.name in desired.reached:
            continue
        bindings = facts.topology.bindings_to(queue.name)
        names = [binding_name(b.source, b.destination, b.routing_key) for b in bindings]
        yield Problem(
            Subject("queue", queue.name),
            f"no message is routed to {queue.name}: "
            + (f"its {counted(len(bindings), 'binding')} match no message" if bindings else "it has no binding"),
            evidence={"bindings": names},
            remedy="Correct its binding, or remove the queue.",
            related={"binding": tuple(names)},
        )


@check("AT610", "design-exchanges-bound", "every exchange of the topology has a binding", Severity.WARNING)
def exchanges_bound(facts: Facts) -> Iterator[Problem]:
    """The broker drops all messages that are sent to an exchange without a binding: publishes and dead letters.

    No client gets an error. An alternate exchange would keep the messages.
    """
    bound = {b.source for b in facts.topology.bindings}
    for exchange in facts.topology.exchanges:
        if exchange.name in bound or "alternate-exchange" in exchange.arguments:
            continue
        letters = [q.name for q in facts.topology.queues if q.arguments.get("x-dead-letter-exchange") == exchange.name]
        sent = (p.message_type for p in facts.topology.publishes if p.exchange == exchange.name)
        publishes = list(dict.fromkeys(sent))  # one type may be sent with several keys
        lost = [f"the dead letters of {listed(letters)}"] if letters else []
        lost += [listed(publishes)] if publishes else []
        yield Problem(
            Subject("exchange", exchange.name),
            f"{exchange.name} has no binding" + (f": {' and '.join(lost)} are lost" if lost else ""),
            evidence={"dead_letters_of": letters, "publishes": publishes},
            remedy=f"Bind a queue to {exchange.name}, or remove the exchange.",
            severity=None if lost else Severity.INFO,
        )


@check("AT612", "design-one-worker-only", "per-worker messages are routed to one worker", Severity.WARNING)
def one_worker_only(facts: Facts) -> Iterator[Problem]:
    """A message for one worker that is also routed to other workers is processed more than once.

    Each publish with a worker id in its key is routed with two workers. On a fanout exchange, or with a wildcard in
    the binding key, the second worker gets the message of the first.
    """
    for publish, route in facts.memo(desired_routes).routes:
        if ID not in publish.routing_key:
            continue
        others = [q for q in (*route.queues, *route.possible) if _owner(facts.topology, q) == WORKERS[1]]
        if others:
            yield Problem(
                Subject("route", route_name(publish.exchange, publish.routing_key)),
                f"{publish.message_type} for worker {WORKERS[0]} is also routed to {listed(others)}",
                evidence={"exchange": publish.exchange, "routing_key": route.routing_key, "queues": list(route.queues)},
                remedy="Use a direct or topic exchange, and bind each worker with its own key.",
            )


def _owner(topology: Topology, queue: str) -> int | None:
    found = topology.worker_of(queue)
    return found[0] if found else None
