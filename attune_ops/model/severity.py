"""How bad a finding is: apart from the findings, since the settings need it and a probe nothing more of them."""

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
        return list(Severity).index(self)
