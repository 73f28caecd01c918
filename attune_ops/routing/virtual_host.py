"""One virtual host as the routing simulator needs it: objects, effective policies and settings, the bare walk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import ClassVar, Self

from attune_ops.model.snapshot import BindingState, BrokerSnapshot, ExchangeState, PolicyState, QueueState
from attune_ops.model.topology import Per, Topology
from attune_ops.routing.effective_policy import EffectiveSettings, PolicySet, queue_settings
from attune_ops.routing.route import Refusal, RouteStep
from attune_ops.routing.routed_message import RoutedMessage
from attune_ops.routing.rules import Rules
from attune_ops.routing.walk import Walk, WiredExchange

ALTERNATE_EXCHANGE = "alternate-exchange"

# The exchanges of every virtual host, listed or not: name, type, internal.
BUILT_IN = (
    ("", "direct", False),
    ("amq.direct", "direct", False),
    ("amq.fanout", "fanout", False),
    ("amq.headers", "headers", False),
    ("amq.match", "headers", False),
    ("amq.topic", "topic", False),
    ("amq.rabbitmq.trace", "topic", True),
)


class VirtualHost:
    """The exchanges, queues, bindings and policies of one virtual host; `notes` says what is not simulated."""

    LISTINGS: ClassVar = ("exchanges", "queues", "bindings", "policies")  # what it needs of a snapshot

    def __init__(
        self,
        vhost: str,
        exchanges: Iterable[ExchangeState],
        queues: Iterable[QueueState],
        bindings: Iterable[BindingState],
        policies: Iterable[PolicyState] = (),
        version: str | None = None,
    ) -> None:
        self.vhost = vhost
        self.rules = Rules.of(version)
        self.loose = self.rules.numbers_are_loose  # once: every message needs it
        self.policies = PolicySet(policies, self.rules)
        self.notes = self.policies.left_out
        self._queues = {q.name: q for q in queues}
        self._settings: dict[str, EffectiveSettings] = {}
        self._exchanges: dict[str, WiredExchange] = {}
        for name, type, internal in BUILT_IN:
            self._add_exchange(ExchangeState(name, vhost, type, internal=internal))
        for exchange in exchanges:
            self._add_exchange(exchange)
        for b in bindings:
            source = self._exchanges.get(b.source)
            if b.source and source is not None:  # bindings of the default exchange are implicit, not stored
                step = RouteStep(b.source, b.routing_key, b.destination_kind, b.destination, "binding", b.arguments)
                source.steps.append(step)

    @classmethod
    def from_snapshot(cls, broker: BrokerSnapshot) -> Self:
        """From a snapshot of a broker; an unknown listing counts as empty."""
        return cls(
            broker.vhost,
            broker.exchanges or (),
            broker.queues or (),
            broker.bindings or (),
            broker.policies or (),
            broker.version,
        )

    @classmethod
    def from_topology(
        cls,
        topology: Topology,
        worker_ids: Sequence[int] = (),
        vhost: str = "/",
        version: str | None = None,
        policies: Iterable[PolicyState] = (),
    ) -> Self:
        """From a topology, with the queues of these workers; the queue of a replica has its label as name."""
        queues = [q for q in topology.queues if q.per is not Per.WORKER]
        labels = {q.name for q in topology.queues if q.per is Per.WORKER}
        bindings = [b for b in topology.bindings if b.destination_kind == "exchange" or b.destination not in labels]
        for worker_id in worker_ids:
            queues += topology.worker_queues(worker_id)
            bindings += topology.worker_bindings(worker_id)
        return cls(
            vhost,
            [
                ExchangeState(e.name, vhost, e.type, e.durable, e.auto_delete, e.internal, e.arguments)
                for e in topology.exchanges
            ],
            [QueueState(q.name, vhost, q.type, q.durable, q.auto_delete, q.exclusive, q.arguments) for q in queues],
            [
                BindingState(vhost, b.source, b.destination, b.routing_key, b.destination_kind, b.arguments)
                for b in bindings
            ],
            policies,
            version,
        )

    def _add_exchange(self, state: ExchangeState) -> None:
        self._exchanges[state.name] = WiredExchange(state, self._alternates(state), self.rules)

    def _alternates(self, state: ExchangeState) -> Sequence[str | None]:
        if ALTERNATE_EXCHANGE in state.arguments:
            return (str(state.arguments[ALTERNATE_EXCHANGE]),)
        tied = self.policies.effective("exchange", state.name, reported=state.policy)
        names = dict.fromkeys(p.definition.get(ALTERNATE_EXCHANGE) for p in tied)
        return () if not names or set(names) == {None} else tuple(names)

    def with_queues(self, queues: Iterable[QueueState]) -> Self:
        """The same virtual host with these queues in place of its own."""
        made = copy(self)
        made._queues, made._settings = {q.name: q for q in queues}, {}
        return made

    def queue_settings(self, name: str) -> EffectiveSettings:
        """The effective settings of a queue, by key without `x-`; empty where it does not exist."""
        found = self._settings.get(name)
        if found is None:
            queue = self._queues.get(name)
            if queue is None:
                return {}
            policy = self.policies.of("queue", queue.name, queue.type, queue.policy)
            operator = self.policies.effective_operator(queue.name, queue.type, queue.operator_policy)
            found = self._settings[name] = queue_settings(queue.arguments, queue.type, policy, operator)
        return found

    def queue(self, name: str) -> QueueState | None:
        """The queue of that name."""
        return self._queues.get(name)

    def exchange(self, name: str) -> ExchangeState | None:
        """The exchange of that name, the built-in ones included."""
        found = self._exchanges.get(name)
        return found.state if found else None

    def bindings(self, exchange: str) -> Sequence[RouteStep]:
        """The bindings of an exchange, in the order in which they were given."""
        found = self._exchanges.get(exchange)
        return found.steps if found else ()

    def alternates(self, exchange: str) -> Sequence[str | None]:
        """The possible alternate exchanges of an exchange: none, one, or several where policies contradict."""
        found = self._exchanges.get(exchange)
        return found.alternates if found else ()

    @property
    def exchange_names(self) -> Sequence[str]:
        """The names of all exchanges, the default exchange included."""
        return list(self._exchanges)

    @property
    def queue_names(self) -> Sequence[str]:
        """The names of all queues."""
        return tuple(self._queues)

    def walk(self, start: str, message: RoutedMessage) -> Walk:
        """The bare walk from an exchange that exists; internal ones are allowed, as for a dead letter."""
        return Walk(self._exchanges, self._queues, start, message)

    def refusal(self, exchange: str) -> Refusal | None:
        """The broker's refusal of a publish to this exchange, if any."""
        found = self.exchange(exchange)
        if found is not None and not found.internal:
            return None
        where = f"'{exchange}' in vhost '{self.vhost}'"
        if found is None:
            return Refusal(404, f"NOT_FOUND - no exchange {where}")
        return Refusal(403, f"ACCESS_REFUSED - cannot publish to internal exchange {where}")
