"""What became of messages that were drained, restored or moved, or what would become of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from attune_ops.model.display import Shown

# drained: it is in the file · published: the broker confirmed it · returned: no queue takes it, so it stays ·
# refused: the broker cannot keep it, so it stays · kept: something speaks against it, so it stays ·
# other: the filters do not mean it · duplicate: a second copy in the file · before: an earlier run published it ·
# damaged: a line of the file that is no message
Fate = Literal["drained", "published", "returned", "refused", "kept", "other", "duplicate", "before", "damaged"]
STAYS: tuple[Fate, ...] = ("returned", "refused", "kept", "damaged")


class Share(msgspec.Struct, frozen=True):
    """The messages with the same fate for the same reason, by where they go."""

    fate: Fate
    messages: int
    exchange: str | None = None
    routing_key: str | None = None
    why: str = ""


class Transfer(Shown, msgspec.Struct, frozen=True):
    """One drain, restore or move. `applied` is False where it was only looked at.

    `at_most`: what the filters mean, and what speaks against a message, is known only when it is taken.
    `notes` say what the numbers do not: what else is changed, what cannot be known. `undo` is a command line.
    """

    what: Literal["drain", "restore", "move"]
    source: str
    target: str
    applied: bool
    shares: tuple[Share, ...]
    taken_at: datetime
    duration_ms: float = 0.0
    notes: tuple[str, ...] = ()
    undo: str = ""
    at_most: bool = False

    def count(self, *fates: Fate) -> int:
        """The number of messages with one of these fates."""
        return sum(s.messages for s in self.shares if s.fate in fates)

    @property
    def incomplete(self) -> bool:
        """Whether something that was meant stayed where it was."""
        return self.count(*STAYS) > 0
