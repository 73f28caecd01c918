"""Whether each queue has the expected consumers, by tag and prefetch, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import (
    counted,
    listed,
    merged,
    names_of,
    require_all_asked,
    worker_name,
    worker_remedy,
)
from attune_ops.doctor.findings import Problem, Severity, Subject, Unknown
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import (
    expected_consumers,
    expected_prefetch,
    lacking_consumers,
    not_yet_listed,
    own_queues,
    starting_workers,
    unknown_consumers,
)
from attune_ops.model.recognition import server_named
from attune_ops.model.snapshot import ConsumerState
from attune_ops.model.worker_process import worker_process

TWO_PROCESSES = "Stop the second process, or give each worker process its own name."


@check(
    "AT403",
    "worker-consumers",
    "every live worker consumes from its queues",
    Severity.ERROR,
    needs=(Source.REGISTRY, Source.BROKER, Source.CONSUMERS),
    passive=True,
)
def worker_consumers(facts: Facts) -> Iterator[Problem]:
    """Messages in a queue without a consumer wait until they expire, or are dropped by a length limit.

    If the heartbeat is fresh and the consumer is missing, the process is alive but its consumer is not: the broker
    cancelled it, an error closed its channel (404, 406, an acknowledgement timeout), or start-up hangs before
    `consume`. A consumer with another tag than the worker's own is a foreign one: the worker does not get the
    messages that it takes. A worker that may be starting is reported by AT415.
    """
    yield from merged(
        _silent_workers(facts),
        lambda problems: (
            f"{len(problems):,} workers do not consume from their queues ({problems[0].evidence['process']})"
            f"{_backlog(problems)}: {names_of(problems)}"
        ),
    )
    require_all_asked(facts)


def _backlog(problems: Sequence[Problem]) -> str:
    depth = sum(p.evidence["messages"] for p in problems)
    return f"; backlog: {counted(depth, 'message')}" if depth else ""


def _silent_workers(facts: Facts) -> Iterator[tuple[object, Problem]]:
    starting, expected_of = facts.memo(starting_workers), facts.memo(expected_consumers)
    consumers_of, unconsumed = facts.actual.consumers_of, facts.actual.unconsumed
    queue_named = facts.actual.queue_named
    suspects = {queue for queue, _ in facts.memo(lacking_consumers)} | unconsumed
    owners = {facts.owner_of.get(queue) for queue in suspects}
    for worker in facts.live_workers if suspects else ():
        if worker.id not in owners or worker.id in starting:
            continue
        silent, strange = [], []
        for expected in expected_of[worker.id]:
            if expected.queue in unconsumed:
                silent.append(expected.queue)
                continue
            there = consumers_of.get(expected.queue, ())
            is_lacking = expected.tag and expected.tag not in [c.tag for c in there]
            if there and is_lacking and not not_yet_listed(facts, expected.queue):
                strange.append((expected, there))
        if silent:
            depth = sum([queue_named[q].messages or 0 for q in silent])
            process = worker_process(facts, worker)
            yield process.state, Problem(
                Subject("queue", silent[0]),
                f"{worker_name(worker)} does not consume from {listed(silent)}: {process.words}"
                + (f"; backlog: {counted(depth, 'message')}" if depth else ""),
                evidence={"worker": worker.id, "name": worker.name, "queues": silent, "messages": depth,
                          "process": process.summary},
                remedy=worker_remedy(process.state),
                inspect_commands=(command_lines.consumers(silent[0]),),
                related={"consumer": tuple([c.tag for c in expected_of[worker.id]])},
            )  # fmt: skip
        for expected, there in strange:
            yield (
                expected.queue,
                Problem(
                    Subject("queue", expected.queue),
                    f"{expected.queue} has the consumer {listed(map(_name, there))} instead of {expected.tag!r}",
                    evidence={"worker": worker.id, "expected": expected.tag, "consumers": list(map(_evidence, there))},
                    remedy=f"Stop that consumer; the queue belongs to {worker_name(worker)}.",
                    inspect_commands=(command_lines.consumers(expected.queue),),
                ),
            )


@check(
    "AT404",
    "one-process-per-worker",
    "no worker queue has more than one consumer",
    Severity.ERROR,
    needs=(Source.BROKER, Source.CONSUMERS),
    passive=True,
)
def one_process_per_worker(facts: Facts) -> Iterator[Problem]:
    """Two consumers on one worker queue alternate: each gets every second execution.

    Usually two processes run under one name (a copied configuration, or a container that was restarted elsewhere while
    the old one is still alive). Registration finds the name and gives both the same id. Each overwrites the other's
    heartbeat, so nothing shows when one of them crashes.
    """
    wanted = {q.name: len([c for c in facts.topology.consumers if c.queue == q.name]) for q in facts.topology.queues}
    is_listed, consumers_of = facts.actual.consumers is not None, facts.actual.consumers_of
    doubled = not is_listed or any(len(there) > 1 for there in consumers_of.values())
    for worker_id, queues in facts.worker_queues.items() if doubled else ():
        for queue in queues:
            if is_listed and len(consumers_of.get(queue.name, ())) < 2:
                continue
            unknown = facts.memo(unknown_consumers).get(queue.name, ())  # AT417 reports them
            there = [c for c in consumers_of.get(queue.name, ()) if c not in unknown]
            number = len(there) if is_listed else queue.consumers or 0
            if number < 2 or number <= wanted[facts.memo(own_queues)[queue.name]]:
                continue
            worker = facts.worker_named.get(worker_id)
            hosts = sorted({c.peer_host or "?" for c in there})
            whose = f" (from {listed(hosts)}): {listed(map(_name, there))}" if there else ""
            connections = {c.connection for c in there if c.connection}
            process = f"connected by {counted(len(connections), 'connection')}" if connections else "connection unknown"
            yield Problem(
                Subject("worker", worker.name) if worker else Subject("queue", queue.name),
                f"{queue.name} has {number} consumers{whose}; {process}",
                evidence={"worker": worker_id, "queue": queue.name, "consumers": list(map(_evidence, there)),
                          "process": process},
                remedy="Restart the process: it consumes twice." if len(connections) == 1 else TWO_PROCESSES,
                inspect_commands=(command_lines.consumers(queue.name),),
                alike=(number, len(connections), bool(worker)),
            )  # fmt: skip
            break
    require_all_asked(facts)


@check(
    "AT405",
    "service-consumers",
    "every service consumes from its queues",
    Severity.ERROR,
    needs=(Source.BROKER, Source.CONSUMERS),
    passive=True,
)
def service_consumers(facts: Facts) -> Iterator[Problem]:
    """If a queue of a service has no consumer, the service is down or its consumer was cancelled.

    Consumers are compared with the topology by queue and tag. Replicas of a service use the same tags, so more
    consumers than expected are not a problem. One missing tag among others is a warning. The own queue of a replica
    has a name from the broker: a service that has such queues is known by the tag of their consumers.
    """
    wanted: dict[str, dict[str, list[str]]] = {}
    for c in facts.topology.consumers:
        state = facts.actual.queue_named.get(c.queue)
        if state is not None and not (state.consumers is None and c.queue not in facts.actual.consumers_of):
            wanted.setdefault(c.service, {}).setdefault(c.queue, []).append(c.tag)
    for service, queues in wanted.items():
        silent = {q: tags for q, tags in queues.items() if q in facts.actual.unconsumed}
        if len(silent) == len(queues) > 1:
            depth = sum(facts.actual.queue_named[q].messages or 0 for q in silent)
            yield Problem(
                Subject("consumer", service),
                f"the {service} has no consumer on any of its {len(silent)} queues"
                + (f"; backlog: {counted(depth, 'message')}" if depth else ""),
                evidence={"service": service, "queues": list(silent), "messages": depth},
                remedy=f"Start the {service}.",
                inspect_commands=(command_lines.queue(next(iter(silent))),),
            )
            continue
        for queue, tags in queues.items():
            yield from _missing_tags(facts, service, queue, tags, queue in silent)
    yield from _lost_replicas(facts)


def _lost_replicas(facts: Facts) -> Iterator[Problem]:
    """Services without an own queue of a replica; those of workers are not compared."""
    expected = [c for c in facts.topology.replica_consumers if c.service != "worker"]
    if facts.actual.consumers is None and expected:
        services = sorted({c.service for c in expected})
        raise Unknown(
            f"queues that the broker names cannot be asked for by name: those of {listed(services)} are unknown"
        )
    tags = {c.tag for c in facts.actual.consumers or ()}
    for c in expected:
        bindings = facts.topology.bindings_to(c.queue)
        # A queue that was just declared may be listed before its consumer.
        if c.tag in tags or {(b.source, b.routing_key) for b in bindings} in facts.memo(_server_named):
            continue
        others = facts.topology.service_consumers(c.service)
        if others and not any(other.tag in tags for other in others):
            continue  # its queues that exist once tell
        yield Problem(
            Subject("consumer", c.tag if others else c.service),
            f"no replica of the {c.service} has its own queue on {listed(sorted({b.source for b in bindings}))}, "
            f"with the consumer {c.tag!r}",
            evidence={"service": c.service, "expected": [c.tag], "missing": [c.tag], "messages": None},
            remedy=f"{'Restart' if others else 'Start or restart'} the {c.service}: only its start declares the queue.",
            inspect_commands=(command_lines.consumers(),),
            severity=Severity.WARNING if others else None,
        )


def _server_named(facts: Facts) -> frozenset[frozenset[tuple[str, str]]]:
    return frozenset(server_named(facts.actual))


def _missing_tags(facts: Facts, service: str, queue: str, tags: list[str], silent: bool) -> Iterator[Problem]:
    there = facts.actual.consumers_of.get(queue, ())
    missing = [t for t in tags if t and t not in {c.tag for c in there}]
    if silent:
        depth = facts.actual.queue_named[queue].messages or 0
        message = f"{queue} has no consumer" + (f"; {counted(depth, 'message')} for the {service}" if depth else "")
    elif there and len(missing) > not_yet_listed(facts, queue):
        depth = None
        message = f"{queue}: consumer {listed(missing)} of the {service} is missing; found: {listed(map(_name, there))}"
    else:
        return
    yield Problem(
        Subject("queue", queue),
        message,
        evidence={"service": service, "expected": tags, "missing": missing or tags, "messages": depth},
        remedy=f"{'Start' if silent else 'Restart'} the {service}.",
        inspect_commands=(command_lines.consumers(queue),),
        severity=None if silent else Severity.WARNING,
        related={"consumer": tuple(missing)},
    )


@check(
    "AT406",
    "prefetch",
    "Attune's consumers have the expected prefetch",
    Severity.WARNING,
    needs=(Source.BROKER, Source.CONSUMERS),
    required=False,
)
def prefetch(facts: Facts) -> Iterator[Problem]:
    """The prefetch limits the number of unacknowledged messages of a consumer; 0 means unlimited.

    If it is too high, one consumer takes the whole queue into memory while others are idle, and when it dies all
    messages are redelivered. If it is too low, the consumer waits for the network after each message. If the
    expected number depends on a worker's concurrency, and the registry does not have it, the consumer is not
    checked.
    """
    expected = facts.memo(expected_prefetch)
    for there in facts.actual.consumers or ():
        wanted = expected.get((there.queue, there.tag))
        if wanted is not None and there.prefetch not in (None, wanted):
            found = "0 (unlimited)" if there.prefetch == 0 else f"{there.prefetch}"
            process = f"connected ({there.connection})" if there.connection else "connection unknown"
            yield Problem(
                Subject("consumer", there.tag),
                f"{there.tag} on {there.queue} has prefetch {found}, expected {wanted}; {process}",
                evidence={**_evidence(there), "expected": wanted, "process": process.partition(" (")[0]},
                remedy="Correct the service's setting and restart it.",
                inspect_commands=(command_lines.consumers(there.queue),),
                alike=(facts.memo(own_queues).get(there.queue), there.prefetch, wanted),
            )
    unregistered = any(facts.topology.worker_of(c.queue) for c in facts.actual.consumers or ())
    if facts.registry is None and unregistered:
        raise Unknown(f"the concurrency of the workers is unknown: {facts.missing_reason((Source.REGISTRY,))}")


def _name(consumer: ConsumerState) -> str:
    return f"{consumer.tag!r} of {consumer.connection or 'an unknown connection'}"


def _evidence(consumer: ConsumerState) -> dict[str, object]:
    names = ("queue", "tag", "connection", "channel", "peer_host", "user", "prefetch")
    return {name: getattr(consumer, name) for name in names}
