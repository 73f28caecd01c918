"""Routing a message from exchange to exchange (rabbit_exchange:route/2)."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from heapq import heappop, heappush

from attune_ops.model.snapshot import ExchangeState
from attune_ops.routing.matchers import Matcher, matcher_for
from attune_ops.routing.route import RouteStep
from attune_ops.routing.routed_message import RoutedMessage
from attune_ops.routing.rules import Rules

# How an exchange is reached: by an alternate exchange, or perhaps. More certain exchanges are visited first, so that
# each counts as reached in its most certain way; a flag is never removed on the way.
ALTERNATE = 1
PERHAPS = 2


class WiredExchange:
    """An exchange with its bindings; the matcher is made for the first message.

    `alternates` are its possible alternate exchanges: one or none, or several where policies of the same priority
    differ (None where one sets none).
    """

    __slots__ = ("_matcher", "_rules", "alternates", "state", "steps")

    def __init__(self, state: ExchangeState, alternates: Sequence[str | None], rules: Rules) -> None:
        self.state = state
        self.alternates = alternates
        self.steps: list[RouteStep] = []
        self._rules = rules
        self._matcher: Matcher | None = None

    @property
    def matcher(self) -> Matcher:
        """The matcher of this exchange's type over its bindings."""
        if self._matcher is None:
            self._matcher = matcher_for(self.state.type, self.state.arguments, self.steps, self._rules)
        return self._matcher


class Walk:
    """One walk from an exchange: the steps, the exchanges that cannot be simulated, the queues reached."""

    __slots__ = ("_exchanges", "_message", "_pending", "_queues", "path", "queues", "uncertain")

    def __init__(
        self, exchanges: Mapping[str, WiredExchange], queues: Container[str], start: str, message: RoutedMessage
    ) -> None:
        self.queues: dict[str, int] = {}  # each with how it is reached
        self.path: list[RouteStep] = []
        self.uncertain: dict[str, None] = {}
        self._exchanges, self._queues, self._message = exchanges, queues, message
        self._pending = [(0, 0, start)]  # a heap of how an exchange is reached, after how many steps, and its name
        if start:
            self._walk()
        else:
            self._default_exchange()

    @property
    def certain(self) -> tuple[str, ...]:
        """The queues that receive the message, sorted."""
        return tuple(sorted(q for q, reached in self.queues.items() if reached < PERHAPS))

    @property
    def possible(self) -> tuple[str, ...]:
        """The queues that may receive it, sorted."""
        return tuple(sorted(q for q, reached in self.queues.items() if reached >= PERHAPS))

    @property
    def via_alternate(self) -> bool:
        """Whether some queue is reached only by an alternate exchange."""
        return any(reached & ALTERNATE for reached in self.queues.values())

    def _default_exchange(self) -> None:
        # For a publish, the default exchange uses the key as queue name and has no alternate. As an alternate it is
        # like any other: it has no bindings, but a policy may set its alternate exchange.
        for key in dict.fromkeys(self._message.keys):
            if key in self._queues:
                self.path.append(RouteStep("", key, "queue", key, "default"))
                self.queues[key] = 0

    def _walk(self) -> None:
        seen: set[str] = set()
        while self._pending:
            reached, _, name = heappop(self._pending)
            exchange = self._exchanges.get(name)
            if name not in seen and exchange is not None:
                seen.add(name)
                self._visit(exchange, reached)

    def _visit(self, exchange: WiredExchange, reached: int) -> None:
        found = exchange.matcher.match(self._message)
        self._take(found.certain, reached)
        if found.perhaps:
            self.uncertain[exchange.state.name] = None
            self._take(found.perhaps, reached | PERHAPS)
        # The alternate exchange gets a message that matches no binding here, wherever a match leads.
        if exchange.alternates and not found.certain and not found.some:
            self._take_alternate(exchange, reached | (PERHAPS if found.perhaps else 0))

    def _take_alternate(self, exchange: WiredExchange, reached: int) -> None:
        name = exchange.state.name
        if len(exchange.alternates) > 1:
            reached |= PERHAPS
            self.uncertain[name] = None
        steps = [RouteStep(name, None, "exchange", a, "alternate") for a in exchange.alternates if a is not None]
        self._take(steps, reached | ALTERNATE)

    def _take(self, steps: Sequence[RouteStep], reached: int) -> None:
        for step in steps:
            self.path.append(step)
            if step.destination_kind == "exchange":
                heappush(self._pending, (reached, len(self.path), step.destination))
            elif step.destination in self._queues:
                self.queues[step.destination] = min(reached, self.queues.get(step.destination, reached))
