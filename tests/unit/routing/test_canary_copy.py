"""The copy in the scratch virtual host has the same exchanges and bindings, plain queues, and exchanges' policies."""

from __future__ import annotations

import time
from typing import cast

from attune_ops.installation.management_write import ManagementWriter
from attune_ops.model.snapshot import BindingState, BrokerSnapshot, ExchangeState, PolicyState, QueueState
from attune_ops.routing.canary import HARMLESS, _arrived, _copy, _for_exchanges, within_reach
from tests.unit.facts import NOW
from tests.unit.routing.build import bind, exchange, link, policy, queue, router


def test_only_the_policies_of_exchanges_are_copied() -> None:
    kept = tuple(
        _for_exchanges((
            policy("a", "x", {"alternate-exchange": "y", "max-length": 1}),
            policy("b", "x", {"max-length": 1}, apply_to="exchanges", priority=3),
            policy("c", "x", {"alternate-exchange": "y"}, apply_to="queues"),
            policy("d", "x", {"max-length": 1}, operator=True),
        ))
    )  # fmt: skip
    assert [(p.name, p.apply_to, p.priority, p.definition) for p in kept] == [
        ("a", "exchanges", 0, {"alternate-exchange": "y"}),
        ("b", "exchanges", 3, HARMLESS),
    ]


def test_server_named_queues_have_stand_ins() -> None:
    broker = BrokerSnapshot(
        "/", NOW,
        exchanges=(exchange("x"), exchange("amq.gen-1", "fanout")),
        queues=(queue("q", arguments={"x-max-length": 1}), queue("amq.gen-1")),
        bindings=(bind("x", "amq.gen-1", "k"), link("x", "amq.gen-1", "e"), bind("x", "q", "k")),
        policies=(),
    )  # fmt: skip
    made = _copy(broker, {"q": "q", "amq.gen-1": "attune-ops amq.gen-1"})
    assert sorted(q["name"] for q in made["queues"]) == ["attune-ops amq.gen-1", "q"]
    assert not any("x-max-length" in q["arguments"] for q in made["queues"])
    assert [(b["destination_type"], b["destination"]) for b in made["bindings"]] == [
        ("queue", "attune-ops amq.gen-1"),
        ("exchange", "amq.gen-1"),
        ("queue", "q"),
    ]


def test_a_copy_that_arrives_after_the_expected_ones_is_seen() -> None:
    class Scratch:
        """A broker that counts the message in `p` 50 ms later than in `q`."""

        began = time.monotonic()

        def totals(self) -> list[QueueState]:
            late = time.monotonic() - self.began > 0.05
            return [queue("q", messages=1), queue("p", messages=int(late)), queue("none", messages=0)]

    assert _arrived(cast(ManagementWriter, Scratch()), {"q"}) == ["p", "q"]


def test_only_what_the_message_can_reach_is_copied() -> None:
    """By any key: what the simulation gets wrong must show."""
    objects = (
        exchange("x", "topic"), exchange("next", arguments={"alternate-exchange": "alt"}), exchange("alt"),
        exchange("by-policy"), exchange("far"),
        link("x", "next", "k"), bind("next", "a"), bind("alt", "b"), bind("by-policy", "c"), bind("far", "d"),
        bind("x", "e", "other"), queue("f"), policy("p", "(unknown+)+", {"alternate-exchange": "by-policy"}),
    )  # fmt: skip
    simulated = router(*objects)
    broker = BrokerSnapshot(
        "/", NOW,
        exchanges=tuple(o for o in objects if isinstance(o, ExchangeState)),
        queues=tuple(queue(name) for name in "abcdef"),
        bindings=tuple(o for o in objects if isinstance(o, BindingState)),
        policies=tuple(o for o in objects if isinstance(o, PolicyState)),
    )  # fmt: skip

    def copied(exchange: str, key: str) -> tuple[set[str], str]:
        found = within_reach(simulated, broker, simulated.route(exchange, key))
        assert {b.source for b in found.bindings or ()} <= {e.name for e in found.exchanges or ()}
        return {e.name for e in found.exchanges or ()}, "".join(q.name for q in found.queues or ())

    assert copied("x", "none") == ({"x", "next", "alt", "by-policy"}, "abce")
    assert copied("far", "") == ({"far", "by-policy"}, "cd")
    assert copied("", "f") == ({"by-policy"}, "cf")
