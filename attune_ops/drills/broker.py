"""The broker of a drill: its nodes and their faults, its policies, and a second broker."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable

import msgspec

from attune_ops.drills.faults import Faults
from attune_ops.drills.parameters import Setup
from attune_ops.drills.sampler import DrillLog
from attune_ops.drills.undo import UndoList, writer
from attune_ops.installation.config import resolve
from attune_ops.installation.config.running_lab import RunningLab
from attune_ops.installation.config.settings import Settings
from attune_ops.lab import Lab, up
from attune_ops.model.errors import ActionError

PREFIX = "drill-"


class Broker:
    """The broker that `settings` point at, and its faults. Its nodes can fail only where the drill started it."""

    def __init__(self, setup: Setup, faults: Faults, log: DrillLog) -> None:
        self.others: list[Settings] = []  # further brokers of the drill, which may hold messages
        self._setup, self._settings, self._faults, self._log = setup, setup.settings, faults, log

    @property
    def lab(self) -> Lab:
        """The broker that the drill started. Raises `ActionError` where it did not start one."""
        if self._setup.lab is None:
            raise ActionError("this drill breaks a node, and did not start its own broker")
        return self._setup.lab

    def node_settings(self, n: int) -> Settings:
        """The settings of a client of the nth node, counted from 0."""
        node = self.lab.state.nodes[n]
        amqp = msgspec.structs.replace(self._settings.amqp, port=node.amqp_port)
        management = msgspec.structs.replace(self._settings.management, port=node.management_port)
        return msgspec.structs.replace(self._settings, amqp=amqp, management=management)

    def kill_node(self, n: int) -> None:
        """Kills a node (SIGKILL), as a power cut does. Undo: `Faults.revert`."""
        self._fail(n, "is killed (SIGKILL)", self.lab.kill_node, "starts again", self.lab.start_node)

    def stop_node(self, n: int) -> None:
        """Stops a node cleanly. Undo: `Faults.revert`."""
        self._fail(n, "is stopped", self.lab.stop_node, "starts again", self.lab.start_node)

    def suspend_node(self, n: int) -> None:
        """Suspends a node (SIGSTOP): its connections stay open and it does not answer. Undo: `Faults.revert`."""
        self._fail(n, "hangs (SIGSTOP)", self.lab.suspend_node, "resumes (SIGCONT)", self.lab.resume_node)

    def _fail(
        self, n: int, how: str, fail: Callable[[str], object], reverted: str, undo: Callable[[str], object]
    ) -> None:
        name = self.lab.state.nodes[n].name
        self._faults.announce(f"node {name} {how}", f"node {name} {reverted}", lambda: undo(name))
        fail(name)

    def start_second(self) -> Settings:
        """Starts another broker with the same policies, and returns settings that point at it; the drill removes it."""
        self._log.add("a second broker is started")
        target = settings_of_lab(start_lab(self._setup.undo, 1, self._setup.server, (), lambda text: None).state)
        made = msgspec.structs.replace(self._settings, amqp=target.amqp, management=target.management)
        self.others.append(made)
        self.set_policies(made)
        return made

    def set_policies(self, settings: Settings | None = None) -> None:
        """Sets the policies in the scratch virtual host, or on another broker; they are deleted with it."""
        policies, remedy = self._setup.policies, self._setup.remedy
        with writer(settings or self._settings) as broker:
            for p in (*policies, *(remedy.above(policies) if remedy else ())):
                broker.set_policy(p)
                kind = "operator policy" if p.operator else "policy"
                definition = json.dumps(p.definition)
                self._log.add(f"{kind} {p.name}, priority {p.priority}, on {p.apply_to} {p.pattern}: {definition}")


def start_lab(
    undo: UndoList, nodes: int, server: str | None, config: tuple[str, ...], on_progress: Callable[[str], None]
) -> Lab:
    """Starts a broker for the drill alone; it is on the undo list before it starts."""
    name = PREFIX + secrets.token_hex(4)
    undo.add("lab", name)
    return up(name, nodes=nodes, server=server, config=config, note=on_progress, timeout=180)


def settings_of_lab(state: RunningLab) -> Settings:
    """Settings that point at the lab, whatever the environment points at."""
    target = {"amqp_url": state.amqp_url, "management_url": state.management_url, "database_url": state.database_url}
    return resolve(target, {})
