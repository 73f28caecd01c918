"""The one place that chooses an exit status."""

from __future__ import annotations

from attune_ops.errors import AttuneOpsError, ConfigError, SourceError

OK = 0
FOUND = 1  # doctor, health, drill: something at or above the threshold; others: the operation failed
USAGE = 2  # the command line or the configuration is wrong
UNREACHABLE = 3  # broker, management API or database not reached, or it refused the credentials
INTERRUPTED = 130

_BY_ERROR: tuple[tuple[type[AttuneOpsError], int], ...] = (
    (ConfigError, USAGE),
    (SourceError, UNREACHABLE),
    (AttuneOpsError, FOUND),
)


def status_of(error: AttuneOpsError) -> int:
    """The exit status for an error that ended a command."""
    return next(status for kind, status in _BY_ERROR if isinstance(error, kind))
