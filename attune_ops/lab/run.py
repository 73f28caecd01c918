"""`lab run`: services start on a lab, publish messages, tables and diagnosis are shown, and everything is stopped."""

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
from attune_ops.doctor.screen import Screen
from attune_ops.installation.amqp import short_connection
from attune_ops.installation.collect import collect
from attune_ops.installation.config import resolve
from attune_ops.installation.config.running_lab import read
from attune_ops.installation.config.settings import Settings
from attune_ops.inventory.bindings import bindings
from attune_ops.inventory.orphans import orphans
from attune_ops.inventory.queues import queues
from attune_ops.inventory.workers import workers
from attune_ops.lab.control import down, up
from attune_ops.lab.lab_nodes import Lab, Note
from attune_ops.model.errors import ActionError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.files import make_folder
from attune_ops.model.ownership import is_consumed
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted
from attune_ops.model.waiting import wait_until
from attune_ops.startup.processes import RunningService, start_service, stop_all
from attune_ops.startup.standins.job import Behaviour
from attune_ops.startup.startup_report import StepResult, StepStatus
from attune_ops.startup.steps import take_down

SERVICES = "services"  # the folder of the stand-ins' logs, in the lab's folder
START_TIMEOUT_S = 30.0
LISTED_S = 15.0
JANUARY, SEPTEMBER = "attune-2026-01", "attune-2026-09"
DENIED = 541  # the reply code for transient queues where the broker does not permit them

NEXT = (
    ("a diagnosis", "doctor"),
    ("every queue", "queues"),
    ("the incident", "startup --worker w9 --skip declare --skip bind"),
    ("a crash, measured", "drill run worker-crash"),
)
COUNTED = {"published": "attempted", "confirmed": "confirmed", "returned": "returned", "received": "received",
           "acknowledged": "acked", "rejected": "rejected"}  # fmt: skip


class Out(NamedTuple):
    """The output of a run: values, lines of text, and the progress of what takes time."""

    show: Callable[[object], None]
    write: Callable[[str], object]
    progress: Callable[..., AbstractContextManager[Note]]  # what, and the seconds that it takes if they are known


class StartFailed(ActionError):
    """A stand-in did not become ready; `code` is the reply code of the failed step, where it has one."""

    def __init__(self, sentence: str, code: int | None) -> None:
        self.code = code
        super().__init__(sentence)


class Plan(NamedTuple):
    """The number of workers, the seconds of publishing, and whether everything keeps running."""

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
    """Starts the lab and stand-ins on it, publishes messages, shows the tables and the doctor's report.

    Stops everything that it started at the end, also after Ctrl-C or an error, except with `keep`. A lab that was
    running before keeps running. `server` and `config` are as for `up`. Raises `ActionError`.
    """
    ran_before = read(name) is not None
    kept = False
    made: list[datetime] = []  # the lab of this run: another process may start one of this name at the same time
    try:
        with out.progress("starting RabbitMQ") as note:
            lab = up(name, server=server, config=config, note=note, on_new=made.append)
        if not made and not ran_before:
            raise ActionError(f"lab {name!r} has just been started by another command: choose another --name")
        _refuse_running_workers(lab)
        _demonstrate_or_explain(lab, out, plan, topology, may_delete=bool(made))
        kept = plan.keep
    finally:
        if not kept and made:
            with out.progress("stopping RabbitMQ") as note:
                down(name, created=made[0], note=note)
    down_line = "attune-ops lab down" + ("" if name == "default" else f" --name {name}")
    if kept:
        out.write(f"\nEverything keeps running; `{down_line}` stops it.")
    elif made:
        out.write("\nEverything stopped; use --keep to leave it running.")
    out.write("\ntry next")
    program = "attune-ops" if name == "default" else f"attune-ops --lab {name}"
    if made and not kept:
        out.write(f"  {'the same, kept':<17}  {program} lab run --keep\nand while it runs")
    for what, command in NEXT:
        out.write(f"  {what:<17}  {program} {command}")


def _demonstrate_or_explain(lab: Lab, out: Out, plan: Plan, topology: str | None, *, may_delete: bool) -> None:
    """Uses the given topology, or January's.

    Where the broker refuses January's worker queues (541), the failed step explains it, and September's topology is
    used: January's exchanges, which have other types, are deleted first, unless the lab was running before.
    """
    try:
        _demonstrate(_settings(lab, topology or JANUARY), lab, out, plan)
    except StartFailed as e:
        if topology is not None or e.code != DENIED or not may_delete:
            raise
        _delete_base(_settings(lab, JANUARY))
        out.write(
            f"\nThis broker refuses the worker queues of {JANUARY}, which are transient.\n"
            f"Continuing with {SEPTEMBER}, where they are durable."
        )
        _demonstrate(_settings(lab, SEPTEMBER), lab, out, plan)


def _settings(lab: Lab, topology: str) -> Settings:
    """The settings of the lab, whatever the environment points at."""
    state = lab.state
    target = {"amqp_url": state.amqp_url, "management_url": state.management_url, "database_url": state.database_url}
    return resolve(target | {"topology": topology}, {})


def _demonstrate(settings: Settings, lab: Lab, out: Out, plan: Plan) -> None:
    folder = Path(lab.state.folder, SERVICES)
    make_folder(folder)
    with _stand_ins(settings, folder, out, plan) as services:
        publishing = f"publishing messages for {plan.seconds:g} s"
        with out.progress(publishing, plan.seconds) as note:
            note(publishing)
            time.sleep(plan.seconds)
        _show(settings, services, out, plan)


@contextmanager
def _stand_ins(settings: Settings, folder: Path, out: Out, plan: Plan) -> Iterator[Sequence[RunningService]]:
    """Workers and the other services, started one after the other; stopped at the end unless kept."""
    planned = [("worker", f"w{n}", 0.0) for n in range(1, plan.workers + 1)]
    others = [("executor", "executor", 20.0), ("sensor", "sensor", 5.0), ("notifier", "notifier", 5.0)]
    others += [("api", "api", 1.0)] if settings.topology.replica_queues("api") else []
    planned += [other for other in others if settings.topology.is_set_up_by(other[0])]
    running: list[RunningService] = []
    kept = False
    try:
        for service, name, rate in planned:
            out.write(f"\n{service}" + (f" {name}" if service == "worker" else ""))
            log = folder / f"{settings.topology.name}-{name}.jsonl"
            behaviour = Behaviour(rate=rate, handler_s=0.05, detached=plan.keep, reconnect=plan.keep)
            _follow(start_service(settings, service, name, log, behaviour, note=running.append), out)
        yield running
        kept = plan.keep
    finally:
        if not kept:
            stop_all(running)


def _follow(service: RunningService, out: Out) -> None:
    """Shows the steps of a start-up as they come; raises `StartFailed` where one fails or none comes any more."""
    steps: list[StepResult] = []

    def follow() -> tuple[bool, bool]:
        """Shows the steps that are new; whether the service is ready, and whether it has failed or ended."""
        ended = service.status is not None
        events = service.events()
        found = [_step(e) for e in events if e["event"] == "step"]
        for step in found[len(steps) :]:
            out.show(step)
        steps[:] = found
        failed = any(s.status is StepStatus.FAILED for s in found)  # one that reconnects does not end then
        return any(e["event"] == "ready" for e in events), ended or failed

    ready, _ = wait_until(follow, any, timeout=START_TIMEOUT_S, interval=0.02)
    if not ready:
        failed = next((s for s in steps if s.status is StepStatus.FAILED), None)
        where = f"at {failed.step}" if failed else f"within {START_TIMEOUT_S:g} s"
        code = failed.error.code if failed and failed.error else None
        raise StartFailed(f"start-up of {service.service} {service.name} failed {where}", code)


def _step(event: dict[str, object]) -> StepResult:
    return msgspec.convert({name: event[name] for name in StepResult.__struct_fields__}, StepResult)


def _show(settings: Settings, services: Sequence[RunningService], out: Out, plan: Plan) -> None:
    """Shows what happened in four lines, the tables of the installation, and the doctor's verdict."""
    messages, facts = _messages(services), wait_until(lambda: collect(settings), _are_listed, timeout=LISTED_S)
    for line in ("\nwhat happened", *(f"  {line}" for line in _story(facts, messages, plan))):
        out.write(line)
    out.write("\nmessages")
    out.show(messages)
    for inspect in (queues, bindings, workers, orphans):
        table = inspect(facts)
        out.write(f"\n{table.name}")
        out.show(table)
    out.write("\ndoctor")
    out.show(Screen(diagnosis.diagnose_live(settings, facts=facts), quiet=True))


def _are_listed(facts: Facts) -> bool:
    """Whether the consumers of executor and workers are listed: the statistics have them after up to 10 s."""
    executor = [c.queue for c in facts.topology.consumers if c.service == "executor"]
    listed = all(facts.actual.consumers_of.get(queue) for queue in executor)
    return listed and bool(facts.live_workers) and all(is_consumed(facts, w) for w in facts.live_workers)


def _story(facts: Facts, messages: Table, plan: Plan) -> Iterator[str]:
    """Four lines for somebody who sees this for the first time."""
    records, broker = messages.records(), facts.actual
    published, returned = (sum(int(str(row[name])) for row in records) for name in ("published", "returned"))
    handled = sum(int(str(row["acknowledged"])) for row in records if str(row["service"]).startswith("worker"))
    unread = [q for q in broker.queues or () if q.messages and not broker.consumers_of.get(q.name)]
    waiting = counted(sum(q.messages or 0 for q in unread), "message")
    workers = counted(plan.workers, "worker")
    others = [str(row["service"]) for row in records if not str(row["service"]).startswith("worker")]
    yield f"{broker.product} {broker.version}: {', '.join((workers, *others))} (stand-ins)"
    yield "each worker registered, then declared, bound and consumed its own queue"
    yield f"{counted(published, 'message')} published in {plan.seconds:g} s, {returned} returned as unroutable"
    executions, where = counted(handled, "execution"), counted(len(unread), "queue")
    yield f"{executions} handled by workers; {waiting} in {where} without a consumer"


def _messages(services: Sequence[RunningService]) -> Table:
    """How many messages each stand-in has published and received, by its own log."""
    rows: list[tuple[Cell, ...]] = []
    for service in services:
        counts = Counter(e["event"] for e in service.events())
        who = service.service if service.service != "worker" else f"worker {service.name}"
        rows.append((who, *(counts[event] for event in COUNTED.values())))
    columns = (Column("service"), *(Column(name, Kind.INTEGER) for name in COUNTED))
    return Table("messages", columns, tuple(rows), datetime.now(UTC), key=("service",))


def _refuse_running_workers(lab: Lab) -> None:
    """Raises `ActionError` where workers of an earlier run are running: two processes must not use one worker id."""
    live = [w.name for w in collect(_settings(lab, JANUARY), [Source.REGISTRY]).live_workers]
    if live:
        names, command = ", ".join(live[:5]), f"`attune-ops lab down --name {lab.name}`"
        raise ActionError(f"lab {lab.name!r} has workers running ({names}): stop it first with {command}")


def _delete_base(settings: Settings) -> None:
    """Deletes what the setup step declared: the exchanges of the two releases have different types."""
    with short_connection(settings, "lab run") as connection:
        take_down(connection.channel(), settings.topology)
