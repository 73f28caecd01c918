"""The seven steps of a start-up, and the base infrastructure that the setup step declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from attune_ops.installation import registry_write
from attune_ops.installation.amqp import depth, open_connection, server_version
from attune_ops.installation.amqp_write import (
    BrokerRefused,
    asking,
    bind,
    consume,
    declare_exchange,
    declare_queue,
    delete_exchange,
    delete_queue,
    read_back,
)
from attune_ops.model.errors import ActionError
from attune_ops.model.registry import WorkerStatus
from attune_ops.model.startup_progress import Step, steps_of
from attune_ops.model.topology import ID, Consumer, Per, Queue, Topology
from attune_ops.model.units import counted
from attune_ops.model.waiting import wait_until
from attune_ops.startup.kept_messages import keep, keep_all
from attune_ops.startup.service_state import OwnConsumer, OwnQueue, ServiceState

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

COUNTED_S = 3.0  # a quorum queue without a leader counts 0, until it has one
FEW = 2  # how many objects a step's line names

# What skipping a step leads to, where no later step fails because of it.
CONSEQUENCES = {
    Step.SETUP: "; a later step fails unless another service has done the setup",
    Step.BIND: "; no messages are routed to the queue",
    Step.CONSUME: "; nothing consumes the messages",
}

# What the failure of a step means for those after it, where the broker did not refuse it.
NOT_DONE = {
    Step.CONNECT: "The start-up failed at its first step. Nothing was declared and no worker was registered.",
    Step.SETUP: "Nothing was declared and no worker was registered.",
    Step.REGISTER: "No row was written. Without an id, no worker queue was declared.",
    Step.DECLARE: "No worker queue was declared.",
}


class SetUp(NamedTuple):
    """How many objects a setup declared or found equal."""

    exchanges: int
    queues: int
    bindings: int

    def __str__(self) -> str:
        return f"{self.exchanges} exchanges, {self.queues} queues, {self.bindings} bindings"


def set_up(channel: BlockingChannel, topology: Topology) -> SetUp:
    """Declares the exchanges, queues and bindings of the common set-up, in this order, and reads the first two back.

    What is there and equal stays as it is, so a second setup changes nothing. What is there and different ends the
    setup with `BrokerRefused`, which names the argument, the desired and the actual value. Undo: `take_down`; but all
    services use what the setup declares.
    """
    for exchange in topology.exchanges:
        declare_exchange(channel, exchange)
    for queue in topology.common_queues:
        declare_queue(channel, queue)
    for binding in topology.common_bindings:
        bind(channel, binding)
    read_back(channel, topology.exchanges, [q.name for q in topology.common_queues])
    return SetUp(len(topology.exchanges), len(topology.common_queues), len(topology.common_bindings))


def take_down(channel: BlockingChannel, topology: Topology) -> None:
    """Deletes the queues that exist once and the exchanges, with their bindings and messages.

    What is not there is no error. There is no undo for the messages, and other services lose their queues too.
    """
    for queue in topology.base_queues:
        delete_queue(channel, queue.name)
    for exchange in topology.exchanges:
        delete_exchange(channel, exchange.name)


def _connect(state: ServiceState) -> str:
    s = state.settings
    name = f"attune {state.service}" + (f" {state.name}" if state.service == "worker" else "")
    state.amqp = open_connection(s.amqp, name=name, timeout=s.timeout, tls=s.tls, heartbeat=state.amqp_heartbeat)
    return f"RabbitMQ {server_version(state.amqp) or '?'} at {s.amqp.address}, vhost {s.vhost!r}"


def _setup(state: ServiceState) -> str:
    channel = state.channel
    state.base = "incomplete, setup failed"
    state.base = str(set_up(channel, state.settings.topology))
    return state.base


def _register(state: ServiceState) -> str:
    state.worker = registry_write.register(
        state.database, state.name, concurrency=state.concurrency, cordon=state.borrows, guard=state.guard,
        timeout=state.settings.timeout,
    )  # fmt: skip
    words = "already registered, keeps its id" if state.worker.known else "new"
    if state.worker.known and state.borrows:
        words += "; its row is left as it is"
    elif state.borrows:
        words += ", cordoned" if state.worker.status == WorkerStatus.ACTIVE else ", inactive: no cordon in this release"
    return f"worker {state.worker.id} {state.name!r} ({words})"


def _declare(state: ServiceState) -> str:
    topology = state.settings.topology
    for queue in (*topology.queues_of(state.service), *_worker_queues(state)):
        new = state.borrows and queue.per is Per.WORKER and _is_ours(state, queue)
        declared = declare_queue(state.channel, queue)
        state.queues.append(OwnQueue(queue, declared.name, declared.consumers, new))
    for queue in topology.replica_queues(state.service):
        declared = declare_queue(state.channel, queue, server_named=True)
        state.queues.append(OwnQueue(queue, declared.name, 0))
    read_back(state.channel, (), [own.name for own in state.queues])
    return few([_described(own) for own in state.queues])


def _is_ours(state: ServiceState, queue: Queue) -> bool:
    """Whether the queue does not exist yet, or a killed start-up has made it.

    False where the broker refuses to say: it then refuses the declare, too.
    """
    if state.worker is not None and state.worker.left_over:
        return True
    try:
        with asking(f"inspecting queue {queue.name!r}"):
            return depth(state.connection, queue.name) is None
    except BrokerRefused:  # the connection is lost
        raise
    except ActionError:
        return False


def _worker_queues(state: ServiceState) -> tuple[Queue, ...]:
    return state.settings.topology.worker_queues(state.worker_id) if state.service == "worker" else ()


def _bind(state: ServiceState) -> str:
    topology = state.settings.topology
    for own in state.queues if state.borrows else ():
        keep(state, own.queue)
    worker = topology.worker_bindings(state.worker_id) if state.service == "worker" else ()
    once = [b for q in topology.queues_of(state.service) for b in topology.bindings_to(q.name)]
    bindings = [(b, b.destination) for b in (*once, *worker)]
    for own in state.queues:
        if own.queue.per is Per.REPLICA:
            bindings += [(b, own.name) for b in topology.bindings_to(own.queue.name)]
    for binding, destination in bindings:
        bind(state.channel, binding, destination)
    return few([f"{b.source} → {to} by {b.routing_key!r}" for b, to in bindings])


def _consume(state: ServiceState) -> str:
    consumers = _consumers(state)
    if state.borrows and state.service == "worker":
        keep_all(state)
    for consumer, queue in consumers:
        with asking("opening a channel"):
            channel = state.connection.channel()
        tag = consume(channel, consumer.tag, queue, state.receive, prefetch=state.prefetch_of(consumer))
        state.consumers.append(OwnConsumer(channel, consumer, queue, tag))
    by_queue: dict[tuple[str, int], list[str]] = {}
    for c in state.consumers:
        by_queue.setdefault((c.queue, state.prefetch_of(c.consumer)), []).append(c.tag)
    return few([f"{', '.join(tags)} on {queue} (prefetch {n})" for (queue, n), tags in by_queue.items()])


def _ready(state: ServiceState) -> str:
    """Counts the consumers of the queues on the broker, which proves that the steps before it have worked."""
    counts = wait_until(lambda: _consumer_counts(state), lambda found: all(found.values()), timeout=COUNTED_S)
    if missing := [q for q, n in counts.items() if not n]:
        raise ActionError(f"the broker counts no consumer on {few(missing)}, although it accepted one")
    if not counts:
        consumes = Step.CONSUME in steps_of(state.settings.topology, state.service)
        return "no consumers: the consume step was skipped" if consumes else "no consumers: this service only publishes"
    if len(counts) > FEW and len(set(counts.values())) == 1:
        return f"{counted(next(iter(counts.values())), 'consumer')} on each of {len(counts)} queues"
    return ", ".join(f"{counted(n, 'consumer')} on {q}" for q, n in counts.items())


def _consumer_counts(state: ServiceState) -> dict[str, int]:
    queues = dict.fromkeys(c.queue for c in state.consumers)
    with asking("inspecting the queues"):
        return {q: state.channel.queue_declare(q, passive=True).method.consumer_count for q in queues}


# Each step changes what it says, records it in the state and returns the detail of its line.
STEPS: Mapping[Step, Callable[[ServiceState], str]] = {
    Step.CONNECT: _connect,
    Step.SETUP: _setup,
    Step.REGISTER: _register,
    Step.DECLARE: _declare,
    Step.BIND: _bind,
    Step.CONSUME: _consume,
    Step.READY: _ready,
}


def _consumers(state: ServiceState) -> list[tuple[Consumer, str]]:
    """The consumers of the service, each with the real name of its queue."""
    topology = state.settings.topology
    found = [(c, c.queue) for c in topology.service_consumers(state.service)]
    if state.service == "worker":
        found += [(c, c.queue) for c in topology.worker_consumers(state.worker_id)]
    replicas = {own.queue.name: own.name for own in state.queues if own.queue.per is Per.REPLICA}
    own_id = str(state.worker_id) if state.service == "worker" else ""
    for c in topology.consumers:
        if c.queue in replicas:
            found.append((msgspec.structs.replace(c, tag=c.tag.replace(ID, own_id)), replicas[c.queue]))
    return found


def few(items: Sequence[str]) -> str:
    """The first items, and how many more there are."""
    rest = len(items) - FEW
    return ", ".join(items[:FEW]) + (f" and {rest} more" if rest > 0 else "")


def _described(own: OwnQueue) -> str:
    """A declared queue by its real name, and the consumers that it had before."""
    words = "durable" if own.queue.durable else "transient"
    words += ", exclusive" * own.queue.exclusive + ", auto-delete" * own.queue.auto_delete
    if own.consumers_before:
        words += f"; already has {counted(own.consumers_before, 'consumer')}: another process uses this worker id"
    return f"{own.name} ({words})"
