"""A lab and its nodes: started until all are reachable, stopped, killed and suspended one by one."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from attune_ops.installation.config.running_lab import LabNode, Process, RunningLab, read_state
from attune_ops.lab import folder as files
from attune_ops.lab import node as nodes
from attune_ops.lab import process
from attune_ops.lab.process import wait_for_start
from attune_ops.lab.server import Server, find
from attune_ops.model.errors import ActionError, ConfigError

USER = "attune"
PORTS = (("AMQP", nodes.speaks_amqp), ("management API", nodes.serves_management))
STOP_S = 60.0  # how long `stop_node` waits for a clean stop; RabbitMQ takes 6 s

Note = Callable[[str], None]


def silent(text: str) -> None:
    """A `Note` that prints nothing."""


class Lab:
    """A lab by its name. It reads the state file on each call, so several objects may use the same lab."""

    def __init__(self, name: str = "default") -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Lab({self.name!r})"

    @property
    def state(self) -> RunningLab:
        """The content of the state file; raises `ActionError` where there is no such lab."""
        found = read_state(self.name)
        if found is None:
            raise ActionError(f"no lab {self.name!r}: `attune-ops lab up --name {self.name}` starts it")
        return found

    def node(self, name: str) -> LabNode:
        """The node of that name, as in `attune-1@localhost`; raises `ConfigError` with the names of the nodes."""
        found = {n.name: n for n in self.state.nodes}
        if name not in found:
            raise ConfigError(f"no node {name!r} in lab {self.name!r}; it has {', '.join(found)}")
        return found[name]

    def start_node(self, name: str, *, config: Sequence[str] = (), wait: bool = True, timeout: float = 60) -> None:
        """Starts a stopped or killed node on its data, with more lines of rabbitmq.conf for this start.

        Returns when it is ready, or at once with `wait=False`. Undo: `stop_node`. Raises `ActionError`.
        """
        with files.locked(self.name, silent):
            if not self.node(name).alive:
                start_node(self.state, self.node(name), find(self.state.server), config)
        if wait:
            wait_for(self.state, [name], silent, timeout)

    def stop_node(self, name: str) -> None:
        """Stops a node cleanly; its data stay. Undo: `start_node`."""
        self._end(name, STOP_S, signal.SIGTERM)

    def kill_node(self, name: str) -> None:
        """Kills a node, as a power cut does. Undo: `start_node`."""
        self._end(name, 0, signal.SIGKILL)

    def suspend_node(self, name: str) -> None:
        """Suspends a node: its connections stay open and nothing answers. Undo: `resume_node`."""
        self._signal(name, signal.SIGSTOP)

    def resume_node(self, name: str) -> None:
        """Resumes a suspended node."""
        self._signal(name, signal.SIGCONT)

    def ctl(self, *arguments: str, node: str | None = None, timeout: float = 180) -> str:
        """Runs the broker's own `rabbitmqctl` on a node (default: the first alive) and returns its output."""
        state = self.state
        target = self.node(node) if node else state.node
        done = subprocess.run(
            [find(state.server).ctl, "-q", "-n", target.name, *arguments],
            env=nodes.environment(state),
            cwd=state.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise ActionError(f"rabbitmqctl {arguments[0]} failed on {target.name}: {done.stderr.strip()[:300]}")
        return done.stdout

    def _end(self, name: str, timeout: float, first: signal.Signals) -> None:
        if (known := self.node(name).process) is not None:
            process.end([known], timeout, first)

    def _signal(self, name: str, number: signal.Signals) -> None:
        known = self.node(name).process
        if known is None or not process.send(known, number):
            raise ActionError(f"node {name} of lab {self.name!r} is not running")


def prepare(
    name: str,
    folder: Path,
    count: int,
    server: Server,
    config: Sequence[str],
    plugins: Sequence[str],
    created: datetime,
) -> None:
    """Makes the lab's folder, chooses its ports and starts the epmd that holds the first of them."""
    files.make(folder)
    with nodes.choosing_ports():
        block = nodes.free_block(str(folder))
        lab = RunningLab(
            name=name,
            folder=str(folder),
            server=server.start,
            user=USER,
            nodes=tuple(nodes.make(folder, ordinal, block) for ordinal in range(1, count + 1)),
            epmd_port=block[0],
            created=created,
            config=tuple(config),
            plugins=tuple(plugins),
            erlang=server.erlang,
        )
        _start_epmd(files.save(lab), server)


def start_all(lab: RunningLab, server: Server, note: Note, timeout: float) -> None:
    """Starts the first node, then the others, which join it; records that the lab is ready."""
    note(f"starting {server.start}")
    note(f"data in {lab.folder}")
    began = time.monotonic()
    for group in (lab.nodes[:1], lab.nodes[1:]):
        for node in group:
            lab = start_node(lab, node, server)
        wait_for(lab, [n.name for n in group], note, timeout)
    first = lab.nodes[0]
    joined = partial(nodes.sees_all, lab, first)
    wait_for_start(joined, timeout, "RabbitMQ", lambda: first.alive, lambda: "the nodes have not formed a cluster")
    version = nodes.version(lab, first)
    files.save(msgspec.structs.replace(lab, ready=True, version=version))
    size = f" ({len(lab.nodes)} nodes)" if len(lab.nodes) > 1 else ""
    note(f"RabbitMQ {version}{size} is ready after {time.monotonic() - began:.1f} s")


def start_node(lab: RunningLab, node: LabNode, server: Server, extra: Sequence[str] = ()) -> RunningLab:
    """Starts one node, which is recorded before it runs; returns the lab with its process."""

    def record(started: Process) -> None:
        nonlocal lab
        renewed = (msgspec.structs.replace(n, process=started) if n.name == node.name else n for n in lab.nodes)
        lab = files.save(msgspec.structs.replace(lab, nodes=tuple(renewed)))

    lab = _start_epmd(lab, server)
    nodes.start(lab, node, server, record, extra)
    return lab


def wait_for(lab: RunningLab, names: Collection[str], note: Note, timeout: float) -> None:
    """Waits until the nodes of these names answer on all their ports.

    Raises `ActionError` when one exits or takes too long.
    """
    began = time.monotonic()
    for node in [n for n in lab.nodes if n.name in names]:
        _wait_for_ports(lab, node, note, began, timeout)


def _wait_for_ports(lab: RunningLab, node: LabNode, note: Note, began: float, timeout: float) -> None:
    for what, question in PORTS:
        wait_for_start(
            partial(question, lab, node),
            timeout - (time.monotonic() - began),
            "RabbitMQ",
            lambda: node.alive,
            lambda: f"{node.name}: {nodes.last_output(node)}",
        )
        note(f"{node.name}: {what} reachable after {time.monotonic() - began:.1f} s")


def _start_epmd(lab: RunningLab, server: Server) -> RunningLab:
    """Starts the lab's epmd unless it runs; returns the lab with its process."""
    if lab.epmd is not None and lab.epmd.alive:
        return lab

    def record(started: Process) -> None:
        nonlocal lab
        lab = files.save(msgspec.structs.replace(lab, epmd=started))

    log = Path(lab.folder, "epmd.log")
    command = [server.epmd, "-address", "127.0.0.1", "-port", str(lab.epmd_port)]
    started = process.launch(command, nodes.environment(lab), Path(lab.folder), log, record)
    answers = partial(nodes.answers, lab.epmd_port)
    wait_for_start(answers, 15, "epmd", lambda: started.alive, lambda: log.read_text()[-200:])
    return lab
