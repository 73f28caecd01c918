"""What the tool is pointed at: the order in which it looks, and everything read on the way."""

from __future__ import annotations

from attune_ops.installation.config.resolve import judging, resolve
from attune_ops.installation.config.settings import Database, Endpoint, Judging, Settings

__all__ = ["Database", "Endpoint", "Judging", "Settings", "judging", "resolve"]
