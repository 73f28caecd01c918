"""Failover to a second broker: the topology applied there, services and workers moved."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import BROKER_RESTART, Context, Steps
from attune_ops.drills.expectations import Expectation
from attune_ops.messages.drain import drain
from attune_ops.messages.restore import restore
from attune_ops.topology.apply import apply_topology


@drill(
    hypothesis="After the loss of a broker work continues on a second one, and confirmed messages of durable queues "
    "are handled there once the first broker's disk is available again.",
    promise="A confirmed persistent message in a durable queue survives the loss of the broker's process.",
    source="https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed",
    needs="node",
    workers=1,
)
def second_broker(context: Context) -> Steps:
    """Kills the first broker with requests in a queue; executor, worker and requests move to a second broker.

    The second broker gets topology and policies, the services start there, and new work continues. When the first
    broker answers again, its messages are drained to a file and restored on the second.

    To do: apply the topology to the second broker in advance (`topology apply`). Keep the disk of the first broker, and
    move its messages with `messages drain` and `messages restore`. Messages in transient queues are lost with the
    first broker.
    """
    count, queue, worker = context.count, context.services.requests_queue, context.services.workers[0]
    kept = count if context.parameters.durable else 0
    context.sampler.watch(queue)
    context.services.stop(context.services.executor)
    waiting = context.services.load()
    yield context.expect.sent(waiting, count)
    yield context.expect.ready(queue, count)
    if not kept:
        context.allow_loss(queue, BROKER_RESTART)
    context.broker.kill_node(0)
    second = context.broker.start_second()
    applied = apply_topology(second, write=True)
    declared = sum(outcome.status == "declared" for outcome in applied.outcomes)
    context.log.add(f"the topology is applied to {second.amqp.address}: {declared} objects declared")
    executor = context.services.start("executor", "executor", settings=second)
    context.expect.doctor_settings = second
    moved = context.services.start("worker", worker.name, settings=second)
    after = context.services.load(moved, settings=second)
    yield context.expect.sent(after, count)
    yield context.expect.logged(moved, "acked", count=count)
    context.faults.revert()
    yield context.expect.ready(queue, kept)
    context.log.add(f"messages of {queue} are drained to a file, and restored on {second.amqp.address}")
    file = context.folder / "waiting.jsonl"
    taken = drain(context.settings, queue, file, apply=True).count("drained")
    put = restore(second, file, apply=True).count("published")
    yield Expectation(
        f"{kept} messages are moved", lambda: taken == put == kept, 1, lambda: f"{taken} drained, {put} restored"
    )
    yield context.expect.logged(executor, "acked", count=kept, within=60)
    yield context.expect.empty(queue)
    yield context.expect.doctor_reports_none()
