"""The runbooks: notebooks that come with the package, and the session that their cells call.

A cell has no logic: it calls `ops` or the `Runbook` that `begin` returns.
"""

from __future__ import annotations

from attune_ops.notebook.runbooks.session import Runbook, begin

__all__ = ["Runbook", "begin"]
