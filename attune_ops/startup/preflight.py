"""Looking, before a start-up is taken by hand, whom it would harm: a worker that runs, and messages that wait."""

from __future__ import annotations

from contextlib import closing

from attune_ops.installation.amqp import Depth, depth, open_connection
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.registry_read import session, worker_named
from attune_ops.model.command_lines import line
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.startup_progress import Step
from attune_ops.model.topology import Queue
from attune_ops.model.units import counted


def refuse_harm(settings: Settings, name: str, skip: frozenset[Step]) -> None:
    """Raises `ActionError` where a start-up of this worker, and its clean stop, would harm somebody. Changes nothing.

    A process that consumes under this name would lose half of its messages meanwhile, and its row would be inactive
    at the end. Messages that wait in an auto-delete queue without a consumer would go with the first that leaves.
    What cannot be read is left to the steps, which say so.
    """
    if Step.REGISTER in skip:
        return
    try:
        queues = _queues(settings, name)
    except (SourceError, ActionError):  # not reached, or refused
        return
    for queue, there in queues:
        if there.consumers:
            raise ActionError(
                f"worker {name!r} runs: {counted(there.consumers, 'consumer reads', 'consumers read')} its queue "
                f"{queue.name!r}; a second process under its name would take half of its messages and set it inactive "
                f"at the end, so stop it first or choose another name"
            )
        if there.messages and queue.auto_delete and Step.CONSUME not in skip:
            save = line("messages", "drain", "--to", f"{queue.name}.jsonl", "--apply", "--", queue.name)
            raise ActionError(
                f"{counted(there.messages, 'message waits', 'messages wait')} in {queue.name!r}, which goes with its "
                f"last consumer, and they with it: start the worker itself, or save them first ({save})"
            )


def _queues(settings: Settings, name: str) -> list[tuple[Queue, Depth]]:
    """The queues that this worker has on the broker."""
    if settings.database is None:
        return []
    with session(settings.database, settings.timeout) as s:
        worker = worker_named(s, name)
    if worker is None:
        return []
    with closing(
        open_connection(settings.amqp, name="attune-ops startup", timeout=settings.timeout, ca_file=settings.ca_file)
    ) as connection:
        found = [(q, depth(connection, q.name)) for q in settings.topology.worker_queues(worker.id)]
    return [(q, there) for q, there in found if there is not None]
