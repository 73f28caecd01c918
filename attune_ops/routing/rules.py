"""The differences between broker versions that affect routing."""

from __future__ import annotations

import re

import msgspec

NEWEST = (4, 3, 6)


class Rules(msgspec.Struct, frozen=True):
    """The routing rules of one broker version; an unknown version has those of the newest."""

    version: tuple[int, int, int]

    @classmethod
    def of(cls, version: str | None) -> Rules:
        """The rules of a version as the broker spells it (`3.10.8`, `4.3.0-rc.1`)."""
        found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version or "")
        return cls(NEWEST if found is None else (int(found[1]), int(found[2]), int(found[3] or 0)))

    @property
    def containers(self) -> bool:
        """Whether messages are message containers (module `mc`, from 3.13), which changed headers and deaths."""
        return self.version >= (3, 13, 0)

    @property
    def numbers_are_loose(self) -> bool:
        """Whether a headers binding's 1 matches 1.0: compared with `==` up to 3.12, with `=:=` since."""
        return not self.containers

    @property
    def death_order(self) -> str:
        """The order of the `x-death` history in cycle detection.

        `newest` first from 3.13.3 (mc:is_cycle_v2); `by key` in 3.13.0 to 3.13.2 (mc:is_cycle_v1 over a map);
        `reversed` at every dead-lettering before (rabbit_dead_letter:group_by_queue_and_reason).
        """
        if self.version >= (3, 13, 3):
            return "newest"
        return "by key" if self.containers else "reversed"

    @property
    def client_deaths_count(self) -> bool:
        """Whether an `x-death` header that a client publishes counts as history (before 4.0)."""
        return self.version < (4, 0, 0)

    @property
    def counts_requeues(self) -> bool:
        """Whether a quorum queue counts a delivery for a basic.nack that requeues (before 4.3)."""
        return self.version < (4, 3, 0)

    @property
    def has_queue_type_policies(self) -> bool:
        """Whether `apply-to` may name a queue type (from 3.12)."""
        return self.version >= (3, 12, 0)
