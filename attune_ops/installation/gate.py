"""The gate before every change: an environment marked `protected` wants its name typed."""

from __future__ import annotations

from attune_ops.installation.config import Settings
from attune_ops.model.errors import ConfigError


def check(settings: Settings, confirm: str | None) -> None:
    """Raises `ConfigError` where the environment is protected and `confirm` is not exactly its name."""
    if not settings.protected or confirm == settings.env:
        return
    if confirm is None:
        raise ConfigError(f"environment {settings.env!r} is protected: confirm by typing its name (--confirm NAME)")
    raise ConfigError(
        f"environment {settings.env!r} is protected, and {confirm!r} is not its name; nothing was changed"
    )
