"""The session of a runbook: its installation, whether it may change anything, and its clean-up."""

from __future__ import annotations

import atexit
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from attune_ops.model.errors import ConfigError, NoInstallation
from attune_ops.model.facts import Facts, Source
from attune_ops.model.notice import Notice
from attune_ops.model.topology import Publish
from attune_ops.ops import Ops, connect

if TYPE_CHECKING:
    from datetime import timedelta

    from attune_ops.installation.config import Settings
    from attune_ops.lab import Lab
    from attune_ops.startup.processes import RunningService
    from attune_ops.startup.startup_report import StartupReport

T = TypeVar("T")

SERVICES = (("executor", "executor"), ("worker", "w1"), ("worker", "w2"))  # on the runbook's own lab
RATE = 5.0  # executions/s of its executor
REFUSES_TRANSIENT = (4, 3)  # from this release on RabbitMQ refuses the transient worker queues of attune-2026-01


def begin(env: str | None = None, *, apply: bool = False, confirm: str | None = None) -> Runbook:
    """Starts a runbook on a named environment, on the command line's default, or else on a lab that it starts itself.

    With `apply` its cells may change the installation; on its own lab they always may. `confirm` is the environment's
    name if it is protected. Raises `ConfigError`.
    """
    if env:
        return Runbook(connect(env=env), writes=apply, confirm=confirm)
    with suppress(NoInstallation):
        return Runbook(connect(), writes=apply, confirm=confirm)
    return _own_lab()


def dispatch(facts: Facts) -> Publish:
    """The publish that sends an execution to the first live worker, in the release on the broker; else to worker 1.

    Raises `ConfigError` where the topology has none.
    """
    worker = facts.live_workers[0].id if facts.live_workers else 1
    for publish, to in facts.topology.publishes_of((worker,)):
        if to is not None and publish.message_type == "ExecutionRequested":
            return publish
    raise ConfigError(f"topology {facts.topology.name} sends no execution to one worker; set exchange and routing_key")


def _own_lab() -> Runbook:
    """A lab with services; it is stopped at the end, even if the last cell does not run."""
    from attune_ops import lab
    from attune_ops.startup.processes import start_service, stop_all
    from attune_ops.startup.standins.job import Behaviour

    made = lab.up(f"runbook-{secrets.token_hex(3)}")
    running: list[RunningService] = []

    def undo() -> None:
        stop_all(running)
        lab.down(made.name)

    try:
        settings = _settings(made)
        for service, name in SERVICES:
            log = Path(made.state.folder, f"{name}.jsonl")
            behaviour = Behaviour(rate=RATE, handler_s=0.05)
            started = start_service(settings, service, name, log, behaviour, note=running.append)
            started.wait_for("ready", timeout=60)
    except BaseException:
        undo()
        raise
    return Runbook(Ops(settings), writes=True, confirm=None, undo=undo)


def _settings(lab: Lab) -> Settings:
    from attune_ops.installation.config import resolve
    from attune_ops.model.topologies import DEFAULT

    state = lab.state
    version = tuple(int(part) for part in (state.version or "0").split(".")[:2])
    target = {
        "amqp_url": state.amqp_url,
        "management_url": state.management_url,
        "database_url": state.database_url,
        "topology": "attune-2026-09" if version >= REFUSES_TRANSIENT else DEFAULT,
    }
    return msgspec.structs.replace(resolve(target, {}), env="lab", drills=True)


class Runbook:
    """One run of a runbook. Unless `writes`, every change is only a dry run."""

    def __init__(
        self, ops: Ops, *, writes: bool, confirm: str | None = None, undo: Callable[[], None] | None = None
    ) -> None:
        self.ops = ops
        self.writes = writes
        self._confirm = confirm
        self._undo = undo
        self._left: set[str] = set()
        if undo is not None:
            atexit.register(self.end)

    @property
    def own_lab(self) -> bool:
        """Whether it started its own lab, which is stopped at its end."""
        return self._undo is not None

    def startup(self, service: str = "worker", worker: str | None = None, skip: Collection[str] = ()) -> object:
        """Runs a start-up sequence and stops cleanly (`ops.startup`), if the runbook may change something."""
        skipped = "".join(f" --skip {step}" for step in skip)
        command = f"attune-ops startup --service {service}{f' --worker {worker}' if worker else ''}{skipped}"
        return self._if_allowed(command, lambda: self._start(service, worker, skip))

    def _start(self, service: str, worker: str | None, skip: Collection[str]) -> StartupReport:
        report = self.ops.startup(service, worker=worker, skip=skip, confirm=self._confirm)
        if report.ending is not None:
            self._left |= {line for line in report.ending.left if line.startswith("queue ")}
        return report

    def canary(self, exchange: str, routing_key: str) -> object:
        """Tests a route in a scratch virtual host (`ops.canary`), if the runbook may change something."""
        return self._if_allowed(
            f"attune-ops route {exchange} {routing_key} --canary",
            lambda: self.ops.canary(exchange, routing_key, confirm=self._confirm),
        )

    def reap(self, pattern: str, grace: timedelta) -> object:
        """Deletes orphaned worker queues (`ops.reap`) if the runbook may, or shows the dry run."""
        return self.ops.reap(pattern, grace=grace, apply=self.writes, confirm=self._confirm)

    def topology_apply(self) -> object:
        """Declares what is missing on the broker (`ops.topology_apply`) if the runbook may, or shows the dry run.

        The queues of workers are left to their start-up: nothing would consume from them.
        """
        return self.ops.topology_apply(apply=self.writes, worker_queues=False, confirm=self._confirm)

    def drill(self, name: str, **parameters: Any) -> object:
        """Runs a drill (`ops.drill`) on its own lab, or if the environment allows drills and `apply` is set."""
        command = f"attune-ops drill run {name}"
        if not self.writes or not self.ops.settings.drills:
            return Notice(
                "Not done: drills are not allowed on this installation.",
                (
                    f"To run it on a private broker: {command}",
                    "Or run this notebook without an installation: it starts its own lab.",
                ),
            )
        settings = self.ops.settings
        confirm = settings.env if self.own_lab else self._confirm
        if not settings.on_lab and confirm != settings.env:
            return Notice(
                "Not done: a drill on this environment must be confirmed with its name.",
                (f"Set confirm = {settings.env!r} in the parameters cell (--confirm {settings.env}).",),
            )
        return self.ops.drill(name, confirm=confirm, **parameters)

    def message(self, exchange: str | None = None, routing_key: str | None = None) -> tuple[str, str]:
        """The given exchange and routing key, without both those of an execution to a live worker.

        Reads broker and registry if none is given, changes nothing. Raises `ConfigError` where one is missing.
        """
        if exchange is not None and routing_key is not None:
            return exchange, routing_key
        if exchange is not None or routing_key is not None:
            raise ConfigError("set both exchange and routing_key, or none of them")
        found = dispatch(self.ops.facts((Source.BROKER, Source.REGISTRY)))
        return found.exchange, found.routing_key

    def deepest(self, queue: str | None = None) -> str:
        """The given queue, else the queue with the most messages. Reads depths, changes nothing."""
        if queue is not None:
            return queue
        # Only the connection that owns an exclusive queue can read it.
        found = (q for q in self.ops.queues(sort=("-messages",)).records() if not q["exclusive"])
        deepest = next(found, None)
        if deepest is None:
            raise ConfigError(
                "this virtual host has no queue; attune-ops topology apply declares the topology's queues"
            )
        return str(deepest["name"])

    def changes(self, before: str) -> object:
        """The changes since a snapshot (`ops.changes`), if the file exists."""
        if not Path(before).expanduser().exists():
            return Notice(f"Snapshot {before!r} does not exist.", ("Notebook 07-planned-failover saves it.",))
        return self.ops.changes(before)

    def end(self) -> Notice:
        """Stops what the runbook started; a second call does nothing."""
        undo, self._undo = self._undo, None
        self.ops.close()
        if undo is None and self._left:
            hint = (
                "attune-ops orphans lists those of a stopped worker; attune-ops reap shows what deleting them would do."
            )
            return Notice("These queues of the stand-in worker are kept.", (*sorted(self._left), hint))
        if undo is None:
            return Notice("Nothing to clean up: this runbook started nothing.")
        atexit.unregister(self.end)
        undo()
        return Notice("The lab of this runbook is stopped and its data are deleted.")

    def _if_allowed(self, command: str, act: Callable[[], T]) -> T | Notice:
        if self.writes:
            return act()
        return Notice(
            "Not done: this runbook may not change the installation.",
            (f"Dry run of: {command}", "To allow changes, set apply = True in the parameters cell."),
        )

    def _notice(self) -> Notice:
        where = f"Installation: {self.ops.settings.amqp}"
        env = f", environment {self.ops.settings.env}" if self.ops.settings.env else ""
        may = "The cells may change it (apply = True)." if self.writes else "Nothing is changed (apply = False)."
        lab = ("A lab of this runbook; the last cell stops it.",) if self.own_lab else ()
        return Notice(f"{where}{env}", lab or (may,))

    def __repr__(self) -> str:
        return repr(self._notice())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return self._notice()._repr_mimebundle_(include, exclude)
