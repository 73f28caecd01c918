"""The notebooks that are shipped: finding, copying and running them, and what their cells call.

A cell holds no logic: it calls `ops` or the `Runbook` that `begin` returns.
"""

from __future__ import annotations

from attune_ops.notebook.runbooks.session import Runbook, begin

__all__ = ["Runbook", "begin"]
