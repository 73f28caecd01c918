"""A second reading where a worker seems to lack queues or bindings: it may have started, or stopped, during the first.

Registry, queues and bindings are read side by side, each at a time of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from attune_ops.model.facts import Facts, Source
from attune_ops.model.topology import Per
from attune_ops.model.waiting import pause

MOST_SUSPECTS = 50  # where more workers lack queues, the cause is another one
MOST_READINGS = 2  # after the first; the last one counts
JUST_NOW = timedelta(seconds=5)  # a row of that age may be of a worker that has not declared its queues yet
DECLARES_WITHIN_S = 1.0
REASON = "a worker that registered just now"


def confirmed(facts: Facts, read: Callable[[], Facts]) -> Facts:
    """The facts, read again by `read` until two readings in a row show the same workers without queue or binding.

    Waits for 1 s before where such a worker wrote its row just now. Where the second reading fails, the first stands.
    """
    suspects = _suspects(facts)
    for _ in range(MOST_READINGS):
        if not 0 < len(suspects) <= MOST_SUSPECTS:
            break
        if any(_is_new(facts, worker_id) for worker_id in suspects):
            pause(DECLARES_WITHIN_S, REASON)
        again = read()
        if again.missing_reason((Source.BROKER, Source.REGISTRY)) is not None:
            break
        before, facts, suspects = suspects, again, _suspects(again)
        if suspects <= before:
            break
    return facts


def _suspects(facts: Facts) -> frozenset[int]:
    """The ids of the live workers with fewer queues or bindings than the topology has: counted, which is fast."""
    if facts.missing_reason((Source.BROKER, Source.REGISTRY)) is not None:
        return frozenset()
    bindings = Counter(b.destination for b in facts.topology.bindings)
    wanted = {q.name: bindings[q.name] for q in facts.topology.queues if q.per is Per.WORKER}
    bound, queues = facts.actual.bindings_to_queue, facts.worker_queues
    short = [name for name, template in facts.worker_templates.items() if len(bound.get(name, ())) < wanted[template]]
    lacking = {facts.owner_of[name] for name in short}
    return frozenset(i for i in facts.live_ids if i in lacking or len(queues.get(i, ())) < len(wanted))


def _is_new(facts: Facts, worker_id: int) -> bool:
    age = facts.worker_named[worker_id].heartbeat_age(facts.taken_at)
    return age is not None and age < JUST_NOW
