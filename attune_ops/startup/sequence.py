"""Running the start-up sequence of a service: checked first, explained where it fails, stopped cleanly."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from attune_ops.doctor.explain import explain
from attune_ops.installation import audit
from attune_ops.installation.amqp import Depth, depth, short_connection
from attune_ops.installation.amqp_write import BrokerRefused
from attune_ops.installation.collect import collect
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.registry_read import session, worker_named
from attune_ops.installation.release import recognised_or_default
from attune_ops.model.command_lines import line
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.facts import Source
from attune_ops.model.startup_progress import Step
from attune_ops.model.topology import Queue
from attune_ops.model.units import counted
from attune_ops.startup.service import OnStep, Service, ignore
from attune_ops.startup.startup_report import Ending, StartupReport, StepError

SOURCES = (Source.BROKER, Source.CONSUMERS, Source.DEPRECATED, Source.REGISTRY)


def run_startup(
    settings: Settings,
    service: str = "worker",
    worker: str | None = None,
    skip: Collection[str] = (),
    *,
    confirm: str | None = None,
    on_step: OnStep = ignore,
    meanwhile: Callable[[Service, StartupReport], None] | None = None,
    on_end: Callable[[Ending], None] | None = None,
) -> StartupReport:
    """Runs the start-up sequence of a service, and stops it cleanly.

    Declares, binds, registers and consumes what the service does. `worker` is the worker's name in the registry, `skip`
    the names of steps to skip. `meanwhile` is called while the service runs, whether or not it became ready. The
    clean stop runs whatever happens, Ctrl-C included; it undoes what is the service's own and leaves the base
    infrastructure (`report.ending`). `confirm` is the environment's name where it is protected.

    Raises `ConfigError` where that name is missing and for an unknown service or step, `ActionError` where the
    start-up would disturb a running worker or lose messages. A step that fails is in the report.
    """
    steps = [Step.named(s) for s in skip]
    settings = recognised_or_default(settings)
    started = Service(settings, service, name=worker, skip=steps, on_step=on_step, explain=explained)
    name = started.state.name
    if service == "worker":
        audit.check_confirmation(settings, confirm)
        _refuse_harm(settings, name, started.skip)
    with audit.change(settings, "startup", f"{service} {name}".strip(), confirm=confirm, skip=list(skip)) as outcome:
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


def explained(error: BrokerRefused, settings: Settings, skipped: Collection[Step]) -> StepError:
    """What a refusal means on this installation. Reads management API and registry, changes and raises nothing."""
    facts = collect(settings, SOURCES, listings=("exchanges", "queues", "bindings"))
    found = next(iter(explain(error.text, facts, tuple(skipped))), None)
    if found is None:
        return StepError(error.code, error.text, "")
    paragraphs = (" ".join(found.here), found.meaning, found.remedy)
    return StepError(error.code, error.text, "\n".join(p for p in paragraphs if p), found.commands)


def _refuse_harm(settings: Settings, name: str, skip: frozenset[Step]) -> None:
    """Raises `ActionError` where the start-up of this worker, or its clean stop, would do harm. Changes nothing.

    A second process under this name receives half of the messages, and sets the row to inactive at its end. An
    auto-delete queue without a consumer is deleted, with its messages, when the start-up's consumer leaves. What
    cannot be read is left to the steps, which report it.
    """
    if Step.REGISTER in skip:
        return
    try:
        queues = _queues(settings, name)
    except (SourceError, ActionError):  # not reached, or refused
        return
    for queue, now in queues:
        if now.consumers:
            raise ActionError(
                f"worker {name!r} is running: its queue {queue.name!r} has {counted(now.consumers, 'consumer')}. A "
                f"second process under this name would receive half of its messages, and set it to inactive at the "
                f"end. Stop the worker first or choose another name"
            )
        if now.messages and queue.auto_delete and Step.CONSUME not in skip:
            save = line("messages", "drain", "--to", f"{queue.name}.jsonl", "--apply", "--", queue.name)
            raise ActionError(
                f"queue {queue.name!r} has {counted(now.messages, 'message')}, and it is auto-deleted with its last "
                f"consumer, messages included. Start the worker itself, or save the messages first ({save})"
            )


def _queues(settings: Settings, name: str) -> list[tuple[Queue, Depth]]:
    """The queues that this worker has on the broker."""
    if settings.database is None:
        return []
    with session(settings.database, settings.timeout) as s:
        worker = worker_named(s, name)
    if worker is None:
        return []
    with short_connection(settings, "startup") as connection:
        found = [(q, depth(connection, q.name)) for q in settings.topology.worker_queues(worker.id)]
    return [(q, now) for q, now in found if now is not None]
