"""The walk of a message from exchange to exchange (rabbit_exchange:route/2), over a snapshot or a topology."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attune_ops.route import Reason, Refusal, Route, Step
from attune_ops.routing.dead_letters import follow
from attune_ops.routing.effective import Settings, exchange_settings, queue_settings
from attune_ops.routing.matchers import DirectMatcher, Matcher, matcher_for
from attune_ops.routing.message import Message, routing_keys
from attune_ops.routing.policies import Policies
from attune_ops.routing.rules import Rules
from attune_ops.snapshot import BindingState, BrokerSnapshot, ExchangeState, PolicyState, QueueState
from attune_ops.topology import Per, Topology

# What every virtual host has, listed or not.
BUILT_IN = (
    ("", "direct", False),
    ("amq.direct", "direct", False),
    ("amq.fanout", "fanout", False),
    ("amq.headers", "headers", False),
    ("amq.match", "headers", False),
    ("amq.topic", "topic", False),
    ("amq.rabbitmq.trace", "topic", True),
)

# How certain, and by what, an exchange is reached; the surest first, so that each exchange counts as reached in
# the surest way. Added up when the way goes on.
ALTERNATE = 1
PERHAPS = 2


class Walk:
    """What one walk collects. `queues` maps each queue that is reached to the rank of the way there."""

    __slots__ = ("path", "queues", "uncertain")

    def __init__(self) -> None:
        self.queues: dict[str, int] = {}
        self.path: list[Step] = []
        self.uncertain: list[str] = []

    @property
    def certain(self) -> tuple[str, ...]:
        """The queues that receive the message, sorted."""
        return tuple(sorted(q for q, rank in self.queues.items() if rank < PERHAPS))

    @property
    def possible(self) -> tuple[str, ...]:
        """The queues that may receive it, sorted."""
        return tuple(sorted(q for q, rank in self.queues.items() if rank >= PERHAPS))

    @property
    def via_alternate(self) -> bool:
        """Whether some queue is reached by way of an alternate exchange only."""
        return any(rank & ALTERNATE for rank in self.queues.values())


class _Exchange:
    """An exchange with its bindings; the matcher is made when a message first comes here."""

    __slots__ = ("_matcher", "_rules", "alternate", "state", "steps")

    def __init__(self, state: ExchangeState, alternate: str | None, rules: Rules) -> None:
        self.state = state
        self.alternate = alternate
        self.steps: list[Step] = []
        self._rules = rules
        self._matcher: Matcher | None = None

    @property
    def matcher(self) -> Matcher:
        """The matcher of this exchange's type over its bindings."""
        if self._matcher is None:
            self._matcher = matcher_for(self.state.type, self.state.arguments, self.steps, self._rules)
        return self._matcher


class Router:
    """Answers where messages go in one virtual host. Pure: it changes nothing and asks nobody.

    Memory is linear in the objects; a route takes time in the words of the key and what it touches on its way.
    """

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
        self._queues = {q.name: q for q in queues}
        self._exchanges: dict[str, _Exchange] = {}
        for name, type, internal in BUILT_IN:
            self._add_exchange(ExchangeState(name, vhost, type, internal=internal))
        for exchange in exchanges:
            self._add_exchange(exchange)
        for b in bindings:
            source = self._exchanges.get(b.source)
            if b.source and source is not None:  # those of the default exchange are implicit, not stored
                source.steps.append(
                    Step(b.source, b.routing_key, b.destination_kind, b.destination, "binding", b.arguments)
                )
        self._default = DirectMatcher([Step("", name, "queue", name, "default") for name in self._queues])

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
        alternate = exchange_settings(state.arguments, self.policy_for_exchange(state)).get("alternate-exchange")
        name = alternate.value if alternate is not None and state.name and isinstance(alternate.value, str) else None
        self._exchanges[state.name] = _Exchange(state, name, self.rules)

    # What is in force

    def policy_for_exchange(self, exchange: ExchangeState) -> PolicyState | None:
        """The policy in force for an exchange."""
        return self.policies.of("exchange", exchange.name, told=exchange.policy)

    def policy_for_queue(self, queue: QueueState) -> PolicyState | None:
        """The policy in force for a queue."""
        return self.policies.of("queue", queue.name, queue.type, told=queue.policy)

    def exchange_settings(self, name: str) -> Settings:
        """What holds for an exchange, policy counted in; empty where there is no such exchange."""
        found = self._exchanges.get(name)
        return exchange_settings(found.state.arguments, self.policy_for_exchange(found.state)) if found else {}

    def queue_settings(self, name: str) -> Settings:
        """What holds for a queue, policies counted in; empty where there is no such queue."""
        queue = self._queues.get(name)
        if queue is None:
            return {}
        operator = self.policies.operator_of(name, queue.type, told=queue.operator_policy)
        return queue_settings(queue.arguments, queue.type, self.policy_for_queue(queue), operator)

    def queue(self, name: str) -> QueueState | None:
        """The queue of that name."""
        return self._queues.get(name)

    def exchange(self, name: str) -> ExchangeState | None:
        """The exchange of that name, the built-in ones included."""
        found = self._exchanges.get(name)
        return found.state if found else None

    # Where messages go

    def route(self, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None) -> Route:
        """Where a message that is published with this key goes; a publish that the broker refuses has its error."""
        refusal = self._refusal(exchange)
        keys = routing_keys(routing_key, headers)
        if refusal is not None or isinstance(keys, Refusal):
            error = refusal or keys
            assert isinstance(error, Refusal)
            return Route(exchange, routing_key, vhost=self.vhost, error=error)
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
        )

    def dead_letter(
        self, queue: str, reason: Reason, routing_key: str, headers: Mapping[str, Any] | None = None
    ) -> Route:
        """Where a message goes that this queue gives up, and where it goes from there, to its end.

        `routing_key` and `headers` are those with which the message came into the queue.
        """
        return follow(self, queue, reason, routing_key, headers)

    def _refusal(self, exchange: str) -> Refusal | None:
        found = self._exchanges.get(exchange)
        if found is None:
            return Refusal(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '{self.vhost}'")
        if found.state.internal:
            return Refusal(
                403, f"ACCESS_REFUSED - cannot publish to internal exchange '{exchange}' in vhost '{self.vhost}'"
            )
        return None

    def walk(self, start: str, message: Message) -> Walk:
        """Walks from an exchange that exists; internal ones are allowed, as for a dead letter."""
        walk = Walk()
        if not start:  # the default exchange: every key names a queue; it has no bindings and no alternate
            for step in self._default.match(message).certain:
                walk.path.append(step)
                walk.queues[step.destination] = 0
            return walk
        seen: set[str] = set()
        pending: tuple[deque[str], ...] = (deque([start]), deque(), deque(), deque())
        while (rank := next((r for r in range(4) if pending[r]), None)) is not None:
            name = pending[rank].popleft()
            exchange = self._exchanges.get(name)
            if name not in seen and exchange is not None:
                seen.add(name)
                self._visit(exchange, rank, message, walk, pending)
        return walk

    def _visit(
        self, exchange: _Exchange, rank: int, message: Message, walk: Walk, pending: tuple[deque[str], ...]
    ) -> None:
        found = exchange.matcher.match(message)
        self._take(found.certain, rank, walk, pending)
        if found.perhaps:
            walk.uncertain.append(exchange.state.name)
            self._take(found.perhaps, rank | PERHAPS, walk, pending)
        if found.certain or found.some or exchange.alternate is None:
            return
        step = Step(exchange.state.name, None, "exchange", exchange.alternate, "alternate")
        self._take((step,), rank | ALTERNATE | (PERHAPS if found.perhaps else 0), walk, pending)

    def _take(self, steps: Sequence[Step], rank: int, walk: Walk, pending: tuple[deque[str], ...]) -> None:
        for step in steps:
            walk.path.append(step)
            if step.destination_kind == "exchange":
                pending[rank].append(step.destination)
            elif step.destination in self._queues:
                walk.queues[step.destination] = min(rank, walk.queues.get(step.destination, rank))
