"""The interface of a stand-in process: the job that it reads, and the log of events that it writes.

The log is one JSON object a line, written at once, so that a killed process loses nothing. Every line has `at` (UTC),
`service`, `name`, `pid` and `event`:

- `step` with the members of a `StepResult`; `ready` with the `worker` id
- `attempted`, then exactly one of `confirmed`, `returned` (unroutable), `nacked`, `indeterminate` (no answer
  came; it may have arrived), each with `message_id`, `number`, `exchange`, `routing_key`, `message_type`
- `received` with `queue`, `tag`, `redelivered`; `handled`; then one of `acked`, `rejected` (not requeued), `requeued`.
  Where the topology's consumer acknowledges at dispatch, `acked` has `before_handling` true and is before `handled`
- `undecodable`, `no_worker`: why a message is rejected
- `cancelled` (the broker cancelled a consumer), `blocked`, `unblocked`, `lost` with `code` and `text`, `reconnecting`
- `heartbeat_failed`, `registry_failed`, `stopping`, `stopped`, `crashing`, `ended` with the exit `status`
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from attune_ops.installation.config.settings import Settings
from attune_ops.model.secret import Secret
from attune_ops.model.startup_progress import Step

Answer = Literal["ack", "reject", "requeue", "hold", "lose"]


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a stand-in behaves; the defaults are a well-behaved service that publishes nothing on its own.

    Publishing: `rate` messages per second, up to `count`, numbered from `first`, with `padding` bytes in the
    payload, persistent unless `transient`; `seed` makes message ids repeatable. An executor sends
    requests for executions to its own queue, or with `direct` straight to workers; `targets` are worker ids
    to dispatch to instead of those in the registry; `redispatch` tries the next worker where a message is returned.

    Handling: `handler_s` seconds for each message, `concurrency` at once (at most the topology's `at_once`), `prefetch`
    instead of the topology's.
    `outcome` is the answer to a message (`hold`: none, `lose`: acknowledged without handling), for all messages or for
    the numbers in `only`.

    Life: `skip` steps; `crash_after` a step it kills itself; with `reconnect` it runs the whole start-up again after a
    failed one and after a lost connection or consumer, without it exits with status 1 and its row stays active;
    `amqp_heartbeat` in s; `detached` outlives its parent, and does not reconnect once its log is deleted.
    """

    rate: float = 0.0
    count: int | None = None
    first: int = 1
    seed: int = 0
    padding: int = 0
    transient: bool = False
    direct: bool = False
    targets: tuple[int, ...] = ()
    redispatch: bool = False
    handler_s: float = 0.0
    concurrency: int = 8
    prefetch: int | None = None
    outcome: Answer = "ack"
    only: tuple[int, ...] = ()
    skip: tuple[Step, ...] = ()
    crash_after: Step | None = None
    reconnect: bool = False
    amqp_heartbeat: int | None = None
    detached: bool = False


class Job(msgspec.Struct, frozen=True):
    """All that a stand-in process needs."""

    service: str
    name: str
    log: str
    behaviour: Behaviour
    settings: Settings

    def encode(self) -> bytes:
        """Its JSON, passwords included: for the pipe to the process only."""
        return msgspec.json.encode(self, enc_hook=Secret.reveal)

    @classmethod
    def decode(cls, data: bytes) -> Job:
        """The job that `encode` wrote."""
        return msgspec.json.decode(data, type=cls, dec_hook=lambda kind, text: kind(text))


class EventLog:
    """An append-only file of events; each `write` is one line, which survives a kill."""

    def __init__(self, path: str, service: str, name: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._who = {"service": service, "name": name, "pid": os.getpid()}

    @property
    def is_deleted(self) -> bool:
        """Whether its file is deleted: that of a lab is, when the lab is stopped."""
        return os.fstat(self._file).st_nlink == 0

    def write(self, event: str, **members: Any) -> None:
        """Appends one event."""
        line = {"at": datetime.now(UTC), **self._who, "event": event, **members}
        os.write(self._file, msgspec.json.encode(line) + b"\n")
