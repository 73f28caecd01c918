"""Exit statuses.

A closed pipe does not change the status: `attune-ops doctor | head` runs to its end without printing, and ends with the
status of the diagnosis. Only `route --batch` stops early, because its input may be endless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attune_ops.model.errors import AttuneOpsError, ConfigError, SourceError
from attune_ops.model.severity import Severity

if TYPE_CHECKING:
    from attune_ops.doctor.findings import Report
    from attune_ops.doctor.reports import Reports
    from attune_ops.drills.journal import Journal, JournalComparison

OK = 0
FOUND = 1  # doctor, health, drill: something at or above the threshold; others: the operation failed
USAGE = 2  # the command line or the configuration is wrong
UNREACHABLE = 3  # broker, management API or database not reached, or it refused the credentials
INTERRUPTED = 130

UNREACHED = ("AT101", "AT102", "AT103")  # the doctor's findings that say so of AMQP, management API and registry

_BY_ERROR: tuple[tuple[type[AttuneOpsError], int], ...] = (
    (ConfigError, USAGE),
    (SourceError, UNREACHABLE),
    (AttuneOpsError, FOUND),
)


def status_of(error: AttuneOpsError) -> int:
    """The exit status of an error that ended a command."""
    return next(status for kind, status in _BY_ERROR if isinstance(error, kind))


def status_of_drill(made: Journal | JournalComparison) -> int:
    """The exit status of a drill; of two runs the second counts, which has the remedy."""
    from attune_ops.drills.journal import Journal  # here, because every command imports this module

    return OK if (made if isinstance(made, Journal) else made.second).verdict == "held" else FOUND


def status_of_report(report: Report, fail_on: Severity | None, ignore_unread: bool = False) -> int:
    """The exit status of a diagnosis; `fail_on` None never fails.

    What could not be reached at all goes before what was found; what was found before what could not be read
    otherwise, which `ignore_unread` leaves out.
    """
    if fail_on is None:
        return OK
    if any(f.code in UNREACHED and f.severity is Severity.ERROR for f in report.findings):
        return UNREACHABLE
    if any(f.code not in UNREACHED for f in report.at_least(fail_on)):
        return FOUND
    return UNREACHABLE if report.unread and not ignore_unread else OK


def status_of_reports(reports: Reports, fail_on: Severity | None, ignore_unread: bool = False) -> int:
    """The exit status of several diagnoses: 1 before 3, that before 2, that before 0.

    So a script reads what was found, also while another environment is away.
    """
    found = set[int]()
    for e in reports.environments:
        if e.report is None:
            found.add(USAGE if e.invalid else UNREACHABLE)
        else:
            status = status_of_report(e.report, fail_on, ignore_unread)
            found.add(UNREACHABLE if e.silent and status in (OK, FOUND) else status)
    return next(status for status in (FOUND, UNREACHABLE, USAGE, OK) if status in found)
