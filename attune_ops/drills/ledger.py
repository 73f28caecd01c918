"""Accounting: one class for every message, from the logs of publishers and consumers and what is left; the verdict."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from attune_ops.drills.journal import CLASSES, NONE_IS, Expected, Ledger, Loss, Verdict

FORGOTTEN = "acknowledged by a consumer that never handled it"
WITH_WORKER = "acknowledged at dispatch by a worker that crashed before it had handled it"
REJECTED = "rejected, and no dead-letter queue took it"
EXPIRED = "expired, and no dead-letter queue took it"
# Classes that no drill expects unless it allows them.
NOT_EXPECTED = ("lost", "duplicated", "returned", "nacked", "dead_lettered", "expired", "queued", "indeterminate")


class Attempt(NamedTuple):
    """One publish: its outcome is confirmed, returned, nacked or indeterminate; `queue` is its intended queue."""

    number: int
    outcome: str
    queue: str


class ConsumerEvent(NamedTuple):
    """One event of a consumer: received, handled, acked, rejected or requeued.

    `early`: acknowledged before it was handled. `crashed`: the process of the consumer did not end by a clean stop.
    `killed`: a signal ended it.
    """

    number: int
    event: str
    queue: str
    redelivered: bool = False
    early: bool = False
    crashed: bool = False
    killed: bool = False


class Leftover(NamedTuple):
    """A message found in a queue at the end; `died` is why it was dead-lettered, None in its first queue."""

    number: int
    queue: str
    died: str | None = None


class _Life:
    """All that is known about one number."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.queues: list[str] = []
        self.events: Counter[str] = Counter()
        self.redelivered = self.early = self.crashed = self.handled_by_killed = False
        self.queued = 0
        self.died: list[str] = []


def account(
    attempts: Iterable[Attempt],
    deliveries: Iterable[ConsumerEvent],
    leftovers: Iterable[Leftover],
    gone: Mapping[str, str],
    expires: Iterable[str] = (),
) -> Ledger:
    """Puts every number that was attempted into exactly one class.

    `gone` are queues that were lost during the drill, with the reason; the messages of the queues in `expires` have a
    time to live. A number that nothing explains is `unaccounted`.
    """
    lives: dict[int, _Life] = defaultdict(_Life)
    for attempt in attempts:
        lives[attempt.number].outcomes[attempt.outcome] += 1
        lives[attempt.number].queues.append(attempt.queue)
    for delivery in deliveries:
        if delivery.number in lives:
            lives[delivery.number].events[delivery.event] += 1
            lives[delivery.number].redelivered |= delivery.redelivered
            lives[delivery.number].early |= delivery.early
            lives[delivery.number].crashed |= delivery.early and delivery.crashed
            lives[delivery.number].handled_by_killed |= delivery.event == "handled" and delivery.killed
    for leftover in leftovers:
        if leftover.number in lives:
            life = lives[leftover.number]
            life.queued += leftover.died is None
            life.died += [leftover.died] if leftover.died else []
    ttl = frozenset(expires)
    judged = {number: _judge(life, gone, ttl) for number, life in sorted(lives.items())}
    return _ledger(lives, judged)


def _judge(life: _Life, gone: Mapping[str, str], expires: frozenset[str]) -> tuple[str, str]:
    """The class of one number, and the reason where it is lost; the class is '' where nothing explains it."""
    acked, handled = life.events["acked"], life.events["handled"]
    if life.early:  # then it counts when it is handled; a broker that did not get the acknowledgement requeues it
        if not handled and not life.queued and not life.died:
            return "lost", WITH_WORKER if life.crashed else FORGOTTEN
        acked = handled
    if acked and not handled:
        return "lost", FORGOTTEN
    if acked + life.queued + len(life.died) > 1:
        return "duplicated", ""
    if acked:
        return ("redelivered" if life.redelivered else "acknowledged_once"), ""
    if life.died:
        return ("expired" if life.died[0] == "expired" else "dead_lettered"), ""
    if life.queued:
        return "queued", ""
    if not life.outcomes["confirmed"]:
        return next(o for o in ("indeterminate", "nacked", "returned") if life.outcomes[o]), ""
    reason = _loss(life, gone, expires)
    if not reason and life.handled_by_killed and not life.redelivered:
        return "acknowledged_once", ""  # the kill came between the acknowledgement and its line in the log
    return ("lost" if reason else ""), reason


def _loss(life: _Life, gone: Mapping[str, str], expires: frozenset[str]) -> str:
    """Why a confirmed message is nowhere; '' where nothing explains it."""
    if life.events["rejected"]:
        return REJECTED
    for queue in reversed(life.queues):
        if queue in gone:
            return gone[queue]
        if queue in expires:
            return EXPIRED
    return ""


def _ledger(lives: Mapping[int, _Life], judged: Mapping[int, tuple[str, str]]) -> Ledger:
    classes = Counter(name for name, _ in judged.values())
    losses: dict[str, list[int]] = {}
    for number, (name, reason) in judged.items():
        if name == "lost":
            losses.setdefault(reason, []).append(number)
    total: Counter[str] = Counter()
    for life in lives.values():
        total.update(life.outcomes)
        total.update({f"event {name}": n for name, n in life.events.items()})
    return Ledger(
        attempted=len(lives),
        published=sum(life.outcomes.total() for life in lives.values()),
        confirmed=total["confirmed"],
        returned=total["returned"],
        delivered=total["event received"],
        acknowledged=total["event acked"],
        redelivered=sum(life.redelivered for life in lives.values()),
        dead_lettered=sum(len(life.died) for life in lives.values()),
        duplicated=classes["duplicated"],
        lost=classes["lost"],
        unaccounted=classes[""],
        classes={name: classes[name] for name in CLASSES},
        losses=tuple(Loss(reason, tuple(numbers)) for reason, numbers in losses.items()),
        duplicates=tuple(n for n, (name, _) in judged.items() if name == "duplicated"),
        missing=tuple(n for n, (name, _) in judged.items() if name == ""),
    )


def ledger_expectations(
    ledger: Ledger, allowed: Collection[str], predicted: Collection[str] = ()
) -> Iterator[Expected]:
    """What is expected of the ledger: no messages but those that were handled, and those of the allowed classes.

    Of each predicted class there must be some. A message that a consumer acknowledged and never handled is never
    allowed.
    """
    forgotten = sum(len(loss.numbers) for loss in ledger.losses if loss.reason == FORGOTTEN)
    for name in NOT_EXPECTED:
        wrong = ledger.classes.get(name, 0) if name not in allowed else 0
        wrong = forgotten if name == "lost" and not wrong else wrong
        if name not in allowed or wrong:
            seen = f"{wrong} of {ledger.attempted}" if wrong else ""
            yield Expected(f"{NONE_IS}{name.replace('_', '-')}", not wrong, 0, None if wrong else 0, seen)
        elif name in predicted:
            number = ledger.classes.get(name, 0)
            seen = "" if number else f"0 of {ledger.attempted}"
            yield Expected(f"some messages are {name.replace('_', '-')}", number > 0, 0, 0 if number else None, seen)


def verdict_of(expected: Sequence[Expected], ledger: Ledger, stopped: str) -> tuple[Verdict, str]:
    """The verdict and why; `stopped` is why the drill could not continue, '' where it could."""
    failed = next((e for e in expected if not e.held), None)
    if stopped:
        return "inconclusive", stopped
    if failed is not None:
        return "violated", f"not met: {failed.title}" + (f" ({failed.seen})" if failed.seen else "")
    if not ledger.adds_up:
        return "inconclusive", f"{ledger.unaccounted} of {ledger.attempted} messages are not accounted for"
    return "held", f"{len(expected)} expectations met, {ledger.attempted} messages accounted for"
