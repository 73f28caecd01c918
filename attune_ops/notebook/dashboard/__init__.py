"""The live dashboard: `ops.dashboard()` in a notebook.

One thread reads the installation once a refresh, whatever is shown of it; the views only draw what was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attune_ops.notebook.overview import Overview

if TYPE_CHECKING:
    from attune_ops.notebook.dashboard.page import Dashboard
    from attune_ops.ops import Ops

_open: dict[str, Dashboard] = {}


def dashboard(ops: Ops, every: float = 5.0) -> Dashboard | Overview:
    """A live dashboard of an installation, read anew `every` s; a static overview without ipywidgets.

    A dashboard of the same installation that is open in this kernel, such as of the cell's last run, is closed.
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
    _open[where] = made = Dashboard(ops, every)
    return made
