"""How each exchange type matches its bindings: one matcher per type, made by `matcher_for`.

Types that depend on chance, a hash or a plug-in's own language are not simulated: their bindings match *perhaps*, and
the route lists the exchange as uncertain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from attune_ops.model.topology import Arguments
from attune_ops.routing.header_values import VOID, Value, comparable
from attune_ops.routing.route import RouteStep
from attune_ops.routing.routed_message import NOTHING, Match, RoutedMessage
from attune_ops.routing.rules import Rules
from attune_ops.routing.topic import TopicMatcher

X_MATCH = "x-match"
AMBIGUOUS = "undefined"

Test = tuple[str, Value]  # a header's name and its required value; VOID requires only the header


class Matcher(Protocol):
    """Matches a message against the bindings of one exchange."""

    def match(self, message: RoutedMessage) -> Match:
        """The bindings that match, for certain or perhaps."""


class DirectMatcher:
    """Byte equality with any of the message's keys; `#`, `*` and the empty key are literal."""

    def __init__(self, steps: Sequence[RouteStep]) -> None:
        self.by_key: dict[str, list[RouteStep]] = {}
        for step in steps:
            self.by_key.setdefault(step.binding_key or "", []).append(step)

    def match(self, message: RoutedMessage) -> Match:
        """The bindings with one of the message's keys."""
        keys = message.keys
        if len(keys) == 1:
            found = self.matching(keys[0])
            return Match(found) if found else NOTHING
        return Match([step for key in keys for step in self.matching(key)])

    def matching(self, key: str) -> Sequence[RouteStep]:
        """The bindings with this key."""
        return self.by_key.get(key, ())


class FanoutMatcher:
    """Every binding; the key is not used."""

    def __init__(self, steps: Sequence[RouteStep]) -> None:
        self.all = Match(steps)

    def match(self, message: RoutedMessage) -> Match:
        """All bindings."""
        return self.all


class ChoiceMatcher:
    """One of the bound destinations, unknown which; with a single destination it is certain."""

    def __init__(self, steps: Sequence[RouteStep]) -> None:
        single = len({(s.destination_kind, s.destination) for s in steps}) == 1
        self.all = Match(steps) if single else Match((), steps, some=bool(steps))

    def match(self, message: RoutedMessage) -> Match:
        """All bindings, one of which will match."""
        return self.all


class HashMatcher(ChoiceMatcher):
    """As `ChoiceMatcher`, without the bindings of weight 0: the key is the weight, the number of hash buckets."""

    def __init__(self, steps: Sequence[RouteStep]) -> None:
        super().__init__([s for s in steps if (s.binding_key or "").strip("0")])


class UnknownMatcher:
    """An unknown type: each binding may match or not."""

    def __init__(self, steps: Sequence[RouteStep]) -> None:
        self.all = Match((), steps)

    def match(self, message: RoutedMessage) -> Match:
        """All bindings, each perhaps."""
        return self.all


class Pattern:
    """One binding, with the tests that its arguments make."""

    __slots__ = ("any", "order", "step", "tests")

    def __init__(self, order: int, step: RouteStep, loose: bool) -> None:
        self.order = order
        self.step = step
        mode = step.arguments.get(X_MATCH)
        self.any = mode in ("any", "any-with-x")
        with_x = mode in ("all-with-x", "any-with-x")
        self.tests: list[Test] = _tests(step.arguments, with_x, loose)

    def matches(self, values: dict[str, Value], perhaps: bool = False) -> bool:
        """Whether the headers match; with `perhaps` an ambiguous argument requires only the header."""
        held = (_holds(test, values, perhaps) for test in self.tests)
        return any(held) if self.any else all(held)


def _tests(arguments: Arguments, with_x: bool, loose: bool) -> list[Test]:
    return [
        (name, comparable(value, loose))
        for name, value in arguments.items()
        if name != X_MATCH and (with_x or not name.startswith("x-"))
    ]


def _holds(test: Test, values: dict[str, Value], perhaps: bool) -> bool:
    name, wanted = test
    found = values.get(name)
    if found is None:
        return False
    return wanted == VOID or found == wanted or (perhaps and _is_ambiguous(wanted))


def _is_ambiguous(wanted: Value) -> bool:
    return wanted == ("text", AMBIGUOUS)


class HeadersMatcher:
    """The bindings of one headers exchange (rabbit_exchange_type_headers), indexed by the headers that they name.

    `x-match` has four forms: `all` (the default) and `any` ignore arguments that start with `x-`; `all-with-x` and
    `any-with-x` (from 3.10) ignore only `x-match`. A void argument requires the header, with any value. Without other
    arguments `all` matches every message and `any` none. The routing key is not used.

    The management API shows a void argument as the text "undefined", so such an argument is ambiguous: the binding
    matches for certain where the text matches, and perhaps where only the header is present.
    """

    def __init__(self, steps: Iterable[RouteStep], loose: bool) -> None:
        self.always: list[RouteStep] = []
        # By a test that a message must pass for the pattern to match: a value, or (VOID) just the header.
        self.by_test: dict[Test, list[Pattern]] = {}
        patterns = [Pattern(i, step, loose) for i, step in enumerate(steps)]
        common = Counter(test for p in patterns for test in p.tests)
        for pattern in patterns:
            if pattern.tests:
                # For `all` one test suffices as index: the rarest, so that few patterns are tested in vain.
                keys = pattern.tests if pattern.any else [min(pattern.tests, key=common.__getitem__)]
                for name, wanted in keys:
                    key = (name, VOID if _is_ambiguous(wanted) else wanted)
                    self.by_test.setdefault(key, []).append(pattern)
            elif not pattern.any:
                self.always.append(pattern.step)

    def match(self, message: RoutedMessage) -> Match:
        """The bindings that match the message's headers."""
        values = message.values
        certain: dict[int, RouteStep] = {}
        perhaps: dict[int, RouteStep] = {}
        for name, value in values.items():
            for key in ((name, value), (name, VOID)) if value != VOID else ((name, VOID),):
                for pattern in self.by_test.get(key, ()):
                    if pattern.matches(values):
                        certain[pattern.order] = pattern.step
                    elif pattern.matches(values, perhaps=True):
                        perhaps[pattern.order] = pattern.step
        found = [certain[i] for i in sorted(certain)]
        return Match(self.always + found, [perhaps[i] for i in sorted(perhaps)])


def matcher_for(type: str, arguments: Arguments, steps: Sequence[RouteStep], rules: Rules) -> Matcher:
    """The matcher of an exchange of this type with these bindings."""
    if type == "x-delayed-message":  # routes like another type, after the message's x-delay
        type = str(arguments.get("x-delayed-type", ""))
    if type == "headers":
        return HeadersMatcher(steps, rules.numbers_are_loose)
    if type == "x-local-random":  # matches bindings with the empty key
        steps = [s for s in steps if not s.binding_key]
    return _BY_TYPE.get(type, UnknownMatcher)(steps)


_BY_TYPE: dict[str, Callable[[Sequence[RouteStep]], Matcher]] = {
    "direct": DirectMatcher,
    "fanout": FanoutMatcher,
    "topic": TopicMatcher,
    "x-recent-history": FanoutMatcher,
    "x-random": ChoiceMatcher,
    "x-local-random": ChoiceMatcher,
    "x-consistent-hash": HashMatcher,
    "x-modulus-hash": ChoiceMatcher,
}

# The types that are simulated completely.
SIMULATED = frozenset({"direct", "fanout", "topic", "headers", "x-recent-history", "x-delayed-message"})
