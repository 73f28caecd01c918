"""How each exchange type chooses among its bindings: one matcher a type, chosen by `matcher_for`.

Types whose choice depends on chance, on a hash or on a plug-in's own language are not simulated: their
bindings match *perhaps*, and whoever asks is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from attune_ops.model.topology import Arguments
from attune_ops.routing.headers import HeadersMatcher
from attune_ops.routing.route import Step
from attune_ops.routing.routed_message import NOTHING, Match, Message
from attune_ops.routing.rules import Rules
from attune_ops.routing.topic import TopicMatcher


class Matcher(Protocol):
    """Says which bindings of one exchange match a message."""

    def match(self, message: Message) -> Match:
        """The bindings that match, for certain or perhaps."""


class DirectMatcher:
    """Byte equality with any of the message's keys; `#`, `*` and the empty key are literal."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.by_key: dict[str, list[Step]] = {}
        for step in steps:
            self.by_key.setdefault(step.binding_key or "", []).append(step)

    def match(self, message: Message) -> Match:
        """The bindings whose key is one of the message's."""
        keys = message.keys
        if len(keys) == 1:
            found = self.by_key.get(keys[0])
            return NOTHING if found is None else Match(found)
        return Match([step for key in keys for step in self.by_key.get(key, ())])


class FanoutMatcher:
    """Every binding; the key plays no part."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.all = Match(steps)

    def match(self, message: Message) -> Match:
        """All bindings."""
        return self.all


class ChoiceMatcher:
    """One destination of those bound, which one cannot be computed here; with a single one there is no choice."""

    def __init__(self, steps: Sequence[Step]) -> None:
        single = len({(s.destination_kind, s.destination) for s in steps}) == 1
        self.all = Match(steps) if single else Match((), steps, some=bool(steps))

    def match(self, message: Message) -> Match:
        """All bindings, one of which it will be."""
        return self.all


class UnknownMatcher:
    """A type of which nothing is known: each binding may match or not."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.all = Match((), steps)

    def match(self, message: Message) -> Match:
        """All bindings, each perhaps."""
        return self.all


def matcher_for(type: str, arguments: Arguments, steps: Sequence[Step], rules: Rules) -> Matcher:
    """The matcher of an exchange of this type with these bindings."""
    if type == "x-delayed-message":  # routes as another type would, after the message's x-delay
        type = str(arguments.get("x-delayed-type", ""))
    if type == "headers":
        return HeadersMatcher(steps, rules.numbers_are_loose)
    if type == "x-local-random":  # looks its bindings up by the empty key
        steps = [s for s in steps if not s.binding_key]
    return _BY_TYPE.get(type, UnknownMatcher)(steps)


_BY_TYPE: dict[str, Callable[[Sequence[Step]], Matcher]] = {
    "direct": DirectMatcher,
    "fanout": FanoutMatcher,
    "topic": TopicMatcher,
    "x-recent-history": FanoutMatcher,
    "x-random": ChoiceMatcher,
    "x-local-random": ChoiceMatcher,
    "x-consistent-hash": ChoiceMatcher,
    "x-modulus-hash": ChoiceMatcher,
}

# The types whose every choice is known.
SIMULATED = frozenset({"direct", "fanout", "topic", "headers", "x-recent-history", "x-delayed-message"})
