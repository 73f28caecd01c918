"""In a cluster a node is lost that holds nothing of a worker."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "node-loss-other",
    hypothesis="The loss of another node does not touch a worker whose queue and connection are elsewhere.",
    promise="Exchanges and bindings are on every node; a classic queue needs only its own.",
    source="https://www.rabbitmq.com/docs/clustering",
    needs="cluster",
)
def node_loss_other(stage: Stage) -> Iterator[Expect]:
    """Kill -9 of the third node while workers on the first take messages.

    To do: nothing at once; but the cluster now stands on two (AT110).
    """
    load = stage.load(*stage.workers, count=3 * stage.parameters.count)
    yield stage.logged(load, "confirmed", count=5)
    stage.kill_node(2)
    yield stage.sent(load, 3 * stage.parameters.count, within=60)
    yield stage.empty(stage.queue_of(stage.workers[0]).name)
    yield stage.doctor_finds("the node", "AT110")
