"""Numbered messages, and where each of them is: what a test of lost and doubled messages counts with."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika

from attune_ops.messages.message import Message
from attune_ops.messages.message_file import decode_messages
from tests.live.messages.test_round_trip import fetch, publish
from tests.world import Vhost

COUNT = int(os.environ.get("ATTUNE_OPS_TEST_MESSAGES", "4000"))
SEED = int(os.environ.get("ATTUNE_OPS_TEST_SEED", "0")) or random.SystemRandom().randrange(2**31)


def fill(settings: Any, queue: str, count: int = COUNT) -> set[str]:
    """Publishes numbered, persistent messages and returns their ids, each the message's body too."""
    ids = [str(uuid.UUID(int=random.getrandbits(128))) for _ in range(count)]
    raw = {i: b"".join(pika.BasicProperties(delivery_mode=2, message_id=i).encode()) for i in ids}
    publish(settings, [(queue, raw[i], json.dumps({"message_id": i}).encode()) for i in ids])
    return set(ids)


def in_queue(settings: Any, queue: str) -> Counter[str]:
    """Takes everything out of a queue: how often each id was in it."""
    return Counter(json.loads(body)["message_id"] for _, _, body in fetch(settings, queue))


def in_file(path: Path) -> Counter[str]:
    """How often each id is in a file of messages, torn lines left out."""
    with path.open("rb") as lines:
        next(lines)
        found = [m for m in decode_messages(lines) if isinstance(m, Message)]
    assert [m.n for m in found] == list(range(1, len(found) + 1))
    return Counter(m.data["message_id"] for m in found)


def say(line: str) -> None:
    """Tells the numbers to whoever runs the tests with -s."""
    sys.stdout.write(line + "\n")


class Killable:
    """A `killable` process that waits for its order."""

    def __init__(self, vhost: Vhost, environment: dict[str, str]) -> None:
        target = json.dumps({"amqp_url": vhost.amqp_url, "management_url": vhost.management_url})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.live.messages.killable", target],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def start(self, what: str, *arguments: Any, **options: Any) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.process.stdin.write(json.dumps({"what": what, "arguments": [str(a) for a in arguments]} | options) + "\n")
        self.process.stdin.flush()

    def kill_after(self, seconds: float) -> bool:
        """Kills it after so long; False where it had ended by itself."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return True
        return False

    def result(self) -> dict[str, Any]:
        """Waits for the end; what it printed."""
        assert self.process.stdout is not None
        self.process.wait(120)
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@contextmanager
def spare(vhost: Vhost, environment: dict[str, str]) -> Iterator[Any]:
    """Gives a function that hands out a process that is ready; the next one loads meanwhile."""
    waiting = [Killable(vhost, environment)]
    made = list(waiting)

    def take() -> Killable:
        waiting.append(Killable(vhost, environment))
        made.append(waiting[-1])
        return waiting.pop(0)

    try:
        yield take
    finally:
        for each in made:
            each.process.kill()
            each.process.communicate()
