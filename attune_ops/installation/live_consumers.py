"""How many consumers a queue has now, by a passive declare: those of the statistics are up to 10 s old."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import chain, islice

import msgspec

from attune_ops.installation.config.settings import Settings
from attune_ops.model.errors import AttuneOpsError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import has_consumer, lacking_consumers
from attune_ops.model.topology import Topology

MOST_SUSPECTS = 50  # 1 to 2 ms each
SAMPLE = 10  # of more suspects than that: where none of these is consumed, the statistics are right about the others


def with_live_consumers(settings: Settings, facts: Facts) -> Facts:
    """The facts with live consumer counts for queues that lack consumers by the statistics, which are up to 10 s old.

    Where the list of consumers has some of a queue's and lacks others, the count tells whether it is behind.
    Only a passive declare reports the live number. Opens one AMQP connection where there is such a queue; changes
    nothing. Needs a permission on the queue from RabbitMQ 4.3 on; where it is refused, the statistics stand.
    """
    suspects = list(islice(_suspects(facts), MOST_SUSPECTS + 1))
    enough = SAMPLE if len(suspects) > MOST_SUSPECTS else MOST_SUSPECTS
    return _with_counts(settings, facts, suspects[:MOST_SUSPECTS], enough)


def with_counts_of_equal_releases(settings: Settings, facts: Facts, known: Mapping[str, Topology]) -> Facts | None:
    """The facts with live consumer counts of the queues that tell releases apart which fit the broker equally.

    Release 0.5 has all objects of 0.6 and a queue more, which an upgrade leaves behind: whether it is consumed decides.
    None where no releases fit equally, or where nothing new was read.
    """
    found = facts.recognition
    if found is None or found.best is None or not found.equal or _is_unreachable(facts):
        return None
    equal = (found.best.name, *found.equal)
    names = Counter(q.name for name in equal for q in known[name].base_queues)
    differing = {name for name, releases in names.items() if releases < len(equal)}
    unknown = (q for q in facts.actual.queues or () if q.name in differing and not has_consumer(facts, q))
    # One whose node is down does not answer from 4.0 on.
    counted = _with_counts(settings, facts, [q.name for q in unknown if not (q.is_silent or q.is_unavailable)])
    return None if counted is facts else counted


def _with_counts(settings: Settings, facts: Facts, names: Collection[str], enough: int = MOST_SUSPECTS) -> Facts:
    """The facts with the live counts of these queues, of the first `enough` only where none of them is consumed."""
    from attune_ops.installation.amqp import depth, short_connection

    counts: dict[str, int] = {}
    if not names:
        return facts
    try:
        with short_connection(settings, "consumers") as connection:
            for asked, name in enumerate(names):
                if asked == enough and not any(counts.values()):
                    break
                live = depth(connection, name)
                if live is not None:
                    counts[name] = live.consumers
    except AttuneOpsError:
        pass  # refused or lost meanwhile: what was read so far is live, and the statistics stand for the rest
    if all(facts.actual.queue_named[name].consumers == count for name, count in counts.items()):
        return facts
    queues = tuple(
        msgspec.structs.replace(q, consumers=counts[q.name]) if q.name in counts else q
        for q in facts.actual.queues or ()
    )
    made: Facts = msgspec.structs.replace(facts, broker=msgspec.structs.replace(facts.actual, queues=queues))
    return made


def _is_unreachable(facts: Facts) -> bool:
    """Whether AMQP was tried, and refused or did not answer."""
    return any(r.source is Source.AMQP and r.error is not None for r in facts.reach)


def _suspects(facts: Facts) -> Iterator[str]:
    """The queues that lack a consumer of the topology, by the statistics or in the list; the services' first."""
    if not any(r.source is Source.AMQP and r.error is None for r in facts.reach):
        return
    if facts.missing_reason((Source.BROKER, Source.CONSUMERS)) is not None:
        return
    expected, base = {c.queue for c in facts.topology.consumers}, {q.name for q in facts.topology.base_queues}
    queues, listed = facts.actual.queues or (), facts.actual.consumers_of
    lacking = {queue for queue, _ in facts.memo(lacking_consumers)}
    for q in chain((q for q in queues if q.name in base), (q for q in queues if q.name not in base)):
        if ((q.consumers or q.name in listed) and q.name not in lacking) or q.is_silent:
            continue
        owner = facts.topology.worker_of(q.name)
        if (owner[1].name if owner else q.name) in expected:
            yield q.name
