"""The simulator against the broker: random worlds are imported, messages published, every queue read.

`ATTUNE_OPS_TEST_SEED` chooses the first seed (printed with each failure), `ATTUNE_OPS_TEST_WORLDS` how many
worlds are tried. A failure is shrunk, object by object, to the smallest world in which it still shows.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.routing_world import Sent, World, routing_world, sent
from tests.world import Broker, Vhost, eventually

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

SEED = int(os.environ.get("ATTUNE_OPS_TEST_SEED", "1"))
WORLDS = int(os.environ.get("ATTUNE_OPS_TEST_WORLDS", "60"))
MESSAGES = 70  # of one world
SHRINKS = 300

Arrivals = Mapping[int, Sequence[str]]  # by message, the queues that hold it, sorted


def build(vhost: Vhost, world: World, channel: BlockingChannel) -> None:
    vhost.api("POST", "definitions/{vhost}", world.definitions())
    for b in world.voids:
        bind = channel.queue_bind if b.destination_kind == "queue" else channel.exchange_bind
        bind(b.destination, b.source, b.routing_key, arguments=dict(b.arguments))


def publish(channel: BlockingChannel, messages: Iterable[tuple[int, Sent]]) -> None:
    from pika import BasicProperties

    for number, m in messages:
        channel.basic_publish(m.exchange, m.key, str(number).encode(), BasicProperties(headers=m.headers or None))


def read(channel: BlockingChannel, queues: Sequence[str]) -> dict[int, list[str]]:
    """Takes every message out of the queues; each was confirmed, so all of them are there."""
    expected = sum(channel.queue_declare(q, passive=True).method.message_count for q in queues)
    arrived: dict[int, list[str]] = defaultdict(list)
    names: dict[str, str] = {}

    def take(_: Any, method: Any, __: Any, body: bytes) -> None:
        arrived[int(body)].append(names[method.consumer_tag])

    for q in queues:
        names[channel.basic_consume(q, take, auto_ack=True)] = q
    received = lambda: channel.connection.process_data_events(0) or sum(map(len, arrived.values())) >= expected  # noqa: E731
    eventually(received, every=0.001)
    for tag in names:
        channel.basic_cancel(tag)
    return {n: sorted(found) for n, found in arrived.items()}


def wrong(world: World, version: str, messages: Sequence[Sent], arrived: Arrivals) -> list[tuple[Sent, Any, Any]]:
    """The messages that went elsewhere than the simulator says, with what it said and what was seen."""
    router = world.router(version)
    bad = []
    for number, m in enumerate(messages):
        told, seen = router.route(m.exchange, m.key, m.headers), set(arrived.get(number, ()))
        certain, possible = set(told.queues), set(told.possible)
        once = len(seen) == len(arrived.get(number, ()))
        if not (once and certain <= seen <= certain | possible and (told.uncertain or seen == certain)):
            bad.append((m, told, sorted(arrived.get(number, ()))))
        if told.unroutable != (not seen) and not told.uncertain:
            bad.append((m, told, sorted(seen)))
    return bad


def seen_of(broker: Broker, world: World, messages: Sequence[Sent]) -> Arrivals:
    with broker.vhost() as vhost, vhost.channel() as channel:
        build(vhost, world, channel)
        publish(channel, enumerate(messages))
        return read(channel, [q.name for q in world.queues])


def shrunk(broker: Broker, world: World, version: str, message: Sent) -> str:
    """The smallest world in which this message still goes wrong, with what was said and seen."""
    tries = 0
    shrinking = True
    while shrinking:
        shrinking = False
        for smaller in world.smaller():
            tries += 1
            if tries > SHRINKS:
                break
            if message.exchange not in {"", "amq.topic", *(e.name for e in smaller.exchanges)}:
                continue
            if wrong(smaller, version, [message], seen_of(broker, smaller, [message])):
                world, shrinking = smaller, True
                break
    _, told, seen = wrong(world, version, [message], seen_of(broker, world, [message]))[0]
    return f"{json.dumps(world.definitions(), indent=1)}\n{message}\nsimulated {told}\nseen {seen}"


@pytest.fixture(scope="module")
def types(broker: Broker) -> list[str]:
    """The exchange types of this broker."""
    return [t["name"] for t in broker.api("GET", "overview").json()["exchange_types"]]


@pytest.mark.parametrize("seed", range(SEED, SEED + WORLDS))
def test_messages_go_where_the_simulator_says(broker: Broker, types: list[str], seed: int) -> None:
    rng = Random(seed)
    number = broker.version
    version = ".".join(map(str, number))
    world = routing_world(rng, types, hashes=2 if number >= (4, 3) else 3)
    messages = [sent(rng, world) for _ in range(MESSAGES)]
    bad = wrong(world, version, messages, seen_of(broker, world, messages))
    if bad:
        pytest.fail(f"seed {seed}, {version}, {len(bad)} wrong\n{shrunk(broker, world, version, bad[0][0])}")
