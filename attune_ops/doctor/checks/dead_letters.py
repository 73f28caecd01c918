"""Where dead letters go on this broker: lost, in a cycle, or in a queue that grows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import structs

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import listed, step_name, without_policies
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.command_lines import CommandLine
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import own_queues
from attune_ops.model.snapshot import BindingState
from attune_ops.model.topology import binding_name
from attune_ops.routing.route import Route
from attune_ops.routing.topology_routes import LiveDeadLetters, dead_letters, live_router
from attune_ops.topology.policies.effects import (
    DEAD_LETTER_KEY,
    DEAD_LETTERS,
    PRIORITY,
    effective_objects,
    presets,
)

# Settings of a policy that can lose messages.
LIMITING = frozenset({"message-ttl", "max-length", "max-length-bytes", "delivery-limit"})


@check(
    "AT305",
    "dead-letters-arrive",
    "every dead letter is routed to a queue",
    Severity.WARNING,
    needs=(Source.BROKER,),
    any_broker=True,
)
def dead_letters_arrive(facts: Facts) -> Iterator[Problem]:
    """When a message is dead-lettered and no queue is bound to the dead-letter exchange, it is lost silently.

    Checks every queue with a dead-letter exchange, set by argument or policy, for each reason (rejected, expired,
    length limit) and each routing key of its messages. A missing dead-letter exchange is not an error for the
    broker. In releases 0.5 and 0.6 the dead-letter exchange is direct and its queue is bound with the key `#`, so no
    dead letter is routed. A policy that gives dead letters the routing key `#` fixes it without a change to Attune.
    """
    for exchange, several in facts.memo(lost_dead_letters).items():
        queues = list(dict.fromkeys(q for letters in several for q in letters.queues))
        bindings = [b for b in facts.topology.bindings if b.source == exchange]
        remedy, commands = fix(facts, exchange)
        yield Problem(
            Subject("exchange", exchange),
            f"dead letters of {listed(queues)} are lost in {exchange or 'the default exchange'}: "
            f"{several[0].route.hops[0].end}",
            evidence={"queues": queues, "routing_keys": sorted({letters.route.routing_key for letters in several})},
            remedy=remedy,
            commands=commands,
            inspect_commands=(_route(several[0]),),
            severity=None if any(letters.own for letters in several) else Severity.INFO,
            related={
                "binding": tuple(binding_name(b.source, b.destination, b.routing_key) for b in bindings),
                "destination": tuple(b.destination for b in bindings),
            },
        )


def lost_dead_letters(facts: Facts) -> Mapping[str, tuple[LiveDeadLetters, ...]]:
    """For `facts.memo`: the dead letters that no binding of their exchange routes, by exchange."""
    lost: dict[str, list[LiveDeadLetters]] = {}
    for letters in facts.memo(dead_letters):
        first = letters.route.hops[0]
        if first.unroutable and not first.dropped and first.exchange is not None:
            lost.setdefault(first.exchange, []).append(letters)
    return {exchange: tuple(several) for exchange, several in lost.items()}


def fix(facts: Facts, exchange: str) -> tuple[str, tuple[CommandLine, ...]]:
    """What routes the lost dead letters: the policy of the topology, merged into the policies that are effective now.

    An object has one effective policy. One that also applies to objects that are not Attune's is not changed, and one
    that limits queues is left to AT215: two findings must not print different settings of one policy.
    """
    # Without policies the first of those that are alike tells about all.
    alike = None if facts.actual.policies else 1
    lost = facts.memo(lost_dead_letters).get(exchange, ())
    queues = [q for letters in lost if letters.own for q in letters.queues[:alike]]
    preset, router = presets(facts.topology).get(DEAD_LETTERS), facts.memo(live_router)
    key = preset.definition[DEAD_LETTER_KEY] if preset else ""
    there = facts.actual.exchange_named.get(exchange)
    bound = [b for b in facts.actual.bindings_from.get(exchange, ()) if b.routing_key == key and _is_queue(facts, b)]
    if there is None or preset is None or there.type != "direct" or not bound or not queues:
        keys = sorted({letters.route.routing_key for letters in lost})
        bound_with = f"key{'s' * (len(keys) > 1)} {listed(keys)}"
        return f"Bind a queue to {exchange} with {bound_with}." if exchange else "Correct the routing key.", ()
    wanted = f"routing key {key!r}: {exchange} then routes them to {listed(b.destination for b in bound)}"
    states, argument = [facts.actual.queue_named[q] for q in dict.fromkeys(queues)], f"x-{DEAD_LETTER_KEY}"
    if any(argument in s.arguments for s in states):  # it overrides a policy
        return f"Give the dead letters the {wanted}: set {argument} where the queues are declared.", ()
    policies = router.policies if facts.actual.policies else None
    effective = [policies.of("queue", s.name, s.type, s.policy) for s in states] if policies else [None]
    present = {p.name: p for p in effective if p is not None}
    objects, known = effective_objects(facts) if present else {}, facts.memo(own_queues)
    kept = [n for n, p in present.items() if set(objects[n]) - known.keys() or p.definition.keys() & LIMITING]
    merged = (structs.replace(p, definition=p.definition | preset.definition) for n, p in present.items())
    commands = [command_lines.set_policy(p) for p in merged if p.name not in kept]
    if None in effective:
        lowest = min((p.priority for p in present.values()), default=PRIORITY + 1) - 1
        priority = () if lowest == PRIORITY else ("--priority", str(lowest))
        commands.append(command_lines.safety_policy(DEAD_LETTERS, *priority))
    also = f" Add it to policy {listed(kept)} too." if kept else ""
    return f"Set a policy that gives the dead letters the {wanted}.{also}", tuple(commands)


def _is_queue(facts: Facts, binding: BindingState) -> bool:
    return binding.destination_kind == "queue" and binding.destination in facts.actual.queue_named


@check(
    "AT306",
    "dead-letters-end",
    "no dead-letter cycles",
    Severity.WARNING,
    needs=(Source.BROKER,),
    any_broker=True,
    unknown=without_policies,
)
def dead_letters_end(facts: Facts) -> Iterator[Problem]:
    """A dead-letter cycle repeats endlessly if a consumer rejects the message in it. Otherwise the message is lost.

    The broker drops a message that returns to a queue only by expiry or length limit. A retry by TTL (work →
    rejected → retry → expired → work) stops at the work queue in between and is not reported.
    """
    reported: set[frozenset[str]] = set()
    for letters in facts.memo(dead_letters):
        cycle = frozenset(h.queue for h in letters.route.hops)
        repeating = [h for h in letters.route.hops if h.loops or h.dropped]
        if not repeating or cycle in reported:
            continue
        reported.add(cycle)
        end = "repeats endlessly" if repeating[0].loops else "is dropped by the broker as a cycle"
        yield Problem(
            Subject("queue", letters.queues[0]),
            f"a dead letter of {listed(letters.queues, 2)} ({letters.route.reason}) returns by way of "
            f"{listed(sorted(cycle))} and {end}",
            evidence={"queues": list(letters.queues), "reason": letters.route.reason, "circle": sorted(cycle),
                      "dropped": [q for h in repeating for q in h.dropped]},
            remedy="Bind a queue that keeps failed messages to the last dead-letter exchange.",
            inspect_commands=(_route(letters),),
            severity=None if letters.own else Severity.INFO,
            related={"queue": tuple(sorted(cycle)), "binding": _bindings(letters.route)},
        )  # fmt: skip


def _route(letters: LiveDeadLetters) -> CommandLine:
    """The command that shows the route of these dead letters."""
    return command_lines.dead_letter(letters.queues[0], str(letters.route.reason), letters.route.routing_key)


def _bindings(route: Route) -> tuple[str, ...]:
    """The names of the bindings on the route of a dead letter."""
    return tuple(dict.fromkeys(step_name(s) for hop in route.hops for s in hop.path))


@check(
    "AT307",
    "dead-letters-bounded",
    "Attune's dead-letter queues have a consumer or a length limit",
    Severity.INFO,
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
            f"dead letters of {listed(dict.fromkeys(sources), 3)} end in {name}, which has no consumer and no limit",
            evidence={"queues": list(dict.fromkeys(sources)), "messages": state.messages},
            remedy="Set a max-length or message-ttl, or add a consumer.",
            inspect_commands=(command_lines.queue(name),),
        )
