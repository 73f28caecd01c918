"""The health of one worker, of the broker or of one route: what one look saw."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from attune_ops.model.display import Shown

SCHEMA = "attune-ops/health/1"
Kind = Literal["worker", "broker", "route"]


class Health(Shown, msgspec.Struct, frozen=True):
    """What one look saw: `reasons` against health (none when healthy), and `seen`, what was found in order."""

    kind: Kind
    name: str
    reasons: tuple[str, ...]
    seen: tuple[str, ...]
    taken_at: datetime
    duration_ms: float = 0.0

    @property
    def healthy(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons

    @property
    def line(self) -> str:
        """The whole answer in one line."""
        said = "; ".join(self.reasons or self.seen)
        return f"{'healthy' if self.healthy else 'not healthy'}: {self.kind} {self.name}: {said}"
