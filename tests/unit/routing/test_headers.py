"""The four x-match forms and the rules for values; the index against looking at every binding."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.routing.matchers import HeadersMatcher, Pattern
from attune_ops.routing.route import RouteStep
from attune_ops.routing.routed_message import Match, RoutedMessage

VALUES = st.sampled_from(["v", "undefined", "", 1, 1.0, True, False, None, [1], [1.0], {"k": 1}, {}, []])
TABLES = st.dictionaries(st.sampled_from(["a", "b", "x-a", "X-a"]), VALUES, max_size=4)
ARGUMENTS = st.builds(
    lambda table, mode: {**table, **({"x-match": mode} if mode else {})},
    TABLES,
    st.sampled_from(["all", "any", "all-with-x", "any-with-x", None]),
)


def match(arguments: list[dict[str, Any]], headers: dict[str, Any], version: str = "4.3.6") -> Match:
    loose = version < "3.13"
    steps = [RouteStep("h", "", "queue", str(i), "binding", a) for i, a in enumerate(arguments)]
    return HeadersMatcher(steps, loose).match(RoutedMessage([""], headers, loose))


def matches(arguments: dict[str, Any], headers: dict[str, Any], version: str = "4.3.6") -> bool:
    return bool(match([arguments], headers, version).certain)


@given(st.lists(ARGUMENTS, max_size=8), TABLES, st.booleans())
def test_finds_what_looking_at_every_binding_finds(
    arguments: list[dict[str, Any]], headers: dict[str, Any], loose: bool
) -> None:
    steps = [RouteStep("h", "", "queue", str(i), "binding", a) for i, a in enumerate(arguments)]
    message = RoutedMessage([""], headers, loose)
    found = HeadersMatcher(steps, loose).match(message)
    patterns = [Pattern(i, step, loose) for i, step in enumerate(steps)]
    certain = {p.step.destination for p in patterns if p.matches(message.values)}
    perhaps = {p.step.destination for p in patterns if p.matches(message.values, perhaps=True)} - certain
    assert {s.destination for s in found.certain} == certain
    assert {s.destination for s in found.perhaps} == perhaps


@pytest.mark.parametrize(
    ("arguments", "headers", "expected"),
    [
        ({}, {}, True),
        ({}, {"a": 1}, True),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"x-a": "v"}, {}, True),
        ({"x-a": "v", "x-match": "any"}, {"x-a": "v"}, False),
        ({"x-a": "v", "x-match": "any-with-x"}, {"x-a": "v"}, True),
        ({"x-a": "v", "x-match": "all-with-x"}, {}, False),
        ({"X-a": "v"}, {}, False),
        ({"a": None}, {"a": "anything"}, True),
        ({"a": None}, {"a": None}, True),
        ({"a": None}, {}, False),
        ({"a": "v"}, {"a": None}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": True}, {"a": "true"}, False),
        ({"a": ["v", "w"]}, {"a": ["w", "v"]}, False),
        ({"a": {"k": 1, "l": 2}}, {"a": {"l": 2, "k": 1}}, True),
        ({"a": []}, {"a": {}}, True),
        ({"a": [[]]}, {"a": [{}]}, False),
        ({"a": {"k": []}}, {"a": {"k": {}}}, False),
        ({"a": [[]]}, {"a": [[]]}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"a": 1, "b": 2, "x-match": "any"}, {"a": 1}, True),
        ({"A": 1}, {"a": 1}, False),
    ],
)
def test_rules(arguments: dict[str, Any], headers: dict[str, Any], expected: bool) -> None:
    assert matches(arguments, headers) is expected


def test_one_and_one_point_zero_by_version() -> None:
    assert matches({"a": 1}, {"a": 1.0}, "3.12.14")
    assert not matches({"a": 1}, {"a": 1.0}, "3.13.0")
    assert not matches({"a": [1]}, {"a": [1.0]}, "3.10.8")


def test_undefined_may_be_void() -> None:
    assert matches({"a": "undefined"}, {"a": "undefined"})
    either = match([{"a": "undefined"}], {"a": "v"})
    assert (len(either.certain), len(either.perhaps)) == (0, 1)
    assert match([{"a": "undefined"}], {}).perhaps == []


def test_values_of_any_depth() -> None:
    deep: Any = "v"
    table: Any = "v"
    for depth in range(900):
        deep, table = [deep], {"k": table}
        if depth in (10, 200, 899):
            assert matches({"a": deep}, {"a": deep})
            assert matches({"a": table}, {"a": table})
        if depth in (10, 200):
            assert not matches({"a": deep}, {"a": [deep]})
            assert not matches({"a": table}, {"a": {"k": table}})
