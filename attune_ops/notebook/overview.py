"""What a dashboard shows where nothing can be live: the diagnosis and the tables that matter most."""

from __future__ import annotations

import msgspec

from attune_ops.doctor.findings import Report
from attune_ops.model.display import Shown
from attune_ops.model.table import Table


class Overview(Shown, msgspec.Struct, frozen=True):
    """An installation at one moment."""

    report: Report
    tables: tuple[Table, ...]
