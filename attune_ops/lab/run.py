"""The main job shown on the lab: services start, messages flow, what is there is looked at, all goes down again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from attune_ops.doctor import diagnosis
from attune_ops.installation.amqp import short_connection
from attune_ops.installation.collect import collect
from attune_ops.installation.config import resolve
from attune_ops.installation.config.running_lab import read
from attune_ops.installation.config.settings import Settings
from attune_ops.inventory.bindings import bindings
from attune_ops.inventory.orphans import orphans
from attune_ops.inventory.queues import queues
from attune_ops.inventory.workers import workers
from attune_ops.lab.control import Lab, down, up
from attune_ops.lab.starting import Note
from attune_ops.model.errors import ActionError
from attune_ops.model.facts import Source
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.waiting import wait_until
from attune_ops.startup.processes import RunningService, start_service, stop_all
from attune_ops.startup.standins.job import Behaviour
from attune_ops.startup.startup_report import StepResult, StepStatus
from attune_ops.startup.steps import take_down

SERVICES = "services"  # the folder of the stand-ins' logs in that of the lab
START_TIMEOUT_S = 30.0
JANUARY, SEPTEMBER = "attune-2026-01", "attune-2026-09"
DENIED = 541

COUNTED = {"published": "attempted", "confirmed": "confirmed", "returned": "returned", "received": "received",
           "acknowledged": "acked", "rejected": "rejected"}  # fmt: skip


class Out(NamedTuple):
    """Where a run shows itself: values, lines of text, and what goes on while something takes its time."""

    show: Callable[[object], None]
    write: Callable[[str], object]
    working: Callable[[str], AbstractContextManager[Note]]


class StartFailed(ActionError):
    """A stand-in did not get ready; `code` is the reply code of the step that failed, where it has one."""

    def __init__(self, sentence: str, code: int | None) -> None:
        self.code = code
        super().__init__(sentence)


class Plan(NamedTuple):
    """What is to be shown: how many workers, messages for how many seconds, and whether all of it stays up."""

    workers: int = 3
    seconds: float = 6.0
    keep: bool = False


def run(
    out: Out,
    plan: Plan,
    *,
    name: str = "default",
    server: str | None = None,
    config: Sequence[str] = (),
    topology: str | None = None,
) -> None:
    """Starts the lab and stand-ins on it, lets messages flow, shows what is there and what the doctor says.

    Everything that it started goes down at the end, also after Ctrl-C or an error; what is kept stays, and a lab that
    ran before stays anyway. `server` and `config` are as for `up`. Raises `ActionError`.
    """
    ran_before = read(name) is not None
    kept = False
    try:
        with out.working("starting RabbitMQ") as note:
            lab = up(name, server=server, config=config, note=note)
        _refuse_company(lab)
        _demonstrate_or_explain(lab, out, plan, topology, may_delete=not ran_before)
        kept = plan.keep
    finally:
        if not kept and not ran_before:
            with out.working("stopping RabbitMQ") as note:
                down(name, note=note)
    which = "" if name == "default" else f" --name {name}"
    if kept:
        out.write(f"It stays up: `attune-ops lab down{which}` stops all of it.")
    elif not ran_before:
        out.write(f"All is down again: `attune-ops lab run --keep{which}` leaves it up to play with.")


def _demonstrate_or_explain(lab: Lab, out: Out, plan: Plan, topology: str | None, *, may_delete: bool) -> None:
    """Shows the topology that was asked for, or January's.

    Where the broker refuses January's worker queues (541) the failed step has explained it, and September's take
    their place: January's exchanges, which are of other types, are deleted first where nobody else has made them.
    """
    try:
        _demonstrate(_settings(lab, topology or JANUARY), lab, out, plan)
    except StartFailed as e:
        if topology is not None or e.code != DENIED or not may_delete:
            raise
        _make_room(_settings(lab, JANUARY))
        out.write(
            f"\nThis broker refuses the worker queues of {JANUARY}.\nOn with {SEPTEMBER}, where they are durable."
        )
        _demonstrate(_settings(lab, SEPTEMBER), lab, out, plan)


def _settings(lab: Lab, topology: str) -> Settings:
    """The lab itself, whatever the environment points at."""
    state = lab.state
    target = {"amqp_url": state.amqp_url, "management_url": state.management_url, "database_url": state.database_url}
    return resolve(target | {"topology": topology}, {})


def _demonstrate(settings: Settings, lab: Lab, out: Out, plan: Plan) -> None:
    folder = Path(lab.state.folder, SERVICES)
    folder.mkdir(exist_ok=True)
    with _stand_ins(settings, folder, out, plan) as services:
        with out.working(f"messages flow for {plan.seconds:g} s") as note:
            note(f"messages flow for {plan.seconds:g} s")
            time.sleep(plan.seconds)
        _look(settings, services, out)


@contextmanager
def _stand_ins(settings: Settings, folder: Path, out: Out, plan: Plan) -> Iterator[Sequence[RunningService]]:
    """Workers, executor, sensor and notifier, started one after the other; stopped at the end unless kept."""
    cast = [("worker", f"w{n}", 0.0) for n in range(1, plan.workers + 1)]
    cast += [("executor", "executor", 20.0), ("sensor", "sensor", 5.0), ("notifier", "notifier", 5.0)]
    running: list[RunningService] = []
    kept = False
    try:
        for service, name, rate in cast:
            out.write(f"\n{service}" + (f" {name}" if service == "worker" else ""))
            log = folder / f"{settings.topology.name}-{name}.jsonl"
            behaviour = Behaviour(rate=rate, handler_s=0.05, detached=plan.keep)
            running.append(start_service(settings, service, name, log, behaviour))
            _follow(running[-1], out)
        yield running
        kept = plan.keep
    finally:
        if not kept:
            stop_all(running)


def _follow(service: RunningService, out: Out) -> None:
    """Shows the steps of a start-up as they come; raises `StartFailed` where one fails or none comes any more."""
    steps: list[StepResult] = []

    def follow() -> tuple[bool, bool]:
        """Shows the steps that are new; whether the service is ready, and whether it has ended."""
        ended = service.status is not None
        events = service.events()
        found = [_step(e) for e in events if e["event"] == "step"]
        for step in found[len(steps) :]:
            out.show(step)
        steps[:] = found
        return any(e["event"] == "ready" for e in events), ended

    ready, _ = wait_until(follow, any, timeout=START_TIMEOUT_S, interval=0.02)
    if not ready:
        failed = next((s for s in steps if s.status is StepStatus.FAILED), None)
        where = f"at {failed.step}" if failed else f"within {START_TIMEOUT_S:g} s"
        code = failed.error.code if failed and failed.error else None
        raise StartFailed(f"the start-up of {service.service} {service.name} failed {where}", code)


def _step(event: dict[str, object]) -> StepResult:
    return msgspec.convert({name: event[name] for name in StepResult.__struct_fields__}, StepResult)


def _look(settings: Settings, services: Sequence[RunningService], out: Out) -> None:
    """Shows what has happened and what is there, and what the doctor thinks of it."""
    out.write("\nmessages")
    out.show(_messages(services))
    facts = collect(settings)
    for inspect in (queues, bindings, workers, orphans):
        table = inspect(facts)
        out.write(f"\n{table.name}")
        out.show(table)
    out.write("\ndoctor")
    out.show(diagnosis.diagnose_live(settings, facts=facts))


def _messages(services: Sequence[RunningService]) -> Table:
    """How many messages each stand-in has published and taken, by its own log."""
    rows: list[tuple[Cell, ...]] = []
    for service in services:
        counts = Counter(e["event"] for e in service.events())
        who = service.service if service.service != "worker" else f"worker {service.name}"
        rows.append((who, *(counts[event] for event in COUNTED.values())))
    columns = (Column("service"), *(Column(name, Kind.INTEGER) for name in COUNTED))
    return Table("messages", columns, tuple(rows), datetime.now(UTC), key=("service",))


def _refuse_company(lab: Lab) -> None:
    """Raises `ActionError` where a run before was kept: two processes under one worker's id disturb each other."""
    live = [w.name for w in collect(_settings(lab, JANUARY), [Source.REGISTRY]).live_workers]
    if live:
        names, down_it = ", ".join(live[:5]), f"`attune-ops lab down --name {lab.name}`"
        raise ActionError(f"the lab {lab.name!r} has workers running ({names}): {down_it} stops it")


def _make_room(settings: Settings) -> None:
    """Deletes what set-up has declared: the exchanges of the two releases have other types."""
    with short_connection(settings, "lab run") as connection:
        take_down(connection.channel(), settings.topology)
