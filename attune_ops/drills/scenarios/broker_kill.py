"""The broker is killed, as by a power cut."""

from __future__ import annotations

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.scenarios._shared import restart


@drill(
    hypothesis="A killed broker keeps confirmed messages in durable queues, and loses every transient queue.",
    promise="A confirm for a persistent message in a durable queue means that it is on disk.",
    source="https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed",
    needs="node",
    worker={"handler_s": 0.2, "concurrency": 1, "reconnect": True},
)
def broker_kill(context: Context) -> Steps:
    """Kills the broker (kill -9) with a backlog in a worker's queue.

    To do: the same as for a clean restart (--remedy durable). Acknowledgements in flight are lost, so handlers must
    tolerate a second delivery.
    """
    yield from restart(context, context.broker.lab.kill_node, "is killed (SIGKILL)")
