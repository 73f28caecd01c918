"""The questions that can be asked of one virtual host: where a message goes, and what is in force for an object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from attune_ops.model.snapshot import BindingState, BrokerSnapshot, ExchangeState, PolicyState, QueueState
from attune_ops.model.topology import Per, Topology
from attune_ops.routing.dead_letters import follow
from attune_ops.routing.effective import EffectiveSettings, exchange_settings, queue_settings
from attune_ops.routing.policy_match import Policies
from attune_ops.routing.route import Reason, Refusal, Route, Step
from attune_ops.routing.routed_message import Message, routing_keys
from attune_ops.routing.rules import Rules
from attune_ops.routing.walk import Network, Walk, WiredExchange

ALTERNATE_EXCHANGE = "alternate-exchange"

# What every virtual host has, listed or not: name, type, internal.
BUILT_IN = (
    ("", "direct", False),
    ("amq.direct", "direct", False),
    ("amq.fanout", "fanout", False),
    ("amq.headers", "headers", False),
    ("amq.match", "headers", False),
    ("amq.topic", "topic", False),
    ("amq.rabbitmq.trace", "topic", True),
)


class Router:
    """Answers where messages go in one virtual host. Pure: it changes nothing and asks nobody.

    Memory is linear in the objects; a route takes time in the words of the key and what it touches on its way.
    `notes` says what the answers leave out.
    """

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
        self.policies = Policies(policies, self.rules)
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
            if b.source and source is not None:  # those of the default exchange are implicit, not stored
                step = Step(b.source, b.routing_key, b.destination_kind, b.destination, "binding", b.arguments)
                source.steps.append(step)
        self._network = Network(self._exchanges, self._queues)

    @classmethod
    def from_snapshot(cls, broker: BrokerSnapshot) -> Router:
        """A router over what was seen on a broker; what was not told counts as not there."""
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
        cls, topology: Topology, worker_ids: Sequence[int] = (), vhost: str = "/", version: str | None = None
    ) -> Router:
        """A router over what a topology wants, with the queues of these workers; a replica's queue has its label."""
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
            version=version,
        )

    def _add_exchange(self, state: ExchangeState) -> None:
        self._exchanges[state.name] = WiredExchange(state, self._alternates(state), self.rules)

    def _alternates(self, state: ExchangeState) -> Sequence[str | None]:
        if ALTERNATE_EXCHANGE in state.arguments:
            found = {str(state.arguments[ALTERNATE_EXCHANGE])}
            return tuple(found)
        tied = self.policies.in_force("exchange", state.name, told=state.policy)
        names = dict.fromkeys(p.definition.get(ALTERNATE_EXCHANGE) for p in tied)
        return () if not names or set(names) == {None} else tuple(names)

    # What is in force

    def policy_for_exchange(self, exchange: ExchangeState) -> PolicyState | None:
        """The policy in force for an exchange; of several with the highest priority the first by name."""
        return self.policies.of("exchange", exchange.name, told=exchange.policy)

    def policy_for_queue(self, queue: QueueState) -> PolicyState | None:
        """The policy in force for a queue; of several with the highest priority the first by name."""
        return self.policies.of("queue", queue.name, queue.type, queue.policy)

    def operator_policy_for_queue(self, queue: QueueState) -> PolicyState | None:
        """The operator policy in force for a queue, in the same way."""
        return self.policies.operator_of(queue.name, queue.type, queue.operator_policy)

    def exchange_settings(self, name: str) -> EffectiveSettings:
        """What holds for an exchange, policy counted in; empty where there is no such exchange."""
        exchange = self.exchange(name)
        return {} if exchange is None else exchange_settings(exchange.arguments, self.policy_for_exchange(exchange))

    def queue_settings(self, name: str) -> EffectiveSettings:
        """What holds for a queue, policies counted in, by key without `x-`; empty where there is no such queue."""
        found = self._settings.get(name)
        if found is None:
            queue = self._queues.get(name)
            if queue is None:
                return {}
            policy, operator = self.policy_for_queue(queue), self.operator_policy_for_queue(queue)
            found = self._settings[name] = queue_settings(queue.arguments, queue.type, policy, operator)
        return found

    def queue(self, name: str) -> QueueState | None:
        """The queue of that name."""
        return self._queues.get(name)

    def exchange(self, name: str) -> ExchangeState | None:
        """The exchange of that name, the built-in ones included."""
        found = self._exchanges.get(name)
        return found.state if found else None

    def bindings(self, exchange: str) -> Sequence[Step]:
        """The bindings of an exchange, in the order in which they were given."""
        found = self._exchanges.get(exchange)
        return found.steps if found else ()

    @property
    def exchange_names(self) -> Sequence[str]:
        """The exchanges there are, the default exchange among them."""
        return list(self._exchanges)

    @property
    def queue_names(self) -> Sequence[str]:
        """The names of all queues."""
        return tuple(self._queues)

    # Where messages go

    def route(self, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None) -> Route:
        """Where a message that is published with this key goes; a publish that the broker refuses has its error."""
        keys = self._refusal(exchange) or routing_keys(routing_key, headers)
        if isinstance(keys, Refusal):
            return Route(exchange, routing_key, vhost=self.vhost, error=keys)
        walk = self.walk(exchange, Message(keys, headers, self.rules.numbers_are_loose))
        return Route(
            exchange,
            routing_key,
            queues=walk.certain,
            unroutable=not walk.queues,
            via_alternate=walk.via_alternate,
            uncertain=tuple(walk.uncertain),
            path=tuple(walk.path),
            possible=walk.possible,
            vhost=self.vhost,
            notes=self.notes,
        )

    def reached(self, exchange: str, routing_key: str) -> tuple[str, ...]:
        """The queues that a publish reaches, for certain or perhaps; none where it is refused.

        For one who asks often and of whom few answers need a closer look: it takes half the time of `route`.
        """
        if self._refusal(exchange) is not None:
            return ()
        return tuple(self.walk(exchange, Message((routing_key,), None, self.rules.numbers_are_loose)).queues)

    def dead_letter(
        self,
        queue: str,
        reason: Reason,
        routing_key: str,
        headers: Mapping[str, Any] | None = None,
        exchange: str = "",
    ) -> Route:
        """Where a message goes that this queue gives up, and where it goes from there, to its end.

        `routing_key` and `headers` are those with which the message came into the queue, by way of `exchange`
        (which only a headers exchange can tell, by `x-first-death-exchange`).
        """
        return follow(self, queue, reason, routing_key, headers, exchange)

    def walk(self, start: str, message: Message) -> Walk:
        """The bare walk from an exchange that exists; internal ones are allowed, as for a dead letter."""
        return self._network.walk(start, message)

    def _refusal(self, exchange: str) -> Refusal | None:
        found = self.exchange(exchange)
        where = f"'{exchange}' in vhost '{self.vhost}'"
        if found is None:
            return Refusal(404, f"NOT_FOUND - no exchange {where}")
        if found.internal:
            return Refusal(403, f"ACCESS_REFUSED - cannot publish to internal exchange {where}")
        return None
