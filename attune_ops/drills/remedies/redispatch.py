"""A publisher that sends a returned dispatch to the next worker."""

from __future__ import annotations

from attune_ops.drills.remedies import Remedy

remedy = Remedy("redispatch", "the scheduler sends what comes back to the next worker", behaviour={"redispatch": True})
