"""Executions that make no progress, compared with the messages in the queues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import (
    clocks_behind,
    counted,
    expected_consumers_of,
    listed,
    merged,
    names_of,
    nobody_takes_work,
    worker_name,
)
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import consumes_while_inactive, why_not_live
from attune_ops.model.registry import Execution, WorkerStatus
from attune_ops.model.topology import ID
from attune_ops.model.units import age
from attune_ops.model.worker_process import worker_process
from attune_ops.routing.topology_routes import desired_routes

REQUESTED = ("requested", "scheduling")
ADMISSION = "execution_admission_entry"
CANCELING = "canceling"
WITH_WORKER = ("scheduled", "running", CANCELING)

EXECUTOR = "executor"
MONITORS_SINCE = "2026-02-09"
ABANDONED_AFTER_S, FAILED_AFTER_S = 60.0, 300.0  # Attune's own limits
MOST_RELATED = 100  # queues of one finding in which causes are searched
SLACK_S = 30.0  # for the interval of a monitor and for clocks


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
    If the queue holds fewer messages than there are executions, some were lost: dropped as unroutable, deleted with an
    auto-delete queue, or rejected without a dead-letter exchange. If it holds enough, or is unavailable, they may still
    run: that is a warning. January's table does not have the worker of an execution: there the queues of all live
    workers are counted together. An execution that a concurrency policy parks is `requested` without a message and not
    lost: it has a row of status `queued` in `execution_admission_entry`. If that table cannot be read, the finding says
    so.
    """
    nobody, limit = facts.memo(nobody_takes_work), timedelta(seconds=stuck_s)
    parking_known = facts.registry is None or facts.registry.parking_known
    for place, executions in _waiting(facts, limit).items():
        worker, queues = place.worker, place.queues
        there = [facts.actual.queue_named[q] for q in queues if q in facts.actual.queue_named]
        depth = sum(q.messages or 0 for q in there)
        unavailable = any(q.is_silent or q.is_unavailable for q in there)
        found = "is unavailable" if unavailable else f"holds {counted(depth, 'message')}" if there else "is missing"
        registered = None if worker is None else facts.worker_named.get(worker)
        process = None if registered is None else worker_process(facts, registered)
        receiver = place.receiver + (f" ({process.words})" if process else "")
        missing = 0 if unavailable else max(len(executions) - depth, 0)
        lost = "" if not missing else ": the messages are lost" if not depth else f": at least {missing:,} are lost"
        if lost and place.parks and not parking_known:
            lost += f", or parked by a concurrency policy ({ADMISSION} cannot be read)"
        since = min(s for e in executions if (s := e.updated or e.created) is not None)
        yield Problem(
            Subject("execution", str(executions[0].id)),
            f"{_some(executions)} in status {_status(executions)} for more than {age(limit)}; "
            f"queue {listed(queues)} of {receiver} {found}{lost}",
            evidence={"executions": [e.id for e in executions], "worker": worker, "queues": list(queues),
                      "messages": depth, "lost": missing, "process": process.summary if process else None},
            remedy=_remedy(facts, queues, missing, unavailable),
            inspect_commands=(command_lines.consumers(queues[0]),),
            severity=None if missing else Severity.WARNING,
            related={
                **expected_consumers_of(facts, *queues[:MOST_RELATED]),
                "monitor": _monitored(facts, executions),
                "no worker": (nobody,) if place.parks and nobody else (),
                "clock": clocks_behind(facts, facts.taken_at - since - limit),
            },
            alike=None if process is None else (process.state, bool(there), bool(depth), bool(missing), unavailable),
        )  # fmt: skip


def _remedy(facts: Facts, queues: Sequence[str], missing: int, unavailable: bool) -> str:
    if unavailable:
        return "Make the queue available: it may still hold the messages. Requested again, they would run twice."
    if missing and any(facts.actual.queue_named[q].messages for q in queues if q in facts.actual.queue_named):
        return "Wait until the queue is empty and run the doctor again: it is not known yet which of them are lost."
    if missing:
        return "Cancel the executions, or request them again."
    if any(q in facts.actual.unconsumed for q in queues):
        return "Start the consumer of that queue."
    return "Find why its consumer is slow: it waits for something, or needs another replica."


class _Place(NamedTuple):
    """Where the message of a waiting execution should be; `parks`: a concurrency policy can keep it elsewhere."""

    receiver: str
    worker: int | None
    queues: tuple[str, ...]
    parks: bool = False


def _waiting(facts: Facts, limit: timedelta) -> dict[_Place, list[Execution]]:
    """The executions that wait too long, by the place of their messages."""
    requests = [(p, r) for p, r in facts.memo(desired_routes).routes if p.message_type == "ExecutionRequested"]
    executor = _Place("the executor", None, tuple(q for p, r in requests if ID not in p.routing_key for q in r.queues),
                      parks=True)  # fmt: skip
    dispatch = tuple(
        facts.memo(desired_routes).template(q) for p, r in requests if ID in p.routing_key for q in r.queues
    )
    # January's table does not have the worker of an execution.
    assigned = facts.registry is not None and facts.registry.assigned
    ids = [] if assigned else [w.id for w in facts.live_workers]
    anyone = _Place("the live workers", None, tuple(q.replace(ID, str(i)) for i in ids for q in dispatch))
    found: dict[_Place, list[Execution]] = {}
    for e in _executions(facts):
        since = e.updated or e.created
        if since is None or facts.taken_at - since < limit:
            continue
        if e.status in REQUESTED and executor.queues and not e.parked:
            found.setdefault(executor, []).append(e)
        elif e.status == "scheduled" and not assigned and anyone.queues:
            found.setdefault(anyone, []).append(e)
        elif e.status == "scheduled" and e.worker is not None and why_not_live(facts, e.worker) is None and dispatch:
            queues = tuple(q.replace(ID, str(e.worker)) for q in dispatch)
            found.setdefault(_Place(f"worker {e.worker}", e.worker, queues), []).append(e)
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
    """An execution on a stopped or dead worker gets no result from it.

    `scheduled`, `running` and `canceling` executions name their worker. If that worker is not live (no row, inactive,
    stale heartbeat), nobody reports their result, and they count as running. Since 2026-02-09 the executor ends those
    that are scheduled or running: AT418 reports where it does not. Those that are canceling are not requested again:
    somebody cancelled them. An execution that runs for long on a live worker is not reported: how long an action may
    take is unknown.
    """
    yield from merged(
        _lost_executions(facts),
        lambda problems: (
            f"{sum(len(p.evidence['executions']) for p in problems)} executions on {len(problems):,} workers "
            f"that are not live ({problems[0].evidence['process']}): {names_of(problems)}"
        ),
    )


def _lost_executions(facts: Facts) -> Iterator[tuple[object, Problem]]:
    lost: dict[int, list[Execution]] = {}
    for e in _executions(facts):
        if e.status in WITH_WORKER and e.worker is not None:
            lost.setdefault(e.worker, []).append(e)
    for worker_id, executions in lost.items():
        why = why_not_live(facts, worker_id)
        if why is None:
            continue
        worker = facts.worker_named.get(worker_id)
        if worker is not None and consumes_while_inactive(facts, worker):
            continue  # it may work on them: AT407 reports the worker
        process = None if worker is None or facts.broker is None else worker_process(facts, worker)
        state = "" if process is None or process.state in ("unknown", "unlisted") else f"; {process.words}"
        summary = "not in the registry" if worker is None else process.summary if process else "unknown"
        remedy = _remedy_of_lost(executions)
        yield (worker is None, process and process.state, remedy), Problem(
            Subject("execution", str(executions[0].id)),
            f"{_some(executions)} {_status(executions)} on {worker_name(worker) if worker else f'worker {worker_id}'}, "
            f"which is not live: {why}{state}",
            evidence={"executions": [e.id for e in executions], "worker": worker_id, "why": why,
                      "name": worker.name if worker else str(worker_id),
                      "process": summary},
            remedy=remedy,
            inspect_commands=(command_lines.worker(worker.name if worker else str(worker_id)),),
            related={"worker": (worker.name,) if worker else (), "monitor": _monitored(facts, executions)},
        )  # fmt: skip


def _remedy_of_lost(executions: Sequence[Execution]) -> str:
    """What to do about executions of a dead worker; what somebody cancelled is not requested again."""
    canceling = [e.status == CANCELING for e in executions]
    if all(canceling):
        return "Mark the executions cancelled. Do not request them again."
    again = "again only those that are not canceling" if any(canceling) else "them again"
    return f"Restart that worker, or mark the executions abandoned and request {again}."


class Overdue(NamedTuple):
    """An execution that the executor should have ended, since when, and after how many seconds it should have."""

    execution: Execution
    since: datetime
    limit_s: float

    def by(self, facts: Facts) -> timedelta:
        """How long after the limit the facts were read."""
        return facts.taken_at - self.since - timedelta(seconds=self.limit_s)


def overdue(facts: Facts) -> tuple[Overdue, ...]:
    """For `facts.memo`: the executions that a running executor would have abandoned or failed."""
    released = facts.topology.released
    if released and released < MONITORS_SINCE:
        return ()
    found = []
    for e in _executions(facts):
        entered = e.updated or e.created
        if entered is None or e.worker is None:
            continue
        if e.status == "scheduled":
            found.append(Overdue(e, entered, FAILED_AFTER_S + SLACK_S))
        elif e.status == "running" and (dead := _dead_since(facts, e.worker)) is not None:
            found.append(Overdue(e, max(entered, dead), ABANDONED_AFTER_S + SLACK_S))
    return tuple(o for o in found if o.by(facts) > timedelta())


def _dead_since(facts: Facts, worker_id: int) -> datetime | None:
    """The time from which the executor counts this worker as dead; None for a live one, and where it is unknown."""
    worker, registry = facts.worker_named.get(worker_id), facts.registry
    if registry is None or why_not_live(facts, worker_id) is None:
        return None
    if worker is None:
        return datetime.min.replace(tzinfo=UTC)  # its row is deleted long after its death
    if not worker.has_queues or worker.status == WorkerStatus.BUSY:  # the executor leaves a busy one alone
        return None
    if worker.is_registered_live:
        return None if worker.last_heartbeat is None else worker.last_heartbeat + registry.limit
    return worker.updated


def _monitored(facts: Facts, executions: Sequence[Execution]) -> tuple[str, ...]:
    """For `Problem.related`: the subject of AT418 where one of these executions is overdue."""
    late = facts.memo(overdue)
    return (str(late[0].execution.id),) if {e.id for e in executions} & {o.execution.id for o in late} else ()


@check(
    "AT418",
    "executor-monitors",
    "executor ends the executions of dead workers",
    Severity.ERROR,
    needs=(Source.EXECUTIONS, Source.ASSIGNMENTS),
    required=False,
)
def executor_monitors(facts: Facts) -> Iterator[Problem]:
    """The executor's monitors abandon a `running` execution of a dead worker, and fail a `scheduled` one in time.

    Since 2026-02-09 the executor abandons a running execution within 60 s after its worker is dead (inactive, or its
    heartbeat is older than 90 s), and fails a scheduled one after 300 s. If an execution is 30 s older than that, the
    monitors do not run, or are slow: the executor is down, hangs, or cannot reach the database. Executions that a
    concurrency policy parks are `requested`, and not meant here. Topologies of older releases have no monitors.
    """
    late = facts.memo(overdue)
    if not late:
        return
    running = [o.execution for o in late if o.execution.status == "running"]
    scheduled = [o.execution for o in late if o.execution.status == "scheduled"]
    what = [f"{_some(running)} running on a dead worker for more than {ABANDONED_AFTER_S:g} s"] if running else []
    what += [f"{_some(scheduled)} scheduled for more than {FAILED_AFTER_S:g} s"] if scheduled else []
    longest = max(o.by(facts) for o in late)
    queues = [c.queue for c in facts.topology.consumers if c.service == EXECUTOR]
    yield Problem(
        Subject("execution", str(late[0].execution.id)),
        f"the executor's monitors do not run or are slow: {' and '.join(what)}, up to {age(longest)} over the limit",
        evidence={
            "running": [e.id for e in running], "scheduled": [e.id for e in scheduled],
            "workers": sorted({o.execution.worker for o in late if o.execution.worker is not None}),
            "over_s": longest.total_seconds(),
        },
        remedy="Check that the executor runs and can connect to the database, and restart it. It then ends them.",
        inspect_commands=(command_lines.consumers(queues[0]),) if queues else (),
        related={"service": (EXECUTOR,), "clock": clocks_behind(facts, longest)},
    )  # fmt: skip


def _executions(facts: Facts) -> Sequence[Execution]:
    return (facts.registry.executions if facts.registry else None) or ()


def _some(executions: Sequence[Execution]) -> str:
    return f"{counted(len(executions), 'execution')} ({listed([str(e.id) for e in executions], 3)})"


def _status(executions: Sequence[Execution]) -> str:
    return " or ".join(sorted({e.status for e in executions}))
