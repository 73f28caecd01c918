"""Whether the registered workers are live: their heartbeats compared with their consumers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import (
    clocks_behind,
    counted,
    listed,
    listed_counts,
    merged,
    names_of,
    nobody_takes_work,
    worker_name,
)
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.command_lines import PROGRAM
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import backlog, consumes, is_wrongly_inactive, starting_workers
from attune_ops.model.registry import RegistryView, Worker, WorkerStatus
from attune_ops.model.units import age
from attune_ops.model.worker_process import process_counts, worker_process


def _stale(facts: Facts) -> tuple[tuple[Worker, str, tuple[str, ...]], ...]:
    """For `facts.memo`: the workers with a stale heartbeat, its age, and the skewed clocks that explain it."""
    return tuple(_stale_in(facts, facts.registry)) if facts.registry else ()


def _stale_in(facts: Facts, registry: RegistryView) -> Iterator[tuple[Worker, str, tuple[str, ...]]]:
    limit = registry.limit
    for worker in registry.workers:
        if not worker.is_registered_live or not worker.is_stale(facts.taken_at, limit):
            continue
        if worker.id in facts.memo(starting_workers):
            continue
        old = worker.heartbeat_age(facts.taken_at)
        clocks = () if old is None else clocks_behind(facts, old - limit)
        yield worker, "it never sent a heartbeat" if old is None else f"its heartbeat is {age(old)} old", clocks


@check("AT409", "heartbeats-fresh", "no running worker has a stale heartbeat", Severity.ERROR, needs=(Source.REGISTRY,))
def heartbeats_fresh(facts: Facts) -> Iterator[Problem]:
    """A crashed worker stays `active` in the registry, and the scheduler can still choose it.

    A running worker writes its heartbeat every 30 s by default. When it is 90 s old it is stale, whatever the interval
    (setting `stale_after`). A clean stop sets the status to inactive at once. After a crash the executor does, since
    2026-02-09; where it stays active, the executor does not run, or is of an older release. Messages for such a worker
    are dropped (no queue), or wait without a consumer. AT410 reports workers that still consume, AT415 workers that may
    be starting. A sensor renews a lease instead: its stale heartbeat is only a warning.
    """
    yield from merged(
        _dead(facts),
        lambda problems: (
            f"{len(problems):,} workers are registered as running, but their heartbeats are old; "
            f"{problems[0].evidence['process']}{_backlog(problems)}: {names_of(problems)}"
        ),
        lambda problems: (command_lines.retire(*(p.evidence["worker"] for p in problems)),),
    )


def _backlog(problems: Sequence[Problem]) -> str:
    depth = sum(p.evidence["messages"] or 0 for p in problems)
    return f"; backlog: {counted(depth, 'message')}" if depth else ""


def _dead(facts: Facts) -> Iterator[tuple[object, Problem]]:
    for worker, why, clocks in facts.memo(_stale):
        if facts.broker is not None and consumes(facts, worker):
            continue
        depth = backlog(facts, worker.id) if facts.missing_reason((Source.BROKER,)) is None else None
        process = worker_process(facts, worker)
        retired = worker.has_queues and process.state != "connected"
        remedy = f"Check that the {worker.role} runs and can connect to the database."
        if worker.has_queues:
            remedy = "Restart the worker."
        if retired:
            remedy = "Restart each worker that should run. Set a removed one to inactive (retire)."
        yield (process.state, worker.has_queues, clocks), Problem(
            Subject("worker", worker.name),
            f"{worker_name(worker)} is registered as {worker.status}, but {why}; {process.words}"
            + (f"; backlog: {counted(depth, 'message')}" if depth else ""),
            evidence={"worker": worker.id, "name": worker.name, "status": worker.status,
                      "last_heartbeat": worker.last_heartbeat, "host": worker.host, "messages": depth,
                      "process": process.summary},
            remedy=remedy,
            commands=(command_lines.retire(worker.id),) if retired else (),
            inspect_commands=() if retired else (command_lines.worker(worker.name),),
            severity=None if worker.has_queues else Severity.WARNING,
            related={"clock": clocks},
        )  # fmt: skip


@check(
    "AT410",
    "consumers-beat",
    "consuming workers send heartbeats",
    Severity.WARNING,
    needs=(Source.REGISTRY, Source.CONSUMERS),
)
def consumers_beat(facts: Facts) -> Iterator[Problem]:
    """A worker with a consumer and a stale heartbeat is alive, but does not write to the database.

    It cannot reach the database, or it hangs: the client library keeps the connection open while the worker's main
    loop is stuck. Or the process is dead and its connection is half-open: the broker notices after two missed AMQP
    heartbeats, without heartbeats never. The scheduler treats the worker as dead and sends it no work. The consumers
    may also be of this tool (`startup --hold`), which writes no heartbeat for a known worker: the finding says so.
    """
    yield from merged(
        _without_heartbeat(facts),
        lambda problems: (
            f"{len(problems):,} workers have consumers, but their heartbeats are old: {names_of(problems)}"
        ),
    )


def _without_heartbeat(facts: Facts) -> Iterator[tuple[object, Problem]]:
    for worker, why, clocks in facts.memo(_stale):
        if consumes(facts, worker):
            process = worker_process(facts, worker)
            connection = facts.actual.connection_named.get(process.connection)
            ours = connection is not None and connection.product == PROGRAM
            remedy = "Check that the worker can connect to the database. If it hangs, restart it."
            yield (clocks, ours), Problem(
                Subject("worker", worker.name),
                f"{worker_name(worker)} has consumers, but {why}; {process.words}"
                + (f", of {PROGRAM} (startup --hold, or a stand-in), not of Attune's worker" if ours else ""),
                evidence={"worker": worker.id, "name": worker.name, "status": worker.status,
                          "last_heartbeat": worker.last_heartbeat, "host": worker.host, "process": process.summary},
                remedy="End that command. Then start the worker." if ours else remedy,
                inspect_commands=(command_lines.worker(worker.name),),
                related={"clock": clocks},
            )  # fmt: skip


@check("AT411", "not-cordoned", "no workers are cordoned", Severity.INFO, needs=(Source.REGISTRY,), required=False)
def not_cordoned(facts: Facts) -> Iterator[Problem]:
    """A cordoned worker is alive but gets no new work. Somebody set this on purpose, and may have forgotten it."""
    for worker in facts.live_workers:
        if worker.cordoned:
            process = worker_process(facts, worker)
            yield Problem(
                Subject("worker", worker.name),
                f"{worker_name(worker)} is cordoned{f': {worker.cordon_reason}' if worker.cordon_reason else ''}; "
                f"{process.words}",
                evidence={"worker": worker.id, "reason": worker.cordon_reason, "process": process.summary},
                remedy="Uncordon the worker when it should get work again.",
                inspect_commands=(command_lines.cordons(worker.name),),
            )


@check(
    "AT415",
    "started",
    "no workers are still starting",
    Severity.INFO,
    needs=(Source.REGISTRY, Source.BROKER, Source.CONSUMERS),
    required=False,
)
def started(facts: Facts) -> Iterator[Problem]:
    """Between bind and consume a worker syncs packs and builds environments, which takes minutes.

    Its queues exist and have no consumer, and it sends no heartbeat yet: after 90 s the executor sets it inactive,
    although it is alive. Its row is the same as that of a worker that crashed. So for 10 minutes after its last
    heartbeat or registration the worker counts as starting: it is not restarted, retired or reaped. After that other
    checks report it.
    """
    yield from merged(
        _starting(facts),
        lambda problems: (
            f"{len(problems):,} workers may be starting: their queues exist and have no consumer yet"
            f"{_backlog(problems)}: {names_of(problems)}"
        ),
    )


def _starting(facts: Facts) -> Iterator[tuple[object, Problem]]:
    for worker in facts.memo(starting_workers).values():
        names = [q.name for q in facts.topology.worker_queues(worker.id)]
        depth = backlog(facts, worker.id)
        old = worker.heartbeat_age(facts.taken_at)
        process = worker_process(facts, worker)
        yield process.state, Problem(
            Subject("worker", worker.name),
            f"{worker_name(worker)} may be starting: its queues exist and have no consumer yet, "
            + ("it sent no heartbeat" if old is None else f"its heartbeat is {age(old)} old")
            + ("" if process.state == "starting" else f"; {process.words}")
            + (f"; backlog: {counted(depth, 'message')}" if depth else ""),
            evidence={"worker": worker.id, "name": worker.name, "status": worker.status,
                      "last_heartbeat": worker.last_heartbeat, "created": worker.created, "queues": names,
                      "messages": depth, "process": process.summary},
            remedy="Wait until it consumes; its log shows which environment it builds.",
            inspect_commands=(command_lines.worker(worker.name),),
        )  # fmt: skip


@check("AT416", "schedulable", "at least one worker can take executions", Severity.ERROR, needs=(Source.REGISTRY,))
def schedulable(facts: Facts) -> Iterator[Problem]:
    """Without a live worker that is not cordoned, no execution is scheduled.

    The executor finds "No active, uncordoned workers". It rejects each request: the message is dead-lettered, with
    releases 0.5 and 0.6 into nothing, and the execution stays `requested`. It is not requested again when a worker
    comes. To uncordon one, use the list of workers on the page Runtimes of Attune's web interface, or send
    `POST /api/v1/workers/ID/uncordon` to Attune's API as an identity with the permission `workers: manage`.

    A worker that is registered as inactive is not chosen, although it sends heartbeats and consumes: before 0.6 a
    heartbeat did not set it active again, and only a restart does.

    It is a warning where all workers were stopped cleanly, none is registered, or one may still be starting.
    """
    subject = facts.memo(nobody_takes_work)
    if subject is None or facts.registry is None:
        return
    live, workers = facts.live_workers, [w for w in facts.registry.workers if w.has_queues]
    alive = [w.name for w in workers if is_wrongly_inactive(facts, w)]
    if live and all(w.cordoned for w in live):
        reasons = sorted({w.cordon_reason for w in live if w.cordon_reason})
        said = f"every live worker is cordoned: {listed([w.name for w in live])}"
        said += f" ({listed(reasons)})" if reasons else ""
        remedy = "Uncordon a worker (on Attune's page Runtimes, or POST /api/v1/workers/ID/uncordon to its API) or "
        remedy += "start another one; then request the executions again."
        evidence: dict[str, object] = {"reasons": reasons}
    else:
        said = f"no worker can take executions: {listed([w.name for w in workers]) or 'none is registered'}"
        remedy = "Start a worker, then request the executions again that were requested meanwhile."
        if alive:
            said += f"; registered as inactive, but sending heartbeats and consuming: {listed(alive)}"
            remedy = f"Restart {listed(alive)} when idle: registration sets the status to active. Then request the "
            remedy += "executions again that were requested meanwhile."
        evidence = {}
    shown, processes = live or workers, process_counts(facts, live or workers)
    harmless = not live and not alive and all(w.status == WorkerStatus.INACTIVE and not w.crashed for w in workers)
    starting = any(not w.cordoned for w in facts.memo(starting_workers).values())
    yield Problem(
        Subject("worker" if live else "registry", subject),
        said + (f"; {listed_counts(processes)}" if processes else ""),
        evidence={"workers": {w.name: w.id for w in shown}, **evidence, "processes": processes},
        remedy="Wait until the worker consumes." if starting else remedy,
        inspect_commands=(command_lines.cordons(),),
        severity=Severity.WARNING if harmless or starting else None,
        related={"worker": tuple(w.name for w in shown)},
    )
