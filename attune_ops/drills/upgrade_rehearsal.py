"""The same start-up on a newer broker that refuses transient queues."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage

DENIES = "deprecated_features.permit.transient_nonexcl_queues = false"


@drill(
    "upgrade-rehearsal",
    hypothesis="On a broker that refuses transient queues a worker of January fails at declare with 541, and durable "
    "queues let it start.",
    promise="From 4.3 on transient non-exclusive queues are denied unless the configuration permits them; declaring "
    "one closes the connection with 541.",
    source="https://www.rabbitmq.com/docs/deprecated-features",
    needs="node",
    since="4.0",
    workers=0,
)
def upgrade_rehearsal(stage: Stage) -> Iterator[Expect]:
    """The broker restarts with the refusal switched on, as in a release that has it by default.

    Needs RabbitMQ 4.0 or newer, named with --server (scripts/rabbitmq install 4.3 puts one beside the distribution's).

    To do before the upgrade: worker queues that are durable (--remedy durable).
    """
    lab = stage.broker
    node = lab.state.nodes[0].name
    stage.fault("the broker restarts and refuses transient queues")
    lab.stop_node(node)
    lab.start_node(node, config=(DENIES,), timeout=120)
    yield stage.logged(stage.executor, "ready", count=2, within=60)
    worker = stage.start("worker", "upgraded", wait=False)
    if stage.remedy is None:
        yield stage.failed(worker, 541, "declare")
        return
    yield stage.logged(worker, "ready", within=20)
    load = stage.load(worker)
    yield stage.sent(load, stage.parameters.count)
    yield stage.logged(worker, "acked", count=stage.parameters.count)
