"""The words for what a step of a start-up did."""

from __future__ import annotations

from collections.abc import Sequence

from attune_ops.model.startup_progress import Step
from attune_ops.model.topology import Queue

FEW = 2  # how many of a step's objects its line names

# What leaving a step out leads to, where no later step fails for it.
CONSEQUENCES = {
    Step.SETUP: "; fails later if nobody else has set up",
    Step.BIND: ": no message will reach the queue",
    Step.CONSUME: ": nobody will take the messages",
}


# What a step that failed before the broker was asked means for those after it.
UNDONE = {
    Step.CONNECT: "The start-up ends at its first step: nothing was declared and nobody was registered.",
    Step.SETUP: "Nothing was declared and nobody was registered.",
    Step.REGISTER: "No row was written, and without an id no queue of the worker was declared.",
    Step.DECLARE: "No queue of the worker was declared.",
}


def few(items: Sequence[str]) -> str:
    """Some of them, and how many more there are."""
    rest = len(items) - FEW
    return ", ".join(items[:FEW]) + (f" and {rest} more" if rest > 0 else "")


def consumers(count: int) -> str:
    """ "1 consumer", "3 consumers"."""
    return f"{count} consumer{'s' * (count != 1)}"


def described(queue: Queue, name: str, consumers_before: int) -> str:
    """A queue that was declared, by its real name, and who consumed from it before."""
    words = "durable" if queue.durable else "transient"
    words += ", exclusive" * queue.exclusive + ", auto-delete" * queue.auto_delete
    if consumers_before:
        words += f"; {consumers(consumers_before)} there already: another process runs under this id"
    return f"{name} ({words})"
