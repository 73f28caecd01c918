"""Taking the start-up for real: the seven steps of a service over one AMQP connection, and its clean stop."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from attune_ops.installation import registry_write
from attune_ops.installation.amqp import open_connection, server_version
from attune_ops.installation.amqp_write import BrokerRefused, OnMessage, asking, bind, consume, declare_queue
from attune_ops.installation.config.settings import Database, Settings
from attune_ops.model.errors import ActionError, AttuneOpsError, ConfigError, SourceError
from attune_ops.model.startup_progress import Step, steps_of
from attune_ops.model.topology import Binding, Consumer, Queue
from attune_ops.startup.details import CONSEQUENCES, FEW, UNDONE, consumers, described, few
from attune_ops.startup.heartbeat_thread import Heartbeats
from attune_ops.startup.setup import SetUp, set_up
from attune_ops.startup.steps import Ending, StartupReport, StepError, StepResult, StepStatus, WorkerRef

if TYPE_CHECKING:
    from pika import BlockingConnection
    from pika.adapters.blocking_connection import BlockingChannel

OnStep = Callable[[StepResult], None]
Explain = Callable[[BrokerRefused, "Service"], StepError]

CONCURRENCY = 8  # what a worker says it takes at once where nothing else is said


class OwnQueue(NamedTuple):
    """A queue that this service declared: as the topology says it, and its real name."""

    queue: Queue
    name: str
    consumers_before: int


class Attached(NamedTuple):
    """A consumer of this service, on a channel of its own."""

    channel: BlockingChannel
    consumer: Consumer
    queue: str
    tag: str


def ignore(step: StepResult) -> None:
    """Is told of a step and does nothing."""


class Service:
    """A stand-in for one service of Attune: `start` takes its steps, `stop` ends it as cleanly as Attune does.

    As a context manager it stops at the end whatever happens. `name` is a worker's name in the registry;
    `prefetch` replaces the topology's; `amqp_heartbeat` is the connection's, in s, the broker's where it is None;
    `skip` are steps to leave out; `on_step` is told of each step as it ends; `on_message` gets what its consumers
    are given (by default it is counted in `held` and not acknowledged, so that it goes back to a queue that stays when
    it stops); `explain` turns a refusal into words (see `attune_ops.startup.refusal`).
    """

    def __init__(
        self,
        settings: Settings,
        service: str,
        *,
        name: str | None = None,
        concurrency: int = CONCURRENCY,
        prefetch: int | None = None,
        amqp_heartbeat: int | None = None,
        skip: Collection[Step] = (),
        on_step: OnStep = ignore,
        on_message: OnMessage | None = None,
        explain: Explain | None = None,
    ) -> None:
        self.settings = settings
        self.service = service
        self.steps = steps_of(settings.topology, service)
        self.name = name or settings.own_worker if service == "worker" else service
        self.concurrency = concurrency
        self.prefetch, self.amqp_heartbeat = prefetch, amqp_heartbeat
        self.skip = frozenset(skip)
        self.worker: registry_write.Registered | None = None
        self.base: SetUp | str | None = None  # what set-up made sure of, or that it ended before that
        self.own: list[OwnQueue] = []
        self.attached: list[Attached] = []
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self.held: Counter[str] = Counter()  # messages that were taken and not acknowledged, by consumer tag
        self._on_step, self._on_message, self._explain = on_step, on_message or self._hold, explain

    @property
    def database(self) -> Database:
        """The registry's database; raises `ConfigError` where there is none."""
        if self.settings.database is None:
            raise ConfigError("no registry to register in; give --database-url (ATTUNE_OPS_DATABASE_URL)")
        return self.settings.database

    @property
    def connection(self) -> BlockingConnection:
        """The connection; raises `ActionError` while there is none."""
        if self._connection is None:
            raise ActionError("there is no connection: the connect step was left out")
        return self._connection

    @property
    def channel(self) -> BlockingChannel:
        """The channel for set-up and declarations, opened on first use."""
        if self._channel is None:
            with asking("opening a channel"):
                self._channel = self.connection.channel()
        return self._channel

    def start(self) -> StartupReport:
        """Takes the steps in order, up to the first that fails; changes what they change, `stop` undoes it."""
        import pika  # noqa: F401 - loaded before the clock starts

        results: list[StepResult] = []
        for step in self.steps:
            failed = next((r for r in results if r.status is StepStatus.FAILED), None)
            results.append(self._take(step, failed))
            self._on_step(results[-1])
        return StartupReport(
            service=self.service,
            worker=WorkerRef(self.worker.id, self.worker.name) if self.worker else None,
            ok=all(r.status is not StepStatus.FAILED for r in results),
            duration_ms=round(sum(r.duration_ms for r in results), 3),
            steps=tuple(results),
        )

    def serve(self, seconds: float) -> None:
        """Lets messages, timers and heartbeats of the connection be handled for at most so long.

        Raises `BrokerRefused` where the connection is gone, or a channel: the broker closes a consumer's channel
        (an unacknowledged message that took too long) while the connection stays, and nothing else would tell.
        """
        with asking("serving the connection"):
            self.connection.process_data_events(time_limit=seconds)
            for attached in self.attached:
                if attached.channel.is_closed:
                    raise attached.channel._closing_reason or ActionError(f"the channel of {attached.tag} is closed")

    def heartbeats(self, on_failure: Callable[[AttuneOpsError], None]) -> AbstractContextManager[object]:
        """Keeps a registered worker's heartbeat fresh inside the block; does nothing for who is not registered."""
        if self.worker is None:
            return nullcontext()
        return Heartbeats(self.database, self.worker.id, self.settings.heartbeat_interval, on_failure)

    def stop(self) -> Ending:
        """Ends the service as Attune's end; says what was done and what is left. See `stopping`."""
        from attune_ops.startup.stopping import stop

        done = stop(self)
        self._connection = self._channel = self.worker = self.base = None
        self.own, self.attached = [], []
        return done

    def abandon(self) -> None:
        """Leaves a connection that does not answer to itself: a broker that blocks it reads nothing from it any more.

        It ends with the process, and the broker then gives back what it held.
        """
        self._connection = self._channel = None
        self.attached = []

    def disconnect(self) -> None:
        """Closes the connection alone: consumers and what goes with them are gone, the worker stays registered."""
        from attune_ops.startup.stopping import close

        if self._connection is not None:
            close(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _hold(self, channel: BlockingChannel, method: Any, properties: object, body: bytes) -> None:
        """Takes a message and acknowledges nothing: it goes back to its queue, where that stays."""
        self.held[method.consumer_tag] += 1

    def _take(self, step: Step, failed: StepResult | None) -> StepResult:
        if failed is not None:
            return StepResult(step, StepStatus.SKIPPED, 0.0, f"not reached: {failed.step} failed")
        if step in self.skip:
            return StepResult(step, StepStatus.SKIPPED, 0.0, f"left out{CONSEQUENCES.get(step, '')}")
        began = time.perf_counter()
        try:
            detail: str = getattr(self, f"_{step}")()
        except AttuneOpsError as e:
            return StepResult(step, StepStatus.FAILED, _ms_since(began), str(e), self._error(step, e))
        return StepResult(step, StepStatus.OK, _ms_since(began), detail)

    def _error(self, step: Step, error: AttuneOpsError) -> StepError:
        if isinstance(error, BrokerRefused):
            if self._explain is not None:
                return self._explain(error, self)
            return StepError(error.code, error.text, "")
        return StepError(None, str(error), UNDONE.get(step, ""), unreachable=isinstance(error, SourceError))

    def _connect(self) -> str:
        shown = f"attune {self.service}" + (f" {self.name}" if self.service == "worker" else "")
        s = self.settings
        self._connection = open_connection(
            s.amqp, name=shown, timeout=s.timeout, ca_file=s.ca_file, heartbeat=self.amqp_heartbeat
        )
        version = server_version(self._connection)
        return f"RabbitMQ {version or '?'} at {s.amqp.address}, vhost {s.vhost!r}"

    def _setup(self) -> str:
        channel = self.channel
        self.base = "as far as set-up came"
        self.base = set_up(channel, self.settings.topology)
        return str(self.base)

    def _register(self) -> str:
        s = self.settings
        self.worker = registry_write.register(self.database, self.name, concurrency=self.concurrency, timeout=s.timeout)
        known = "known, keeps its id" if self.worker.known else "new"
        return f"worker {self.worker.id} {self.name!r} ({known})"

    def _worker_id(self) -> int:
        """The id that the registry gave; without it a worker cannot name its queues."""
        if self.worker is None:
            raise ActionError("the worker has no id, so its queue has no name: the register step was left out")
        return self.worker.id

    def _declare(self) -> str:
        topology = self.settings.topology
        queues = topology.worker_queues(self._worker_id()) if self.service == "worker" else ()
        for queue in queues:
            declared = declare_queue(self.channel, queue)
            self.own.append(OwnQueue(queue, declared.name, declared.consumers))
        for queue in topology.replica_queues(self.service):
            declared = declare_queue(self.channel, queue, server_named=True)
            self.own.append(OwnQueue(queue, declared.name, 0))
        return few([described(own.queue, own.name, own.consumers_before) for own in self.own])

    def _bind(self) -> str:
        topology = self.settings.topology
        bindings = [(b, b.destination) for b in self._worker_bindings()]
        for own in self.own:
            bindings += [(b, own.name) for b in topology.bindings_to(own.queue.name) if own.queue.per == "replica"]
        for binding, destination in bindings:
            bind(self.channel, binding, destination)
        return few([f"{b.source} → {to} by {b.routing_key!r}" for b, to in bindings])

    def _worker_bindings(self) -> tuple[Binding, ...]:
        return self.settings.topology.worker_bindings(self._worker_id()) if self.service == "worker" else ()

    def _consume(self) -> str:
        for consumer, queue in self._consumers():
            with asking("opening a channel"):
                channel = self.connection.channel()
            tag = consume(channel, consumer.tag, queue, self._on_message, prefetch=self._prefetch(consumer))
            self.attached.append(Attached(channel, consumer, queue, tag))
        by_queue: dict[tuple[str, int], list[str]] = {}
        for a in self.attached:
            by_queue.setdefault((a.queue, self._prefetch(a.consumer)), []).append(a.tag)
        return few([f"{', '.join(tags)} on {queue} (prefetch {n})" for (queue, n), tags in by_queue.items()])

    def _consumers(self) -> list[tuple[Consumer, str]]:
        """The consumers of this service, each with the real name of its queue."""
        topology = self.settings.topology
        found = [(c, c.queue) for c in topology.service_consumers(self.service)]
        if self.service == "worker":
            found += [(c, c.queue) for c in topology.worker_consumers(self._worker_id())]
        replicas = {own.queue.name: own.name for own in self.own if own.queue.per == "replica"}
        return found + [(c, replicas[c.queue]) for c in topology.consumers if c.queue in replicas]

    def _prefetch(self, consumer: Consumer) -> int:
        return consumer.prefetch_at(self.concurrency) if self.prefetch is None else self.prefetch

    def _ready(self) -> str:
        """Asks the broker, live, who consumes the queues: the proof that the steps before it have worked."""
        queues = dict.fromkeys(a.queue for a in self.attached)
        with asking("looking at the queues"):
            counts = {q: self.channel.queue_declare(q, passive=True).method.consumer_count for q in queues}
        if not counts:
            return "it consumes nothing" if Step.CONSUME in self.steps else "it only publishes"
        if len(counts) > FEW and len(set(counts.values())) == 1:
            return f"{consumers(next(iter(counts.values())))} on each of {len(counts)} queues"
        return ", ".join(f"{consumers(n)} on {q}" for q, n in counts.items())


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
