"""A diagnosis for a terminal: the report, and how much of it is shown."""

from __future__ import annotations

import msgspec

from attune_ops.doctor.findings import Report
from attune_ops.doctor.reports import Reports
from attune_ops.model.display import Shown


class Screen(Shown, msgspec.Struct, frozen=True):
    """A report with the choice of what a terminal shows; by default what an operator needs first.

    `every` shows every check and every finding in full, `design` and `upgrade` the known weaknesses and the upgrade
    notes in full; `quiet` shows the verdict and the findings alone, `summary` the last line alone.
    """

    report: Report
    every: bool = False
    design: bool = False
    upgrade: bool = False
    quiet: bool = False
    summary: bool = False


class Screens(Shown, msgspec.Struct, frozen=True):
    """The reports of several environments, with the same choice."""

    reports: Reports
    every: bool = False
    design: bool = False
    upgrade: bool = False
    quiet: bool = False
    summary: bool = False
