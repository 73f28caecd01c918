"""What passive declares over AMQP tell: whether a queue is there, its ready messages, and its number of consumers.

They are used where the management API does not answer, refuses the user, or has no statistics.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from attune_ops.model.snapshot import BrokerSnapshot, ExchangeState, QueueState
from attune_ops.model.units import counted, listed

MANAGEMENT_API, PASSIVE_DECLARE = "management API", "passive declare"
MOST_WORKERS = 500  # that are asked for: each of their queues takes about 2 ms


class PassiveReading(msgspec.Struct, frozen=True, omit_defaults=True):
    """The exchanges and queues that were found of those that the topology and the registry expect.

    `only_consumers`: the management API listed all queues, but has no statistics.

    A name says nothing about type and arguments: of an exchange or queue only its existence is known, of a queue also
    `messages_ready` and `consumers`; `messages` only where nobody can hold any. `missing` are the names of expected
    queues that are not there; `reason` says why the management API did not tell.
    """

    reason: str
    exchanges: tuple[ExchangeState, ...] = ()
    queues: tuple[QueueState, ...] = ()
    missing: tuple[str, ...] = ()
    only_consumers: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What is known by passive declare, and what is not, a sentence each."""
        if self.only_consumers:
            return (
                f"origin {PASSIVE_DECLARE}: the number of consumers of {counted(len(self.queues), 'expected queue')}, "
                f"live; consumers of other queues, and all rates and ages, are unknown ({self.reason})",
            )
        asked = len(self.queues) + len(self.missing)
        there = f"{len(self.queues)} of {counted(asked, 'expected queue')} exist"
        gone = (f"missing: {listed(self.missing, 10)}",) if self.missing else ()
        return (
            f"origin {PASSIVE_DECLARE}: {there}; their ready messages and consumers are live; the rest is unknown, and "
            f"other queues cannot be listed over AMQP ({self.reason})",
            *gone,
        )

    def snapshot(self, read: BrokerSnapshot | None, vhost: str, taken_at: datetime) -> BrokerSnapshot:
        """A broker with only what was found, or the one that was `read` with the live numbers of consumers."""
        if read is None or not self.only_consumers:
            return BrokerSnapshot(vhost, taken_at, exchanges=self.exchanges, queues=self.queues)
        consumers = {q.name: q.consumers for q in self.queues if q.consumers is not None}
        queues = tuple(
            msgspec.structs.replace(q, consumers=consumers[q.name]) if q.name in consumers else q
            for q in read.queues or ()
        )
        return msgspec.structs.replace(read, queues=queues)
