"""A worker dies and is started again under its name while messages for it keep coming."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.drills import drill
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage


@drill(
    "worker-reconnect",
    hypothesis="A worker that comes back under its name gets its id and queue name again, and takes up its work; what "
    "was dispatched in between comes back to the publisher.",
    promise="An auto-delete queue is gone with its last consumer, and a mandatory message without a queue is returned.",
    source="https://www.rabbitmq.com/docs/publishers#unroutable",
)
def worker_reconnect(stage: Stage) -> Iterator[Expect]:
    """Kill -9 and a new start under the same name, with messages arriving all the time.

    To do: publish dispatches as mandatory and send those that return to another worker (--remedy redispatch).
    """
    first = stage.workers[0]
    # Slow, so that messages still come when the worker is back.
    count = 2 * stage.parameters.count
    load = stage.load(*stage.workers, count=count, rate=stage.parameters.rate / 4)
    yield stage.logged(first, "acked", count=5)
    stage.kill(first)
    queue = stage.queue_of(first)
    if queue.auto_delete:
        stage.may("lost", "returned")
        yield stage.queue_gone(queue.name)
    again = stage.worker(first.name)
    yield Expect("it has its id again", lambda: again.worker_id == first.worker_id, 1)
    yield stage.consumed(queue.name)
    yield stage.sent(load, count)
    yield stage.logged(again, "acked")
