"""Failover to a second broker: the topology applied there, services and workers moved."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import BROKER_RESTART, Stage
from attune_ops.messages.drain import drain
from attune_ops.messages.restore import restore
from attune_ops.topology.apply import apply_topology


@drill(
    "second-broker",
    hypothesis="After the loss of a broker work goes on at a second one, and what was confirmed and durable is handled "
    "there once the first one's disk is back.",
    promise="A confirmed persistent message in a durable queue survives the loss of the broker's process.",
    source="https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed",
    needs="node",
    workers=1,
)
def second_broker(stage: Stage) -> Iterator[Expect]:
    """Requests wait at the first broker when it is killed; executor and worker move to a second, and so do they.

    The second broker gets topology and policies, everybody starts there, and new work goes on. When the first one
    answers again, what waited on it is drained to a file and restored at the second.

    To do: have the topology applied at the second broker beforehand (`topology apply`), keep the first one's disk, and
    move what is on it with `messages drain` and `messages restore`. What waits in transient queues is lost with the
    first.
    """
    count, queue, worker = stage.parameters.count, stage.requests_queue, stage.workers[0]
    kept = count if stage.parameters.durable else 0
    stage.eye.watch(queue)
    stage.stop(stage.executor)
    waiting = stage.load()
    yield stage.sent(waiting, count)
    yield stage.ready(queue, count)
    if not kept:
        stage.may("lost")
        stage.lost(queue, BROKER_RESTART)
    stage.kill_node(0)
    second = stage.second_broker()
    applied = apply_topology(second, write=True)
    stage.say(f"the topology is applied at {second.amqp.address}: {len(applied.outcomes)} things declared")
    executor = stage.start("executor", "executor", settings=second)
    stage.working = second
    moved = stage.start("worker", worker.name, settings=second)
    after = stage.load(moved, settings=second)
    yield stage.sent(after, count)
    yield stage.logged(moved, "acked", count=count)
    stage.mend()
    yield stage.ready(queue, kept)
    stage.say(f"what waits in {queue} is drained to a file, and restored at {second.amqp.address}")
    file = stage.folder / "waiting.jsonl"
    taken = drain(stage.settings, queue, file, apply=True).count("drained")
    put = restore(second, file, apply=True).count("published")
    yield Expect(
        f"{kept} messages are moved", lambda: taken == put == kept, 1, lambda: f"{taken} drained, {put} restored"
    )
    yield stage.logged(executor, "acked", count=kept, within=60)
    yield stage.empty(queue)
    yield stage.doctor_content()
