"""`ops.history`: recording and reading the history of one installation."""

from __future__ import annotations

from attune_ops.installation.operations import Operations, operation
from attune_ops.monitoring.history import show
from attune_ops.monitoring.history_compare import compare
from attune_ops.monitoring.history_prune import prune
from attune_ops.monitoring.history_story import story
from attune_ops.monitoring.recorder import record


class HistoryOperations(Operations):
    """Records readings in a Parquet data set, and reads them: trends, comparisons, stories.

    `folder` is a path or a URI; default: the user's state folder. Needs the extra `history`.
    """

    label = "history"
    record = operation(record)
    show = operation(show)
    compare = operation(compare)
    story = operation(story)
    prune = staticmethod(prune)
