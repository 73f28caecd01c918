"""What the plan says a declaration is answered with, against what the broker answers, word by word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pika
import pytest

from attune_ops.installation.collect import collect
from attune_ops.installation.config import resolve
from attune_ops.model.facts import Facts, Reach, Source
from attune_ops.model.topologies import load
from attune_ops.model.topology import Arguments, Exchange, Queue
from attune_ops.topology.drift import BrokerError
from attune_ops.topology.redeclaration import Answers
from tests.world import Users, Vhost

DLX = "x-dead-letter-exchange"

ARGUMENTS: tuple[Arguments, ...] = (
    {},
    {DLX: "attune.dlx"},
    {DLX: "ä'\"<b>"},
    {DLX: "attune.dlx", "x-dead-letter-routing-key": "k", "x-message-ttl": 300000},
    {"x-message-ttl": 5, "x-max-length": 7, "x-overflow": "reject-publish"},
    {"x-single-active-consumer": True, "x-expires": 600000},
    {"x-single-active-consumer": False},
    {"x-nobody-compares-this": 1},
    {"x-queue-type": "classic"},
    {"x-queue-type": "quorum"},
    {"x-queue-type": "quorum", "x-delivery-limit": 3, DLX: "d"},
)
QUEUES = (
    *(Queue("q", arguments=arguments) for arguments in ARGUMENTS),
    Queue("q", auto_delete=True, arguments={"x-expires": 1000}),
    Queue("q" * 200 + "é", arguments={DLX: "attune.dlx"}),
    Queue("q" * 200 + "é", arguments={DLX: "other"}),
)
EXCHANGES = (
    Exchange("x", "direct"),
    Exchange("x", "topic"),
    Exchange("x", "direct", durable=False, internal=True),
    Exchange("x", "direct", auto_delete=True, internal=True, arguments={"alternate-exchange": "a"}),
    Exchange("x", "direct", arguments={"alternate-exchange": "b"}),
    Exchange("x", "direct", arguments={"x-nobody-compares-this": 1}),
)


def answers(vhost: Vhost) -> tuple[Answers, Facts]:
    settings = resolve({"amqp_url": vhost.amqp_url, "management_url": vhost.management_url}, {})
    facts = collect(settings, (Source.BROKER, Source.DEPRECATED))
    assert not facts.missing_reason((Source.BROKER,))
    return Answers.of(facts), facts


class Line:
    """Declares over AMQP and says what the broker answered."""

    def __init__(self, vhost: Vhost) -> None:
        self._parameters = pika.URLParameters(vhost.amqp_url)
        self._connection = pika.BlockingConnection(self._parameters)

    def answer(self, action: Callable[[Any], Any]) -> BrokerError | None:
        if self._connection.is_closed:
            self._connection = pika.BlockingConnection(self._parameters)
        try:
            channel = self._connection.channel()
            action(channel)
            channel.close()
        except pika.exceptions.ChannelClosedByBroker as e:
            return BrokerError(e.reply_code, e.reply_text)
        except pika.exceptions.ConnectionClosedByBroker as e:
            return BrokerError(e.reply_code, e.reply_text, "connection")
        return None

    def queue(self, q: Queue) -> BrokerError | None:
        return self.answer(
            lambda c: c.queue_declare(
                q.name, durable=q.durable, auto_delete=q.auto_delete, exclusive=q.exclusive, arguments=q.arguments
            )
        )

    def exchange(self, e: Exchange) -> BrokerError | None:
        return self.answer(
            lambda c: c.exchange_declare(
                e.name, e.type, durable=e.durable, auto_delete=e.auto_delete, internal=e.internal, arguments=e.arguments
            )
        )

    def delete(self, name: str) -> None:
        self.answer(lambda c: c.queue_delete(name))
        self.answer(lambda c: c.exchange_delete(name))

    def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()


def test_declaring_what_exists_otherwise(vhost: Vhost) -> None:
    line = Line(vhost)
    for existing in QUEUES:
        assert line.queue(existing) is None
        told, facts = answers(vhost)
        (found,) = facts.actual.queues or ()
        for wanted in (q for q in QUEUES if q.name == existing.name):
            attributes = tuple(told.queue_attributes(wanted, found))
            assert told.redeclared("queue", wanted.name, attributes) == line.queue(wanted), (existing, wanted)
            assert (wanted == existing) <= (not attributes), "a queue differs from itself"
        line.delete(existing.name)
    for there, asked in product(EXCHANGES, EXCHANGES):
        assert line.exchange(there) is None
        told, facts = answers(vhost)
        attributes = tuple(told.exchange_attributes(asked, facts.actual.exchange_named["x"]))
        assert told.redeclared("exchange", "x", attributes) == line.exchange(asked), (there, asked)
        line.delete("x")
    line.close()


def test_a_queue_that_somebody_else_holds_exclusively(vhost: Vhost) -> None:
    holder, line = Line(vhost), Line(vhost)
    assert holder.queue(Queue("q", durable=False, exclusive=True)) is None
    told, facts = answers(vhost)
    attributes = tuple(told.queue_attributes(Queue("q"), facts.actual.queue_named["q"]))
    assert told.redeclared("queue", "q", attributes) == line.queue(Queue("q"))
    assert not tuple(told.queue_attributes(Queue("q", exclusive=True), facts.actual.queue_named["q"]))
    holder.close()
    line.close()


@pytest.mark.parametrize("default", ["classic", "quorum"])
def test_the_default_queue_type_of_the_virtual_host(vhost: Vhost, default: str) -> None:
    vhost.api("PUT", "vhosts/{vhost}", {"default_queue_type": default})
    line = Line(vhost)
    existing = [Queue(f"{kind}-queue", arguments={"x-queue-type": kind}) for kind in ("classic", "quorum")]
    for queue in existing:
        assert line.queue(queue) is None
    told, facts = answers(vhost)
    for queue in existing:
        wanted = Queue(queue.name)
        attributes = tuple(told.queue_attributes(wanted, facts.actual.queue_named[queue.name]))
        assert told.redeclared("queue", queue.name, attributes) == line.queue(wanted)
    line.close()


def test_declaring_what_is_new(vhost: Vhost) -> None:
    line, (told, facts) = Line(vhost), answers(vhost)
    (transient,) = load("attune-2026-01").worker_queues(1)
    if all(d.state is not None for d in facts.actual.deprecated or ()):  # 4.0 does not say what it denies
        assert line.queue(transient) == told.new_queue(transient)
    new = (
        Queue("plain"),
        Queue("amq.reserved"),
        Queue("quorum", durable=False, exclusive=True, arguments={"x-queue-type": "quorum"}),
        Queue("quorum", auto_delete=True, arguments={"x-queue-type": "quorum"}),
        Queue("stream", exclusive=True, arguments={"x-queue-type": "stream"}),
    )
    for queue in new:
        predicted = told.new_queue(queue)
        assert line.queue(queue) == predicted, queue
    for exchange in (Exchange("plain", "fanout"), Exchange("amq.reserved", "fanout")):
        assert line.exchange(exchange) == told.new_exchange(exchange)
    assert line.answer(lambda c: c.queue_bind("none", "plain", "k")) == told.not_found("queue", "none")
    assert line.answer(lambda c: c.queue_bind("plain", "none", "k")) == told.not_found("exchange", "none")
    line.close()


def test_a_user_with_few_rights(vhost: Vhost, user: Users) -> None:
    rights = ("^(mine|half)", "^mine", "^mine")
    limited = user(vhost, configure=rights[0], write=rights[1], read=rights[2])
    reach = Reach(Source.MANAGEMENT, user=limited.user, permissions=rights)
    _, facts = answers(vhost)
    told = Answers.of(Facts(facts.topology, datetime.now(UTC), facts.broker, reach=(reach,), vhost=vhost.name))
    line = Line(limited)
    queues = (
        Queue("mine.q"), Queue("others.q"), Queue("half.q"), Queue("half.dlx", arguments={DLX: "mine.x"}),
        Queue("mine.dlx", arguments={DLX: "others.x"}), Queue("mine.default", arguments={DLX: ""}),
    )  # fmt: skip
    for queue in queues:
        assert line.queue(queue) == told.new_queue(queue), queue
    exchanges = (
        Exchange("mine.x", "topic"), Exchange("others.x", "topic"), Exchange("half.x", "topic"),
        Exchange("mine.ae", "topic", arguments={"alternate-exchange": "others.x"}),
        Exchange("half.ae", "topic", arguments={"alternate-exchange": "mine.x"}),
    )  # fmt: skip
    for exchange in exchanges:
        assert line.exchange(exchange) == told.new_exchange(exchange), exchange
    for source, destination in (("mine.x", "mine.q"), ("mine.x", "half.q"), ("half.x", "mine.q")):
        made = line.answer(lambda c, d=destination, s=source: c.queue_bind(d, s, "k"))  # type: ignore[misc]
        assert made == told.bound(source, "queue", destination)
    line.close()
