"""Queues on the broker that no worker or release uses any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed, merged, spanned, worker_name
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import consumes, most_consumers, starting_workers, why_not_live
from attune_ops.model.registry import Worker, WorkerStatus
from attune_ops.model.snapshot import QueueState
from attune_ops.model.worker_process import CRASHED, WorkerProcess, worker_process

START_ONLY = "Start the worker: it consumes from the queue."
START_OR_DELETE = "Start the worker that should consume from it, or delete the queue."
START_UNKNOWN = (
    "Start the worker that should consume from it. Do not delete the queue: no registry was read, so its worker may be "
    "alive (--database-url)."
)
UNAVAILABLE = "Make the queue available first: until then its messages and consumers are unknown."
UNREGISTERED = "Restart the process that consumes from it: it runs under an id that the registry does not have."
CHECK_REGISTRY = (
    "Check that this is the registry of this broker's workers (`attune-ops config show`): no live worker of it has a "
    "queue here. If it is, restart the process that consumes from the queue."
)
REGISTER_AGAIN = (
    "Its process is alive: do not stop its consumers or delete the queue. Restart the worker when it is idle: "
    "registration sets its status to active."
)
DELETE = "Delete the queue; its messages are saved to a file."
NOT_CLASSIC = "Delete the queue by hand: `reap` deletes classic queues only, and keeps this one."
BLIND = "Delete the queue with `reap`, which needs the list of consumers: without it the queue may be in use."
NO_MAJORITY = (
    "Nothing can be deleted here without a majority of the nodes: use a node of the other side, or start nodes."
)


@check("AT407", "no-orphans", "no orphaned worker queues", Severity.WARNING, needs=(Source.REGISTRY, Source.BROKER))
def no_orphans(facts: Facts) -> Iterator[Problem]:
    """The queue of a worker that is not live keeps its messages, and may still receive more.

    The id in the queue's name is looked up in the registry: the worker does not exist, was stopped, or is dead
    (AT409). Messages in such a queue are not consumed: that is an error. A registered worker consumes them when it
    starts again under its name, because it keeps its id. Those of an id that is not registered are never consumed.
    Empty durable queues of a stopped worker are only reported as info. If every queue appears orphaned, this tool
    probably reads another registry than the workers use.
    """
    yield from merged(
        _orphans(facts),
        lambda problems: (
            f"{len(problems):,} workers left queues ({problems[0].evidence['state']})"
            + (
                f"; {counted(depth, 'message')} in them"
                if (depth := sum(p.evidence["messages"] for p in problems))
                else ""
            )
            + f": {spanned(p.subject.name for p in problems)}"
        ),
        lambda problems: (command_lines.reap(*(q for p in problems for q in p.evidence["queues"])),),
    )


def _orphans(facts: Facts) -> Iterator[tuple[object, Problem]]:
    alone, related = facts.actual.majority is False, any(i in facts.worker_queues for i in facts.live_ids)
    for o in facts.memo(_orphaned):
        worker, depth, consumers, names = o.worker, o.messages, o.consumers, [q.name for q in o.queues]
        process = None if worker is None else worker_process(facts, worker)
        held = f"; {process.words}" if process and process.state in ("connected", "gone") else ""
        held += f"; {counted(depth, 'message')} in it" if depth else ""
        held += f"; {counted(consumers, 'consumer')} on it" if consumers else ""
        state = _state(worker, process)
        remedy = NO_MAJORITY if alone and not o.unavailable else _orphan_remedy(o, related)
        yield (state, bool(consumers), o.removable, remedy), Problem(
            Subject("queue", names[0]),
            f"{listed(names)}: {_with_name(o.why, worker)}{held}",
            evidence={"worker": o.worker_id, "queues": names, "messages": depth, "consumers": consumers, "why": o.why,
                      "state": state},
            remedy=remedy,
            commands=tuple(map(command_lines.reap, names)) if o.removable and not alone else (),
            inspect_commands=(command_lines.consumers(names[0]),) if consumers else (),
            severity=o.severity,
            related={"queue": tuple(names), "worker": (worker.name,) if worker else ()},
        )  # fmt: skip


class _Orphaned(msgspec.Struct, frozen=True):
    """The queues that a worker left, and why it is not live."""

    worker_id: int
    worker: Worker | None
    why: str
    queues: tuple[QueueState, ...]
    messages: int
    consumers: int
    alive: bool  # its process runs
    returns: bool  # its worker keeps its id, and so its queues, when it starts again
    blind: bool  # the list of consumers was not read, which `reap` needs

    @property
    def severity(self) -> Severity:
        in_use = bool(self.consumers) or (self.blind and any(q.consumers is None for q in self.queues))
        return _orphan_severity(self.queues, self.messages, in_use, self.worker.status if self.worker else None)

    @property
    def unavailable(self) -> bool:
        return any(q.is_unavailable for q in self.queues)

    @property
    def removable(self) -> bool:
        """Whether the finding advises to delete them."""
        in_use = self.consumers or self.alive or self.blind or self.unavailable
        return not in_use and self.is_classic and self.severity is not Severity.INFO

    @property
    def is_classic(self) -> bool:
        return all(q.type == "classic" for q in self.queues)


def _orphaned(facts: Facts) -> tuple[_Orphaned, ...]:
    """For `facts.memo`: the workers that are not live and left queues."""
    found = []
    blind = facts.missing_reason((Source.CONSUMERS,)) is not None
    newest = {facts.worker_named[i].name: i for i in sorted(facts.worker_named)}  # the row that a start uses again
    for worker_id, all_queues in facts.worker_queues.items():
        why = why_not_live(facts, worker_id)
        if why is not None and (queues := _left(all_queues)):
            worker = facts.worker_named.get(worker_id)
            depth = sum(q.messages or 0 for q in queues)
            consumers = sum(most_consumers(facts, q.name) for q in queues)
            alive = worker is not None and worker.has_queues and _is_alive(facts, worker)
            returns = worker is not None and worker.has_queues and newest[worker.name] == worker_id
            found.append(_Orphaned(worker_id, worker, why, queues, depth, consumers, alive, returns, blind))
    return tuple(found)


def _is_alive(facts: Facts, worker: Worker) -> bool:
    """Whether the process of a worker that is not registered as live runs all the same."""
    beating = facts.registry is not None and worker.is_beating(facts.taken_at, facts.registry.limit)
    return beating or consumes(facts, worker) or worker_process(facts, worker).state == "connected"


def _left(queues: tuple[QueueState, ...]) -> tuple[QueueState, ...]:
    """Those that can be orphaned: an exclusive queue has its connection, and the broker deletes it with it."""
    return tuple(q for q in queues if not q.exclusive)


def _with_name(why: str, worker: Worker | None) -> str:
    """Why a worker is not live, with its name in place of "it"."""
    return f"{worker_name(worker)} {why.removeprefix('it ')}" if worker and why.startswith("it ") else why


def _state(worker: Worker | None, process: WorkerProcess | None) -> str:
    """Why the queues are orphaned, without the times: the same for workers that ended in the same way."""
    if worker is None or process is None:
        return "not in the registry"
    if not worker.has_queues:
        return f"their role is {worker.role}"
    if worker.status != WorkerStatus.INACTIVE:
        return f"old heartbeats; {process.summary}"
    ended = {True: "crashed", False: "stopped cleanly", None: "stopped"}[worker.crashed]
    return process.summary if process.summary == CRASHED else f"{ended}; {process.summary}"


def removable_queues(facts: Facts) -> Mapping[int, str]:
    """For `facts.memo`: the workers with queues that AT407 advises to delete, with the subject of that finding."""
    if facts.registry is None:
        return {}
    return {o.worker_id: o.queues[0].name for o in facts.memo(_orphaned) if o.removable}


def _orphan_remedy(o: _Orphaned, is_registry_related: bool) -> str:
    if o.unavailable:
        return UNAVAILABLE
    if o.consumers and o.worker is None:  # a live process: stopping it only loses a worker
        return UNREGISTERED if is_registry_related else CHECK_REGISTRY
    if o.alive:
        return REGISTER_AGAIN
    if o.consumers:
        return "Stop its consumers."
    deletion = BLIND if o.blind else DELETE if o.is_classic else NOT_CLASSIC
    if not o.returns:
        return deletion
    start = f"{START_ONLY} " if o.messages else ""
    return f"{start}If the worker does not return, d{deletion[1:]}"


def _orphan_severity(queues: tuple[QueueState, ...], depth: int, in_use: bool, status: str | None) -> Severity:
    if depth and not in_use:
        return Severity.ERROR
    waits = status == WorkerStatus.INACTIVE and all(q.durable for q in queues) and not in_use
    return Severity.INFO if waits else Severity.WARNING


@check(
    "AT408",
    "auto-delete-armed",
    "every auto-delete queue of Attune has (had) a consumer",
    Severity.WARNING,
    needs=(Source.BROKER, Source.CONSUMERS),
)
def auto_delete_armed(facts: Facts) -> Iterator[Problem]:
    """An auto-delete queue is deleted with its last consumer. If it never had a consumer, it is never deleted.

    A service that dies between declare and consume leaves such a queue. It is still bound, and keeps collecting
    messages. Only deleting it by hand, or a broker restart (the queue is not durable), removes it.
    """
    unconsumed, starting = facts.actual.unconsumed, facts.memo(starting_workers)
    for worker_id, queues in facts.worker_queues.items():
        for q in queues:
            if not q.auto_delete or q.name not in unconsumed or worker_id in starting:
                continue
            worker = facts.worker_named.get(worker_id)
            process = None if worker is None else worker_process(facts, worker)
            removable = facts.registry is not None and why_not_live(facts, worker_id) is not None
            yield Problem(
                Subject("queue", q.name),
                f"{q.name} is auto-delete, but never had a consumer, so the broker does not delete it"
                + (f"; {counted(q.messages, 'message')} in it" if q.messages else "")
                + (f"; {worker_name(worker)}: {process.words}" if worker and process else ""),
                evidence={"worker": worker_id, "messages": q.messages, "durable": q.durable,
                          "process": process.summary if process else "not in the registry"},
                remedy=START_OR_DELETE if removable else START_ONLY if facts.registry else START_UNKNOWN,
                commands=(command_lines.reap(q.name),) if removable else (),
                inspect_commands=(command_lines.queue(q.name),),
                related={"worker": (worker.name,) if worker else ()},
            )  # fmt: skip
