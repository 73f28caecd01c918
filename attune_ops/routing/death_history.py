"""The history of deaths that a message carries, and the cycle rule that reads it (rabbit_dead_letter, mc)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from attune_ops.routing.rules import Rules


class Death(NamedTuple):
    """One entry of `x-death`: in which queue, and why."""

    queue: str
    reason: str


History = tuple[Death, ...]


def recorded(history: History, death: Death, rules: Rules) -> History:
    """The history after one more death; a queue and reason that died before has only its place changed.

    Through 3.12 the older entries are reversed at every death, a side effect of grouping them
    (rabbit_dead_letter:group_by_queue_and_reason/1). From 3.13.3 the newest stands first (mc:record_death/4).
    """
    older = history
    if rules.death_order == "reversed" and len(history) > 1:
        older = tuple(reversed(history))
    after = (death, *(d for d in older if d != death))
    return tuple(sorted(after)) if rules.death_order == "by key" else after


def is_cycle(target: str, history: History, rules: Rules) -> bool:
    """Whether a copy for `target` is dropped: it died there before, and no death since was by `rejected`."""
    for death in history:
        if death.reason == "rejected":
            return False
        if death.queue == target:
            return True
    return False


def history_of(headers: Mapping[str, Any], rules: Rules) -> History:
    """The deaths that a client's own `x-death` header counts for; from 4.0 on it is no history."""
    entries = headers.get("x-death")
    if not rules.client_deaths_count or not isinstance(entries, list):
        return ()
    return tuple(Death(str(e.get("queue")), str(e.get("reason"))) for e in entries if isinstance(e, dict))


def with_death_headers(
    headers: Mapping[str, Any], queue: str, reason: str, exchange: str, key_replaced: bool, rules: Rules
) -> dict[str, Any]:
    """The headers as the dead-letter exchange sees them.

    Up to 3.12 `x-death` is a header like others, and `CC` is taken out where the key is replaced; from 3.13
    the history is kept outside the headers, and the last death has headers too.
    """
    after = dict(headers)
    if key_replaced and not rules.containers:
        after.pop("CC", None)
    told = {"reason": reason, "queue": queue, "exchange": exchange}
    if "x-first-death-reason" not in after:
        after |= {f"x-first-death-{k}": v for k, v in told.items()}
    if rules.containers:
        after |= {f"x-last-death-{k}": v for k, v in told.items()}
    else:
        after.setdefault("x-death", [{"queue": queue, "reason": reason}])
    return after
