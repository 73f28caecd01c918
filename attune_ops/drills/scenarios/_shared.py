"""Sequences that two drills each have in common: a broker that restarts, a silent worker, a resource alarm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attune_ops.drills.context import BROKER_RESTART, Context, Steps
from attune_ops.drills.expectations import events
from attune_ops.startup.processes import RunningService


def restart(context: Context, end: Callable[[str], None], how: str) -> Steps:
    """Ends the broker with a backlog at a worker and requests for an executor, starts it, expects all messages back.

    The worker is connected and connects again; the executor starts when the broker is back.
    """
    services, expect, count = context.services, context.expect, context.count
    worker, node = services.workers[0], context.broker.lab.state.nodes[0].name
    queue, requests = services.queue_of(worker), services.requests_queue
    context.sampler.watch(requests)
    services.stop(services.executor)
    yield context.send()
    yield context.send(worker)
    yield expect.ready(queue.name, count // 2)
    for name, durable in ((queue.name, queue.durable), (requests, True)):
        if not durable or not context.parameters.durable:
            context.predict("lost")
            context.allow_loss(name, BROKER_RESTART)
    # A message whose acknowledgement the broker had not processed is delivered again, if the queue is kept.
    context.allow("duplicated")
    start = context.broker.lab.start_node
    context.faults.announce(f"the broker {how}", "the broker starts again", lambda: start(node, timeout=120))
    end(node)
    yield expect.logged(worker, "lost", within=20)
    context.faults.revert()
    yield expect.ready(requests, count if context.parameters.durable else 0, within=60)
    yield expect.logged(worker, "ready", count=2, within=60)
    yield expect.consumed(queue.name, within=20)
    yield expect.empty(queue.name, within=60)
    services.start("executor", "executor")
    yield expect.empty(requests, within=60)


def send_to_absent(context: Context, absent: int, *workers: RunningService) -> Steps:
    """Sends messages in turn to the id of a worker that has no queue and to workers.

    Those to the first are returned, unless a mitigation keeps them or sends them to another worker.
    """
    ids = (absent, *(w.worker_id or 0 for w in workers))
    load = context.services.load(ids=ids)
    yield context.expect.sent(load, context.count)
    if context.has_remedy("alternate-exchange"):
        context.predict("queued")
    elif not context.has_remedy("redispatch"):
        context.predict("returned")
        yield context.expect.logged(load, "returned", count=context.count // len(ids))


def silence(context: Context, worker: RunningService) -> Steps:
    """Expects the broker to wait for a silent worker's heartbeat and no longer; then reverts and expects it back."""
    queue, expect = context.services.queue_of(worker), context.expect
    # A message in the hands of the worker is handled twice, if the queue stayed and delivered it to another.
    context.allow("duplicated")
    heartbeat = context.parameters.heartbeat
    yield expect.queue_stays(queue.name, heartbeat * 0.8)
    if queue.auto_delete:
        context.predict("lost")
        yield expect.queue_gone(queue.name, within=heartbeat * 4 + 10)
    else:
        yield expect.consumed(queue.name, 0, within=heartbeat * 4 + 10)
    context.faults.revert()
    yield expect.logged(worker, "ready", count=2, within=40)
    yield expect.consumed(queue.name, within=15)
    yield expect.empty(queue.name, within=60)


def alarm(context: Context, what: str, on: Sequence[str], off: Sequence[str]) -> Steps:
    """Sets off an alarm while messages are sent, and expects publishers to wait and no message to be lost."""
    services, expect, lab = context.services, context.expect, context.broker.lab
    # Without a count, since rabbitmqctl may need some time to set off the alarm.
    load = services.load(*services.workers, count=None, rate=context.parameters.rate / 5)
    yield expect.logged(load, "confirmed", count=5)
    context.faults.announce(f"the broker has a {what} alarm", f"the {what} alarm is over", lambda: lab.ctl(*off))
    lab.ctl(*on)
    yield expect.logged(load, "blocked", within=30)
    yield expect.doctor_reports_any("the alarm", "AT112")
    context.faults.revert()
    yield expect.logged(load, "unblocked", within=30)
    yield expect.logged(load, "confirmed", count=events(load)["confirmed"] + context.count // 5, within=60)
    services.stop(load)
