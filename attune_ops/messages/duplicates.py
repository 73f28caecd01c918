"""Second copies of a message in a file that was drained in several runs."""

from __future__ import annotations

from collections import OrderedDict

from attune_ops.messages.message import Message

# Messages back to which a copy is known: what was on disk and not acknowledged when a run was killed, or what a
# broker that was killed had not yet noted as acknowledged. It keeps the memory the same for any file.
WINDOW = 200_000


class Twins:
    """Remembers the last messages; one without an id has no twin, since two like it may be two messages."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def has(self, message: Message) -> bool:
        """Whether a message with the same id and body was seen before; remembers this one."""
        identity = message.identity
        if identity is None:
            return False
        known = identity in self._seen
        self._seen[identity] = None
        self._seen.move_to_end(identity)
        if len(self._seen) > self._window:
            self._seen.popitem(last=False)
        return known
