"""Whether the process of a registered worker is connected to the broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Literal

import msgspec

from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import starting_workers
from attune_ops.model.registry import Worker, WorkerStatus
from attune_ops.model.topology import ID
from attune_ops.model.units import counted

LISTED_AFTER = timedelta(seconds=15)  # a new connection is listed after 5 s, 10 s where the broker is busy
CRASHED_AFTER = timedelta(seconds=30) + LISTED_AFTER  # a live process sends a heartbeat every 30 s
STOPPED, CRASHED = GONE = "no connection", "crashed: no connection"
State = Literal["connected", "starting", "unlisted", "gone", "unknown"]


class WorkerProcess(msgspec.Struct, frozen=True):
    """The state of a worker's process; `connection` where it has one, `words` say it in a sentence."""

    state: State
    words: str
    connection: str = ""

    @property
    def summary(self) -> str:
        """The same without the name of the connection."""
        return "connected" if self.state == "connected" else self.words

    @property
    def cell(self) -> str | None:
        """The summary for a table; None where it is unknown."""
        return None if self.state == "unknown" else self.summary


class _Clients(msgspec.Struct, frozen=True):
    """Who is connected: connections by consumer tag and by the words of the client's name."""

    by_tag: Mapping[str, str]
    by_name: Mapping[str, str]
    unnamed: int  # connections without a name and without a consumer: they can be anybody's
    tags: tuple[str, ...]  # of a worker's consumers, with its id left open


def worker_process(facts: Facts, worker: Worker) -> WorkerProcess:
    """Whether the worker's process is connected.

    A connection is the worker's if it holds one of its consumers (its replica queue's too), held one in the first
    sample, or has the worker's name. Without one the process is gone, unless an unnamed connection without consumers
    can be the worker's (Attune's services do not name their connections), or the worker registered or sent a heartbeat
    less than 45 s ago: it can be alive and reconnecting, so the process is `unlisted`.
    """
    known = facts.memo(_known)
    found = known.get(worker.id)
    if found is None or found[0] is not worker:
        found = known[worker.id] = worker, _process(facts, worker)
    return found[1]


def _known(_: Facts) -> dict[int, tuple[Worker, WorkerProcess]]:
    """For `facts.memo`: what was found out before, by the worker's id; several checks and tables ask for each."""
    return {}


def _process(facts: Facts, worker: Worker) -> WorkerProcess:
    clients = facts.memo(_clients)
    if clients is None or facts.no_topology:  # then it may be connected to another virtual host
        return WorkerProcess("unknown", "connection unknown")
    found = None
    if clients.by_tag or clients.by_name:
        own_id = str(worker.id)
        tags = [t.replace(ID, own_id) for t in clients.tags]
        found = _first(clients.by_tag, tags) or _first(clients.by_name, (worker.name, *tags))
    if found is not None:
        return WorkerProcess("connected", f"connected ({found})", found)
    if worker.id in facts.memo(starting_workers):
        return WorkerProcess("starting", "starting")
    if clients.unnamed:
        unnamed = counted(clients.unnamed, "unnamed connection")
        return WorkerProcess("unknown", f"no connection is known to be its ({unnamed} without a consumer)")
    stopped = worker.status == WorkerStatus.INACTIVE and worker.crashed is not True
    seen = worker.last_heartbeat or worker.created
    if not stopped and seen is not None and facts.taken_at - seen < CRASHED_AFTER:
        return WorkerProcess("unlisted", "no connection is listed yet")
    return WorkerProcess("gone", STOPPED if stopped else CRASHED)


def _first(connections: Mapping[str, str], names: Iterable[str]) -> str | None:
    for name in names:
        if name in connections:
            return connections[name]
    return None


def process_counts(facts: Facts, workers: Iterable[Worker]) -> dict[str, int]:
    """How many of the workers are in which state, by its words."""
    return dict(Counter(worker_process(facts, w).summary for w in workers))


def _clients(facts: Facts) -> _Clients | None:
    """For `facts.memo`; None where connections or consumers were not read."""
    if facts.missing_reason((Source.CONNECTIONS, Source.CONSUMERS)) is not None:
        return None
    broker = facts.actual
    before = facts.earlier.consumers if facts.earlier else None
    by_tag = {c.tag: c.connection for c in before or () if c.connection in broker.connection_named}
    by_tag |= {c.tag: c.connection for c in broker.consumers or () if c.connection}
    by_name: dict[str, str] = {}
    consuming = {c.connection for c in broker.consumers or ()}
    unnamed = 0
    for connection in broker.connections or ():
        name = connection.client_name
        if name:
            by_name |= {name: connection.name, name.rpartition(" ")[2]: connection.name}
        elif connection.name not in consuming:
            unnamed += 1
    return _Clients(by_tag, by_name, unnamed, tuple(c.tag for c in facts.topology.consumers if ID in c.tag))
