"""`ops.messages`: the operations of this room on one installation."""

from __future__ import annotations

from attune_ops.installation.operations import Operations, operation
from attune_ops.messages.drain import drain
from attune_ops.messages.move import move
from attune_ops.messages.peek import peek
from attune_ops.messages.restore import restore
from attune_ops.messages.tap import tap


class Messages(Operations):
    """Peeks at, taps, drains, restores and moves messages without losing any.

    `filters` are texts like "type=ExecutionRequested", "age>1h", "$.payload.execution_id=7"; all must match. A method
    changes something only with `apply=True`, and returns the dry run without; `confirm` is the environment's name
    where it is protected.
    """

    label = "messages"
    peek = operation(peek)
    tap = operation(tap)
    drain = operation(drain)
    restore = operation(restore)
    move = operation(move)
