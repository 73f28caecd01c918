"""What the tool is pointed at: the order in which it looks, and everything read on the way."""

from __future__ import annotations

from attune_ops.config.resolve import resolve
from attune_ops.config.settings import Database, Endpoint, Settings

__all__ = ["Database", "Endpoint", "Settings", "resolve"]
