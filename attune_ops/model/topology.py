"""The desired topology: exchanges, queues and bindings of an Attune release, its publishers and consumers.

This is the only module that builds a queue name, a routing key or a consumer tag. Names in a topology may
contain `{id}`, the worker's id; such an object exists once for each worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import msgspec

from attune_ops.model.display import Shown

ID = "{id}"
HEARTBEAT_SETS_ACTIVE = "2026-09-11"  # release 0.6.0
_AN_ID = r"-?[1-9][0-9]*|0"  # as a worker writes its own into a name: 007 is nobody's

# A value of an exchange, queue or binding argument, as the AMQP field table and JSON have it.
Argument = bool | int | float | str | None | list[Any] | dict[str, Any]
Arguments = dict[str, Argument]

ExchangeType = str  # direct, topic, fanout, headers, or a plug-in's type
DestinationKind = Literal["queue", "exchange"]
Acknowledges = Literal["after-handling", "at-dispatch"]


class Per(StrEnum):
    """How often a queue of the topology exists."""

    ONCE = "once"
    WORKER = "worker"
    REPLICA = "replica"


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An exchange as the services declare it."""

    name: str
    type: ExchangeType
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Arguments = {}


class Queue(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """A queue as the services declare it.

    With `per = "worker"` the name holds `{id}`. With `per = "replica"` the broker chooses the name
    (`amq.gen-…`) for each replica of `service`; `name` is then only the topology's own label for it. For a queue that
    exists once, `service` is the one that declares it; without it the common set-up of every service does.
    """

    name: str
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    arguments: Arguments = {}
    per: Per = Per.ONCE
    service: str = ""

    @property
    def type(self) -> str:
        """classic, quorum or stream; the broker's default is classic."""
        return str(self.arguments.get("x-queue-type", "classic"))


class Binding(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """A binding from an exchange to a queue (or, with `destination_kind`, to another exchange)."""

    source: str
    destination: str
    routing_key: str = ""
    destination_kind: DestinationKind = "queue"
    arguments: Arguments = {}


class Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One kind of message: its name, its exchange and routing key, and the services that publish it."""

    message_type: str
    exchange: str
    routing_key: str
    by: tuple[str, ...] = ()


class Consumer(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """One consumer of a service; the broker chooses an empty tag.

    `prefetch` is a number of messages, or `"concurrency+N"` where it follows the worker's setting.

    `acknowledges`: after a message is handled, or at its dispatch, before its handling begins. In the second case a
    crash loses what was being handled. `at_once` is how many messages are handled at the same time; None: as many as
    the service's concurrency.
    """

    service: str
    queue: str
    tag: str = ""
    prefetch: int | str = 10
    exclusive: bool = False
    acknowledges: Acknowledges = "after-handling"
    at_once: int | None = None

    def prefetch_at(self, concurrency: int) -> int:
        """The prefetch in messages for a worker with this concurrency."""
        if isinstance(self.prefetch, int):
            return self.prefetch
        return concurrency + int(self.prefetch.removeprefix("concurrency").lstrip("+") or 0)


class Leftover(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """A queue that an earlier `release` made and an upgrade leaves on the broker.

    In `queue`, `{id}` stands for a worker's id and `*` for any text. A queue of another program can have such a name:
    with `bound_to` it is a leftover only if it has no arguments and is bound to that exchange alone, each time with one
    of the `routing_keys`, if it has some; with `durable` only if it is so declared. `topology` is the one that has this
    queue, if any.
    """

    queue: str
    release: str
    topology: str = ""
    bound_to: str = ""
    routing_keys: tuple[str, ...] = ()
    durable: bool | None = None

    def matches(self, name: str, durable: bool) -> bool:
        """Whether a queue of this name, so declared, can be this leftover."""
        return self.durable in (None, durable) and self.pattern.fullmatch(name) is not None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern of its name."""
        return re.compile(re.escape(self.queue).replace(re.escape(ID), "[0-9]+").replace(re.escape("*"), ".+"))


class Topology(Shown, msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """Everything that one Attune release declares on a broker, in the order of set-up."""

    name: str
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()
    publishes: tuple[Publish, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    set_up_by: tuple[str, ...] = ()  # the services that run the common set-up and use RabbitMQ at all; (): every one
    description: str = ""
    leftovers: tuple[Leftover, ...] = ()
    released: str = ""  # the day of the release that declares it first, YYYY-MM-DD

    def exchange(self, name: str) -> Exchange | None:
        """The exchange of that name, or None."""
        return next((e for e in self.exchanges if e.name == name), None)

    @property
    def sets_active(self) -> bool:
        """Whether a heartbeat of its workers sets the status active: an inactive worker then stops, or is dead."""
        return self.released >= HEARTBEAT_SETS_ACTIVE

    @cached_property
    def base_queues(self) -> tuple[Queue, ...]:
        """The queues that exist once: those of the common set-up, and those that one service declares."""
        return tuple(q for q in self.queues if q.per is Per.ONCE)

    @cached_property
    def base_bindings(self) -> tuple[Binding, ...]:
        """The bindings that are made once: all but those of worker and replica queues."""
        late = {q.name for q in self.queues if q.per is not Per.ONCE}
        return tuple(b for b in self.bindings if b.destination_kind == "exchange" or b.destination not in late)

    @cached_property
    def common_queues(self) -> tuple[Queue, ...]:
        """The queues that the common set-up of every service declares."""
        return tuple(q for q in self.base_queues if not q.service)

    @cached_property
    def common_bindings(self) -> tuple[Binding, ...]:
        """The bindings that the common set-up makes."""
        others = {q.name for q in self.base_queues if q.service}
        return tuple(b for b in self.base_bindings if b.destination_kind == "exchange" or b.destination not in others)

    def queues_of(self, service: str) -> tuple[Queue, ...]:
        """The queues that exist once and that this service alone declares."""
        return tuple(q for q in self.base_queues if q.service == service)

    def is_set_up_by(self, service: str) -> bool:
        """Whether a service runs the common set-up; one that does not makes no use of RabbitMQ."""
        return not self.set_up_by or service in self.set_up_by

    @cached_property
    def worker_queue_templates(self) -> tuple[Queue, ...]:
        """The queues of a worker, with its id left open; the first is the one it is dispatched to."""
        return tuple(q for q in self.queues if q.per is Per.WORKER)

    @cached_property
    def worker_binding_templates(self) -> tuple[Binding, ...]:
        """The bindings of a worker's queues, with its id left open."""
        templates = {q.name for q in self.worker_queue_templates}
        return tuple(b for b in self.bindings if b.destination_kind == "queue" and b.destination in templates)

    @cached_property
    def _worker_consumer_templates(self) -> tuple[Consumer, ...]:
        templates = {q.name for q in self.worker_queue_templates}
        return tuple(c for c in self.consumers if c.queue in templates)

    # These three are called for every worker: a constructor takes a quarter of the time of `replace`.

    def worker_queues(self, worker_id: int) -> tuple[Queue, ...]:
        """The queues of one worker, by their real names; the first is the one it is dispatched to."""
        text = str(worker_id)
        return tuple(
            Queue(q.name.replace(ID, text), q.durable, q.auto_delete, q.exclusive, q.arguments, q.per, q.service)
            for q in self.worker_queue_templates
        )

    def worker_bindings(self, worker_id: int) -> tuple[Binding, ...]:
        """The bindings of one worker's queues, with real names and routing keys."""
        text = str(worker_id)
        return tuple(
            Binding(
                b.source,
                b.destination.replace(ID, text),
                b.routing_key.replace(ID, text),
                b.destination_kind,
                b.arguments,
            )
            for b in self.worker_binding_templates
        )

    def worker_consumers(self, worker_id: int) -> tuple[Consumer, ...]:
        """The consumers of one worker's own queues, with real queue names and tags."""
        text = str(worker_id)
        return tuple(
            Consumer(
                c.service,
                c.queue.replace(ID, text),
                c.tag.replace(ID, text),
                c.prefetch,
                c.exclusive,
                c.acknowledges,
                c.at_once,
            )
            for c in self._worker_consumer_templates
        )

    @cached_property
    def dispatch_loses(self) -> bool:
        """Whether a crash of a worker loses the executions that it runs: they are acknowledged at dispatch."""
        return any(c.acknowledges == "at-dispatch" for c in self.worker_consumers(0))

    def replica_queues(self, service: str) -> tuple[Queue, ...]:
        """The server-named queues that each replica of `service` holds; their names are labels only."""
        return tuple(q for q in self.queues if q.per is Per.REPLICA and q.service == service)

    def bindings_to(self, label: str) -> tuple[Binding, ...]:
        """The bindings to a queue, by its name in the topology (a template or label is not filled in)."""
        return tuple(b for b in self.bindings if b.destination_kind == "queue" and b.destination == label)

    def service_consumers(self, service: str) -> tuple[Consumer, ...]:
        """The consumers of a service on queues that exist once."""
        base = {q.name for q in self.base_queues}
        return tuple(c for c in self.consumers if c.service == service and c.queue in base)

    def publishes_of(self, worker_ids: tuple[int, ...]) -> Iterator[tuple[Publish, int | None]]:
        """Every publish with real routing keys: once, or for each worker id where the key holds `{id}`."""
        for publish in self.publishes:
            if ID not in publish.routing_key:
                yield publish, None
                continue
            for worker_id in worker_ids:
                key = publish.routing_key.replace(ID, str(worker_id))
                yield msgspec.structs.replace(publish, routing_key=key), worker_id

    @cached_property
    def services(self) -> tuple[str, ...]:
        """Every service that publishes or consumes, `worker` included, sorted."""
        named = {c.service for c in self.consumers} | {s for p in self.publishes for s in p.by}
        return tuple(sorted(named - {"any"}))

    @cached_property
    def worker_queue_pattern(self) -> str:
        """The pattern of a policy for every worker's own queues, and for no others."""
        return _pattern(q.name for q in self.worker_queue_templates)

    @cached_property
    def base_queue_pattern(self) -> str:
        """The pattern of a policy for the queues that exist once."""
        return _pattern(q.name for q in self.base_queues)

    @cached_property
    def exchange_pattern(self) -> str:
        """The pattern of a policy for the exchanges."""
        return _pattern(e.name for e in self.exchanges)

    def dead_letter_pattern(self, exchange: str) -> str | None:
        """The pattern of a policy for the queues that dead-letter to this exchange with the messages' own keys."""
        own_keys = (q for q in self.queues if "x-dead-letter-routing-key" not in q.arguments)
        names = [q.name for q in own_keys if q.arguments.get("x-dead-letter-exchange") == exchange]
        return _pattern(names) if names else None

    @cached_property
    def leftover_pattern(self) -> re.Pattern[str]:
        """The pattern of the names that a known leftover can have."""
        return re.compile("|".join(known.pattern.pattern for known in self.leftovers) or "(?!)")

    @cached_property
    def _worker_pattern(self) -> re.Pattern[str]:
        """One pattern for the names of all worker queues; its group that matches is named after the template."""
        names = (re.escape(q.name) for q in self.worker_queue_templates)
        an_id = re.escape(ID)
        parts = [
            name.replace(an_id, f"(?P<t{i}>{_AN_ID})", 1).replace(an_id, f"(?P=t{i})") for i, name in enumerate(names)
        ]
        return re.compile("|".join(parts) or "(?!)")

    @cached_property
    def _worker_groups(self) -> Mapping[str, Queue]:
        return {f"t{i}": q for i, q in enumerate(self.worker_queue_templates)}

    @cached_property
    def replica_consumers(self) -> tuple[Consumer, ...]:
        """The consumers with a tag on the server-named queues of replicas."""
        labels = {q.name for q in self.queues if q.per is Per.REPLICA}
        return tuple(c for c in self.consumers if c.tag and c.queue in labels)

    @cached_property
    def _replica_tags(self) -> tuple[tuple[re.Pattern[str], Consumer], ...]:
        own = self.replica_consumers
        return tuple((re.compile(re.escape(c.tag).replace(re.escape(ID), "-?[0-9]+")), c) for c in own)

    def replica_consumer(self, tag: str) -> Consumer | None:
        """The consumer of a replica's own queue that has this tag, or None; the broker names the queue."""
        return next((consumer for pattern, consumer in self._replica_tags if pattern.fullmatch(tag)), None)

    def worker_of(self, queue_name: str) -> tuple[int, Queue] | None:
        """The owner of a queue by its name: the worker's id and the queue's template, or None."""
        found = self._worker_pattern.fullmatch(queue_name)
        if found is None:
            return None
        group = found.lastgroup or ""
        return int(found[group]), self._worker_groups[group]


def _pattern(names: Iterable[str]) -> str:
    """A regular expression that matches exactly these names; `{id}` is any worker's id."""
    return "^(?:" + "|".join(re.escape(n).replace(re.escape(ID), "-?[0-9]+") for n in names) + ")$"


def kept_queue(name: str) -> str:
    """The name of the queue that keeps copies of what a borrowed worker's queue is sent."""
    return f"attune-ops.kept.{name}"


def binding_name(source: str, destination: str, routing_key: str) -> str:
    """The name of a binding in a message."""
    return f"{source} → {destination} ({routing_key!r})"
