"""Healthy facts with everything that a doctor may be told, and the ways in which a test breaks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from attune_ops import render
from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.diagnosis import read_baseline
from attune_ops.doctor.findings import Baseline, Check, Report
from attune_ops.model.facts import Facts, Reach, Source, with_topology
from attune_ops.model.registry import Execution, Worker
from attune_ops.model.snapshot import (
    BindingState,
    ChannelState,
    ConnectionState,
    ConsumerState,
    DeprecatedFeature,
    NodeState,
    PolicyState,
    QueueState,
    UserPermissions,
)
from attune_ops.model.topologies import candidates, load
from attune_ops.model.topology import Binding, Consumer, Exchange, Per, Publish, Queue, Topology
from tests.unit.facts import NOW, broker, worker
from tests.unit.facts import facts as installation

JANUARY, SEPTEMBER = "attune-2026-01", "attune-2026-09"
EVENTS, EXECUTIONS, NOTIFICATIONS = "attune.events.queue", "attune.executions.queue", "attune.notifications.queue"
REQUESTS = "attune.execution.requests.queue"  # of the releases after January
W1 = "worker.1.executions"
GB = 1_000_000_000

# A topology without a flaw: whatever is published is consumed, dead letters are kept, queues expire.
FLAWLESS = Topology(
    "flawless",
    exchanges=(Exchange("x.work", "topic"), Exchange("x.dead", "fanout")),
    queues=(
        Queue("x.jobs", arguments={"x-dead-letter-exchange": "x.dead"}),
        Queue("x.graveyard", arguments={"x-max-length": 1000}),
        Queue(
            "worker.{id}.jobs",
            arguments={"x-dead-letter-exchange": "x.dead", "x-expires": 3_600_000},
            per=Per.WORKER,
            service="worker",
        ),
    ),
    bindings=(
        Binding("x.work", "x.jobs", "job.new"),
        Binding("x.dead", "x.graveyard"),
        Binding("x.work", "worker.{id}.jobs", "job.for.{id}"),
    ),
    publishes=(
        Publish("ExecutionRequested", "x.work", "job.new", ("api",)),
        Publish("ExecutionRequested", "x.work", "job.for.{id}", ("executor",)),
    ),
    consumers=(Consumer("executor", "x.jobs", "executor.jobs"), Consumer("worker", "worker.{id}.jobs", "worker-{id}")),
)

REACH = (
    Reach(Source.AMQP, "amqp://h", 3.0, user="attune", version="4.3.6", cluster="attune"),
    Reach(
        Source.MANAGEMENT, "http://h", 5.0, user="attune", tags=("administrator",), permissions=(".*", ".*", ".*"),
        clock_offset_s=0.2, certificate_days=300,
    ),
    Reach(Source.REGISTRY, "postgresql://h", 4.0, clock_offset_s=-0.1),
)  # fmt: skip

NODE = NodeState(
    "rabbit@a", True, memory_used=GB, memory_limit=10 * GB, memory_alarm=False, disk_free=100 * GB,
    disk_free_limit=GB // 20, disk_alarm=False, descriptors_used=50, descriptors_total=1000,
)  # fmt: skip


def healthy(topology: str | Topology = JANUARY, workers: tuple[Worker, ...] | None = None) -> Facts:
    """A healthy installation of three workers, with every source read and two samples taken."""
    workers = workers if workers is not None else (worker(1), worker(2), worker(3))
    wanted = load(topology) if isinstance(topology, str) else topology
    ids = tuple(w.id for w in workers)
    seen = broker(
        wanted,
        ids,
        nodes=(NODE,),
        alarms=(),
        limits={},
        deprecated=(feature(used=False),),
        policies=(),
        dead_lettered={},
        other_vhosts_used=False,
        channels=(),
        dropped_unroutable=0,
        user_permissions=(),
    )
    prefetch = {c.tag: c.prefetch_at(8) for i in ids for c in (*wanted.worker_consumers(i), *wanted.consumers)}
    consumers = tuple(msgspec.structs.replace(c, prefetch=prefetch[c.tag]) for c in seen.consumers or ())
    seen = msgspec.structs.replace(seen, consumers=consumers)
    return msgspec.structs.replace(installation(workers), topology=wanted, broker=seen, earlier=seen, reach=REACH)


def other_release(facts: Facts, given: str = JANUARY) -> Facts:
    """The same installation, read with the topology of another release."""
    asked = msgspec.structs.replace(facts, topology=load(given))
    return with_topology(asked, candidates(), given=True)


def change(facts: Facts, **changes: Any) -> Facts:
    """The facts with changes to their broker, in both samples."""
    changed = msgspec.structs.replace(facts.actual, **changes)
    return msgspec.structs.replace(facts, broker=changed, earlier=changed)


def since(earlier: Facts, now: Facts) -> Facts:
    """The facts of `now` with those of `earlier` as the first sample, 7 s before."""
    taken = msgspec.structs.replace(earlier.actual, taken_at=now.actual.taken_at - timedelta(seconds=7))
    return msgspec.structs.replace(now, earlier=taken)


def queues(facts: Facts, names: str | Iterable[str], **changes: Any) -> Facts:
    """The facts with changes to some queues on the broker."""
    chosen = {names} if isinstance(names, str) else set(names)
    made = (msgspec.structs.replace(q, **changes) if q.name in chosen else q for q in facts.actual.queues or ())
    return change(facts, queues=tuple(made))


def without_queues(facts: Facts, *names: str) -> Facts:
    """The facts as if these queues had been deleted: their bindings and consumers are gone too."""
    seen, gone = facts.actual, frozenset(names)
    return change(
        facts,
        queues=tuple(q for q in seen.queues or () if q.name not in gone),
        bindings=tuple(b for b in seen.bindings or () if b.destination not in gone),
        consumers=tuple(c for c in seen.consumers or () if c.queue not in gone),
    )


def without_exchange(facts: Facts, name: str) -> Facts:
    """The facts as if an exchange had been deleted: its bindings are gone too."""
    return change(
        facts,
        exchanges=tuple(e for e in facts.actual.exchanges or () if e.name != name),
        bindings=tuple(b for b in facts.actual.bindings or () if b.source != name),
    )


def without_bindings(facts: Facts, of: Callable[[BindingState], bool]) -> Facts:
    """The facts without some bindings."""
    return change(facts, bindings=tuple(b for b in facts.actual.bindings or () if not of(b)))


def without_consumers(facts: Facts, *names: str) -> Facts:
    """The facts as if nobody consumed these queues."""
    gone, unread = frozenset(names), queues(facts, names, consumers=0)
    return change(unread, consumers=tuple(c for c in facts.actual.consumers or () if c.queue not in gone))


def consumer(facts: Facts, tagged: str, **changes: Any) -> Facts:
    """The facts with changes to the consumer of that tag."""
    made = (msgspec.structs.replace(c, **changes) if c.tag == tagged else c for c in facts.actual.consumers or ())
    return change(facts, consumers=tuple(made))


def bound(facts: Facts, source: str, destination: str, key: str) -> Facts:
    """The facts with one binding more."""
    return change(facts, bindings=(*(facts.actual.bindings or ()), BindingState("/", source, destination, key)))


def more_queues(facts: Facts, *made: QueueState) -> Facts:
    """The facts with more queues."""
    return change(facts, queues=(*(facts.actual.queues or ()), *made))


def policy(facts: Facts, name: str, pattern: str, priority: int = 0, apply_to: str = "all", **definition: Any) -> Facts:
    """The facts with one policy more; `_` in a key stands for `-`."""
    keys = {key.replace("_", "-"): value for key, value in definition.items()}
    made = PolicyState("/", name, pattern, apply_to, priority, keys)
    return change(facts, policies=(*(facts.actual.policies or ()), made))


def holding(facts: Facts, queue_name: str, held: int, minutes: float, prefetch: int = 10, **changes: Any) -> Facts:
    """The facts with the queue's consumer holding messages on a channel that has been idle for some minutes."""
    tag = facts.actual.consumers_of[queue_name][0].tag
    idle = ChannelState("c9 (1)", "/", "c9", 1, prefetch, held, 1, NOW - timedelta(minutes=minutes))
    connection = ConnectionState("c9", "/", client_name="attune worker w9", peer_host="10.0.0.9")
    facts = consumer(facts, tag, channel="c9 (1)", connection="c9", prefetch=prefetch)
    facts = queues(facts, queue_name, messages_unacknowledged=held, **changes)
    return change(facts, channels=(idle,), connections=(connection,))


def between(seconds: float, delivered: int = 0, *, of: Facts | None = None, queue_name: str = W1, **now: Any) -> Facts:
    """Two samples: a consumer holds its prefetch of 10 messages and 4 are ready; some are delivered in between."""

    def at(deliveries: int, **changes: Any) -> Facts:
        facts = holding(of or healthy(), queue_name, 10, 0, **{"messages": 14, "messages_ready": 4, **changes})
        channel = msgspec.structs.replace(facts.actual.channel_named["c9 (1)"], delivered=deliveries, idle_since=None)
        return change(facts, channels=(channel,))

    first, second = at(10), at(10 + delivered, **now)
    taken = msgspec.structs.replace(first.actual, taken_at=second.actual.taken_at - timedelta(seconds=seconds))
    return msgspec.structs.replace(second, earlier=taken)


def joined(facts: Facts, queue_name: str, tag: str = "peek", connection: str = "c7", ack: bool = True) -> Facts:
    """The facts with one consumer more, which holds 7 messages."""
    made = ConsumerState("/", queue_name, tag, "c7 (1)", connection, "10.0.0.7", 50, ack, user="eve")
    seen = facts.actual
    return change(
        facts,
        consumers=(*(seen.consumers or ()), made),
        channels=(*(seen.channels or ()), ChannelState("c7 (1)", "/", connection, 1, 50, 7)),
        connections=(*(seen.connections or ()), ConnectionState("c7", "/", "eve", product="pika")),
    )


def served(facts: Facts, user: str = "svc", **rights: str) -> Facts:
    """The facts with all services under one user that has these permissions."""
    connections = tuple(msgspec.structs.replace(c, user=user) for c in facts.actual.connections or ())
    return change(facts, connections=connections, user_permissions=(UserPermissions(user, **rights),))


def registered(facts: Facts, *workers: Worker) -> Facts:
    """The facts with other workers in the registry."""
    assert facts.registry is not None
    return msgspec.structs.replace(facts, registry=msgspec.structs.replace(facts.registry, workers=workers))


def executing(facts: Facts, *executions: Execution) -> Facts:
    """The facts with executions that have not ended."""
    assert facts.registry is not None
    return msgspec.structs.replace(facts, registry=msgspec.structs.replace(facts.registry, executions=executions))


def unreadable_parking(facts: Facts) -> Facts:
    """The facts where the table of parked executions cannot be read."""
    assert facts.registry is not None
    return msgspec.structs.replace(facts, registry=msgspec.structs.replace(facts.registry, parking_known=False))


def reaching(facts: Facts, source: Source, **changes: Any) -> Facts:
    """The facts with one source reached otherwise."""
    made = tuple(msgspec.structs.replace(r, **changes) if r.source is source else r for r in facts.reach)
    return msgspec.structs.replace(facts, reach=made)


def topology(facts: Facts, **changes: Any) -> Facts:
    """The facts with another topology, on an unchanged broker."""
    return msgspec.structs.replace(facts, topology=msgspec.structs.replace(facts.topology, **changes))


def ask(facts: Facts, *checks: Check) -> Report:
    """The report of some checks (all, where none is named)."""
    return diagnose(facts, checks or None)


def stale(id: int, minutes: float = 10, **changes: Any) -> Worker:
    """A worker that is registered as active and whose heartbeat is old."""
    return worker(id, last_heartbeat=NOW - timedelta(minutes=minutes), **changes)


def accepted(report: Report, folder: Path) -> Baseline:
    """The report as a baseline, read from its file."""
    file = folder / "accepted.json"
    file.write_bytes(msgspec.json.encode(render.form(msgspec.structs.replace(report, full=True), "json")))
    found = read_baseline(str(file))
    assert found is not None
    return found


def execution(id: int, status: str, minutes: float = 10, **changes: Any) -> Execution:
    """An execution that has been in its status for some minutes."""
    return Execution(id, "core.echo", status, updated=NOW - timedelta(minutes=minutes), **changes)


def feature(**changes: Any) -> DeprecatedFeature:
    """The deprecated feature of transient queues, permitted and in use."""
    made = DeprecatedFeature("transient_nonexcl_queues", "permitted_by_default", "permitted", True)
    return msgspec.structs.replace(made, **changes)
