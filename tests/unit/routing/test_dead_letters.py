"""Dead letters hop by hop: exchange and key each from its own place, the cycle rule, and where it all ends."""

from __future__ import annotations

from typing import Any

import pytest

from attune_ops.model.snapshot import QueueState
from attune_ops.routing import Router
from attune_ops.routing.dead_letters import DeathRecord, History, is_cycle, recorded
from attune_ops.routing.route import Reason, Route
from attune_ops.routing.rules import Rules
from tests.unit.routing.build import bind, exchange, policy, queue, router


def dying(name: str, **settings: Any) -> QueueState:
    """A queue with these settings as arguments, `x-` put before each."""
    arguments = {f"x-{k.replace('_', '-')}": v for k, v in settings.items()}
    return queue(name, arguments=arguments)


def ends(route: Route) -> list[str]:
    return [h.end for h in route.hops]


def test_exchange_from_the_argument_and_key_from_the_policy() -> None:
    r = router(
        exchange("dlx"),
        dying("q", dead_letter_exchange="dlx"),
        bind("dlx", "by.policy", "other"),
        policy("p", "^q$", {"dead-letter-exchange": "ignored", "dead-letter-routing-key": "other"}),
    )
    found = r.dead_letter("q", "rejected", "kept", {"CC": ["kept.too"]})
    assert (found.exchange, found.queues, found.hops[0].routing_keys) == ("dlx", ("by.policy",), ("other",))


def test_all_keys_are_kept_without_one() -> None:
    r = router(exchange("dlx"), dying("q", dead_letter_exchange="dlx"), bind("dlx", "a", "k"), bind("dlx", "b", "cc"))
    assert r.dead_letter("q", "expired", "k", {"CC": ["cc"], "BCC": ["none"]}).queues == ("a", "b")


def test_an_empty_key_is_a_key() -> None:
    r = router(
        exchange("dlx"), dying("q", dead_letter_exchange="dlx", dead_letter_routing_key=""), bind("dlx", "a", "k")
    )
    assert r.dead_letter("q", "expired", "k").unroutable


def test_the_default_exchange_goes_by_name() -> None:
    r = router(dying("q", dead_letter_exchange="", dead_letter_routing_key="grave"), queue("grave"))
    assert r.dead_letter("q", "maxlen", "k").queues == ("grave",)


def test_an_internal_dead_letter_exchange_is_fine() -> None:
    r = router(exchange("dlx", "fanout", internal=True), dying("q", dead_letter_exchange="dlx"), bind("dlx", "grave"))
    assert r.dead_letter("q", "rejected", "k").queues == ("grave",)


@pytest.mark.parametrize(
    ("made", "reason", "end"),
    [
        (queue("q"), "rejected", "no dead-letter exchange"),
        (dying("q", dead_letter_exchange="gone"), "rejected", "the dead-letter exchange 'gone' does not exist"),
        (dying("q", dead_letter_exchange="amq.direct"), "rejected", "no queue receives it"),
        (
            dying("q", dead_letter_exchange="amq.direct", overflow="reject-publish"),
            "maxlen",
            "overflow is reject-publish: the publish is nacked, nothing is dead-lettered",
        ),
        (queue("q", type="stream", arguments={"x-queue-type": "stream"}), "expired", "a stream never dead-letters"),
    ],
)
def test_ends(made: QueueState, reason: Reason, end: str) -> None:
    found = router(made).dead_letter("q", reason, "k")
    assert (found.unroutable, found.queues, ends(found)) == (True, (), [end])


def test_at_least_once_keeps_what_has_no_way() -> None:
    settings = {"dead_letter_exchange": "amq.direct", "dead_letter_strategy": "at-least-once"}
    made = dying("q", **settings, overflow="reject-publish")
    found = router(made).dead_letter("q", "expired", "k")
    assert ends(found) == ["kept by the queue and retried: no queue receives it"]


def retrying(**work: Any) -> Router:
    """work → retry, which holds the message for a while, → work."""
    return router(
        exchange("to.retry", "fanout"),
        exchange("to.work", "fanout"),
        dying("work", dead_letter_exchange="to.retry", **work),
        dying("retry", dead_letter_exchange="to.work", message_ttl=5000),
        bind("to.retry", "retry"),
        bind("to.work", "work"),
    )


def test_a_retry_loop_with_a_rejection_goes_on_for_ever() -> None:
    found = retrying().dead_letter("work", "rejected", "k")
    assert [(h.queue, h.reason, h.queues, h.loops) for h in found.hops] == [
        ("work", "rejected", ("retry",), False),
        ("retry", "expired", ("work",), True),
    ]


def test_a_loop_without_a_rejection_is_broken_off() -> None:
    found = retrying(message_ttl=1000).dead_letter("work", "expired", "k")
    assert [(h.queue, h.queues, h.dropped, h.end) for h in found.hops] == [
        ("work", ("retry",), (), ""),
        ("retry", (), ("work",), "the broker drops it as a cycle"),
    ]


def test_only_the_copy_that_closes_the_circle_is_dropped() -> None:
    r = router(exchange("d", "fanout"), dying("q", dead_letter_exchange="d"), bind("d", "q"), bind("d", "other"))
    found = r.dead_letter("q", "maxlen", "k")
    assert (found.queues, found.hops[0].dropped) == (("other",), ("q",))


@pytest.mark.parametrize(
    ("version", "headers", "dropped"),
    [
        ("3.10.8", {"x-death": [{"queue": "q", "reason": "expired"}]}, ("q",)),
        ("4.0.5", {"x-death": [{"queue": "q", "reason": "expired"}]}, ()),
    ],
)
def test_a_history_that_a_client_brings(version: str, headers: dict[str, Any], dropped: tuple[str, ...]) -> None:
    r = router(
        exchange("d", "fanout"), dying("other", dead_letter_exchange="d"), queue("q"), bind("d", "q"), version=version
    )
    assert r.dead_letter("other", "expired", "k", headers).hops[0].dropped == dropped


@pytest.mark.parametrize(
    ("version", "lives"), [("3.10.8", False), ("3.12.14", False), ("3.13.3", True), ("4.3.6", True)]
)
def test_older_brokers_reverse_the_history(version: str, lives: bool) -> None:
    """r → r2 → r3 → r with a rejection in r: in the second round 3.12 and earlier drop it (facts of 3.10.8)."""
    rules = Rules.of(version)
    history: History = ()
    for death in [DeathRecord("r", "rejected"), DeathRecord("r2", "expired"), DeathRecord("r3", "expired")] * 2:
        if is_cycle({"r": "r2", "r2": "r3", "r3": "r"}[death.queue], recorded(history, death, rules), rules):
            assert not lives or death.reason == "rejected"
            if death.reason != "rejected":
                return
        history = recorded(history, death, rules)
    assert lives


def test_a_missing_queue_is_an_error() -> None:
    error = router().dead_letter("gone", "rejected", "k").error
    assert error is not None
    assert error.code == 404


def test_branching_ways_end() -> None:
    """Forty queues that all lead to each other: every state is followed once."""
    objects: list[Any] = [exchange("d", "fanout")]
    for i in range(40):
        objects += [dying(f"q{i}", dead_letter_exchange="d", message_ttl=1), bind("d", f"q{i}")]
    found = router(*objects).dead_letter("q0", "rejected", "k")
    assert len(found.hops) <= 81


def test_the_route_is_that_of_the_first_hop() -> None:
    found = retrying().dead_letter("work", "rejected", "k")
    assert (found.exchange, found.queues, [s.destination for s in found.path]) == ("to.retry", ("retry",), ["retry"])


@pytest.mark.parametrize(("queues", "cut"), [(1000, False), (1001, True)])
def test_a_route_of_more_than_a_thousand_hops_is_cut_and_says_so(queues: int, cut: bool) -> None:
    chain = [dying(f"q{i}", dead_letter_exchange="", dead_letter_routing_key=f"q{i + 1}") for i in range(queues)]
    found = router(*chain, queue(f"q{queues}")).dead_letter("q0", "rejected", "k")
    assert len(found.hops) == 1000
    assert found.notes == (("stopped after 1000 hops",) if cut else ())


def test_what_was_followed_before_does_not_end_the_others() -> None:
    """a and b both lead to c, which is followed once; b leads to d too."""
    r = router(
        *(exchange(x, "fanout") for x in ("of.q", "of.a", "of.b", "of.d")),
        *(dying(name, dead_letter_exchange=f"of.{name}") for name in "qabd"),
        *(bind("of.q", q) for q in "ab"),
        bind("of.a", "c"),
        *(bind("of.b", q) for q in "cd"),
        bind("of.d", "e"),
        dying("c", dead_letter_exchange="gone"),
    )
    assert [h.queue for h in r.dead_letter("q", "rejected", "k").hops] == ["q", "a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("other", "notes"),
    [
        ({"dead-letter-exchange": "other"}, ("policies 'a', 'b' have the same priority: which applies is undefined",)),
        ({"dead-letter-exchange": "amq.fanout", "max-length": 1}, ()),
    ],
)
def test_two_policies_that_differ_leave_the_route_undefined(other: dict[str, Any], notes: tuple[str, ...]) -> None:
    r = router(queue("q"), policy("a", "", {"dead-letter-exchange": "amq.fanout"}), policy("b", "", other))
    assert r.dead_letter("q", "rejected", "k").notes == notes


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        ({"dead_letter_strategy": "at-least-once"}, "no queue receives it"),
        ({"overflow": "reject-publish"}, "no queue receives it"),
    ],
)
def test_at_most_once_drops_what_has_no_queue(settings: dict[str, str], end: str) -> None:
    made = dying("q", dead_letter_exchange="amq.direct", **settings)
    assert ends(router(made).dead_letter("q", "expired", "k")) == [end]


@pytest.mark.parametrize(("version", "queues"), [("3.12.14", ()), ("4.3.6", ("q",))])
def test_a_replaced_key_removes_the_further_keys_before_3_13(version: str, queues: tuple[str, ...]) -> None:
    """A headers exchange sees CC after the dead-lettering only from 3.13 on."""
    r = router(
        exchange("d", "headers"),
        dying("dies", dead_letter_exchange="d", dead_letter_routing_key="new"),
        bind("d", "q", arguments={"CC": ["c"]}),
        version=version,
    )
    assert r.dead_letter("dies", "rejected", "k", {"CC": ["c"]}).queues == queues
