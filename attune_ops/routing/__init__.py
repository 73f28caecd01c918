"""Which queues a message is routed to: simulated by `Router` over a snapshot, a definitions file or a topology."""

from __future__ import annotations

from attune_ops.routing.effective_policy import EffectiveSetting, EffectiveSettings
from attune_ops.routing.router import Router

__all__ = ["EffectiveSetting", "EffectiveSettings", "Router"]
