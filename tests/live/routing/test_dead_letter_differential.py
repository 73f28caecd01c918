"""Dead letters, simulated and real: random worlds of queues that dead-letter into each other, for several rounds.

In each round every message that lies in a queue is rejected; what it meets by itself on the way (expiry,
overflow) follows at once. After each round every queue must hold exactly the messages that are expected there.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING

import pytest

from attune_ops.routing import Router
from attune_ops.routing.dead_letters import DeadLetter, dead_letter
from attune_ops.routing.route import Reason
from attune_ops.routing.routed_message import routing_keys
from tests.live.routing.test_routing_differential import build, publish
from tests.routing_world import Sent, dead_letter_world, dying
from tests.world import Broker

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

SEED = int(os.environ.get("ATTUNE_OPS_TEST_SEED", "1"))
WORLDS = int(os.environ.get("ATTUNE_OPS_TEST_WORLDS", "24"))
MESSAGES = 30
ROUNDS = 4
SURPLUS = 20
DEATHS = 60  # a message that dies more often by itself is taken to go on for ever, and is not published

Lying = Counter[tuple[str, int]]  # queue and message, how many copies


class Endless(Exception):
    """The simulator says that the message would go round for ever."""


def settled(router: Router, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """The letters after everything that happens by itself."""
    waiting, resting, deaths = list(letters), [], 0
    while waiting:
        letter = waiting.pop()
        reason = by_itself(router, letter.queue)
        if reason is None:
            resting.append(letter)
            continue
        deaths += 1
        if deaths > DEATHS:
            raise Endless
        waiting += dead_letter(router, letter, reason)[1]
    return resting


def by_itself(router: Router, queue: str) -> Reason | None:
    settings = router.queue_settings(queue)
    found: list[Reason] = []
    if "message-ttl" in settings and settings["message-ttl"].value == 0:
        found.append("expired")
    if "max-length" in settings and settings["max-length"].value == 0:
        found.append("maxlen")
    if len(found) > 1:
        raise Endless  # which comes first is not decided here
    return found[0] if found else None


def rounds(router: Router, m: Sent) -> list[list[DeadLetter]]:
    """Where the message lies at first, and after each round of rejecting it."""
    keys = routing_keys(m.key, m.headers)
    assert isinstance(keys, (list, tuple))
    lying = settled(router, [DeadLetter(m.exchange.removeprefix("feed "), m.exchange, keys, m.headers, ())])
    found = [lying]
    for _ in range(ROUNDS):
        lying = settled(router, [after for letter in lying for after in dead_letter(router, letter, "rejected")[1]])
        found.append(lying)
        if len(lying) > DEATHS:
            raise Endless
    return found


def take(channel: BlockingChannel, queues: Iterable[str], expected: Lying) -> Lying:
    """Takes what lies in the queues and rejects it; waits a while for as many as are expected."""
    wanted = Counter[str]()
    for (queue, _), copies in expected.items():
        wanted[queue] += copies
    deadline = time.monotonic() + 5
    names = list(queues)
    while time.monotonic() < deadline:
        counts = {q: channel.queue_declare(q, passive=True).method.message_count for q in names}
        if all(counts[q] == wanted[q] for q in names):
            break
        time.sleep(0.01)
    seen = Lying()
    tags = []
    for queue in names:
        for _ in range(wanted[queue] + SURPLUS):  # a message that goes round for ever is read no further
            method, _, body = channel.basic_get(queue)
            if method is None:
                break
            seen[queue, int(body)] += 1
            tags.append(method.delivery_tag)
    if seen != expected:
        return seen  # and nothing is rejected, lest a wrong simulator starts a fire
    for tag in tags:
        channel.basic_nack(tag, requeue=False)
    return seen


@pytest.mark.parametrize("seed", range(SEED, SEED + WORLDS))
def test_dead_letters_go_where_the_simulator_says(broker: Broker, seed: int) -> None:
    rng = Random(seed)
    number = broker.version
    world = dead_letter_world(rng, ("direct", "topic", "fanout", "headers"), 2, quorum=2 if seed % 3 == 0 else 0)
    router = world.router(".".join(map(str, number)))
    messages: dict[int, Sent] = {}
    expected = [Lying() for _ in range(ROUNDS + 1)]
    for i in range(MESSAGES):
        m = dying(rng)
        try:
            found = rounds(router, m)
        except Endless:
            continue
        messages[i] = m
        for lying, letters in zip(expected, found, strict=True):
            lying.update((letter.queue, i) for letter in letters)
    with broker.vhost() as vhost, vhost.channel() as channel:
        for p in world.policies:
            if p.operator:
                body = {"pattern": p.pattern, "apply-to": p.apply_to, "definition": p.definition}
                vhost.api("PUT", f"operator-policies/{{vhost}}/{p.name}", body)
        build(vhost, world, channel)
        publish(channel, messages.items())
        for number_of_round, lying in enumerate(expected):
            seen = take(channel, [q.name for q in world.queues], lying)
            wrong = sorted({i for (_, i), _ in ((lying - seen) + (seen - lying)).items()})
            told = "\n".join(
                f"{messages[i]}: simulated {[k for k in lying.elements() if k[1] == i]}, "
                f"seen {[k for k in seen.elements() if k[1] == i]}"
                for i in wrong
            )
            assert not wrong, f"seed {seed}, round {number_of_round}\n{told}\n{world}"
