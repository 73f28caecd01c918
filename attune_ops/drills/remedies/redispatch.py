"""A scheduler that sends a returned message to the next worker."""

from __future__ import annotations

from attune_ops.drills.remedies import Remedy

remedy = Remedy(
    "redispatch", "the scheduler sends returned messages to the next worker", behaviour={"redispatch": True}
)
