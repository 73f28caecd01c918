"""The severity of a finding, apart from the findings: settings and health probes need only this."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How bad a problem is; only `error` fails by default."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for error."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
