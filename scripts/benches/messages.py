"""Draining and restoring against a bare pika consumer and a bare confirming publisher, and in how much memory.

`ATTUNE_OPS_BENCH_MESSAGES` is the number of messages (default 50,000; the promise is made for 1,000,000). Each
side is a process of its own, with the same prefetch, acknowledgements and window of confirms; the time is counted
from its first to its last message.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benches import Result, Site

COUNT = int(os.environ.get("ATTUNE_OPS_BENCH_MESSAGES", "50000"))
RUNS = 1 if COUNT > 200_000 else 3
SLOWER = 1 / 0.8  # at least 0.8 times the rate
MEMORY_MB = 150.0
SIDE = Path(__file__).with_name("_messages_side.py")


def measure(site: Site) -> Iterator[Result]:
    """In turns on one queue: published bare, drained, restored, consumed bare; so each finds what the other does."""
    file = site.folder / "kept.jsonl"
    target = json.dumps({"amqp_url": site.lab.state.amqp_url, "management_url": site.lab.state.management_url})
    best: dict[str, dict[str, float]] = {}
    for _ in range(RUNS):
        for what in ("publish", "drain", "restore", "consume"):
            done = side(what, target, file)
            if what not in best or done["ms"] < best[what]["ms"]:
                best[what] = done
        for left in (file, file.with_name(f"{file.name}.restored")):
            left.unlink()
    for what, bare, name in (("drain", "consume", "consumer"), ("restore", "publish", "confirming publisher")):
        title = f"{what}, {COUNT:,} messages"
        ours, other = best[what]["ms"], best[bare]["ms"]
        yield Result(title, f"a bare pika {name}", ours, other, SLOWER, RUNS)
        yield Result(f"{title}: memory", "the promise", best[what]["mb"], MEMORY_MB, 1.0, RUNS, unit="MB")


def side(what: str, target: str, file: Path) -> dict[str, Any]:
    """Runs one side; how long it took and its peak of memory."""
    command = [sys.executable, str(SIDE), what, target, str(file), str(COUNT)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
