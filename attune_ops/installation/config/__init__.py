"""Which installation the tool works on: the sources of its settings, in their order."""

from __future__ import annotations

from attune_ops.installation.config.docs_url import docs_url
from attune_ops.installation.config.resolve import check_settings, resolve
from attune_ops.installation.config.settings import CheckSettings, Database, Endpoint, Settings

__all__ = ["CheckSettings", "Database", "Endpoint", "Settings", "check_settings", "docs_url", "resolve"]
