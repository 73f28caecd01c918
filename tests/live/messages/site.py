"""A virtual host with a work queue, its dead letters, and messages of Attune in them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import attune_ops
from attune_ops.ops import Ops
from tests.live.messages.test_round_trip import fetch, publish
from tests.unit.messages.wire import properties
from tests.world import Vhost, eventually

SECRET = "Sekrit42x"


def connect(vhost: Vhost, database_url: str = "") -> Ops:
    options = {"amqp_url": vhost.amqp_url, "management_url": vhost.management_url, "database_url": database_url}
    return attune_ops.connect(None, False, **options)


def declare_work(vhost: Vhost, **arguments: Any) -> None:
    """Exchange `work` with queue `work` bound by `job.#`; what dies there goes by exchange `dlx` to queue `dead`."""
    for exchange, kind in (("work", "topic"), ("dlx", "fanout")):
        vhost.api("PUT", f"exchanges/{{vhost}}/{exchange}", {"type": kind, "durable": True})
    arguments = {"x-dead-letter-exchange": "dlx", "x-queue-type": "classic"} | arguments
    vhost.api("PUT", "queues/{vhost}/work", {"durable": True, "arguments": arguments})
    vhost.api("PUT", "queues/{vhost}/dead", {"durable": True, "arguments": {"x-queue-type": "classic"}})
    vhost.api("POST", "bindings/{vhost}/e/work/q/work", {"routing_key": "job.#"})
    vhost.api("POST", "bindings/{vhost}/e/dlx/q/dead", {})


def envelope(type: str = "ExecutionRequested", *, age: timedelta = timedelta(), **payload: Any) -> tuple[bytes, bytes]:
    """Raw properties and body of a message of Attune."""
    id = str(uuid.uuid4())
    body = {
        "message_id": id,
        "correlation_id": id,
        "message_type": type,
        "version": "1.0",
        "timestamp": (datetime.now(UTC) - age).isoformat(),
        "headers": {"retry_count": 1, "source_service": "executor"},
        "payload": {"execution_id": 1, "config": {"password": SECRET}} | payload,
    }
    raw = properties(content_type="application/json", delivery_mode=2, correlation_id=id, message_id=id)
    return raw, json.dumps(body).encode()


def send(ops: Ops, *messages: tuple[bytes, bytes], key: str = "job.1", exchange: str = "work") -> None:
    publish(ops.settings, [(key, raw, body) for raw, body in messages], exchange)


def reject(vhost: Vhost, count: int, queue: str = "work", into: str | None = "dead") -> None:
    """What a consumer does that cannot handle them: they go to the dead letters."""
    with vhost.channel() as channel:
        before = depth(vhost, into) if into else 0
        for _ in range(count):
            method, _, _ = channel.basic_get(queue)
            assert method is not None
            channel.basic_nack(method.delivery_tag, requeue=False)
        if into:
            eventually(lambda: depth(vhost, into) == before + count)


def depth(vhost: Vhost, queue: str) -> int:
    """Ready messages, live."""
    with vhost.channel() as channel:
        return int(channel.queue_declare(queue, passive=True).method.message_count)


def bodies(ops: Ops, queue: str) -> list[dict[str, Any]]:
    """Takes the messages of a queue away."""
    return [json.loads(body) for _, _, body in fetch(ops.settings, queue)]
