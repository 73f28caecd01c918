"""Matching by headers (rabbit_exchange_type_headers): the four `x-match` forms.

`all` (also where nothing is said) and `any` leave out every argument that starts with `x-`; `all-with-x` and
`any-with-x` (3.10 and later) leave out `x-match` alone. A void argument wants the header present, whatever
its value. Without arguments left, all matches every message and any none. The routing key plays no part.

The management API shows a void argument as the text "undefined", so such an argument may mean either: the
binding then matches for certain where the text matches, and perhaps where only the presence does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from attune_ops.model.topology import Arguments
from attune_ops.routing.header_values import VOID, Value, comparable
from attune_ops.routing.route import Step
from attune_ops.routing.routed_message import Match, Message

X_MATCH = "x-match"
AMBIGUOUS = "undefined"

Test = tuple[str, Value]  # a header's name and the value wanted; VOID wants its presence


class Pattern:
    """One binding, made ready: what each of its arguments asks of the message."""

    __slots__ = ("any", "order", "step", "tests")

    def __init__(self, order: int, step: Step, loose: bool) -> None:
        self.order = order
        self.step = step
        mode = step.arguments.get(X_MATCH)
        self.any = mode in ("any", "any-with-x")
        with_x = mode in ("all-with-x", "any-with-x")
        self.tests: list[Test] = _tests(step.arguments, with_x, loose)

    def matches(self, values: dict[str, Value], perhaps: bool = False) -> bool:
        """Whether the message has what is asked; with `perhaps` an ambiguous argument asks only for presence."""
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
    """The bindings of one headers exchange, found by the headers that they ask for."""

    def __init__(self, steps: Iterable[Step], loose: bool) -> None:
        self.always: list[Step] = []
        # Under what a message must have for the pattern to match at all: a value, or (VOID) just the header.
        self.by_test: dict[Test, list[Pattern]] = {}
        patterns = [Pattern(i, step, loose) for i, step in enumerate(steps)]
        common = Counter(test for p in patterns for test in p.tests)
        for pattern in patterns:
            if pattern.tests:
                # For all, one test suffices to find it: the rarest, so that few are looked at in vain.
                keys = pattern.tests if pattern.any else [min(pattern.tests, key=common.__getitem__)]
                for name, wanted in keys:
                    key = (name, VOID if _is_ambiguous(wanted) else wanted)
                    self.by_test.setdefault(key, []).append(pattern)
            elif not pattern.any:
                self.always.append(pattern.step)

    def match(self, message: Message) -> Match:
        """The bindings that match the message's headers."""
        values = message.values
        certain: dict[int, Step] = {}
        perhaps: dict[int, Step] = {}
        for name, value in values.items():
            for key in ((name, value), (name, VOID)) if value != VOID else ((name, VOID),):
                for pattern in self.by_test.get(key, ()):
                    if pattern.matches(values):
                        certain[pattern.order] = pattern.step
                    elif pattern.matches(values, perhaps=True):
                        perhaps[pattern.order] = pattern.step
        found = [certain[i] for i in sorted(certain)]
        return Match(self.always + found, [perhaps[i] for i in sorted(perhaps)])
