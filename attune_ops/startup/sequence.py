"""Running the start-up sequence of a service: checked first, explained where it fails, stopped cleanly."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from attune_ops.installation import audit
from attune_ops.installation.amqp import Depth, depth, short_connection
from attune_ops.installation.amqp_write import BrokerRefused
from attune_ops.installation.broker_release import recognised_or_default, release_to_declare
from attune_ops.installation.collect import collect
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.registry_read import worker_named
from attune_ops.installation.registry_session import is_yet_to_come, session
from attune_ops.installation.registry_write import Guard
from attune_ops.messages.interrupts import held, interruption_point
from attune_ops.model import units
from attune_ops.model.command_lines import line
from attune_ops.model.errors import ActionError, AttuneOpsError, RegistryLocked, SourceError
from attune_ops.model.facts import Source
from attune_ops.model.ownership import check_registry
from attune_ops.model.registry import Worker, WorkerRole
from attune_ops.model.startup_progress import Step
from attune_ops.model.topology import Queue
from attune_ops.model.units import counted
from attune_ops.startup.service import OnStep, Service, ignore
from attune_ops.startup.startup_report import Ending, StartupReport, StepError

SOURCES = (Source.BROKER, Source.CONSUMERS, Source.DEPRECATED, Source.REGISTRY)
BEFORE = (Source.BROKER, Source.CONSUMERS, Source.REGISTRY)
HOLD_S = 0.5  # how long until a signal is noticed
FRESH = timedelta(seconds=90)  # Attune's own limit, whatever the interval


def run_startup(
    settings: Settings,
    service: str = "worker",
    worker: str | None = None,
    skip: Collection[str] = (),
    *,
    like_attune: bool = False,
    confirm: str | None = None,
    on_step: OnStep = ignore,
    meanwhile: Callable[[Service, StartupReport], None] | None = None,
    on_end: Callable[[Ending], None] | None = None,
) -> StartupReport:
    """Runs the start-up sequence of a service, and stops it cleanly.

    Declares, binds, registers and consumes what the service does. `worker` is the worker's name in the registry, `skip`
    the names of steps to skip; with `like_attune` it goes on after a refused set-up, as Attune's own services do.
    `meanwhile` is called while the service runs, whether or not it became ready.

    A new worker is registered so that the scheduler sends it nothing; the row of a known one is left as it is. The
    clean stop runs whatever happens, Ctrl-C and SIGTERM included: a new row and new, empty queues are deleted; messages
    remain in a queue. The base infrastructure remains (`report.ending`). `confirm` is the environment's name where it
    is protected.

    Raises `ConfigError` where that name is missing, for an unknown service or step, where no topology was given and the
    broker has no known release (but on a lab), and for a registry that is not configured or is not the one of this
    broker's workers; `ActionError` where the start-up would disturb a running
    service or lose messages. A step that fails is in the report.
    """
    steps = [Step.named(s) for s in skip]
    settings = release_of(settings, steps)
    started = Service(
        settings, service, name=worker, skip=steps, on_step=on_step, explain=explained, like_attune=like_attune
    )
    name = started.state.name
    audit.check_confirmation(settings, confirm)
    started.state.guard = refuse_harm(started).guard
    with (
        audit.change(settings, "startup", f"{service} {name}".strip(), confirm=confirm, skip=list(skip)) as outcome,
        held(),  # a signal waits for `interruption_point`, or for the end of the clean stop
    ):
        try:
            report = started.start()
            outcome["ok"] = report.ok
            if meanwhile is not None:
                meanwhile(started, report)
        finally:
            ending = started.stop()
            outcome["left"] = list(ending.left)
            if on_end is not None:
                on_end(ending)
    return msgspec.structs.replace(report, ending=ending)


def release_of(settings: Settings, skip: Collection[Step]) -> Settings:
    """The settings with the topology of the broker; raises `ConfigError` where the set-up would declare a guess."""
    return recognised_or_default(settings) if Step.SETUP in skip else release_to_declare(settings)


def hold(running: Service, on_failure: Callable[[AttuneOpsError], None]) -> None:
    """Keeps a service of `run_startup` running, with heartbeats, until a signal or a lost connection.

    Raises `KeyboardInterrupt`, and `BrokerRefused` where the connection is lost.
    """
    with running.heartbeats(on_failure):
        while True:
            running.serve(HOLD_S)
            interruption_point()


def explained(error: BrokerRefused, settings: Settings, skipped: Collection[Step]) -> StepError:
    """What a refusal means on this installation. Reads management API and registry, changes and raises nothing."""
    from attune_ops.doctor.explain import explain  # a third of the time of a start, which rarely needs it

    facts = collect(settings, SOURCES, listings=("exchanges", "queues", "bindings"))
    found = next(iter(explain(error.text, facts, tuple(skipped))), None)
    if found is None:
        return StepError(error.code, error.text, "")
    paragraphs = (" ".join(found.here), found.meaning, found.remedy)
    return StepError(error.code, error.text, "\n".join(p for p in paragraphs if p), found.commands)


class HarmCheck(NamedTuple):
    """The same checks for the moment of the registration, and the worker of that name, if there is one.

    `unread`: why the registry could not be read.
    """

    guard: Guard
    known: Worker | None
    unread: str = ""


def refuse_harm(started: Service) -> HarmCheck:
    """Raises `ActionError` where the start-up, or its clean stop, would do harm.

    A second consumer receives half of a queue's messages. Registering overwrites a running worker's row. An auto-delete
    queue without a consumer is deleted, with its messages, when the start-up's consumer leaves. What cannot be read is
    left to the steps, which report it; but `RegistryLocked`, which each of them would wait for. Changes nothing.
    """
    state, skip = started.state, started.skip
    settings, topology = state.settings, state.settings.topology
    worker, unread = None, ""
    if Step.REGISTER in started.steps and Step.REGISTER not in skip:
        database = settings.registry
        with contextlib.suppress(SourceError):
            check_registry(collect(settings, BEFORE, listings=("exchanges", "queues", "bindings")), may_be_empty=True)
        try:
            with session(database, settings.timeout) as s:
                worker = worker_named(s, state.name)
        except RegistryLocked:
            raise
        except SourceError as e:
            unread = "" if is_yet_to_come(database) else str(e)

    def check(worker_id: int, known: Worker | None) -> None:
        _refuse_running(known)
        _refuse_queues(settings, topology.worker_queues(worker_id), Step.CONSUME in skip)

    if worker is not None:
        check(worker.id, worker)
    if Step.CONSUME not in skip:
        consumed = {c.queue for c in topology.service_consumers(state.service)}
        _refuse_queues(settings, [q for q in topology.base_queues if q.name in consumed], False)
    return HarmCheck(check, worker, unread)


def _refuse_running(worker: Worker | None) -> None:
    """Raises `ActionError` where this row is of a worker that runs, or of a sensor."""
    if worker is None:
        return
    if worker.role == WorkerRole.SENSOR:
        raise ActionError(f"{worker.name!r} is a sensor in the registry, not a worker. Choose another name")
    age = worker.heartbeat_age(datetime.now(UTC))
    if worker.is_registered_live and age is not None and age < FRESH:
        raise ActionError(
            f"worker {worker.name!r} is running: it is {worker.status}, and its heartbeat is {units.age(age)} old. A "
            f"start-up would overwrite its capabilities. Stop the worker first or choose another name"
        )


def _refuse_queues(settings: Settings, queues: Iterable[Queue], without_consumer: bool) -> None:
    """Raises `ActionError` where one of the queues has a consumer, or would be deleted with its messages."""
    for queue, now in _depths(settings, queues):
        if now.consumers:
            raise ActionError(
                f"queue {queue.name!r} has {counted(now.consumers, 'consumer')}: the service that consumes it is "
                f"running. A second one would receive a part of its messages. Nothing was registered; stop the service "
                f"first or choose another name"
            )
        if now.messages and queue.auto_delete and not without_consumer:
            save = line("messages", "drain", "--to", f"{queue.name}.jsonl", "--apply", "--", queue.name)
            raise ActionError(
                f"queue {queue.name!r} has {counted(now.messages, 'message')}, and it is auto-deleted with its last "
                f"consumer, messages included. Start the worker itself, or save the messages first ({save})"
            )


def _depths(settings: Settings, queues: Iterable[Queue]) -> list[tuple[Queue, Depth]]:
    """The queues that are on the broker, without those that it refuses to report, and none where it is not reached.

    The steps report both.
    """
    found, left = list[tuple[Queue, Depth]](), list(queues)
    while left:
        before = len(left)
        with contextlib.suppress(SourceError), short_connection(settings, "startup") as connection:
            while left:
                queue = left.pop(0)
                with contextlib.suppress(ActionError):
                    now = depth(connection, queue.name)  # a queue that does not answer ends the connection
                    found += [(queue, now)] if now is not None else []
        if len(left) == before:
            break
    return found
