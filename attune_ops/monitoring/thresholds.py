"""Thresholds of numbers, in the ranges of the Monitoring Plugins (Nagios, Icinga).

https://nagios-plugins.org/doc/guidelines.html#THRESHOLDFORMAT: `10` alerts above 10 (and below 0), `10:` below 10,
`~:10` above 10, `10:20` outside, `@10:20` inside. Here a plain number alerts at or below it where fewer is worse:
`consumers=0` alerts without a consumer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import msgspec

from attune_ops.model.errors import ConfigError

CRASH_ALERT_S = 3600  # since the last heartbeat: Attune keeps the row of a crashed worker for 30 days
FEWER_IS_WORSE = frozenset({"consumers", "healthy"})
_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"(?P<inside>@)?(?:(?P<low>{_NUMBER}|~)?(?P<colon>:))?(?P<high>{_NUMBER})?")


class Range(msgspec.Struct, frozen=True):
    """The numbers that are good, both ends included; or with `inside`, those that are not."""

    text: str
    low: float = 0.0
    high: float = math.inf
    inside: bool = False

    def alerts(self, value: float) -> bool:
        """Whether the value is a reason for an alert."""
        return (self.low <= value <= self.high) is self.inside


def range_of(metric: str, text: str) -> Range:
    """Reads a range; raises `ConfigError`."""
    found = _RANGE.fullmatch(text)
    if not text or found is None or text in ("@", ":", "@:"):
        raise ConfigError(f"{metric}={text}: not a range; examples: 10, 10:, ~:10, 10:20, @10:20")
    low, high = found["low"], found["high"]
    if not found["colon"] and not found["inside"] and metric in FEWER_IS_WORSE:
        return Range(f"@~:{text}", -math.inf, float(text), inside=True)
    made = Range(
        text, -math.inf if low == "~" else float(low or 0), math.inf if high is None else float(high),
        bool(found["inside"]),
    )  # fmt: skip
    if made.low > made.high:
        raise ConfigError(f"{metric}={text}: the range ends before it begins")
    return made


def ranges(said: Iterable[str], known: Iterable[str]) -> dict[str, Range]:
    """The ranges of `METRIC=RANGE,…` by metric; raises `ConfigError`, also for a metric that is not known."""
    made: dict[str, Range] = {}
    metrics = tuple(known)
    for word in (w.strip() for one in said for w in one.split(",")):
        metric, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"{word!r} is not METRIC=RANGE, such as messages=1000")
        if metric not in metrics:
            raise ConfigError(f"no metric {metric!r} here; there are {', '.join(metrics)}")
        made[metric] = range_of(metric, text)
    return made
