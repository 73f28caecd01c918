"""The result of a drain, restore or move, or of its dry run: counts of messages by outcome."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Literal

import msgspec

from attune_ops.model.command_lines import CommandLine
from attune_ops.model.display import Shown
from attune_ops.model.units import counted

# drained: it is in the file · published: the broker confirmed it · returned: unroutable, so it stays ·
# refused: nacked by the broker, so it stays · kept: not published for the reason given, so it stays ·
# other: not matched by the filters · duplicate: a second copy in the file · before: an earlier run published it ·
# damaged: a line of the file that is not a message
Outcome = Literal["drained", "published", "returned", "refused", "kept", "other", "duplicate", "before", "damaged"]
STAYS: tuple[Outcome, ...] = ("returned", "refused", "kept", "damaged")
MOST_GROUPS = 200  # a queue for each of many workers would make one each; the rest is counted together


class OutcomeCount(msgspec.Struct, frozen=True):
    """The messages with the same outcome for the same reason, by destination."""

    outcome: Outcome
    messages: int
    exchange: str | None = None
    routing_key: str | None = None
    why: str = ""


class Transfer(Shown, msgspec.Struct, frozen=True):
    """One drain, restore or move. `applied` is False for a dry run.

    `at_most`: the number is an upper bound, because only the message itself says whether it is selected.
    `notes` say what else changes and what is unknown. `undo` is a command line.
    """

    what: Literal["drain", "restore", "move"]
    source: str
    target: str
    applied: bool
    outcomes: tuple[OutcomeCount, ...]
    taken_at: datetime
    duration_ms: float = 0.0
    notes: tuple[str, ...] = ()
    undo: CommandLine | None = None
    at_most: bool = False

    def count(self, *outcomes: Outcome) -> int:
        """The number of messages with one of these outcomes."""
        return sum(o.messages for o in self.outcomes if o.outcome in outcomes)

    @property
    def incomplete(self) -> bool:
        """Whether a selected message was not published."""
        return self.count(*STAYS) > 0


class OutcomeCounter:
    """Counts messages by outcome, destination and reason."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[Outcome, str | None, str | None, str]] = Counter()

    def add(
        self,
        outcome: Outcome,
        why: str = "",
        messages: int = 1,
        exchange: str | None = None,
        routing_key: str | None = None,
    ) -> None:
        """Counts messages; above MOST_GROUPS groups by outcome alone."""
        key = (outcome, exchange, routing_key, why)
        if key not in self._counts and len(self._counts) >= MOST_GROUPS:
            key = (outcome, None, None, "…")
        self._counts[key] += messages

    def count(self, outcome: Outcome) -> int:
        """The number of messages with this outcome."""
        return self.by_outcome[outcome]

    @property
    def were_published(self) -> str:
        """ "1 message was", "2 messages were": those published so far."""
        return counted(self.count("published"), "message was", "messages were")

    @property
    def by_outcome(self) -> Counter[str]:
        """The number of messages by outcome."""
        found: Counter[str] = Counter()
        for (outcome, *_), n in self._counts.items():
            found[outcome] += n
        return found

    @property
    def outcomes(self) -> tuple[OutcomeCount, ...]:
        """The groups, the largest first."""
        return tuple(OutcomeCount(outcome, n, exchange, key, why)
                     for (outcome, exchange, key, why), n in self._counts.most_common())  # fmt: skip
