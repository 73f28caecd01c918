"""Which policy is in force, how its pattern reads, and what holds once arguments are counted in."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.routing.patterns import Unreadable, compile_pattern, found_in
from tests.unit.routing.build import bind, exchange, policy, queue, router

DLX = {"dead-letter-exchange": "dlx"}


def in_force(*objects: Any, version: str = "4.3.6") -> dict[str, Any]:
    return {k: s.value for k, s in router(*objects, version=version).queue_settings("q").items()}


def test_policies_are_never_merged() -> None:
    found = in_force(queue("q"), policy("low", "", DLX), policy("high", "", {"max-length": 5}, priority=1))
    assert found == {"max-length": 5}


@pytest.mark.parametrize(
    ("kind", "key", "applies"),
    [
        ("classic", "delivery-limit", False),
        ("quorum", "delivery-limit", True),
        ("quorum", "queue-mode", False),
        ("classic", "queue-mode", True),
        ("stream", "dead-letter-exchange", False),
    ],
)
def test_one_unsupported_key_keeps_the_policy_off(kind: str, key: str, applies: bool) -> None:
    found = in_force(queue("q", type=kind), policy("p", "", {"dead-letter-exchange": "dlx", key: 3}))
    assert bool(found) is applies


@pytest.mark.parametrize(
    ("apply_to", "version", "applies"),
    [
        ("all", "3.10.8", True),
        ("queues", "3.10.8", True),
        ("exchanges", "4.3.6", False),
        ("classic_queues", "4.3.6", True),
        ("quorum_queues", "4.3.6", False),
        ("classic_queues", "3.11.0", False),
    ],
)
def test_apply_to(apply_to: str, version: str, applies: bool) -> None:
    found = in_force(queue("q"), policy("p", "", DLX, apply_to=apply_to), version=version)
    assert bool(found) is applies


def test_the_name_that_the_broker_gave_is_the_truth() -> None:
    tied = (policy("a", "", {"max-length": 1}), policy("b", "", {"max-length": 2}))
    assert in_force(queue("q"), *tied) == {"max-length": 1}
    assert in_force(queue("q", policy="b"), *tied) == {"max-length": 2}


def test_arguments_win_but_limits_take_the_smaller() -> None:
    arguments = {"x-dead-letter-exchange": "own", "x-message-ttl": 50, "x-overflow": "drop-head"}
    p = policy("p", "", {**DLX, "message-ttl": 20, "overflow": "reject-publish"})
    assert in_force(queue("q", arguments=arguments), p) == {
        "dead-letter-exchange": "own", "message-ttl": 20, "overflow": "drop-head",
    }  # fmt: skip
    quorum = queue("q", type="quorum", arguments={"x-overflow": "drop-head"})
    assert in_force(quorum, policy("p", "", {"overflow": "reject-publish"})) == {"overflow": "reject-publish"}


def test_operator_policies_are_merged_in() -> None:
    found = router(
        queue("q"),
        policy("p", "", {**DLX, "message-ttl": 20}),
        policy("op", "", {"message-ttl": 5, "max-length": 9}, operator=True),
    ).queue_settings("q")
    assert {k: (s.value, s.origin, s.policy) for k, s in found.items()} == {
        "dead-letter-exchange": ("dlx", "policy", "p"),
        "message-ttl": (5, "operator policy", "op"),
        "max-length": (9, "operator policy", "op"),
    }


def test_equal_priorities_leave_the_alternate_in_doubt() -> None:
    world = [exchange("x"), exchange("y", "fanout"), bind("y", "q"), policy("a", "x", {"alternate-exchange": "y"})]
    assert router(*world).route("x", "k").queues == ("q",)
    route = router(*world, policy("b", "x", {"max-length": 1})).route("x", "k")
    assert (route.queues, route.possible, route.uncertain) == ((), ("q",), ("x",))


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of `re` itself
@given(st.text("ab.*+?()[]^$|\\d{}1,-", max_size=12), st.text("ab.1", max_size=8))
def test_plain_patterns_read_as_re_reads_them(pattern: str, name: str) -> None:
    try:
        expected = re.compile(pattern.encode()).search(name.encode()) is not None
        found = compile_pattern(pattern)(name)
    except (re.error, Unreadable, FutureWarning):
        return
    assert found is expected


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        (r"\Qa.b\E", "a.b", True),
        (r"\Qa.b\E", "axb", False),
        ("a(?i)bc", "aBC", True),
        ("a(?i)b|c", "C", True),
        (r"(?<n>a)\k<n>", "aa", True),
        (r"\x{61}\z", "a", True),
        ("[[:digit:]_]+", "12", True),
        (r"[\h]", " ", True),
        ("^q.$", "qé", False),
        ("^q..$", "qé", True),
        (r"^worker\.(?!1\.)", "worker.2.executions", True),
        ("(?#why)a", "a", True),
        ("(?|(a)|(b))c", "bc", True),
    ],
)
def test_pcre_spellings(pattern: str, name: str, expected: bool) -> None:
    """Each as the three brokers have it."""
    assert compile_pattern(pattern)(name) is expected


@pytest.mark.parametrize("pattern", [r"\p{L}", "(?R)", "(*UTF8)a", "(a+)+$", "(a|aa)*b", "(a?){9}b", "(", "a\\", "[a"])
def test_what_cannot_be_read_is_left_out_and_said(pattern: str) -> None:
    assert found_in(pattern, "a") is None
    left_out = router(queue("q"), policy("p", pattern, DLX))
    assert left_out.queue_settings("q") == {}
    assert "policy 'p' is ignored" in left_out.route("amq.direct", "k").notes[0]


@pytest.mark.parametrize("pattern", [".*.*.*.*.*.*.*.*x", "a?" * 40 + "a" * 40, "(.*)(.*)(.*)(.*)(.*)(.*)y"])
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    started = time.process_time()
    for name in ("a" * 255, "a" * 40):
        found_in(pattern, name)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("argument", "by_policy", "effective"),
    [
        (-1, 5, (5, "policy")),  # a negative limit is none
        (5, -1, (5, "argument")),
        (-1, -1, (-1, "argument")),
        (0, 5, (0, "argument")),
        (5, 0, (0, "policy")),
        (5, 5, (5, "argument")),
        (4, 5, (4, "argument")),
        (5, 4, (4, "policy")),
    ],
)
def test_the_stricter_delivery_limit(argument: int, by_policy: int, effective: tuple[int, str]) -> None:
    made = queue("q", type="quorum", arguments={"x-delivery-limit": argument})
    found = router(made, policy("p", "", {"delivery-limit": by_policy})).queue_settings("q")["delivery-limit"]
    assert (found.value, found.origin) == effective


@pytest.mark.parametrize(("argument", "origin"), [(-1, "argument"), (0, "argument"), (20, "argument"), (21, "policy")])
def test_the_smaller_time_to_live(argument: int, origin: str) -> None:
    """Only a delivery limit may be negative; the argument's origin holds where both are the same."""
    found = router(queue("q", arguments={"x-message-ttl": argument}), policy("p", "", {"message-ttl": 20}))
    assert found.queue_settings("q")["message-ttl"].origin == origin


def test_an_operator_policy_takes_precedence_for_limits_only() -> None:
    both = (
        policy("p", "", {"dead-letter-exchange": "z"}),
        policy("o", "", {"dead-letter-exchange": "a"}, operator=True),
    )
    assert in_force(queue("q"), *both) == {"dead-letter-exchange": "z"}


def test_operator_policies_are_apart_from_the_others() -> None:
    found = router(queue("q"), policy("p", "", DLX), policy("o", "", {"max-length": 1}, operator=True)).policies
    assert [p.name for p in found.matching("queue", "q")] == ["p"]
    assert [p.name for p in found.matching("queue", "q", operator=True)] == ["o"]


@pytest.mark.parametrize(("apply_to", "queues"), [("exchanges", ("q",)), ("all", ("q",)), ("queues", ())])
def test_an_alternate_exchange_by_policy(apply_to: str, queues: tuple[str, ...]) -> None:
    by = policy("p", "^x$", {"alternate-exchange": "y"}, apply_to=apply_to)
    assert router(exchange("x"), exchange("y", "fanout"), bind("y", "q"), by).route("x", "k").queues == queues
