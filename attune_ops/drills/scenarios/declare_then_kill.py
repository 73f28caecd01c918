"""The broker is killed a moment after queues were declared."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import MEASURED, Context, Steps
from attune_ops.drills.expectations import Expectation
from attune_ops.drills.ledger import Attempt, Leftover
from attune_ops.installation.amqp import close, depth, open_connection, short_connection
from attune_ops.installation.amqp_write import declare_queue, publish, read_back
from attune_ops.model.topology import Queue

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

ROUNDS = 10  # kills of each kind
PAUSE_S = 2.0  # of the kind that waits before the kill
PERSISTENT = 2

KINDS = ("at once", "with a confirmed message", f"{PAUSE_S:g} s later")


@drill(
    hypothesis="The answer to a declare, and a passive declare after it, prove that a durable queue is there now. They "
    "do not prove that it is there after the broker is killed in the next moment; a confirmed message in it is gone "
    "with it.",
    promise="A durable queue is recovered when a node starts. The guide does not say from which moment on.",
    source="https://www.rabbitmq.com/docs/queues#durability",
    needs="node",
    workers=0,
)
def declare_then_kill(context: Context) -> Steps:
    """Declares a durable queue, reads it back, kills the broker (kill -9) and counts what is there after its restart.

    Of each three rounds, one kills at once, one after a publisher confirm of a persistent message in that queue, one
    after 2 s. Another RabbitMQ is named with --server.

    To do: send nothing important to a queue in its first two seconds. After a crash of the broker run `topology diff`,
    or restart the services, which declare their queues at each start-up. "declared" in the output of this tool means:
    read back from the broker that runs.
    """
    context.allow("queued")
    there, messages = dict.fromkeys(KINDS, 0), 0
    for n in range(ROUNDS * len(KINDS)):
        kind, queue = KINDS[n % len(KINDS)], Queue(f"declared.{n}")
        s = context.settings
        connection = open_connection(s.amqp, name="attune-ops drill", timeout=s.timeout, tls=s.tls)
        try:
            channel = connection.channel()
            declare_queue(channel, queue)
            read_back(channel, (), [queue.name])
            if kind == KINDS[1]:
                _publish(channel, queue.name)
                context.attempts.append(Attempt(n + 1, "confirmed", queue.name))
            elif kind == KINDS[2]:
                time.sleep(PAUSE_S)
            context.broker.kill_node(0)
        finally:
            close(connection)
        context.faults.revert()
        yield Expectation(f"the broker answers after kill {n + 1}", lambda: _answers(context), 60)
        with short_connection(context.settings, "drill") as after:
            found = depth(after, queue.name)
        there[kind] += found is not None
        messages += found.messages if found else 0
        context.found += [Leftover(n + 1, queue.name)] * (found.messages if found else 0)
        if found is None:
            context.allow_loss(queue.name, "gone with its queue, which the killed broker did not have on disk")
            context.log.add(f"{queue.name}, killed {kind}: missing")
    for kind, number in there.items():
        context.log.add(f"{MEASURED}declared, killed {kind}: {number} of {ROUNDS} queues are there after the restart")
    context.log.add(f"{MEASURED}{messages} of {ROUNDS} confirmed messages are there after the restart")


def _publish(channel: BlockingChannel, queue: str) -> None:
    """Publishes one persistent message to the queue, and waits for the confirm."""
    from pika import BasicProperties

    channel.confirm_delivery()
    publish(channel, "", queue, b"x", BasicProperties(delivery_mode=PERSISTENT))


def _answers(context: Context) -> bool:
    """Whether the broker accepts a connection; an error is one of the broker, which the drill waits out."""
    with short_connection(context.settings, "drill"):
        return True
