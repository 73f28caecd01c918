"""A worker starts on a newer broker that denies transient queues."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps

DENIES = "deprecated_features.permit.transient_nonexcl_queues = false"


@drill(
    hypothesis="On a broker that denies transient queues a worker of 2026-01 fails at declare with 541; with durable "
    "queues it starts.",
    promise="Since 4.3 transient non-exclusive queues are denied unless the configuration permits them; declaring one "
    "closes the connection with 541.",
    source="https://www.rabbitmq.com/docs/deprecated-features",
    needs="node",
    since="4.0",
    workers=0,
)
def upgrade_rehearsal(context: Context) -> Steps:
    """Restarts the broker with transient queues denied, as RabbitMQ 4.3 does by default.

    Needs RabbitMQ 4.0 or newer, named with --server (scripts/rabbitmq install 4.3 installs one beside the
    distribution's).

    To do before the upgrade: make worker queues durable (--remedy durable), and delete every transient queue that is
    not exclusive before the broker stops: RabbitMQ 4.3 does not boot where it denies them and still has one.
    """
    lab = context.broker.lab
    node = lab.state.nodes[0].name
    context.faults.announce("the broker restarts and denies transient queues")
    lab.stop_node(node)
    lab.start_node(node, config=(DENIES,), timeout=120)
    yield context.expect.logged(context.services.executor, "ready", count=2, within=60)
    worker = context.services.start("worker", "upgraded", wait=False)
    if context.remedy is None:
        yield context.expect.failed(worker, 541, "declare")
        return
    yield context.expect.logged(worker, "ready", within=20)
    yield context.send(worker)
    yield context.expect.logged(worker, "acked", count=context.count)
