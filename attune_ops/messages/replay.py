"""Sending a message on its way again: where to, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from attune_ops.messages.message import Message
from attune_ops.messages.properties import names_user, with_header

# How often this tool has sent a dead letter on its way again; consumers and dead-lettering keep it.
REPLAYS = "x-attune-ops-replays"
MOST_REPLAYS = 3
# Types that start or stop an execution; the others tell about one, also when it has ended.
WORK = frozenset(("ExecutionRequested", "ExecutionCancelRequested"))


class Destination(msgspec.Struct, frozen=True):
    """Where a message is published, and with which properties."""

    exchange: str
    routing_key: str | bytes
    properties: bytes


class Target(msgspec.Struct, frozen=True):
    """Where messages are sent: to a named exchange, or (None) back where each came from.

    Back means: for a dead letter the exchange and key it died from, for any other those it was published with.
    A dead letter that is sent on its way again is `counted`: its header `x-attune-ops-replays` goes up by one.
    With `dead_only` what never died is not sent at all.
    """

    exchange: str | None = None
    routing_key: str | None = None
    counted: bool = True
    dead_only: bool = False

    @property
    def words(self) -> str:
        """Where that is, in words."""
        if self.exchange is None:
            return "where each came from" if self.routing_key is None else f"its exchange, key {self.routing_key!r}"
        if self.exchange == "" and self.routing_key is not None:
            return f"queue {self.routing_key!r}"
        key = "its own key" if self.routing_key is None else f"key {self.routing_key!r}"
        return f"exchange {self.exchange!r}, {key}"

    def of(self, message: Message) -> Destination:
        """The destination of one message."""
        exchange: str = message.exchange
        key: str | bytes = message.publish_key
        if self.exchange is not None:
            exchange = self.exchange
        elif message.deaths:
            newest = message.deaths[0]
            exchange, key = newest.exchange, (*newest.routing_keys, message.routing_key)[0]
        if self.routing_key is not None:
            key = self.routing_key
        raw = message.properties
        if self.counted and message.deaths:
            raw = with_header(raw, REPLAYS, replays(message) + 1)
        return Destination(exchange, key, raw)


class Guard(msgspec.Struct, frozen=True):
    """What keeps a message from being sent again.

    `most_replays` is how often a dead letter may be; None means always. `user` is the connection's user.
    """

    most_replays: int | None = MOST_REPLAYS
    user: str = ""

    def why_not(self, message: Message, ended: Mapping[int, str]) -> str | None:
        """The reason to leave it where it is, or None; `ended` maps executions to the status they ended with."""
        if names_user(message.properties) and message.decoded.user_id != self.user:
            return f"only user {message.decoded.user_id!r} may publish it (its user_id)"
        if self.most_replays is not None and message.deaths and replays(message) >= self.most_replays:
            return f"already replayed {replays(message)} times"
        status = ended.get(message.execution_id or 0) if message.type in WORK else None
        return None if status is None else f"its execution is already {status}"


def replays(message: Message) -> int:
    """How often it was sent on its way again after a death."""
    count = message.headers.get(REPLAYS)
    return count if isinstance(count, int) and count > 0 else 0


def asks_for(messages: list[Message]) -> tuple[int, ...]:
    """The executions whose status matters for these messages."""
    found = {m.execution_id for m in messages if m.type in WORK}
    return tuple(sorted(i for i in found if i is not None and 0 < i < 2**63))
