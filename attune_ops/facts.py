"""All that one diagnosis knows: the desired, the observed and the registered, and what could not be read.

`Facts` goes to and from JSON (a snapshot file is exactly that), so a diagnosis needs no connection.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from attune_ops.registry import RegistryView
from attune_ops.snapshot import BrokerSnapshot
from attune_ops.topology import Topology

SCHEMA = "attune-ops/snapshot/1"


class Source(StrEnum):
    """Where facts come from. A check names the ones it needs; `Facts.missing` has the reason for each lacking one.

    BROKER is the management API's listing of exchanges, queues and bindings (a definitions file has these
    too); the finer ones are what only a live broker, or only some users, are told.
    """

    AMQP = "amqp"
    MANAGEMENT = "management"  # the API itself: latency, user, tags
    BROKER = "broker"  # exchanges, queues, bindings, policies
    DEPTHS = "depths"  # message counts
    CONSUMERS = "consumers"
    CONNECTIONS = "connections"  # connections and channels
    NODES = "nodes"  # nodes and alarms
    DEPRECATED = "deprecated"  # deprecated features and their state
    REGISTRY = "registry"  # workers
    EXECUTIONS = "executions"


class Reach(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one source answered: latency in ms, as whom, with what rights, and how far its clock is off (s).

    `error` is the one-line reason where it did not answer. `target` is its URL without the password.
    `tags` are the user's management tags; `permissions` its configure, write and read patterns.
    `certificate_days` is None without TLS.
    """

    source: Source
    target: str = ""
    latency_ms: float | None = None
    error: str | None = None
    user: str | None = None
    tags: tuple[str, ...] | None = None
    permissions: tuple[str, str, str] | None = None
    version: str | None = None
    clock_offset_s: float | None = None
    certificate_days: int | None = None


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wanted, what is there, what is registered, when it was seen, and what is missing and why."""

    topology: Topology
    taken_at: datetime
    broker: BrokerSnapshot | None = None
    registry: RegistryView | None = None
    earlier: BrokerSnapshot | None = None  # a first sample, where two were taken
    reach: tuple[Reach, ...] = ()
    missing: dict[Source, str] = {}
    env: str | None = None
    vhost: str = "/"
    schema: str = SCHEMA

    def lacks(self, needs: tuple[Source, ...]) -> str | None:
        """The reason why something of `needs` is not known, or None when all of it is."""
        for need in needs:
            if need in self.missing:
                return self.missing[need]
        return None


def encode(facts: Facts) -> bytes:
    """The JSON of `facts`, the same bytes for the same facts."""
    return msgspec.json.encode(facts, order="deterministic")


def decode(data: bytes) -> Facts:
    """Reads what `encode` wrote; raises `msgspec.ValidationError` where it is something else."""
    return msgspec.json.decode(data, type=Facts)
