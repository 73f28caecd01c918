"""Why no queue receives a message, and why an exchange cannot be simulated."""

from __future__ import annotations

from typing import Any

import pytest

from attune_ops.routing.route_notes import with_notes
from tests.unit.routing.build import bind, exchange, link, policy, queue, router


def notes(objects: list[Any], name: str, key: str = "k", headers: dict[str, Any] | None = None) -> tuple[str, ...]:
    r = router(*objects)
    return with_notes(r, r.route(name, key, headers)).notes


def test_a_misspelt_exchange() -> None:
    near = [exchange(n) for n in ("attune.event", "attune.events", "attune.eventz", "attune.eventss", "other")]
    (note,) = notes(near, "attune.evens")
    assert note.startswith("did you mean 'attune.event")
    assert note.count(" or ") == 2, "three at most"
    assert "other" not in note
    assert notes(near, "something else entirely") == ()


def test_an_exchange_that_exists_and_refuses_is_not_misspelt() -> None:
    assert notes([exchange("internal", internal=True), exchange("internals")], "internal") == ()


def test_a_dead_letter_of_a_missing_queue_names_no_exchange() -> None:
    r = router(exchange("none"))
    assert with_notes(r, r.dead_letter("None", "rejected", "k")).notes == ()


@pytest.mark.parametrize(
    ("objects", "key", "note"),
    [
        ([exchange("x")], "k", "direct exchange 'x' has no bindings"),
        (
            [exchange("x"), bind("x", "q", "a")],
            "k",
            "direct exchange 'x' has 1 binding, which does not match 'k' ('a')",
        ),
        (
            [exchange("x"), bind("x", "q", "a"), bind("x", "q", "b")],
            "k",
            "direct exchange 'x' has 2 bindings, none of which matches 'k' ('a', 'b')",
        ),
        (
            [exchange("x"), bind("x", "q", "a.*")],
            "a.b",
            "direct exchange 'x' has 1 binding, which does not match 'a.b' ('a.*');"
            " on a direct exchange # and * are literal",
        ),
        ([exchange("x", "topic"), bind("x", "q", "a.*")], "k",
         "topic exchange 'x' has 1 binding, which does not match 'k' ('a.*')"),
        ([exchange("x", "headers"), bind("x", "q", arguments={"a": 1})], "k",
         "headers exchange 'x' has 1 binding, which does not match the headers"),
    ],
)  # fmt: skip
def test_no_binding_matches(objects: list[Any], key: str, note: str) -> None:
    assert notes(objects, "x", key) == (note,)


def test_the_three_nearest_of_many_keys() -> None:
    keys = ["worker.11", "worker.12", "worker.13", "worker.14", "zzz"]
    (note,) = notes([exchange("x"), *(bind("x", "q", k) for k in keys)], "x", "worker.1")
    near = note.partition("(nearest: ")[2].rstrip(")").split(", ")
    assert len(near) == 3
    assert {n.strip("'") for n in near} < set(keys[:4])
    far = notes([exchange("x"), *(bind("x", "q", k) for k in ("a", "b", "c", "d"))], "x", "worker.1")
    assert far == ("direct exchange 'x' has 4 bindings, none of which matches 'worker.1'",)


def test_the_default_exchange_names_queues() -> None:
    assert notes([queue("worker.1"), queue("other")], "", "worker.2") == (
        "no queue is named 'worker.2' ('worker.1', 'other')",
    )


def test_an_exchange_further_on() -> None:
    objects = [exchange("x"), exchange("y", "fanout"), link("x", "y", "k"), link("x", "gone", "k")]
    assert notes(objects, "x") == ("fanout exchange 'y' has no bindings", "exchange 'gone' does not exist")


def test_the_destination_of_a_binding_is_missing() -> None:
    """The broker never lists such a binding; a file of definitions can."""
    made = router(exchange("x"), bind("x", "q", "k"))
    del made._queues["q"]
    (note,) = with_notes(made, made.route("x", "k")).notes
    assert note == "queue 'q', the destination of a binding, does not exist"


def test_the_default_exchange_as_an_alternate() -> None:
    assert notes([exchange("x", arguments={"alternate-exchange": ""})], "x") == (
        "the default exchange, as an alternate, has no bindings",
    )


def test_why_an_exchange_cannot_be_simulated() -> None:
    assert notes([exchange("x", "x-random"), bind("x", "p"), bind("x", "q")], "x") == (
        "exchange 'x' is of type x-random, which cannot be simulated",
    )
    ambiguous = [exchange("x", "headers"), bind("x", "q", arguments={"a": "undefined"})]
    (note,) = notes(ambiguous, "x", headers={"a": "v"})
    assert note.startswith("headers exchange 'x' has an argument shown as 'undefined'")
    tied = [policy(n, "^x$", {"alternate-exchange": n}) for n in ("a", "b")]
    objects = [exchange("x"), exchange("a", "fanout"), bind("a", "q"), *tied]
    said = "exchange 'x' has policies of the same priority with different alternate exchanges"
    assert notes(objects, "x") == (said,)
    objects = [exchange("x", "headers"), bind("x", "q", arguments={"b": "v"}), *objects[1:]]
    assert notes(objects, "x") == (said,)


def test_an_argument_of_that_text_matters_on_a_headers_exchange_only() -> None:
    objects = [exchange("x", "x-random"), *(bind("x", q, arguments={"a": "undefined"}) for q in "pq")]
    assert notes(objects, "x") == ("exchange 'x' is of type x-random, which cannot be simulated",)


def test_a_dead_letter_that_is_lost() -> None:
    made = queue("q", arguments={"x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": "new"})
    r = router(made, exchange("dlx"), bind("dlx", "grave", "#"))
    assert with_notes(r, r.dead_letter("q", "rejected", "old")).notes == (
        "direct exchange 'dlx' has 1 binding, which does not match 'new' ('#');"
        " on a direct exchange # and * are literal",
    )


def test_a_cycle_is_not_a_matter_of_bindings() -> None:
    r = router(queue("q", arguments={"x-dead-letter-exchange": "d"}), exchange("d", "fanout"), bind("d", "q"))
    route = r.dead_letter("q", "expired", "k")
    assert route.hops[0].dropped == ("q",)
    assert with_notes(r, route).notes == ()


def test_a_queue_without_a_dead_letter_exchange_has_no_bindings_to_explain() -> None:
    r = router(queue("q"))
    assert with_notes(r, r.dead_letter("q", "rejected", "k")).notes == ()


def test_a_dead_letter_exchange_that_does_not_exist() -> None:
    r = router(queue("q", arguments={"x-dead-letter-exchange": "gone"}))
    assert with_notes(r, r.dead_letter("q", "rejected", "k")).notes == ()


def test_the_types_of_the_exchanges_of_the_route() -> None:
    r = router(
        exchange("x", "topic"), exchange("y", "fanout"), exchange("dlx", "headers"), link("x", "y", "#"),
        bind("y", "q"), queue("q", arguments={"x-dead-letter-exchange": "dlx"}),
    )  # fmt: skip
    assert with_notes(r, r.route("x", "k")).types == {"x": "topic", "y": "fanout"}
    assert with_notes(r, r.dead_letter("q", "rejected", "k")).types == {"dlx": "headers"}
