"""Routing as the broker does it, without a broker: `Router` over a snapshot, a definitions file or a topology."""

from __future__ import annotations

from attune_ops.routing.effective import Setting, Settings
from attune_ops.routing.router import Router

__all__ = ["Router", "Setting", "Settings"]
