"""What a stand-in is told to do: where the broker is, which service it plays, and how it misbehaves."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

import msgspec

from attune_ops.installation.config.settings import Endpoint, Settings
from attune_ops.installation.config.urls import parse_amqp, parse_database, parse_management
from attune_ops.model.startup_progress import Step
from attune_ops.model.topology import Topology

Outcome = Literal["ack", "reject", "requeue", "hold", "lose"]


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a stand-in behaves; the defaults are a well-behaved service that only answers.

    Publishing: `rate` messages per second, up to `count`, numbered from `first`, with `padding` bytes in the
    payload, persistent unless `transient`; `seed` makes message ids repeatable. An executor sends
    requests for executions to its own queue, or with `direct` straight to workers; `targets` are worker ids
    to dispatch to instead of those that the registry names; `redispatch` tries the next worker on a return.

    Handling: `handler_s` seconds for each message, `concurrency` at once, `prefetch` instead of the topology's.
    `outcome` is what becomes of a message (`hold`: never answered, `lose`: acknowledged and forgotten), of all or of
    the numbers in `only`.

    Life: `skip` steps; kill itself after the step `crash_after`; `reconnect` runs the whole start-up again when it
    fails, or the connection or a consumer is lost; otherwise it then ends with status 1, and its row stays active;
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
    outcome: Outcome = "ack"
    only: tuple[int, ...] = ()
    skip: tuple[Step, ...] = ()
    crash_after: Step | None = None
    reconnect: bool = False
    amqp_heartbeat: int | None = None
    detached: bool = False


class Job(msgspec.Struct, frozen=True):
    """All that a stand-in process needs; its JSON holds passwords, so it goes through a pipe only."""

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
        """The settings as the process needs them."""
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
