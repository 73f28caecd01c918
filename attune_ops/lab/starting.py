"""From an empty folder to a cluster that answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from attune_ops.installation.config.running_lab import LabNode, Process, RunningLab
from attune_ops.lab import folder as files
from attune_ops.lab import node as nodes
from attune_ops.lab import ports, process
from attune_ops.lab.server import Server
from attune_ops.model.errors import ActionError
from attune_ops.model.waiting import wait_until

USER = "attune"
STAGES = (("AMQP", nodes.speaks_amqp), ("the management API", nodes.serves_management))

Note = Callable[[str], None]


def prepare(name: str, folder: Path, count: int, server: Server, config: Sequence[str], plugins: Sequence[str]) -> None:
    """Makes the lab's folder, chooses its ports and starts the epmd that holds the first of them."""
    files.make(folder)
    with ports.choosing():
        block = ports.free_block(str(folder))
        lab = RunningLab(
            name=name,
            folder=str(folder),
            server=server.start,
            user=USER,
            nodes=tuple(nodes.make(folder, ordinal, block) for ordinal in range(1, count + 1)),
            epmd_port=block[0],
            created=datetime.now(UTC),
            config=tuple(config),
            plugins=tuple(plugins),
        )
        start_epmd(files.save(lab), server)


def start_epmd(lab: RunningLab, server: Server) -> RunningLab:
    """Starts the lab's epmd unless it runs; returns the lab with its process."""
    if lab.epmd is not None and lab.epmd.alive:
        return lab

    def record(started: Process) -> None:
        nonlocal lab
        lab = files.save(msgspec.structs.replace(lab, epmd=started))

    log = Path(lab.folder, "epmd.log")
    command = [server.epmd, "-address", "127.0.0.1", "-port", str(lab.epmd_port)]
    started = process.launch(command, nodes.environment(lab), Path(lab.folder), log, record)
    until(lambda: ports.answers(lab.epmd_port), 15, lambda: started.alive, lambda: f"epmd: {log.read_text()[-200:]}")
    return lab


def start_all(lab: RunningLab, server: Server, note: Note, timeout: float) -> None:
    """Starts the first node, then the others together, which join it; writes down that the lab is ready."""
    note(f"starting {server.start}")
    note(f"data in {lab.folder}")
    began = time.monotonic()
    for group in (lab.nodes[:1], lab.nodes[1:]):
        for node in group:
            lab = start_node(lab, node, server)
        wait(lab, [n.name for n in group], note, timeout)
    first = lab.nodes[0]
    until(lambda: nodes.sees_all(lab, first), timeout, lambda: first.alive, lambda: "the nodes form no cluster")
    version = nodes.version(lab, first)
    files.save(msgspec.structs.replace(lab, ready=True, version=version))
    size = f" ({len(lab.nodes)} nodes)" if len(lab.nodes) > 1 else ""
    note(f"RabbitMQ {version}{size} is ready after {time.monotonic() - began:.1f} s")


def start_node(lab: RunningLab, node: LabNode, server: Server, extra: Sequence[str] = ()) -> RunningLab:
    """Starts one node, on record before it runs; returns the lab with its process."""

    def record(started: Process) -> None:
        nonlocal lab
        renewed = (msgspec.structs.replace(n, process=started) if n.name == node.name else n for n in lab.nodes)
        lab = files.save(msgspec.structs.replace(lab, nodes=tuple(renewed)))

    lab = start_epmd(lab, server)
    nodes.start(lab, node, server, record, extra)
    return lab


def wait(lab: RunningLab, names: Collection[str], note: Note, timeout: float) -> None:
    """Waits until the nodes of these names answer on all their ports.

    Raises `ActionError` when one ends or takes too long.
    """
    began = time.monotonic()
    for node in [n for n in lab.nodes if n.name in names]:
        _wait_for(lab, node, note, began, timeout)


def _wait_for(lab: RunningLab, node: LabNode, note: Note, began: float, timeout: float) -> None:
    for what, question in STAGES:
        until(
            partial(question, lab, node),
            timeout - (time.monotonic() - began),
            lambda: node.alive,
            lambda: f"{node.name}: {nodes.last_words(node)}",
        )
        note(f"{node.name}: {what} answers after {time.monotonic() - began:.1f} s")


def until(question: Callable[[], object], timeout: float, alive: Callable[[], bool], story: Callable[[], str]) -> None:
    """Asks until the answer is true; raises `ActionError` with the story when the process ends or time is up."""
    ready, ended = wait_until(lambda: (question(), not alive()), any, timeout=timeout, interval=0.05)
    if not ready and ended:
        raise ActionError(f"the broker ended while it started: {story()}")
    if not ready:
        raise ActionError(f"the broker is not ready after {timeout:.0f} s: {story()}")
