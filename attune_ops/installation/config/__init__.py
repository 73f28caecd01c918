"""What the tool is pointed at: the order in which it looks, and everything read on the way."""

from __future__ import annotations

from attune_ops.installation.config.resolve import check_settings, resolve
from attune_ops.installation.config.settings import CheckSettings, Database, Endpoint, Settings

__all__ = ["CheckSettings", "Database", "Endpoint", "Settings", "check_settings", "resolve"]
