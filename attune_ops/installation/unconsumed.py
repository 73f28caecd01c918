"""Making sure that nobody consumes where statistics, which are up to 10 s old, say so.

A passive declare tells the live number of consumers, and nothing else does: a consumer that has just come would
else be missed.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from attune_ops.installation.config.settings import Settings
from attune_ops.model.errors import AttuneOpsError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import QueueState

MOST = 50  # a millisecond or two each; where there are more, statistics lag for few of them


def confirmed(settings: Settings, facts: Facts) -> Facts:
    """The facts with live numbers of consumers for queues that seem to lack theirs; changes nothing.

    Opens one AMQP connection, where there is anything to ask. Needs configure permission from RabbitMQ 4.3 on; where
    it is refused, the statistics stand.
    """
    suspects = [q for _, q in zip(range(MOST), _suspects(facts), strict=False)] if _reached(facts) else []
    if not suspects:
        return facts
    counts = _live(settings, [q.name for q in suspects])
    broker = facts.actual
    queues = tuple(
        msgspec.structs.replace(q, consumers=counts[q.name]) if q.name in counts else q for q in broker.queues or ()
    )
    return msgspec.structs.replace(facts, broker=msgspec.structs.replace(broker, queues=queues))


def _reached(facts: Facts) -> bool:
    reached = any(r.source is Source.AMQP and r.error is None for r in facts.reach)
    return reached and facts.missing_reason((Source.BROKER, Source.CONSUMERS)) is None


def _suspects(facts: Facts) -> Iterator[QueueState]:
    """The queues that by the topology have a consumer, and by the statistics have none, or have no statistics yet."""
    meant = {c.queue for c in facts.topology.consumers}
    for q in facts.actual.queues or ():
        if q.consumers or facts.actual.consumers_of.get(q.name) or q.is_silent:
            continue
        owner = facts.topology.worker_of(q.name)
        if (owner[1].name if owner else q.name) in meant:
            yield q


def _live(settings: Settings, names: list[str]) -> dict[str, int]:
    from attune_ops.installation.amqp import depth, short_connection

    found: dict[str, int] = {}
    try:
        with short_connection(settings, "consumers") as connection:
            for name in names:
                live = depth(connection, name)
                if live is not None:
                    found[name] = live.consumers
    except AttuneOpsError:
        pass  # refused or lost meanwhile: what was found so far is live, and the statistics stand for the rest
    return found
