"""The live dashboard: `ops.dashboard()` in a notebook.

One thread reads the installation once per refresh; the tabs only draw what was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from attune_ops.doctor.findings import Report
from attune_ops.model.display import Shown
from attune_ops.model.table import Table

if TYPE_CHECKING:
    from attune_ops.notebook.dashboard.page import Dashboard
    from attune_ops.ops import Ops

_open: dict[str, Dashboard] = {}


class Overview(Shown, msgspec.Struct, frozen=True):
    """The diagnosis and the most important tables at one moment: the dashboard without ipywidgets."""

    report: Report
    tables: tuple[Table, ...]


def dashboard(ops: Ops, interval: float = 5.0) -> Dashboard | Overview:
    """A live dashboard of an installation, refreshed every `interval` s; a static overview without ipywidgets.

    Reads all sources, needs tag monitoring; only its buttons change anything. An open dashboard of the
    same installation in this kernel, such as of an earlier run of the cell, is closed.
    """
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        facts = ops.facts()
        tables = (ops.queues(facts=facts), ops.orphans(facts=facts)) if facts.broker and facts.registry else ()
        return Overview(ops.doctor(facts=facts), tables)
    from attune_ops.notebook.dashboard.page import Dashboard

    where = str(ops.settings.amqp)
    if (earlier := _open.pop(where, None)) is not None:
        earlier.close()
    _open[where] = made = Dashboard(ops, interval)
    return made
