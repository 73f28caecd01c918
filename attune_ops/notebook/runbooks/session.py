"""A runbook's session: the installation that it looks at, whether it may change anything, and its end."""

from __future__ import annotations

import atexit
import secrets
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from attune_ops.model.display import Notice
from attune_ops.model.errors import ConfigError
from attune_ops.ops import Ops, connect

if TYPE_CHECKING:
    from datetime import timedelta

    from attune_ops.installation.config import Settings
    from attune_ops.lab import Lab
    from attune_ops.startup.processes import RunningService
    from attune_ops.startup.startup_report import StartupReport

T = TypeVar("T")

SERVICES = (("executor", "executor"), ("worker", "w1"), ("worker", "w2"))  # on a lab of the runbook's own
RATE = 5.0  # executions/s that its executor asks for
REFUSES_TRANSIENT = (4, 3)  # from here on RabbitMQ refuses January's transient worker queues


def begin(env: str | None = None, *, apply: bool = False, confirm: str | None = None) -> Runbook:
    """Points a runbook at a named environment, or as the command line would, or at a lab that it starts itself.

    With `apply` its cells may change the installation; on a lab of its own they always may. `confirm` is the
    environment's name where it is protected. Raises `ConfigError`.
    """
    from attune_ops.installation.config.resolve import NOTHING_FOUND

    if env:
        return Runbook(connect(env=env), writes=apply, confirm=confirm)
    try:
        return Runbook(connect(), writes=apply, confirm=confirm)
    except ConfigError as e:
        if str(e) != NOTHING_FOUND:
            raise
    return _own_lab()


def _own_lab() -> Runbook:
    """A lab with services on it, which goes at the end, also where that cell is never run."""
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
            running.append(start_service(settings, service, name, log, Behaviour(rate=RATE, handler_s=0.05)))
            running[-1].wait_for("ready", timeout=60)
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
    """One run of a runbook. What changes something is only described unless `writes`."""

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
        """Whether it started a lab for itself, which goes at its end."""
        return self._undo is not None

    def startup(self, service: str = "worker", worker: str | None = None, skip: Collection[str] = ()) -> object:
        """Takes a start-up for real and stops it again (`ops.startup`), where the runbook may change something."""
        left_out = "".join(f" --skip {step}" for step in skip)
        command = f"attune-ops startup --service {service}{f' --worker {worker}' if worker else ''}{left_out}"
        return self._where_allowed(command, lambda: self._start(service, worker, skip))

    def _start(self, service: str, worker: str | None, skip: Collection[str]) -> StartupReport:
        report = self.ops.startup(service, worker=worker, skip=skip, confirm=self._confirm)
        if report.ending is not None:
            self._left |= {line for line in report.ending.left if line.startswith("queue ")}
        return report

    def canary(self, exchange: str, routing_key: str) -> object:
        """Proves a route in a scratch virtual host (`ops.canary`), where the runbook may change something."""
        return self._where_allowed(
            f"attune-ops route {exchange} {routing_key} --canary",
            lambda: self.ops.canary(exchange, routing_key, confirm=self._confirm),
        )

    def reap(self, pattern: str, grace: timedelta) -> object:
        """Deletes orphaned worker queues (`ops.reap`) where the runbook may, or shows which would go."""
        return self.ops.reap(pattern, grace=grace, apply=self.writes, confirm=self._confirm)

    def topology_apply(self) -> object:
        """Declares what the broker lacks (`ops.topology_apply`) where the runbook may, or shows what it would."""
        return self.ops.topology_apply(apply=self.writes, confirm=self._confirm)

    def drill(self, name: str, **parameters: Any) -> object:
        """Runs a drill (`ops.drill`) on a lab of its own, or where the environment allows drills and `apply` is set."""
        command = f"attune-ops drill run {name}"
        if not self.writes or not self.ops.settings.drills:
            return Notice(
                "Not done: no drill is run on this installation.",
                (
                    f"On a private broker that comes and goes: {command}",
                    "Or run this notebook where no lab runs.",
                ),
            )
        settings = self.ops.settings
        confirm = settings.env if self.own_lab else self._confirm
        if not settings.on_lab and confirm != settings.env:
            return Notice(
                "Not done: a drill on this environment wants its name typed.",
                (f"Set confirm = {settings.env!r} in the parameters cell (--confirm {settings.env}).",),
            )
        return self.ops.drill(name, confirm=confirm, **parameters)

    def deepest(self, queue: str | None = None) -> str:
        """The queue that was named, else the one with the most messages. Reads depths, changes nothing."""
        if queue is not None:
            return queue
        # An exclusive one is its connection's alone: nobody else may look into it.
        found = (q for q in self.ops.queues(sort=("-messages",)).records() if not q["exclusive"])
        deepest = next(found, None)
        if deepest is None:
            raise ConfigError("there is no queue to look into here; attune-ops topology apply declares them")
        return str(deepest["name"])

    def changes(self, before: str) -> object:
        """What has changed since a snapshot (`ops.changes`), where there is one."""
        if not Path(before).expanduser().exists():
            return Notice(
                f"There is no snapshot {before!r} to compare with.", ("Notebook 07-planned-failover saves it.",)
            )
        return self.ops.changes(before)

    def end(self) -> Notice:
        """Takes away what the runbook started; a second call does nothing."""
        undo, self._undo = self._undo, None
        self.ops.close()
        if undo is None and self._left:
            ways = ("They are a stopped worker's: attune-ops orphans names them, attune-ops reap takes them away.",)
            return Notice(
                "What the rehearsed worker declared stays, as a real one's does.", (*sorted(self._left), *ways)
            )
        if undo is None:
            return Notice("Nothing is left to clean up: this runbook started nothing that lasts.")
        atexit.unregister(self.end)
        undo()
        return Notice("The lab that this runbook started is down, its data are removed.")

    def _where_allowed(self, command: str, act: Callable[[], T]) -> T | Notice:
        if self.writes:
            return act()
        return Notice(
            "Not done: it changes the installation, and this runbook may not.",
            (f"It would run: {command}", "To allow it, set apply = True in the parameters cell."),
        )

    def _notice(self) -> Notice:
        where = f"Looking at {self.ops.settings.amqp}"
        env = f", environment {self.ops.settings.env}" if self.ops.settings.env else ""
        may = "Its cells may change it (apply = True)." if self.writes else "Nothing will be changed (apply = False)."
        lab = ("It is a lab of this runbook's own; the last cell takes it down.",) if self.own_lab else ()
        return Notice(f"{where}{env}", lab or (may,))

    def __repr__(self) -> str:
        return repr(self._notice())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return self._notice()._repr_mimebundle_(include, exclude)
