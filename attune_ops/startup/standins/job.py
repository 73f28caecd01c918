"""The interface of a stand-in process: the job that it reads, and the log of events that it writes.

The log is one JSON object a line, written at once, so that a killed process loses nothing. Every line has `at` (UTC),
`service`, `name`, `pid` and `event`:

- `step` with the members of a `StepResult`; `ready` with the `worker` id
- `attempted`, then exactly one of `confirmed`, `returned` (unroutable), `nacked`, `indeterminate` (no answer
  came; it may have arrived), each with `message_id`, `number`, `exchange`, `routing_key`, `message_type`
- `received` with `queue`, `tag`, `redelivered`; `handled`; then one of `acked`, `rejected` (not requeued), `requeued`
- `undecodable`, `no_worker`: why a message is rejected
- `cancelled` (the broker cancelled a consumer), `blocked`, `unblocked`, `lost` with `code` and `text`, `reconnecting`
- `heartbeat_failed`, `registry_failed`, `stopping`, `stopped`, `crashing`, `ended` with the exit `status`
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from attune_ops.installation.config.settings import Endpoint, Settings
from attune_ops.installation.config.urls import parse_amqp, parse_database, parse_management
from attune_ops.model.startup_progress import Step
from attune_ops.model.topology import Topology

Answer = Literal["ack", "reject", "requeue", "hold", "lose"]


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a stand-in behaves; the defaults are a well-behaved service that publishes nothing on its own.

    Publishing: `rate` messages per second, up to `count`, numbered from `first`, with `padding` bytes in the
    payload, persistent unless `transient`; `seed` makes message ids repeatable. An executor sends
    requests for executions to its own queue, or with `direct` straight to workers; `targets` are worker ids
    to dispatch to instead of those in the registry; `redispatch` tries the next worker where a message is returned.

    Handling: `handler_s` seconds for each message, `concurrency` at once, `prefetch` instead of the topology's.
    `outcome` is the answer to a message (`hold`: none, `lose`: acknowledged without handling), for all messages or for
    the numbers in `only`.

    Life: `skip` steps; `crash_after` a step it kills itself; with `reconnect` it runs the whole start-up again after a
    failed one and after a lost connection or consumer, without it exits with status 1 and its row stays active;
    `amqp_heartbeat` in s; `detached` outlives its parent.
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
    """All that a stand-in process needs. Its JSON contains passwords, so it is sent through a pipe only."""

    service: str
    name: str
    log: str
    behaviour: Behaviour
    amqp_url: str
    management_url: str
    database_url: str
    database_schema: str
    topology: Topology
    heartbeat_interval: float
    timeout: float
    ca_file: str | None = None

    def settings(self) -> Settings:
        """The settings for the process."""
        amqp = parse_amqp(self.amqp_url, "job")
        return Settings(
            amqp=amqp,
            management=parse_management(self.management_url, "job", amqp),
            database=parse_database(self.database_url, "job", self.database_schema),
            topology=self.topology,
            ca_file=self.ca_file,
            heartbeat_interval=self.heartbeat_interval,
            timeout=self.timeout,
        )


class EventLog:
    """An append-only file of events; each `write` is one line, which survives a kill."""

    def __init__(self, path: str, service: str, name: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._who = {"service": service, "name": name, "pid": os.getpid()}

    def write(self, event: str, **members: Any) -> None:
        """Appends one event."""
        line = {"at": datetime.now(UTC), **self._who, "event": event, **members}
        os.write(self._file, msgspec.json.encode(line) + b"\n")


def job(settings: Settings, service: str, name: str, log: str, behaviour: Behaviour) -> Job:
    """The job of one stand-in on the installation of `settings`."""
    database = settings.database
    return Job(
        service=service,
        name=name,
        log=log,
        behaviour=behaviour,
        amqp_url=_url(settings.amqp),
        management_url=_url(settings.management),
        database_url=database.url.reveal() if database else "",
        database_schema=database.schema if database else "attune",
        topology=settings.topology,
        heartbeat_interval=settings.heartbeat_interval,
        timeout=settings.timeout,
        ca_file=settings.ca_file,
    )


def _url(endpoint: Endpoint) -> str:
    """The URL with its password in it: for the pipe to the process only."""
    login = f"{quote(endpoint.user, safe='')}:{quote(endpoint.password.reveal(), safe='')}"
    path = f"/{quote(endpoint.path, safe='')}" if endpoint.scheme.startswith("amqp") else endpoint.path
    return f"{endpoint.scheme}://{login}@{endpoint.address}{path}"
