"""Recording: what one reading found, as rows of the history, and the loop of `history record`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.inventory import consumer_count
from attune_ops.inventory.workers import workers
from attune_ops.model import deadline
from attune_ops.model.errors import AttuneOpsError, ConfigError, SourceError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.files import shown
from attune_ops.model.ownership import worker_id
from attune_ops.model.secret import scrub
from attune_ops.model.snapshot import QueueState
from attune_ops.model.startup_progress import Step, progress
from attune_ops.model.units import listed
from attune_ops.monitoring.arrow import pa
from attune_ops.monitoring.history_files import Folder
from attune_ops.monitoring.history_schema import SCHEMA
from attune_ops.monitoring.history_writer import Writer
from attune_ops.monitoring.interval import check_interval

SOURCES = (Source.AMQP, Source.BROKER, Source.DEPTHS, Source.CONSUMERS, Source.NODES, Source.REGISTRY)
NAMELESS = "unknown"  # a broker that does not report its cluster's name

Clusters = dict[tuple[str, str], set[str]]  # the environments that have a cluster's name and virtual host


class Recorder:
    """Records readings of one installation; `add` returns when the reading is on the disk."""

    def __init__(
        self, settings: Settings, folder: str | None = None, *, interval: float = 15.0, known: Clusters | None = None
    ) -> None:
        """`interval` s are between two readings: what is much longer is a gap. Raises `ConfigError`.

        `known` is common to the recorders of several environments in one folder.
        """
        self._settings, self._folder, self._interval = settings, Folder(folder), interval
        self._known: Clusters = {} if known is None else known
        self._folder.check()
        self._writer: Writer | None = None

    def add(self, facts: Facts) -> int:
        """Records a reading and returns its number of rows, 1 where the broker could not be read.

        The cluster's name is that of the first reading that has one; one before it cannot be recorded and raises
        `SourceError`, as an object store does that is gone. Writes files of the history, nothing on the installation.
        Raises `ActionError`, `ConfigError`.
        """
        reason = facts.missing_reason((Source.BROKER, Source.DEPTHS))
        if self._writer is None and reason is not None:
            raise SourceError(reason)
        cluster = (facts.broker.cluster if facts.broker else None) or (self._writer and self._writer.cluster)
        if reason is None:
            self._check_alone(cluster or NAMELESS, facts.vhost)
        if self._writer is None or (reason is None and cluster != self._writer.cluster):
            self.close()  # another broker answers at this address
            self._writer = Writer(self._folder, cluster or NAMELESS, facts.vhost)
        rows = [
            {"time": facts.taken_at, "recorder": self._writer.recorder, **row}
            for row in reading_rows(facts, self._interval, self._settings)
        ]
        self._writer.append(pa.Table.from_pylist(rows, schema=SCHEMA), facts.taken_at)
        return len(rows)

    def _check_alone(self, cluster: str, vhost: str) -> None:
        """Raises `ConfigError` where another environment has this cluster's name: a history of both is of neither."""
        mine = self._settings.env or ""
        for key, envs in list(self._known.items()):
            if key != (cluster, vhost):
                envs.discard(mine)
        envs = self._known.setdefault((cluster, vhost), set())
        envs.add(mine)
        if others := sorted(envs - {mine}):
            raise ConfigError(
                f"environment {listed(others)} has the same cluster {shown(cluster)} and virtual host {shown(vhost)}: "
                "one history cannot hold both; give each broker a name (rabbitmqctl set_cluster_name) or a folder"
            )

    def close(self) -> None:
        """Ends the recording; everything is written already."""
        if self._writer is not None:
            self._writer.close()


class Recording:
    """Records readings that something else takes; a failure does not end that, and is noted once."""

    def __init__(self, recorder: Recorder, note: Callable[[str], None]) -> None:
        self._recorder, self._note = recorder, note
        self._failure: str | None = None

    def __call__(self, facts: Facts) -> str | None:
        """Records a reading; gives the reason why it could not, or None."""
        earlier, self._failure = self._failure, None
        try:
            self._recorder.add(facts)
        except AttuneOpsError as e:
            self._failure = str(e)
        if self._failure != earlier:
            with suppress(OSError):  # the log is on the same full disk
                self._note(f"not recorded: {self._failure}" if self._failure else "recording goes on")
        return self._failure


def record(
    settings: Settings,
    folder: str | None = None,
    *,
    interval: float = 15.0,
    seconds: float | None = None,
    on_progress: Callable[[Facts, int], None] = lambda facts, rows: None,
) -> int:
    """Records queues, workers and nodes every `interval` s, for `seconds` or until interrupted; returns the readings.

    Reads broker and registry, needs tag monitoring. Writes files in `folder` (a path or a URI; default: the user's
    state folder), nothing on the installation. `on_progress` gets the facts of each reading and its number of rows when
    it is on the disk. A reading that fails is recorded as such; if the first one fails, raises `SourceError`. Raises
    `ConfigError` for an interval below 0.5 s (the broker would do nothing else) and for a folder that cannot be used,
    `ActionError` where it cannot be written any more, of an object store `SourceError`.

    >>> ops.history.record("readings", seconds=0.5) >= 1
    True
    """
    check_interval(interval, seconds)
    recorder, started, readings = Recorder(settings, folder, interval=interval), time.monotonic(), 0
    try:
        while True:
            began = time.monotonic()
            facts = collect(settings, SOURCES, skip_worker_statistics=True)
            on_progress(facts, recorder.add(facts))
            readings += 1
            now = time.monotonic()
            left = None if seconds is None else started + seconds - now
            if left is not None and left <= 0:
                return readings
            pause = max(0.0, began + interval - now)
            time.sleep(pause if left is None else min(pause, left))
            deadline.ended()  # each reading has the whole time
    finally:
        recorder.close()


def reading_rows(facts: Facts, interval: float, settings: Settings) -> Iterator[dict[str, Any]]:
    """The rows of one reading, without its time: the reading itself, each queue, worker and node.

    Where the broker could not be read, only the reading itself with the reason, without secrets.
    """
    failed = facts.missing_reason((Source.BROKER, Source.DEPTHS))
    lacks = failed or facts.missing_reason((Source.CONSUMERS, Source.REGISTRY))
    yield {
        "kind": "reading",
        "state": "failed" if failed else "partial" if lacks else "ok",
        "reason": None if lacks is None else scrub(lacks, settings.secrets),
        "interval_s": interval,
    }
    if failed is not None:
        return
    for queue in facts.actual.queue_named.values():
        yield _queue(facts, queue)
    for node in facts.actual.nodes or ():
        yield {
            "kind": "node", "name": node.name, "state": "running" if node.running else "stopped",
            "disk_free": node.disk_free, "disk_free_limit": node.disk_free_limit,
            "memory_used": node.memory_used, "memory_limit": node.memory_limit,
        }  # fmt: skip
    if facts.missing_reason((Source.REGISTRY,)) is None:
        yield from _workers(facts)


def _queue(facts: Facts, queue: QueueState) -> dict[str, Any]:
    return {
        "kind": "queue", "name": queue.name, "worker_id": worker_id(facts.topology, queue.name), "state": queue.state,
        "messages": queue.messages, "ready": queue.messages_ready, "unacked": queue.messages_unacknowledged,
        "consumers": consumer_count(facts, queue), "bytes": queue.message_bytes, "publish_rate": queue.publish_rate,
        "deliver_rate": queue.deliver_rate, "ack_rate": queue.ack_rate, "max_length": _limit(queue, "max-length"),
        "max_bytes": _limit(queue, "max-length-bytes"),
    }  # fmt: skip


def _limit(queue: QueueState, key: str) -> int | None:
    """The smaller one of argument and policy, as the broker takes it."""
    given = (queue.arguments.get(f"x-{key}"), (queue.effective_policy or {}).get(key))
    return min((v for v in given if isinstance(v, int)), default=None)


def _workers(facts: Facts) -> Iterator[dict[str, Any]]:
    done = {p.worker.id: p for p in progress(facts)}
    steps = list(Step)
    for row in facts.memo(workers).records():
        worker = facts.worker_named.get(row["id"])  # type: ignore[arg-type]
        if worker is None:  # its queues are recorded
            continue
        stuck = done.get(worker.id)
        known = stuck is not None and Step.BIND not in stuck.unknown
        yield {
            "kind": "worker", "name": worker.name, "worker_id": worker.id, "state": row["state"],
            "messages": row["messages"], "declared": row["queue"], "consumed": row["consumer"],
            "bound": (stuck.stuck_at is None or steps.index(stuck.stuck_at) > steps.index(Step.BIND))
            if known and stuck is not None else None,
            "registered": worker.created, "last_heartbeat": worker.last_heartbeat,
        }  # fmt: skip
