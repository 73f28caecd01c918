"""Whether the metadata store of a cluster accepts changes on the node that answers."""

from __future__ import annotations

from collections.abc import Collection

from attune_ops.installation.management import Management
from attune_ops.model.snapshot import NodeState

KHEPRI = "khepri_db"


def majority(management: Management, nodes: Collection[NodeState]) -> bool | None:
    """Whether enough of the nodes run for changes of the metadata: declare, bind, delete. None where that is unknown.

    Khepri (4.x) needs more than half of the cluster's nodes: on the smaller side of a partition each change gets a
    timeout, while reads are answered as if all was well. Mnesia accepts changes on each side. Sends one request where
    half of the nodes or more are not running, else none; needs tag management, changes nothing. Raises `SourceError`.
    """
    if 2 * sum(n.running for n in nodes) > len(nodes):
        return True
    return not management.feature_flag(KHEPRI) if nodes else None
