"""Dead letters that were lost since the broker started, by its own counters."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed
from attune_ops.doctor.checks.dead_letters import lost_dead_letters
from attune_ops.doctor.findings import Problem, Severity, Subject, Unknown
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import QueueState
from attune_ops.routing.topology_routes import dead_letters

DISABLED = "disabled"  # the queue had no dead-letter exchange, or the exchange was missing


@check(
    "AT308",
    "dead-letters-received",
    "Attune's dead-letter queues received every dead letter",
    Severity.WARNING,
    needs=(Source.BROKER, Source.DEPTHS, Source.CONSUMERS, Source.DEAD_LETTERED),
    required=False,
)
def dead_letters_received(facts: Facts) -> Iterator[Problem]:
    """The broker counts the messages that it dead-letters, and does not report that none of them reached a queue.

    Compares the counters of its Prometheus endpoint with what the dead-letter queues received: the messages in them
    and those that were consumed, without those that were published to them. The counters begin at the start of the
    node and include all virtual hosts: where another one has or had messages, dead letters that are missing may be its
    own, and the check is skipped. It is also skipped in a cluster, where each node has counters of its own. A
    dead-letter queue that was purged, or in which messages expired, counts as not having received them. If all dead
    letters are routed now, the finding is only info. A rejected message says nothing of its body: AT308 counts a
    message that lacks a field, `attune-ops explain` reads the error in the consumer's log.
    """
    counters, lost = facts.actual.dead_lettered or {}, facts.memo(lost_dead_letters)
    queues, sent = dead_letter_queues(facts), _sent(facts)
    received, missing = sum(map(_received, queues)), missing_dead_letters(facts)
    if missing is None:
        others = "others have messages, too" if facts.actual.other_vhosts_used else "those of others are unknown"
        raise Unknown(f"the broker counts the dead letters of all virtual hosts together, and {others}")
    if not missing:
        return
    by_reason = listed(f"{n:,} {reason}" for reason, n in sorted(sent.items()))
    yield Problem(
        Subject("broker", "dead letters"),
        f"{counted(missing, 'dead letter')} lost since the broker started: {by_reason} in all virtual hosts; "
        f"{listed([q.name for q in queues], 3) or 'no queue'} received {received:,}",
        evidence={"lost": missing, "dead_lettered": dict(sorted(counters.items())), "received": received,
                  "queues": [q.name for q in queues]},
        remedy="Route the dead letters to a queue (AT305)." if lost else "They are routed now: no action is needed.",
        inspect_commands=(command_lines.FULLEST,),
        severity=None if any(letters.own for several in lost.values() for letters in several) else Severity.INFO,
        related={"exchange": tuple(lost)},
    )  # fmt: skip


def missing_dead_letters(facts: Facts) -> int | None:
    """Dead letters since the broker started that no dead-letter queue received; needs the sources of AT308.

    None where they may be of another virtual host.
    """
    missing = max(sum(_sent(facts).values()) - sum(map(_received, dead_letter_queues(facts))), 0)
    return None if missing and facts.actual.other_vhosts_used is not False else missing


def _sent(facts: Facts) -> dict[str, int]:
    """The dead letters that the broker counts, by reason; without those of queues that have no exchange for them."""
    counters = facts.actual.dead_lettered or {}
    disabled = any(exchange not in facts.actual.exchange_named for exchange in facts.memo(lost_dead_letters))
    return {reason: n for reason, n in counters.items() if n and (disabled or reason != DISABLED)}


def dead_letter_queues(facts: Facts) -> list[QueueState]:
    """The queues that dead letters are routed to, and those that are bound to a dead-letter exchange."""
    names = {q for letters in facts.memo(dead_letters) for hop in letters.route.hops for q in hop.queues}
    exchanges = {hop.exchange for letters in facts.memo(dead_letters) for hop in letters.route.hops}
    for exchange in exchanges - {None}:
        bound = facts.actual.bindings_from.get(str(exchange), ())
        names |= {b.destination for b in bound if b.destination_kind == "queue"}
    return [q for q in facts.actual.queues or () if q.name in names]


def _received(queue: QueueState) -> int:
    """The dead letters that a queue received: the broker counts them neither as published nor otherwise."""
    return max((queue.messages or 0) + (queue.consumed or 0) - (queue.published or 0), 0)
