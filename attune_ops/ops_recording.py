"""What an installation's `Ops` keeps and compares: `changes`, `watch`, `past`, `report`, `dashboard`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from attune_ops.doctor.findings import Report
    from attune_ops.installation.config import Settings
    from attune_ops.model.facts import Facts
    from attune_ops.model.table import Table
    from attune_ops.monitoring.past import Past
    from attune_ops.notebook.dashboard.page import Dashboard
    from attune_ops.notebook.overview import Overview
    from attune_ops.ops import Ops


class Recording:
    """The part of `Ops` that writes files of our own, and nothing on the installation."""

    settings: Settings
    if TYPE_CHECKING:
        facts: Callable[..., Facts]
        doctor: Callable[..., Report]

    def changes(self, before: str, after: str | None = None) -> Table:
        """What came, went and changed from a snapshot file to another, or to now. Changes nothing."""
        from attune_ops.inventory.snapshot_diff import changes
        from attune_ops.model.snapshot_file import load_facts

        return changes(load_facts(before), self.facts() if after is None else load_facts(after))

    def watch(self, seconds: float, *, every: float = 10.0) -> Past:
        """Records what every queue holds, `every` s for so many `seconds`, and returns all that is recorded.

        Writes this tool's own file in the user's state folder, nothing on the installation. Raises `SourceError`.
        """
        from attune_ops.monitoring import history

        history.watch(self.settings, lambda: self.facts(history.WANTS), every=every, seconds=seconds)
        return history.past(self.settings)

    def past(self, since: timedelta | None = None) -> Past:
        """What `watch` has recorded, of the last 30 days or since; asks nobody."""
        from attune_ops.monitoring import history

        return history.past(self.settings, since or history.KEPT)

    def report(self, file: str, *, samples: int = 1, replace: bool = False) -> int:
        """Writes the doctor's report with all tables as one HTML file to send, without secrets; returns its bytes.

        A file that exists is only overwritten with `replace`. Changes nothing on the installation. Raises
        `ConfigError` where it cannot be written, or without `attune-ops[notebook]`.
        """
        from attune_ops.doctor.html_report import write_report

        return write_report(self.doctor(samples=samples), file, replace=replace, secrets=self.settings.secrets)

    def dashboard(self, every: float = 5.0) -> Dashboard | Overview:
        """A live dashboard in a notebook, read anew `every` s; a static overview without ipywidgets.

        What can change something there shows first what it would do. `close` stops all of it.
        """
        from attune_ops.notebook.dashboard import dashboard

        return dashboard(cast("Ops", self), every)
