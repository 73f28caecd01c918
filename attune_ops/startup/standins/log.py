"""The log of a stand-in: one JSON object a line, written at once, so that a killed process loses nothing.

Every line has `at` (UTC), `service`, `name`, `pid` and `event`:

- `step` with the members of a `StepResult`; `ready` with the `worker` id
- `attempted`, then exactly one of `confirmed`, `returned` (no queue took it), `nacked`, `indeterminate` (no answer
  came; it may have arrived), each with `message_id`, `number`, `exchange`, `routing_key`, `message_type`
- `received` with `queue`, `tag`, `redelivered`; `handled`; then one of `acked`, `rejected` (not requeued), `requeued`
- `undecodable`, `no_worker`: why a message is rejected
- `cancelled` (the broker cancelled a consumer), `blocked`, `unblocked`, `lost` with `code` and `text`, `reconnecting`
- `heartbeat_failed`, `registry_failed`, `stopping`, `stopped`, `crashing`, `ended` with the exit `status`
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import msgspec


class Journal:
    """An append-only file of events; each line is one `write`, which also a killed process has handed over."""

    def __init__(self, path: str, service: str, name: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._who = {"service": service, "name": name, "pid": os.getpid()}

    def write(self, event: str, **members: Any) -> None:
        """Appends one event."""
        line = {"at": datetime.now(UTC), **self._who, "event": event, **members}
        os.write(self._file, msgspec.json.encode(line) + b"\n")
