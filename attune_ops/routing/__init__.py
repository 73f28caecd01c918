"""Routing as the broker does it, without a broker: `Router` over a snapshot, a definitions file or a topology."""

from __future__ import annotations

from attune_ops.routing.effective_policy import EffectiveSetting, EffectiveSettings
from attune_ops.routing.router import Router

__all__ = ["EffectiveSetting", "EffectiveSettings", "Router"]
