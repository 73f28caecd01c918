"""What is drained and restored, or moved, is the same to the last byte, whatever it holds.

The same as it was delivered: RabbitMQ 4 sorts headers by name when a message is published.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from attune_ops import connect
from attune_ops.installation.config import Settings
from attune_ops.messages import raw_amqp
from attune_ops.ops import Ops
from tests.unit.messages.test_properties import ALL, TYPES
from tests.unit.messages.wire import properties
from tests.world import Vhost

HEADERS = {name: sent for name, (sent, _) in TYPES.items()}
PLAIN = {name: value for name, value in ALL.items() if name not in ("user_id", "expiration")}

# Routing key, raw properties, body.
MESSAGES: list[tuple[str | bytes, bytes, bytes]] = [
    ("q", b"\x00\x00", b""),
    ("q", properties(delivery_mode=2), b"\x00\xff" * 1000),
    ("q", properties(headers={}, message_id="m"), b"{}"),
    ("q", properties(headers=HEADERS, **PLAIN), b'{"a": 1.5}'),
    ("q", properties(headers={"deep": {"deeper": [{"x": v} for v in HEADERS.values()]}}), b"\n\n"),
    ("q", properties(headers={"x" * 255: "y" * 70_000}), b"[" * 100),
    ("q", properties(delivery_mode=1, message_id="ü" * 127), os.urandom(1_000_000)),
    ("q", properties(headers={"": "", "a b\n": "\x00", "ключ": "😀"}), "“quotes”".encode()),
]  # fmt: skip


@pytest.fixture
def ops(vhost: Vhost) -> Ops:
    return connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url)


def publish(settings: Settings, messages: list[tuple[str | bytes, bytes, bytes]], exchange: str = "") -> None:
    with raw_amqp.connected(settings, "test") as connection:
        channel = connection.channel()
        confirmed: list[int] = []
        send = raw_amqp.enable_confirms(
            channel, lambda m: confirmed.append(m.delivery_tag), lambda *a: pytest.fail("returned")
        )
        for key, raw, body in messages:
            send(exchange, key, body, raw_amqp.RawProperties(raw), True)
        while max(confirmed, default=0) < len(messages):
            raw_amqp.process_events(channel, 1)


def fetch(settings: Settings, queue: str) -> list[tuple[str | bytes, bytes, bytes]]:
    """Takes every message away: routing key, raw properties, body."""
    found: list[tuple[str | bytes, bytes, bytes]] = []
    with raw_amqp.connected(settings, "test") as connection:
        channel = connection.channel()
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            found.append((got[0].routing_key, got[1].raw, got[2]))
    return found


def declare(vhost: Vhost, *queues: str) -> None:
    for queue in queues:
        vhost.api("PUT", f"queues/{{vhost}}/{queue}", {"durable": True, "arguments": {"x-queue-type": "classic"}})


def test_drain_and_restore(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    declare(vhost, "q")
    publish(ops.settings, MESSAGES)
    before = fetch(ops.settings, "q")
    assert [body for _, _, body in before] == [body for _, _, body in MESSAGES]
    publish(ops.settings, MESSAGES)
    file = tmp_path / "kept.jsonl"
    assert ops.messages.drain("q", file, apply=True).count("drained") == len(MESSAGES)
    assert fetch(ops.settings, "q") == []
    assert file.stat().st_mode & 0o777 == 0o600
    assert ops.messages.restore(file, apply=True).count("published") == len(MESSAGES)
    assert fetch(ops.settings, "q") == before


def test_move(ops: Ops, vhost: Vhost) -> None:
    declare(vhost, "q", "other")
    publish(ops.settings, MESSAGES)
    before = fetch(ops.settings, "q")
    publish(ops.settings, MESSAGES)
    done = ops.messages.move("q", "other", apply=True)
    assert done.count("published") == len(MESSAGES)
    assert [m[1:] for m in fetch(ops.settings, "other")] == [m[1:] for m in before]
    assert fetch(ops.settings, "q") == []


def test_pika_would_have_changed_them(ops: Ops, vhost: Vhost) -> None:
    """The reason for raw properties: the same round trip through pika's own."""
    declare(vhost, "q")
    raw = properties(headers={"rate": HEADERS["double"], "small": HEADERS["int8"]})
    publish(ops.settings, [("q", raw, b"")])
    with vhost.channel() as channel:
        _, theirs, body = channel.basic_get("q", auto_ack=True)
        channel.basic_publish("", "q", body, theirs)
    assert fetch(ops.settings, "q")[0][1] != raw


def test_a_routing_key_that_is_no_utf8(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    declare(vhost, "q")
    vhost.api("PUT", "exchanges/{vhost}/all", {"type": "fanout"})
    vhost.api("POST", "bindings/{vhost}/e/all/q/q", {})
    publish(ops.settings, [(b"\xff\xfe.key", b"\x00\x00", b"x")], "all")
    file = tmp_path / "kept.jsonl"
    ops.messages.drain("q", file, apply=True)
    ops.messages.restore(file, apply=True)
    (key, *rest), *more = fetch(ops.settings, "q")
    assert (key, rest, more) == (b"\xff\xfe.key", [b"\x00\x00", b"x"], [])


def test_large_headers(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    declare(vhost, "q")
    raw = properties(headers={f"h{i:02}": "x" * 1000 for i in range(100)})  # most of a frame of 128 KiB
    publish(ops.settings, [("q", raw, struct.pack(">I", i)) for i in range(50)])
    file = tmp_path / "kept.jsonl"
    assert ops.messages.drain("q", file, apply=True).count("drained") == 50
    assert ops.messages.restore(file, apply=True).count("published") == 50
    assert [m[1:] for m in fetch(ops.settings, "q")] == [(raw, struct.pack(">I", i)) for i in range(50)]
