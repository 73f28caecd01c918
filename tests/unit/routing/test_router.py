"""The walk: exchange types, exchange-to-exchange, alternates, CC and BCC, refusals, uncertain types."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from attune_ops.model.topology_file import parse
from attune_ops.routing import Router
from attune_ops.routing.route import Canary
from tests.unit.routing.build import bind, exchange, link, policy, queue, router

TOPOLOGIES = Path(__file__).parents[3] / "attune_ops" / "model" / "topologies"


def queues(r: Router, x: str, key: str, headers: dict[str, object] | None = None) -> tuple[str, ...]:
    return r.route(x, key, headers).queues


@pytest.mark.parametrize(
    ("name", "x", "key", "expected"),
    [
        ("attune-2026-01", "attune.executions", "worker.1", ("worker.1.executions",)),
        ("attune-2026-01", "attune.executions", "worker.3", ()),
        ("attune-2026-01", "attune.notifications", "anything", ("attune.notifications.queue",)),
        ("attune-2026-09", "attune.events", "event.created", ("attune.events.queue", "attune.executor.events.queue")),
        ("attune-2026-09", "attune.executions", "execution.dispatch.worker.2", ("worker.2.executions",)),
    ],
)
def test_topologies(name: str, x: str, key: str, expected: tuple[str, ...]) -> None:
    topology = parse(tomllib.loads((TOPOLOGIES / f"{name}.toml").read_text()), name)
    assert Router.from_topology(topology, (1, 2)).route(x, key).queues == expected


def test_direct_dlx_of_september_drops_every_dead_letter() -> None:
    """`attune.dlx` is direct and bound with `#`, which is literal there; dead letters keep their key."""
    topology = parse(tomllib.loads((TOPOLOGIES / "attune-2026-09.toml").read_text()), "t")
    found = Router.from_topology(topology, (1,)).dead_letter("attune.enforcements.queue", "rejected", "enforcement.x")
    assert (found.exchange, found.queues, found.unroutable) == ("attune.dlx", (), True)
    assert [h.end for h in found.hops] == ["no queue receives it"]


def test_default_exchange_names_queues() -> None:
    r = router(queue("q"), policy("p", "", {"alternate-exchange": "amq.fanout"}), bind("amq.fanout", "other"))
    assert queues(r, "", "q") == ("q",)
    assert not r.route("", "q").via_alternate
    assert queues(r, "", "#") == ()
    assert queues(r, "", "q", {"CC": ["other", 7]}) == ("other", "q")


def test_cycle_of_exchanges_ends() -> None:
    r = router(exchange("a", "fanout"), exchange("b", "fanout"), link("a", "b"), link("b", "a"), bind("b", "q"))
    assert queues(r, "a", "") == ("q",)


def test_alternate_argument_wins_over_policy_even_when_missing() -> None:
    world = (exchange("c"), bind("c", "q", "k"), policy("p", "^[ab]$", {"alternate-exchange": "c"}))
    assert queues(router(exchange("a"), *world), "a", "k") == ("q",)
    r = router(exchange("a", arguments={"alternate-exchange": "nope"}), *world)
    assert r.route("a", "k").unroutable
    assert not r.route("a", "k").via_alternate


def test_match_on_another_exchange_keeps_the_alternate_out() -> None:
    r = router(
        exchange("a", arguments={"alternate-exchange": "alt"}),
        exchange("b"),
        exchange("alt", "fanout"),
        link("a", "b", "k"),
        bind("alt", "q"),
    )
    assert r.route("a", "k").unroutable
    other = r.route("a", "other")
    assert (other.queues, other.via_alternate) == (("q",), True)
    assert other.path[0].via == "alternate"


def test_default_exchange_as_alternate_routes_nothing() -> None:
    r = router(exchange("a", arguments={"alternate-exchange": ""}), queue("q"))
    assert r.route("a", "q").unroutable


def test_what_lies_behind_an_alternate_of_a_perhaps_is_a_perhaps() -> None:
    """The message may have gone to the other exchange, which has no alternate."""
    world = (exchange("r", "x-random"), exchange("a", arguments={"alternate-exchange": "alt"}), exchange("b"))
    r = router(*world, exchange("alt", "fanout"), link("r", "a"), link("r", "b"), bind("alt", "q"))
    found = r.route("r", "k")
    assert (found.queues, found.possible, found.via_alternate) == ((), ("q",), True)


@pytest.mark.parametrize(("name", "code"), [("nope", 404), ("amq.rabbitmq.trace", 403)])
def test_refused(name: str, code: int) -> None:
    error = router().route(name, "k").error
    assert error is not None
    assert error.code == code


def test_cc_that_is_no_array_is_refused() -> None:
    error = router(exchange("a")).route("a", "k", {"CC": "x"}).error
    assert error is not None
    assert error.code == 406


def test_choice_of_one_is_certain_and_of_two_is_not() -> None:
    one = router(exchange("r", "x-random"), bind("r", "q", "1"), bind("r", "q", "2")).route("r", "k")
    assert (one.queues, one.uncertain) == (("q",), ())
    weighed = router(exchange("h", "x-consistent-hash"), bind("h", "q", "3"), bind("h", "p", "0")).route("h", "k")
    assert (weighed.queues, weighed.possible) == (("q",), ()), "weight 0 has no bucket"
    two = router(exchange("r", "x-random"), bind("r", "q"), bind("r", "p")).route("r", "k")
    assert (two.queues, two.possible, two.uncertain, two.unroutable) == ((), ("p", "q"), ("r",), False)


def test_each_key_of_the_message_is_used() -> None:
    r = router(exchange("d"), exchange("t", "topic"), bind("d", "q", "cc"), bind("t", "q", "cc"), bind("d", "p", "bcc"))
    assert queues(r, "d", "k", {"CC": ["cc"]}) == ("q",)
    assert queues(r, "d", "k", {"BCC": ["bcc", "cc"]}) == ("p", "q")
    assert queues(r, "t", "k", {"CC": ["cc"]}) == ("q",)
    assert queues(r, "d", "k") == ()


@pytest.mark.parametrize("name", ["CC", "BCC"])
def test_each_of_the_two_headers_with_keys_may_be_alone(name: str) -> None:
    assert queues(router(exchange("d"), bind("d", "q", "c")), "d", "k", {name: ["c"]}) == ("q",)


@pytest.mark.parametrize(("headers", "kind"), [({"CC": "x"}, "longstr"), ({"BCC": 1}, "long"), ({"BCC": {}}, "table")])
def test_the_refusal_names_the_header_and_its_type(headers: dict[str, object], kind: str) -> None:
    error = router(exchange("d")).route("d", "k", headers).error
    assert error is not None
    text = f'{{unacceptable_type_in_header,"{next(iter(headers))}",{kind}}}'
    assert error.text == f"PRECONDITION_FAILED - invalid message: {text}"


@pytest.mark.parametrize(
    ("missing", "unexpected", "agrees"),
    [((), (), True), (("q",), (), False), ((), ("q",), False), (("q",), ("p",), False)],
)
def test_a_canary_agrees_where_nothing_differs(
    missing: tuple[str, ...], unexpected: tuple[str, ...], agrees: bool
) -> None:
    assert Canary("RabbitMQ 4.3.6", "scratch", (), missing, unexpected, 1.0).agrees is agrees
