"""A message that is published again reaches every queue that is bound: those besides its own are named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from attune_ops.installation.config import Settings, resolve
from attune_ops.messages.fan_out import SHOWN, UNREAD, fan_out_notes, other_queues
from attune_ops.messages.message import Message
from attune_ops.messages.message_file import Header
from attune_ops.messages.selection import Selector, Target
from attune_ops.messages.tap import _label
from attune_ops.routing import Router
from tests.unit.messages.wire import Typed, properties
from tests.unit.routing.build import bind, exchange, router

ROUTER = router(
    exchange("events", "topic"),
    exchange("h", "headers"),
    bind("events", "events.queue", "#"),
    bind("events", "executor.events", "event.#"),
    bind("h", "one", arguments={"n": 1}),
    bind("h", "two", arguments={"n": 1}),
)
BACK = Target()
OPTIONS = "for queue 'events.queue' alone: --exchange= --routing-key=events.queue"


@pytest.fixture
def settings() -> Settings:
    return resolve({"amqp_url": "amqp://127.0.0.1:1", "management_url": "http://127.0.0.1:1", "database_url": ""}, {})


def message(exchange: str, key: str, died: str = "", **headers: Any) -> Message:
    death = {"queue": died, "reason": "maxlen", "count": 1, "exchange": exchange, "routing-keys": [key]}
    headers = headers | ({"x-death": [death]} if died else {})
    return Message(1, "dlx" if died else exchange, key, properties(headers=headers), b"{}")


def noted(
    settings: Settings,
    *messages: Message,
    target: Target = BACK,
    source: str | None = "events.queue",
    applied: bool = False,
    router: Router = ROUTER,
) -> tuple[str, ...]:
    selector = Selector(settings, (), target, None)
    selector.decide(list(messages))
    return other_queues(router, selector, source, applied)


def test_the_other_queues_are_named_with_the_form_for_this_queue_alone(settings: Settings) -> None:
    event = message("events", "event.created")
    to = "each message to exchange 'events' with key 'event.created'"
    assert noted(settings, event) == (f"{to} is also routed to executor.events; {OPTIONS}",)
    assert noted(settings, event, applied=True) == (f"{to} was also routed to executor.events",)
    assert noted(settings, message("events", "rule.changed")) == ()
    assert noted(settings, event, source="worker.7")[0].startswith(
        f"{to} is routed to events.queue, executor.events, not to queue 'worker.7'; for queue 'worker.7' alone: "
    )
    many = [message("events", f"event.{n}") for n in range(9)]
    assert "with key 'event.0', 'event.1', 'event.2', 'event.3', 'event.4' and 4 more is" in noted(settings, *many)[0]


def test_dead_letters_are_of_the_queue_that_dead_lettered_them(settings: Settings) -> None:
    dead = message("events", "event.created", died="events.queue")
    (note,) = noted(settings, dead, source="dlx.queue")
    alone = OPTIONS.replace("--exchange", "--filter queue=events.queue --exchange")
    assert note.endswith(f"is also routed to executor.events; {alone}")
    mixed = noted(settings, dead, message("events", "event.gone"), source="dlx.queue")
    assert [alone in n for n in mixed] == [True, False]
    assert "--routing-key" not in mixed[1], "it would take the dead letters of other queues"


def test_headers_of_a_dead_letter_are_compared(settings: Settings) -> None:
    """Over AMQP they have values that JSON does not: x-death has the time."""
    dead = message("h", "", died="one", n=1, time=Typed(b"T", 1), price=Typed(b"D", (1, 15)))
    assert noted(settings, dead, source="dlx.queue")[0].startswith("each message to exchange 'h' with key '' is also")


def test_the_copies_of_a_tap_were_delivered_before(settings: Settings) -> None:
    header = Header(id="", queue=_label("events"), vhost="/", broker="", created=datetime.now(UTC))
    assert header.of_tap
    (note,) = noted(settings, message("events", "rule.changed"), source=None)
    assert note.endswith("is routed to events.queue, which got it when it was tapped")


def test_a_named_exchange_and_headers(settings: Settings) -> None:
    named = Target("h", "k")
    assert noted(settings, message("x", "y", n=1), target=named) == (
        "each message to exchange 'h' with key 'k' is routed to one, two",
    )
    assert noted(settings, message("x", "y", n=2), target=named) == ()


@pytest.mark.parametrize("named", [Target("events"), Target(None, "event.created")])
def test_one_that_is_named_chooses_the_queues(settings: Settings, named: Target) -> None:
    """Then no queue counts as the message's own, and there is no other form to advise."""
    assert noted(settings, message("events", "event.created"), target=named) == (
        "each message to exchange 'events' with key 'event.created' is routed to events.queue, executor.events",
    )


def test_few_notes_are_shown(settings: Settings) -> None:
    exchanges = [f"x{n}" for n in range(SHOWN + 2)]
    objects = [o for x in exchanges for o in (exchange(x, "fanout"), bind(x, "a"), bind(x, f"b{x}"))]
    found = noted(settings, *[message(x, "k") for x in exchanges], source="a", router=router(*objects))
    assert len(found) == SHOWN + 1
    assert found[-1] == "2 more exchanges and keys reach other queues; see `attune-ops route`"


def test_what_is_not_read_is_said(settings: Settings) -> None:
    for target, said in ((Target("", "q"), ()), (Target(dead_only=True), (UNREAD,)), (Target("x", "k"), ())):
        assert fan_out_notes(settings, Selector(settings, (), target, None), "dlx.queue", False) == said
    selector = Selector(settings, (), BACK, None)
    selector.decide([message("events", "event.created")])
    (note,) = fan_out_notes(settings, selector, "events.queue", False)
    assert note.startswith("it is unknown which other queues get a copy (")
