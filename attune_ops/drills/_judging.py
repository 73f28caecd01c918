"""What the ledger must say, and the verdict. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from attune_ops.drills.journal import NONE_IS, Expected, Ledger, Verdict
from attune_ops.drills.ledger import FORGOTTEN

# What no drill expects unless it says so.
NOT_EXPECTED = ("lost", "duplicated", "returned", "dead_lettered", "expired", "queued", "indeterminate")


def judged(ledger: Ledger, allowed: Collection[str]) -> Iterator[Expected]:
    """What the ledger must say: nothing but what the drill allows, besides messages that were handled.

    A message that a consumer acknowledged and never handled is no drill's doing.
    """
    forgotten = sum(len(loss.numbers) for loss in ledger.losses if loss.reason == FORGOTTEN)
    for name in NOT_EXPECTED:
        wrong = ledger.classes.get(name, 0) if name not in allowed else 0
        wrong = forgotten if name == "lost" and not wrong else wrong
        if name not in allowed or wrong:
            seen = f"{wrong} of {ledger.attempted}" if wrong else ""
            yield Expected(f"{NONE_IS}{name.replace('_', '-')}", not wrong, 0, None if wrong else 0, seen)


def verdict_of(expected: Sequence[Expected], ledger: Ledger, broke: str) -> tuple[Verdict, str]:
    """The verdict and why; `broke` is why the drill could not go on, '' where it could."""
    failed = next((e for e in expected if not e.held), None)
    if broke:
        return "inconclusive", broke
    if failed is not None:
        return "violated", failed.title + (f": {failed.seen}" if failed.seen else " did not come")
    if not ledger.adds_up:
        return "inconclusive", f"{ledger.unaccounted} of {ledger.attempted} messages are not accounted for"
    return "held", f"{len(expected)} expectations held, {ledger.attempted} messages accounted for"
