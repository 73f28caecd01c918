"""What differs between broker versions, at the first version that has it."""

from __future__ import annotations

import pytest

from attune_ops.routing.dead_letters import DeathRecord, recorded, with_death_headers
from attune_ops.routing.effective_policy import unsupported_keys
from attune_ops.routing.rules import NEWEST, Rules


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("3.10.8", (3, 10, 8)),
        ("4.3.0-rc.1", (4, 3, 0)),
        ("3.13", (3, 13, 0)),
        ("", NEWEST),
        (None, NEWEST),
        ("unknown", NEWEST),
    ],
)
def test_the_version_is_read(version: str | None, numbers: tuple[int, int, int]) -> None:
    assert Rules.of(version).version == numbers


@pytest.mark.parametrize(
    ("version", "loose", "order", "client_deaths", "type_policies"),
    [
        ("3.11.28", True, "reversed", True, False),
        ("3.12.0", True, "reversed", True, True),
        ("3.12.14", True, "reversed", True, True),
        ("3.13.0", False, "by key", True, True),
        ("3.13.2", False, "by key", True, True),
        ("3.13.3", False, "newest", True, True),
        ("3.13.7", False, "newest", True, True),
        ("4.0.0", False, "newest", False, True),
        ("4.3.6", False, "newest", False, True),
    ],
)
def test_rules_by_version(version: str, loose: bool, order: str, client_deaths: bool, type_policies: bool) -> None:
    rules = Rules.of(version)
    assert (rules.numbers_are_loose, rules.containers) == (loose, not loose)
    assert rules.death_order == order
    assert rules.client_deaths_count is client_deaths
    assert rules.has_queue_type_policies is type_policies


@pytest.mark.parametrize(
    ("version", "key", "unsupported"),
    [
        ("3.13.7", "queue-leader-locator", True),
        ("3.13.7", "max-in-memory-length", False),
        ("4.0.0", "queue-leader-locator", False),
        ("4.0.0", "max-in-memory-length", True),
        ("4.3.6", "max-in-memory-bytes", True),
        ("4.3.6", "delivery-limit", True),
        ("3.13.7", "delivery-limit", True),
    ],
)
def test_the_policy_keys_of_a_classic_queue(version: str, key: str, unsupported: bool) -> None:
    assert (key in unsupported_keys("classic", Rules.of(version))) is unsupported


def test_the_policy_keys_of_other_types_do_not_depend_on_the_version() -> None:
    for kind in ("quorum", "stream"):
        assert unsupported_keys(kind, Rules.of("3.13.7")) == unsupported_keys(kind, Rules.of("4.3.6"))
    assert "max-in-memory-length" not in unsupported_keys("quorum", Rules.of("4.3.6"))
    assert unsupported_keys("x-of-a-plugin", Rules.of("4.3.6")) == frozenset()


def test_the_order_of_the_history() -> None:
    one, two, new = DeathRecord("a", "expired"), DeathRecord("b", "expired"), DeathRecord("c", "rejected")
    assert recorded((one, two), new, Rules.of("3.12.14")) == (new, two, one)
    assert recorded((two, one), new, Rules.of("3.13.0")) == (one, two, new)
    assert recorded((one, two), new, Rules.of("4.3.6")) == (new, one, two)
    assert recorded((one, two), two, Rules.of("4.3.6")) == (two, one)


FIRST = {"x-first-death-reason": "expired", "x-first-death-queue": "q", "x-first-death-exchange": "x"}
LAST = {"x-last-death-reason": "expired", "x-last-death-queue": "q", "x-last-death-exchange": "x"}
DEATH = {"x-death": [{"queue": "q", "reason": "expired"}]}


@pytest.mark.parametrize(
    ("version", "key_replaced", "after"),
    [
        ("3.12.14", True, {**FIRST, **DEATH}),
        ("3.12.14", False, {"CC": ["c"], **FIRST, **DEATH}),
        ("3.13.0", True, {"CC": ["c"], **FIRST, **LAST}),
        ("4.3.6", False, {"CC": ["c"], **FIRST, **LAST}),
    ],
)
def test_the_headers_that_a_headers_exchange_sees(version: str, key_replaced: bool, after: dict[str, object]) -> None:
    assert with_death_headers({"CC": ["c"]}, "q", "expired", "x", key_replaced, Rules.of(version)) == after


def test_the_first_death_stays_the_first() -> None:
    before = {"x-first-death-reason": "maxlen", "x-first-death-queue": "p", "x-first-death-exchange": ""}
    assert with_death_headers(before, "q", "expired", "x", False, Rules.of("4.3.6")) == {**before, **LAST}
    again = with_death_headers(DEATH, "p", "maxlen", "", False, Rules.of("3.10.8"))
    assert again["x-death"] == DEATH["x-death"]


def test_a_requeue_is_counted_before_4_3() -> None:
    assert [Rules.of(version).counts_requeues for version in ("3.10.8", "4.2.9", "4.3.0")] == [True, True, False]
