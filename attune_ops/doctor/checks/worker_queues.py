"""Whether every live worker has the queues and bindings that its start-up declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import (
    all_missing,
    listed,
    listed_counts,
    merged,
    missing_queue_of,
    missing_worker_queues,
    names_of,
    require_all_asked,
    spanned,
    worker_name,
    worker_remedy,
)
from attune_ops.doctor.checks.declarations import THEN_UNBIND, lost_with, not_bound, refused
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.command_lines import CommandLine
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import has_consumer
from attune_ops.model.registry import Worker
from attune_ops.model.topology import Binding
from attune_ops.model.units import age
from attune_ops.model.worker_process import State, process_counts, worker_process
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import Difference, DiffKind, Fix
from attune_ops.topology.redeclaration import TRANSIENT

BIND = "Bind its queue: the worker consumes from it."


@check(
    "AT401",
    "worker-queues",
    "every live worker has its queues",
    Severity.ERROR,
    needs=(Source.REGISTRY, Source.BROKER),
    passive=True,
)
def worker_queues(facts: Facts) -> Iterator[Problem]:
    """A registered worker without its queue is sent executions that are dropped.

    This was the incident of January 2026: the worker registered, but its queue was never declared. Its consume
    failed with 404 NOT_FOUND, and the broker silently dropped what the scheduler published to it (only a publisher
    that sets `mandatory` is informed). Causes: the worker died after it registered; its declare was refused (403,
    406, or 541 where the broker denies transient queues); the queue was auto-deleted with its last consumer; the
    broker restarted, which removes queues that are not durable. The finding says whether the worker's process is
    connected. Only its start-up consumes: a queue that is declared without it collects messages that nobody reads.
    """
    missing = facts.memo(missing_worker_queues)
    if facts.memo(all_missing):
        yield _none_has_its_queue(facts, missing)
    else:
        yield from merged(
            ((_problem_key(facts, i, ds), _no_queue(facts, i, ds)) for i, ds in missing.items()),
            lambda problems: (
                f"{len(problems):,} workers have no queues ({problems[0].evidence['process']}): " + names_of(problems)
            ),
        )
    require_all_asked(facts)


def _problem_key(facts: Facts, worker_id: int, differences: Sequence[Difference]) -> object:
    return worker_process(facts, facts.worker_named[worker_id]).state, differences[0].fix


def _no_queue(facts: Facts, worker_id: int, differences: Sequence[Difference]) -> Problem:
    worker, names = facts.worker_named[worker_id], [d.name for d in differences]
    process = worker_process(facts, worker)
    deleted = "; its queue was deleted under it or never declared" if process.state == "connected" else ""
    if others := _consumed_of_others(facts, worker_id, process.connection):
        twice = sum(w.name == worker.name for w in facts.live_workers) > 1
        why = "two rows of the registry have its name" if twice else "its id in the registry was changed"
        deleted = f"; it consumes from {listed(others)}: {why}"
    return Problem(
        Subject("queue", names[0]),
        f"{listed(names)} {'is' if len(names) == 1 else 'are'} missing: work for {worker_name(worker)} is lost",
        cause=f"{process.words}{deleted}; {_cause(facts, worker)}",
        evidence={"worker": worker_id, "name": worker.name, "status": worker.status, "missing": names,
                  "process": process.summary},
        remedy=_remedy(differences, process.state),
        inspect_commands=(command_lines.worker(worker.name),),
        related={
            **_related(facts, differences),
            "consumer": tuple(c.tag for c in facts.topology.worker_consumers(worker_id)),
        },
    )  # fmt: skip


def _consumed_of_others(facts: Facts, worker_id: int, connection: str) -> list[str]:
    """The queues of other workers that this worker's connection consumes from."""
    there = (c.queue for c in facts.actual.consumers or () if connection and c.connection == connection)
    owners = {queue: facts.topology.worker_of(queue) for queue in there}
    return sorted(queue for queue, owner in owners.items() if owner and owner[0] != worker_id)


def _remedy(differences: Sequence[Difference], state: State) -> str:
    """What only a person can do: a command cannot start the process that consumes."""
    if differences[0].fix is not Fix.DECLARE:
        return refused(differences[0])
    return worker_remedy(state)


def _cause(facts: Facts, worker: Worker) -> str:
    """What the registry says of a worker without its queue."""
    heartbeat = worker.heartbeat_age(facts.taken_at)
    sent = "no heartbeat yet" if heartbeat is None else f"its last heartbeat is {age(heartbeat)} old"
    return f"it is registered as {worker.status} ({sent}), but the broker has no such queue"


def _none_has_its_queue(facts: Facts, missing: Mapping[int, tuple[Difference, ...]]) -> Problem:
    differences = [d for several in missing.values() for d in several]
    workers = [facts.worker_named[i] for i in missing]
    processes = [worker_process(facts, w) for w in workers]
    states = process_counts(facts, workers)
    remedy = "Restart the workers: their start-up declares and binds their queues and consumes from them."
    if any(process.state == "unlisted" for process in processes):
        remedy = worker_remedy("unlisted")
    elif all(process.state == "gone" for process in processes):
        remedy = worker_remedy("gone")
    return Problem(
        Subject("queue", differences[0].name),
        f"none of the {len(workers):,} live workers has its queues ({listed_counts(states)}): the broker was "
        f"restarted or reset, refuses the queues, or is not the broker of this registry's workers: "
        + spanned(w.name for w in workers),
        evidence={"workers": {w.name: w.id for w in workers}, "missing": [d.name for d in differences],
                  "processes": states},
        remedy=remedy if differences[0].fix is Fix.DECLARE else refused(differences[0]),
        inspect_commands=(command_lines.worker(workers[0].name),),
        related=_related(facts, differences),
        others=tuple(Subject("queue", several[0].name) for several in list(missing.values())[1:]),
    )  # fmt: skip


def _related(facts: Facts, differences: Sequence[Difference]) -> dict[str, tuple[str, ...]]:
    denied = any(d.declaring and d.declaring.code == 541 for d in differences)
    return {"vhost": (facts.vhost,), "denied feature": (TRANSIENT,) if denied else ()}


@check(
    "AT402",
    "worker-bindings",
    "every live worker has its bindings",
    Severity.ERROR,
    needs=(Source.REGISTRY, Source.BROKER),
)
def worker_bindings(facts: Facts) -> Iterator[Problem]:
    """A queue without the right binding receives nothing, and nobody gets an error.

    The worker appears healthy: it consumes and its heartbeat is fresh. But messages for it are dropped. Causes: the
    worker died between declare and bind; the exchange was deleted and redeclared, which removes its bindings; the
    queue was made by hand; another release uses another key. A queue that the worker does not consume from is not
    bound by a command: it would collect messages that nobody reads.
    """
    yield from merged(
        _unbound(facts),
        lambda problems: (
            f"{len(problems):,} bindings of workers are missing ({problems[0].evidence['process']}): "
            + names_of(problems)
        ),
        lambda problems: _bind_all(facts, problems),
    )


def _bind_all(facts: Facts, problems: Sequence[Problem]) -> tuple[CommandLine, ...]:
    """The commands that bind these queues: one for all where it declares and binds nothing else."""
    commands = tuple(dict.fromkeys(c for p in problems for c in p.commands))
    lacking = {d.name for d in facts.memo(diff).differences if d.fix is Fix.DECLARE}
    alone = lacking == {p.subject.name for p in problems} and len(commands) == len(problems)
    return (command_lines.DECLARE,) if alone else commands


def _unbound(facts: Facts) -> Iterator[tuple[object, Problem]]:
    for d in facts.memo(diff).of(DiffKind.MISSING):
        b = d.item
        if d.worker_id is None or not isinstance(b, Binding):
            continue
        worker = facts.worker_named[d.worker_id]
        message, instead, unbind = not_bound(facts, b)
        possible = d.fix is Fix.DECLARE
        process = worker_process(facts, worker)
        state = facts.actual.queue_named.get(b.destination)
        read = process.state in ("connected", "unknown") and state is not None and has_consumer(facts, state)
        if not possible:
            remedy = refused(d)
        else:
            remedy = BIND + (THEN_UNBIND if unbind else "") if read else worker_remedy(process.state)
        related = {"source": (b.source,), "missing worker queue": missing_queue_of(facts, d.worker_id),
                   "destination": (b.destination,), "base binding": lost_with(facts, b.source)}  # fmt: skip
        # What another finding explains is listed under that one, each by its name.
        there = b.source in facts.actual.exchange_named
        explained = there or d.name, bool(related["missing worker queue"]), related["base binding"]
        yield (process.state, read, remedy, explained), Problem(
            Subject("binding", d.name),
            f"{worker_name(worker)}: {message}; {process.words}",
            evidence={"worker": d.worker_id, "name": worker.name, "source": b.source, "queue": b.destination,
                      "routing_key": b.routing_key, "instead": instead, "process": process.summary},
            remedy=remedy,
            # Only this binding: the command for all that is missing also binds queues that nobody reads.
            commands=(command_lines.bind(b), *unbind) if read and possible else (),
            related=related,
        )  # fmt: skip
