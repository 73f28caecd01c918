"""The result of a drain, restore or move, or of its dry run: counts of messages by outcome."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from attune_ops.model.command_lines import CommandLine
from attune_ops.model.display import Shown

# drained: it is in the file · published: the broker confirmed it · returned: unroutable, so it stays ·
# refused: nacked by the broker, so it stays · kept: not published for the reason given, so it stays ·
# other: not matched by the filters · duplicate: a second copy in the file · before: an earlier run published it ·
# damaged: a line of the file that is not a message
Outcome = Literal["drained", "published", "returned", "refused", "kept", "other", "duplicate", "before", "damaged"]
STAYS: tuple[Outcome, ...] = ("returned", "refused", "kept", "damaged")


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
