"""Which messages are published again and where to: filters, destination, replay limit, registry."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.installation.registry_read import check_table, ended_executions, session
from attune_ops.messages.filters import Filter, accepts, parse
from attune_ops.messages.message import REPLAYS, Message
from attune_ops.messages.properties import BadProperties, names_user, with_header
from attune_ops.messages.publisher import Destination, PublishResult
from attune_ops.messages.transfer import Outcome, OutcomeCounter

MAX_REPLAYS = 3
# Types that start or stop an execution; the others report on one, also after its end.
WORK = frozenset(("ExecutionRequested", "ExecutionCancelRequested"))

# Why a message was not published, by the broker's answer.
NOT_PUBLISHED: dict[PublishResult, tuple[Outcome, str]] = {
    "unroutable": ("returned", "unroutable"),
    "exchange not found": ("returned", "exchange not found"),
    "nacked": ("refused", "nacked by the broker (a full queue with overflow reject-publish?)"),
}

EndedOf = Callable[[tuple[int, ...]], dict[int, str]]


class Target(msgspec.Struct, frozen=True):
    """Where messages are published: to a named exchange, or (None) back where each came from.

    Back means: for a dead letter the exchange and key before it was dead-lettered, for any other those it was
    published with. A replayed dead letter is `counted`: its header `x-attune-ops-replays` is incremented.
    With `dead_only` only dead letters are published.
    """

    exchange: str | None = None
    routing_key: str | None = None
    counted: bool = True
    dead_only: bool = False

    @property
    def words(self) -> str:
        """The destination, in words."""
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
            raw = with_header(raw, REPLAYS, message.replays + 1)
        return Destination(exchange, key, raw)


class Guard(msgspec.Struct, frozen=True):
    """What prevents a message from being published again.

    `max_replays` is how often a dead letter may be replayed; None is no limit. `user` is the connection's user.
    """

    max_replays: int | None = MAX_REPLAYS
    user: str = ""

    def why_not(self, message: Message, ended: Mapping[int, str]) -> str | None:
        """The reason not to publish it, or None; `ended` maps executions to their final status."""
        if names_user(message.properties) and message.decoded.user_id != self.user:
            return f"only user {message.decoded.user_id!r} may publish it (its user_id)"
        if self.max_replays is not None and message.deaths and message.replays >= self.max_replays:
            return f"already replayed {message.replays} times"
        status = ended.get(message.execution_id or 0) if message.type in WORK else None
        return None if status is None else f"its execution is already {status}"


class Selection(msgspec.Struct, frozen=True):
    """Which messages are published again and where to, as the caller asked; `detail` is for the audit log."""

    filters: tuple[Filter, ...]
    target: Target
    max_replays: int | None
    ask_registry: bool

    @property
    def detail(self) -> dict[str, object]:
        """What the audit log records of it."""
        return {"to": self.target.words, "filters": [f.text for f in self.filters]}


def select(filters: Iterable[str], target: Target, max_replays: int | None, finished: bool) -> Selection:
    """Reads the options that `restore` and `move` share; raises `ConfigError` for a wrong filter."""
    return Selection(parse(filters), target, max_replays, ask_registry=not finished)


class Kept(msgspec.Struct, frozen=True):
    """A message that is not published, and why."""

    outcome: Outcome
    why: str = ""


class Selector:
    """Decides for batches of messages."""

    def __init__(self, settings: Settings, selection: Selection, ended_of: EndedOf) -> None:
        self._selection = selection
        # Publishing to a named destination is not a replay.
        most = selection.max_replays if selection.target.counted else None
        self._guard = Guard(most, settings.amqp.user)
        self._ended_of = ended_of

    def decide(self, batch: list[Message]) -> list[Destination | Kept]:
        """For each message its destination, or why it is not published. Asks the registry once."""
        at = datetime.now(UTC)
        matches = [accepts(self._selection.filters, m, at) for m in batch]
        executions = executions_of([m for m, matched in zip(batch, matches, strict=True) if matched])
        ended = self._ended_of(executions) if executions else {}
        return [
            self._decide(m, ended) if matched else Kept("other", "not matched by --filter")
            for m, matched in zip(batch, matches, strict=True)
        ]

    def _decide(self, message: Message, ended: dict[int, str]) -> Destination | Kept:
        if self._selection.target.dead_only and not message.deaths:
            return Kept("kept", "not dead-lettered: no original queue to return to")
        try:
            why = self._guard.why_not(message, ended)
            return self._selection.target.of(message) if why is None else Kept("kept", why)
        except BadProperties:  # the file was edited; the broker would close the connection
            return Kept("kept", "invalid AMQP properties")


def executions_of(messages: list[Message]) -> tuple[int, ...]:
    """The executions that these messages start or stop."""
    found = {m.execution_id for m in messages if m.type in WORK}
    return tuple(sorted(i for i in found if i is not None and 0 < i < 2**63))


def count_decision(counter: OutcomeCounter, decision: Destination | Kept) -> None:
    """Counts a message that is not published, or one that would be."""
    if isinstance(decision, Kept):
        counter.add(decision.outcome, decision.why)
    else:
        count_result(counter, decision, "published")


def count_result(counter: OutcomeCounter, to: Destination, result: PublishResult) -> None:
    """Counts a message by the broker's answer."""
    outcome, why = NOT_PUBLISHED.get(result, ("published", ""))
    key = to.routing_key
    counter.add(
        outcome, why, exchange=to.exchange, routing_key=key if isinstance(key, str) else key.decode(errors="replace")
    )


@contextlib.contextmanager
def open_registry(settings: Settings, selection: Selection) -> Iterator[tuple[EndedOf, str]]:
    """Opens the registry to read which executions are finished; the text says why it is not read, or is empty.

    Raises `SourceError` where a configured registry cannot be reached: without it finished executions would be
    replayed. Needs SELECT on the table `execution`, changes nothing.
    """
    database = settings.database
    if not selection.ask_registry or database is None:
        yield _none, "the registry is not checked for finished executions"
    elif database.kind == "sqlite" and not database.file.exists():
        yield _none, "there is no registry to check for finished executions"
    else:
        with session(database, settings.timeout) as s:
            columns = s.columns("execution")
            if not columns:
                yield _none, "the registry has no table `execution` to check for finished executions"
                return
            check_table(s, "execution", columns, ("id", "status"))

            def ended_of(ids: tuple[int, ...]) -> dict[int, str]:
                try:
                    return ended_executions(s, ids)
                finally:
                    s.connection.commit()  # no transaction stays open while messages are published

            yield ended_of, ""


def _none(ids: tuple[int, ...]) -> dict[int, str]:
    return {}
