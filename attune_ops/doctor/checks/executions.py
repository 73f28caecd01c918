"""Executions that make no progress, compared with the messages in the queues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, expected_consumers_of, listed, worker_name
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import why_not_live
from attune_ops.model.registry import Execution
from attune_ops.model.topology import ID
from attune_ops.model.units import age
from attune_ops.routing.topology_routes import desired_routes

REQUESTED = ("requested", "scheduling")
ADMISSION = "execution_admission_entry"
WITH_WORKER = ("scheduled", "running", "canceling")


@check(
    "AT413",
    "executions-waiting",
    "every waiting execution has a message in a queue",
    Severity.ERROR,
    needs=(Source.EXECUTIONS, Source.BROKER, Source.DEPTHS),
    required=False,
)
def executions_waiting(facts: Facts, *, stuck_s: float = 300) -> Iterator[Problem]:
    """A waiting execution without a message in a queue never runs.

    `requested` and `scheduling` executions wait for the executor: their message should be in the queue that
    ExecutionRequested is routed to. `scheduled` executions wait for a worker: their message should be in its queue.
    If the queue is empty, the message was lost: dropped as unroutable, deleted with an auto-delete queue, or
    rejected without a dead-letter exchange. If the queue holds messages, the execution may still run: that is a
    warning. An execution that a concurrency policy parks is `requested` without a message and not lost: it has a row
    of status `queued` in `execution_admission_entry`. If that table cannot be read, the finding says so.
    """
    parking_known = facts.registry is None or facts.registry.parking_known
    for place, executions in _waiting(facts, timedelta(seconds=stuck_s)).items():
        worker, queues = place
        there = [facts.actual.queue_named[q] for q in queues if q in facts.actual.queue_named]
        depth = sum(q.messages or 0 for q in there)
        found = f"holds {counted(depth, 'message')}" if there else "is missing"
        receiver = "the executor" if worker is None else f"worker {worker}"
        lost = "" if depth else ": the messages are lost"
        if lost and worker is None and not parking_known:
            lost += f", or parked by a concurrency policy ({ADMISSION} cannot be read)"
        yield Problem(
            Subject("execution", str(executions[0].id)),
            f"{_some(executions)} in status {_status(executions)} for more than {age(timedelta(seconds=stuck_s))}; "
            f"queue {listed(queues)} of {receiver} {found}{lost}",
            evidence={"executions": [e.id for e in executions], "worker": worker, "queues": list(queues),
                      "messages": depth},
            remedy="Start the consumer of that queue." if depth else "Cancel the executions, or request them again.",
            inspect_commands=(command_lines.consumers(queues[0]),),
            severity=Severity.WARNING if depth else None,
            related=expected_consumers_of(facts, *queues),
        )  # fmt: skip


def _waiting(facts: Facts, limit: timedelta) -> dict[tuple[int | None, tuple[str, ...]], list[Execution]]:
    """The executions that wait too long, by the worker and the queues that should hold their messages."""
    requests = [(p, r) for p, r in facts.memo(desired_routes).routes if p.message_type == "ExecutionRequested"]
    request_queues = tuple(q for p, r in requests if ID not in p.routing_key for q in r.queues)
    dispatch = tuple(
        facts.memo(desired_routes).template(q) for p, r in requests if ID in p.routing_key for q in r.queues
    )
    found: dict[tuple[int | None, tuple[str, ...]], list[Execution]] = {}
    for e in _executions(facts):
        since = e.updated or e.created
        if since is None or facts.taken_at - since < limit:
            continue
        if e.status in REQUESTED and request_queues and not e.parked:
            found.setdefault((None, request_queues), []).append(e)
        elif e.status == "scheduled" and e.worker is not None and why_not_live(facts, e.worker) is None and dispatch:
            queues = tuple(q.replace(ID, str(e.worker)) for q in dispatch)
            found.setdefault((e.worker, queues), []).append(e)
    return found


@check(
    "AT414",
    "executions-have-workers",
    "no executions are assigned to dead workers",
    Severity.ERROR,
    needs=(Source.EXECUTIONS, Source.ASSIGNMENTS),
    required=False,
)
def executions_have_workers(facts: Facts) -> Iterator[Problem]:
    """An execution on a stopped or dead worker never ends by itself.

    `scheduled` and `running` executions name their worker. If that worker is not live (no row, inactive, stale
    heartbeat), nobody reports their result, and they count as running.
    """
    lost: dict[int, list[Execution]] = {}
    for e in _executions(facts):
        if e.status in WITH_WORKER and e.worker is not None:
            lost.setdefault(e.worker, []).append(e)
    for worker_id, executions in lost.items():
        why = why_not_live(facts, worker_id)
        if why is None:
            continue
        worker = facts.worker_named.get(worker_id)
        yield Problem(
            Subject("execution", str(executions[0].id)),
            f"{_some(executions)} {_status(executions)} on {worker_name(worker) if worker else f'worker {worker_id}'}, "
            f"which is not live: {why}",
            evidence={"executions": [e.id for e in executions], "worker": worker_id, "why": why},
            remedy="Restart that worker, or mark the executions abandoned and request them again.",
            inspect_commands=(command_lines.worker(worker.name if worker else str(worker_id)),),
            related={"worker": (worker.name,) if worker else ()},
        )


def _executions(facts: Facts) -> Sequence[Execution]:
    return (facts.registry.executions if facts.registry else None) or ()


def _some(executions: Sequence[Execution]) -> str:
    return f"{counted(len(executions), 'execution')} ({listed([str(e.id) for e in executions], 3)})"


def _status(executions: Sequence[Execution]) -> str:
    return " or ".join(sorted({e.status for e in executions}))
