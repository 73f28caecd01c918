"""A route in every form: the way is told, hostile names do no harm, and a way of any length is drawn."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET

import pytest

from attune_ops.render import form, formats
from attune_ops.render.wire import json_text
from attune_ops.routing.route import NO_ROUTE, Canary, Hop, Route
from attune_ops.routing.route_notes import with_notes
from attune_ops.routing.view_route import summary
from tests.hostile import NAMES, is_safe
from tests.unit.routing.build import bind, exchange, link, queue, router

ARGUMENTS = {"alternate-exchange": "alt"}


def world() -> list[Route]:
    r = router(
        exchange("x", arguments=ARGUMENTS),
        exchange("alt", "topic"),
        exchange("y", "x-random"),
        bind("x", "q", "k"),
        bind("alt", "unmatched", "#"),
        bind("y", "a"),
        bind("y", "b"),
        queue("q", arguments={"x-dead-letter-exchange": "x", "x-dead-letter-routing-key": "other"}),
    )
    routes = [r.route("x", "k"), r.route("x", "else"), r.route("y", "k"), r.route("amq.topic", "k"), r.route("no", "k")]
    return [with_notes(r, route) for route in (*routes, r.dead_letter("q", "rejected", "k"), r.route("", "q"))]


@pytest.mark.parametrize(
    ("number", "lines"),
    [
        (0, ["k → queue q", "1 queue receives it: q"]),
        (1, ["exchange x (direct)", "no match, alternate → exchange alt (topic)", "routed by an alternate exchange"]),
        (2, ["possibly a, b: cannot simulate exchange y", "is of type x-random"]),
        (3, ["no binding matches", "no queue receives it", "has no bindings"]),
        (4, ["the broker refuses the message: 404 NOT_FOUND - no exchange 'no' in vhost '/'"]),
        (5, ["rejected in queue q", "after its first hop 1 queue receives it: unmatched"]),
        (6, ["queue name → queue q"]),
    ],
)
def test_the_tree_tells_the_way(number: int, lines: list[str]) -> None:
    text = form(world()[number], "text")
    for line in lines:
        assert line in text


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_in_every_form(name: str) -> None:
    r = router(exchange("x"), bind("x", name, name), link("x", "amq.fanout", name), bind("amq.fanout", "q"))
    route = r.route("x", name)
    for made in formats(route):
        text = json_text(form(route, made)) if made == "json" else form(route, made)
        text = text if isinstance(text, str) else form(route, "text")
        assert "<script>" not in text or made not in ("html", "svg", "mermaid", "markdown")
        assert is_safe(text.replace("\r\n", "\n")), made
    ET.fromstring(form(route, "svg"))
    assert json.loads(json_text(form(route, "json")))["queues"] == sorted({name, "q"})


def test_csv_has_a_line_for_each_step() -> None:
    rows = list(csv.DictReader(io.StringIO(form(world()[1], "csv"), newline="")))
    assert [(r["exchange"], r["via"], r["destination"]) for r in rows] == [
        ("x", "alternate", "alt"), ("alt", "binding", "unmatched"),
    ]  # fmt: skip


def test_a_long_chain_is_told_in_few_lines() -> None:
    chain = [exchange(f"x{i}", arguments={"alternate-exchange": f"x{i + 1}"}) for i in range(5000)]
    route = router(*chain, exchange("x5000", "fanout"), bind("x5000", "q")).route("x0", "k")
    assert route.queues == ("q",)
    assert len(form(route, "text").splitlines()) < 50
    assert len(form(route, "json")["path"]) == 5001


def test_the_canary_says_where_the_broker_differs() -> None:
    route = world()[0]
    other = Canary("RabbitMQ 4.3.6", "scratch", ("z",), ("q",), ("z",), 12.0)
    import msgspec

    text = form(msgspec.structs.replace(route, canary=other), "text")
    assert "routed it differently" in text
    assert "expected but not received: q" in text
    assert "received but not expected: z" in text


def test_a_lost_dead_letter_is_told_once() -> None:
    for end, said in ((NO_ROUTE, ""), ("a stream never dead-letters", ": a stream never dead-letters")):
        hop = Hop("q", "rejected", "dlx", ("k",), (), True, end=end)
        ((words, _),) = summary(Route("dlx", "k", dead_letter="q", hops=(hop,)))
        assert words == f"no queue receives the dead letter{said}"
