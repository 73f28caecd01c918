"""One side of the benchmark of messages, as a process: publish, consume (both bare pika), drain or restore."""

from __future__ import annotations

import json
import resource
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pika

QUEUE = "bench"
PREFETCH = 1000
ACKNOWLEDGE_EVERY = 500
WINDOW = 2000


def body(n: int) -> bytes:
    """A message of Attune, as long as they are."""
    return json.dumps(
        {
            "message_id": f"00000000-0000-0000-0000-{n:012}",
            "correlation_id": f"00000000-0000-0000-0000-{n:012}",
            "message_type": "ExecutionRequested",
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(),
            "headers": {"retry_count": 0, "source_service": "executor"},
            "payload": {"execution_id": n, "action_id": 3, "action_ref": "core.echo", "parent_id": None,
                        "enforcement_id": None, "config": {"message": "hello", "count": n}},
        }
    ).encode()  # fmt: skip


def _until_closed(url: str, opened: Callable[[Any], None]) -> None:
    """Connects, hands over a channel, and returns when the connection is closed."""
    connection = pika.SelectConnection(
        pika.URLParameters(url),
        on_open_callback=lambda c: c.channel(on_open_callback=opened),
        on_close_callback=lambda c, _: c.ioloop.stop(),
    )
    connection.ioloop.start()


def publish(url: str, count: int) -> float:
    """A bare publisher with pipelined confirms; the fastest that pika has."""
    sent = answered = 0
    began = 0.0
    id = str(uuid.uuid4())
    properties = pika.BasicProperties(
        content_type="application/json", delivery_mode=2, message_id=id, correlation_id=id, headers={"retry": 0}
    )
    made = [body(n) for n in range(1000)]

    def push() -> None:
        nonlocal sent
        while sent < count and sent - answered < WINDOW:
            channels[0].basic_publish("", QUEUE, made[sent % 1000], properties, mandatory=True)
            sent += 1

    def confirmed(frame: Any) -> None:
        nonlocal answered
        answered = frame.method.delivery_tag if frame.method.multiple else answered + 1
        if answered >= count:
            channels[0].connection.close()
        else:
            push()

    def start(_: Any) -> None:
        nonlocal began
        began = time.perf_counter()
        push()

    def opened(channel: Any) -> None:
        channels.append(channel)
        channel.queue_declare(QUEUE, durable=True, callback=lambda _: channel.confirm_delivery(confirmed, start))

    channels: list[Any] = []
    _until_closed(url, opened)
    return time.perf_counter() - began


def consume(url: str, count: int) -> float:
    """A bare consumer that acknowledges in batches; the fastest that pika has."""
    got, began = 0, 0.0

    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        nonlocal got, began
        began = began or time.perf_counter()
        got += 1
        if got % ACKNOWLEDGE_EVERY == 0 or got == count:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if got == count:
            channel.connection.close()

    def opened(channel: Any) -> None:
        channel.basic_qos(prefetch_count=PREFETCH, callback=lambda _: channel.basic_consume(QUEUE, on_message))

    _until_closed(url, opened)
    return time.perf_counter() - began


def ours(what: str, target: dict[str, str], file: str, count: int) -> float:
    """Ours, from the call to its result: connecting and looking at the queue included."""
    import attune_ops

    messages = attune_ops.connect(**target).messages  # type: ignore[arg-type]
    began = time.perf_counter()
    if what == "drain":
        done = messages.drain(QUEUE, file, apply=True)
    else:
        done = messages.restore(file, exchange="", routing_key=QUEUE, apply=True)
    took = time.perf_counter() - began
    assert done.count("drained", "published") == count, done
    return took


def main() -> None:
    what, target, file, count = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    bare = {"publish": publish, "consume": consume}.get(what)
    took = bare(target["amqp_url"], count) if bare else ours(what, target, file, count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
    print(json.dumps({"ms": took * 1000, "mb": peak}))


if __name__ == "__main__":
    main()
