"""The interval of what reads again and again."""

from __future__ import annotations

from attune_ops.model.errors import ConfigError

LEAST_S, LONGEST_S = 0.5, 366 * 86400.0


def check_interval(interval: float, seconds: float | None = None) -> None:
    """Raises `ConfigError` for an interval below 0.5 s (the broker would do nothing else) and for unusual times."""
    if not (LEAST_S <= interval <= LONGEST_S and (seconds is None or 0 <= seconds <= LONGEST_S)):
        raise ConfigError(f"the interval is {LEAST_S:g} s or more, and no time is longer than a year")
