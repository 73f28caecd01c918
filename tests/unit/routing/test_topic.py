"""The topic matcher against a naive one, and against keys that would keep a backtracking one busy for ever."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune_ops.routing.route import RouteStep
from attune_ops.routing.routed_message import RoutedMessage
from attune_ops.routing.topic import TopicMatcher, words

WORDS = st.sampled_from(["a", "b", "", "*", "*", "#", "#", "a#", "##", "ä"])
KEYS = st.lists(WORDS, max_size=9).map(".".join)


def matched(keys: list[str], *routing_keys: str) -> list[str]:
    steps = [RouteStep("x", key, "queue", str(i)) for i, key in enumerate(keys)]
    found = TopicMatcher(steps).match(RoutedMessage(routing_keys, None, False)).certain
    return sorted(s.binding_key or "" for s in found)


def naive(pattern: list[str], key: list[str]) -> bool:
    """AMQP's words, word for word."""
    if not pattern:
        return not key
    if pattern[0] == "#":
        return any(naive(pattern[1:], key[i:]) for i in range(len(key) + 1))
    return bool(key) and pattern[0] in ("*", key[0]) and naive(pattern[1:], key[1:])


@settings(max_examples=400)
@given(st.lists(KEYS, max_size=8), KEYS)
def test_matches_what_the_naive_one_matches(patterns: list[str], key: str) -> None:
    assert matched(patterns, key) == sorted(p for p in patterns if naive(words(p), words(key)))


@settings(max_examples=400)
@given(st.lists(KEYS, max_size=8), KEYS, KEYS)
def test_several_keys_match_what_either_matches(patterns: list[str], one: str, other: str) -> None:
    either = [p for p in patterns if naive(words(p), words(one)) or naive(words(p), words(other))]
    assert matched(patterns, one, other) == sorted(either)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("", ["", "#", "#.#"]),
        (".", ["#", "#.#", "#.", "*.*", ".#"]),
        ("a", ["#", "#.#", "*", "a.#"]),
        ("a.#", ["#", "#.#", "*.*", "a.#", "a.*"]),
        ("a#", ["#", "#.#", "*", "a#"]),
    ],
)
def test_words_and_empty_words(key: str, expected: list[str]) -> None:
    assert matched(["", "#", "#.#", "*", "*.*", ".#", "#.", "a.#", "a.*", "a#", "a.b"], key) == sorted(expected)


@pytest.mark.parametrize(
    "pattern", ["#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.x", ".".join(["#.a"] * 60), ".".join(["#"] * 127)]
)
def test_many_hashes_cost_no_more_than_their_words(pattern: str) -> None:
    started = time.process_time()
    matched([pattern] * 20, ".".join(["a"] * 127))
    matched([pattern], ".".join(["a"] * 5000))
    assert time.process_time() - started < 5


def test_ten_thousand_of_the_worst_patterns() -> None:
    rng = Random(1)
    patterns = [".".join(rng.choice("##*a") for _ in range(100)) for _ in range(10_000)]
    started = time.process_time()
    assert len(matched(patterns, ".".join(["a"] * 127))) == 10_000
    assert time.process_time() - started < 5
