"""All that one diagnosis knows: the desired, the observed and the registered, and what could not be read.

`Facts` goes to and from JSON (a snapshot file is exactly that), so a diagnosis needs no connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from attune_ops.model import decoding
from attune_ops.model.passive import MANAGEMENT_API, PASSIVE_DECLARE, PassiveReading
from attune_ops.model.recognition import Recognition, recognise
from attune_ops.model.registry import RegistryView, Worker
from attune_ops.model.snapshot import BrokerSnapshot, QueueState
from attune_ops.model.topology import Queue, Topology

SCHEMA = "attune-ops/snapshot/1"
NOT_ASKED = "not requested"
CLOCK_OFFSET_S: float = 10  # a larger skew is reported

Made = TypeVar("Made")


class Source(StrEnum):
    """Where facts come from. A check names the ones it needs; `Facts.missing` has the reason for each lacking one.

    BROKER is the management API's listing of exchanges, queues and bindings (a definitions file has these
    too); the finer sources need a live broker, and some of them a management tag.
    """

    AMQP = "amqp"
    MANAGEMENT = "management"  # the API itself: latency, user, tags
    PERMISSIONS = "permissions"  # of the user; needs tag administrator
    USER_PERMISSIONS = "user_permissions"  # of all users; needs tag administrator
    BROKER = "broker"  # exchanges, queues, bindings, policies
    DEPTHS = "depths"  # message counts
    CONSUMERS = "consumers"
    CONNECTIONS = "connections"  # connections and channels
    NODES = "nodes"
    ALARMS = "alarms"
    DEAD_LETTERED = "dead_lettered"  # counters of dead letters; from the Prometheus endpoint
    LIMITS = "limits"  # of the virtual host: queues and connections
    DEPRECATED = "deprecated"  # deprecated features and their state
    REGISTRY = "registry"  # workers
    EXECUTIONS = "executions"
    ASSIGNMENTS = "assignments"  # the worker of each execution
    EARLIER = "earlier"  # a first sample, for what grows or moves

    @property
    def label(self) -> str:
        """Its name in a sentence."""
        return _LABELS.get(self.value, self.value)


_LABELS = {
    "amqp": "AMQP",
    "management": "the management API",
    "user_permissions": "permissions of users",
    "depths": "message counts",
    "dead_lettered": "counters of dead letters",
    "limits": "limits of the virtual host",
    "deprecated": "deprecated features",
    "assignments": "the workers of executions",
    "earlier": "a first sample",
}


# What matters, and the source that has to answer for it.
ASKED_OF = {
    Source.BROKER: Source.MANAGEMENT,
    Source.DEPTHS: Source.MANAGEMENT,
    Source.CONSUMERS: Source.MANAGEMENT,
    Source.REGISTRY: Source.REGISTRY,
}


class Reach(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one source answered: latency in ms, as whom, with what rights, and how far its clock is off (s).

    `error` is the one-line reason where it did not answer. `target` is its URL without the password.
    `tags` are the user's management tags; `permissions` its configure, write and read patterns.
    `certificate_days` is None without TLS, and where the certificate could not be read: `certificate_error` says why.
    """

    source: Source
    target: str = ""
    latency_ms: float | None = None
    error: str | None = None
    user: str | None = None
    tags: tuple[str, ...] | None = None
    permissions: tuple[str, str, str] | None = None
    version: str | None = None
    clock_offset_s: float | None = None
    certificate_days: int | None = None
    cluster: str | None = None  # the cluster name that the broker reports when an AMQP connection is opened
    certificate_error: str | None = None


class Facts(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """What is desired, what is actual, what is registered, when it was read, and what is missing and why.

    `target_version` is the RabbitMQ version of a planned upgrade. `recognition` says how well each known topology fits
    the broker, `recognised` that `topology` was chosen by it because none was given, `assumed` that it is the default
    because none was given and none recognised. `passive` is what passive declares report where the management API does
    not; `origin` names which of the two `broker` is from.
    """

    topology: Topology
    taken_at: datetime
    broker: BrokerSnapshot | None = None
    registry: RegistryView | None = None
    earlier: BrokerSnapshot | None = None  # a first sample, where two were taken
    reach: tuple[Reach, ...] = ()
    missing: dict[Source, str] = {}
    env: str | None = None
    vhost: str = "/"
    target_version: str | None = None
    recognition: Recognition | None = None
    recognised: bool = False
    assumed: bool = False
    passive: PassiveReading | None = None
    elsewhere: tuple[str, ...] = ()  # other virtual hosts with exchanges of Attune, read where this one has none
    origin: str = MANAGEMENT_API
    schema: str = msgspec.field(default_factory=lambda: SCHEMA)  # a factory's value is never left out of the JSON

    def __repr__(self) -> str:
        """One line: the whole would be thousands."""
        lacking = f", without {', '.join(self.missing)}" if self.missing else ""
        return f"<Facts of {self.topology.name} in virtual host {self.vhost!r} at {self.taken_at}{lacking}>"

    def missing_reason(self, needs: tuple[Source, ...]) -> str | None:
        """The reason why something of `needs` is unknown, or None when all of it is known."""
        for need in needs:
            if need in self.missing or not self._holds(need):
                return self.missing.get(need, f"{need.label} was not read")
        return None

    @property
    def by_passive_declare(self) -> Facts:
        """These facts with what passive declares report as the broker; the same facts where nothing was read so.

        Queues, message counts and consumers count as read then. A check or table that takes them knows no bindings,
        no queue of another name, no consumer's tag, and no property of an exchange or queue.
        """
        return self if self.passive is None else self._by_passive_declare

    @cached_property
    def _by_passive_declare(self) -> Facts:
        """Never the facts themselves: an object that refers to itself waits for the garbage collector."""
        assert self.passive is not None
        reported = {Source.BROKER, Source.DEPTHS, Source.CONSUMERS}
        made: Facts = msgspec.structs.replace(
            self,
            broker=self.passive.snapshot(self.broker, self.vhost, self.taken_at),
            missing={s: reason for s, reason in self.missing.items() if s not in reported},
            origin=PASSIVE_DECLARE,
        )
        return made

    @cached_property
    def no_topology(self) -> str | None:
        """Why nothing can be said of Attune's objects: none is there; None where one is, or none was read."""
        topology, broker = self.topology, self.broker
        if broker is None or self.recognition is None or self.recognition.best or self.origin == PASSIVE_DECLARE:
            return None
        here = any(e.name in broker.exchange_named for e in topology.exchanges)
        if here or self.worker_queues or any(q.name in broker.queue_named for q in topology.base_queues):
            return None
        return f"no Attune topology in virtual host {self.vhost}"

    @property
    def only_names(self) -> bool:
        """Whether of exchanges and queues only their existence is known, by passive declares."""
        return self.origin == PASSIVE_DECLARE and self.actual.bindings is None

    @property
    def registry_clock_offset_s(self) -> float | None:
        """By how many seconds the clock of the registry is ahead of this host's; None where that is unknown."""
        return next((r.clock_offset_s for r in self.reach if r.source is Source.REGISTRY), None)

    @cached_property
    def asked(self) -> frozenset[str]:
        """The names of the queues that passive declares asked for, which of more than 500 workers is not all."""
        reading = self.passive
        return frozenset((*(q.name for q in reading.queues), *reading.missing)) if reading else frozenset()

    def is_missing(self, queue: str) -> bool:
        """Whether a queue is not on the broker; False where that is unknown: no passive declare asked for it."""
        return queue not in self.actual.queue_named and (not self.only_names or queue in self.asked)

    def could_not_read(self, source: Source) -> bool:
        """Whether queues, bindings, consumers or the registry were asked for and could not be read.

        What nobody asked for (no registry is configured, a file is read) does not count. Executions without a table or
        without the right to read them do not count either: only a query that failed.
        """
        if source is Source.EXECUTIONS:
            return self.registry is not None and self.registry.read_failed
        if source not in ASKED_OF or self.missing_reason((source,)) in (None, NOT_ASKED):
            return False
        return any(r.source is ASKED_OF[source] for r in self.reach)

    def _holds(self, source: Source) -> bool:
        """Whether the data of a source is there, whatever `missing` says."""
        broker, registry = self.broker, self.registry
        if self.origin == PASSIVE_DECLARE and source in (Source.BROKER, Source.DEPTHS, Source.CONSUMERS):
            return True
        match source:
            case Source.REGISTRY:
                return registry is not None
            case Source.EXECUTIONS:
                return registry is not None and registry.executions is not None
            case Source.ASSIGNMENTS:
                return registry is not None and registry.executions is not None and registry.assigned
            case Source.EARLIER:
                return self.earlier is not None
            case Source.AMQP | Source.MANAGEMENT:
                return any(r.source is source for r in self.reach)
            case Source.PERMISSIONS:
                return any(r.permissions is not None for r in self.reach)
            case Source.BROKER | Source.DEPTHS:
                return broker is not None and None not in (broker.exchanges, broker.queues, broker.bindings)
            case _:
                return broker is not None and getattr(broker, source.value) is not None

    def memo(self, make: Callable[[Facts], Made]) -> Made:
        """The value of `make(self)`, made at the first call: used by several checks."""
        made = self._prepared if make in self._prepared else self._made
        if make not in made:
            made[make] = make(self)
        value: Made = made[make]
        return value

    @cached_property
    def _made(self) -> dict[Any, Any]:
        return {}

    @cached_property
    def _prepared(self) -> dict[Any, Any]:
        return {}

    def prepare(self, makes: Iterable[Callable[[Facts], object]]) -> None:
        """Makes these values for `memo`, and who is live, of facts without queues, which none of `makes` uses."""
        for make in makes:
            self._prepared[make] = make(self)
        _ = self.worker_named, self.live_ids, self._owners_of_bound

    def take_prepared(self, early: Facts) -> None:
        """Takes over what was prepared of the same facts without queues."""
        vars(self).update({name: found for name, found in vars(early).items() if name in _WITHOUT_QUEUES})

    @property
    def actual(self) -> BrokerSnapshot:
        """The broker, for a check that needs it; raises `ValueError` where it was not read."""
        if self.broker is None:
            raise ValueError("no broker was read")
        return self.broker

    @cached_property
    def worker_named(self) -> Mapping[int, Worker]:
        """The registered workers by id."""
        return {w.id: w for w in self.registry.workers} if self.registry else {}

    @cached_property
    def worker_queues(self) -> Mapping[int, tuple[QueueState, ...]]:
        """The queues on the broker that are named as a worker's, by the worker's id, registered or not.

        Each worker's in the topology's order, so that the one it is dispatched to comes first.
        """
        order = {q.name: i for i, q in enumerate(self.topology.queues)}
        found: dict[int, list[tuple[int, QueueState]]] = {}
        for worker_id, template, queue in self._owned:
            found.setdefault(worker_id, []).append((order[template], queue))
        return {
            i: tuple(q for _, q in sorted(queues, key=itemgetter(0))) if len(queues) > 1 else (queues[0][1],)
            for i, queues in found.items()
        }

    @cached_property
    def worker_templates(self) -> Mapping[str, str]:
        """The names of the workers' queues on the broker, each with its name in the topology file."""
        return {queue.name: template for _, template, queue in self._owned}

    @cached_property
    def owner_of(self) -> Mapping[str, int]:
        """The worker's id of each queue on the broker that is named as a worker's: faster than `Topology.worker_of`."""
        return {queue.name: worker_id for worker_id, _, queue in self._owned}

    @cached_property
    def _owned(self) -> tuple[tuple[int, str, QueueState], ...]:
        queues = (self.broker.queues if self.broker else None) or ()
        known, worker_of = self._owners_of_bound, self.topology.worker_of
        owned = ((known[q.name] if q.name in known else worker_of(q.name), q) for q in queues)
        return tuple([(owner[0], owner[1].name, q) for owner, q in owned if owner])

    @cached_property
    def _owners_of_bound(self) -> Mapping[str, tuple[int, Queue] | None]:
        """The owner of each queue that has a binding, by its name: most queues have one."""
        worker_of = self.topology.worker_of
        return {name: worker_of(name) for name in (self.broker.bindings_to_queue if self.broker else ())}

    @cached_property
    def live_workers(self) -> tuple[Worker, ...]:
        """The workers that have queues, are registered as running and have a fresh heartbeat, by id."""
        if self.registry is None:
            return ()
        limit = self.registry.limit
        found = (w for w in self.registry.workers if w.has_queues and w.is_registered_live)
        fresh = (w for w in found if not w.is_stale(self.taken_at, limit))
        return tuple(sorted(fresh, key=lambda w: w.id))

    @cached_property
    def live_ids(self) -> frozenset[int]:
        """The ids of the live workers."""
        return frozenset(w.id for w in self.live_workers)


def changed(facts: Facts, **members: Any) -> Facts:
    """The facts with other members; look-ups of the same broker, registry and topology are not built again."""
    made: Facts = msgspec.structs.replace(facts, **members)
    if not {"topology", "taken_at", "broker", "registry"} & members.keys():
        vars(made).update({name: found for name, found in vars(facts).items() if name in _OF_WORKERS})
    return made


_WITHOUT_QUEUES = ("worker_named", "live_workers", "live_ids", "_owners_of_bound", "_prepared")
_OF_WORKERS = (*_WITHOUT_QUEUES, "worker_queues", "worker_templates", "owner_of", "_owned")


def with_topology(facts: Facts, candidates: Mapping[str, Topology], *, given: bool) -> Facts:
    """The facts with how well each candidate fits the broker; with the best topology, unless one was given.

    Where exchanges, queues or bindings were not read, or nothing of Attune is there, the topology stays.
    """
    broker = facts.broker
    if broker is None or None in (broker.exchanges, broker.queues, broker.bindings):
        return facts
    found = recognise(broker, candidates.values())
    chosen = None if given or found.best is None else candidates[found.best.name]
    other = {} if chosen in (None, facts.topology) else {"topology": chosen}
    return changed(facts, recognition=found, recognised=chosen is not None, **other)


def encode(facts: Facts) -> bytes:
    """The JSON of `facts`, the same bytes for the same facts."""
    return msgspec.json.encode(facts, order="deterministic")


def decode(data: bytes) -> Facts:
    """Reads what `encode` wrote; raises `msgspec.ValidationError` where it is something else."""
    return decoding.decode(data, Facts)
