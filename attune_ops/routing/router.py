"""The routing simulator: which queues a message is routed to, in one virtual host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from attune_ops.routing.dead_letters import follow
from attune_ops.routing.matchers import DirectMatcher
from attune_ops.routing.route import Reason, Refusal, Route
from attune_ops.routing.routed_message import RoutedMessage, routing_keys
from attune_ops.routing.topic import TopicMatcher
from attune_ops.routing.virtual_host import VirtualHost


class Router(VirtualHost):
    """Answers where messages go in one virtual host. Pure: it changes nothing and connects nowhere.

    Memory is linear in the objects; the time of a route depends on the words of the key and on what it passes. `notes`
    says what the answers leave out.
    """

    def route(self, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None) -> Route:
        """The queues that a message published with this key is routed to; `error` where the broker refuses it."""
        keys = self.refusal(exchange) or routing_keys(routing_key, headers)
        if isinstance(keys, Refusal):
            return Route(exchange, routing_key, vhost=self.vhost, error=keys)
        walk = self.walk(exchange, RoutedMessage(keys, headers, self.loose))
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
        """The queues that a publish reaches, for certain or perhaps; none where it is refused."""
        return next(self.reached_by_each(exchange, (routing_key,)))

    def reached_by_each(self, exchange: str, routing_keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """What `reached` gives for each key."""
        start, queues = self._exchanges.get(exchange), self._queues
        if start is None or start.state.internal:
            yield from (() for _ in routing_keys)
            return
        for key, name in zip(routing_keys, self.bound_to_each(exchange, routing_keys), strict=True):
            if name is not None:
                yield (name,) if name in queues else ()
            else:
                yield tuple(self.walk(exchange, RoutedMessage((key,), None, self.loose)).queues)

    def bound_to_each(self, exchange: str, routing_keys: Iterable[str]) -> Iterator[str | None]:
        """For each key the queue, there or not, to which the only binding leads; None where only a walk tells.

        Usually there is one, and nothing else to find out.
        """
        start = self._exchanges.get(exchange) if exchange else None
        if start is None or start.state.internal or not isinstance(start.matcher, DirectMatcher | TopicMatcher):
            yield from (None for _ in routing_keys)
            return
        matching = start.matcher.matching
        for key in routing_keys:
            steps = matching(key)
            yield steps[0].destination if len(steps) == 1 and steps[0].destination_kind == "queue" else None

    def has_queues(self, names: Iterable[str]) -> bool:
        """Whether all these queues are there."""
        return all(map(self._queues.__contains__, names))

    def dead_letter(
        self,
        queue: str,
        reason: Reason,
        routing_key: str,
        headers: Mapping[str, Any] | None = None,
        exchange: str = "",
    ) -> Route:
        """Where a message goes that this queue dead-letters, hop by hop.

        `routing_key`, `headers` and `exchange` are those of its publish to the queue; only a headers exchange uses
        `exchange` (`x-first-death-exchange`).
        """
        return follow(self, queue, reason, routing_key, headers, exchange)


class Question(msgspec.Struct):
    """A publish, or with `dead_letter` a message that this queue dead-letters. Other members are ignored."""

    routing_key: str
    exchange: str | None = None
    headers: dict[str, Any] | None = None
    vhost: str | None = None
    dead_letter: str | None = None
    reason: Reason | None = None


class BadLine(msgspec.Struct, frozen=True):
    """A line that is not a question, by its number from 1."""

    line: int
    error: Refusal


_decode = msgspec.json.Decoder(Question).decode


def answers(lines: Iterable[bytes], routers: Mapping[str, Router], vhost: str | None) -> Iterator[Route | BadLine]:
    """An answer for each line; `vhost` is the default virtual host. Empty lines at the end are ignored."""
    empty: list[int] = []
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if not text:
            empty.append(number)
            continue
        for skipped in empty:
            yield BadLine(skipped, Refusal(None, "empty line"))
        empty.clear()
        try:
            yield _answer(_decode(text), routers, vhost)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as e:
            yield BadLine(number, Refusal(None, str(e)))


def _answer(question: Question, routers: Mapping[str, Router], vhost: str | None) -> Route:
    name = question.vhost if question.vhost is not None else vhost
    if name is None:
        raise ValueError(f"no vhost given, and there are several: {', '.join(map(repr, routers))}")
    try:
        router = routers[name]
    except KeyError:
        raise ValueError(f"no virtual host {name!r}; known: {', '.join(map(repr, routers))}") from None
    if question.dead_letter is None:
        if question.exchange is None:
            raise ValueError("neither exchange nor dead_letter given")
        return router.route(question.exchange, question.routing_key, question.headers)
    if question.reason is None:
        raise ValueError("dead_letter without reason")
    return router.dead_letter(
        question.dead_letter, question.reason, question.routing_key, question.headers, question.exchange or ""
    )
