"""Which messages are published again and where to: filters, destination, replay limit, registry."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.installation.registry_read import ended_executions
from attune_ops.installation.registry_session import Session, check_table, session
from attune_ops.messages.filters import accepts, parse
from attune_ops.messages.message import REPLAYS, Message
from attune_ops.messages.properties import BadProperties, names_user, with_header
from attune_ops.messages.publisher import Destination, PublishResult
from attune_ops.messages.transfer import Outcome, OutcomeCount
from attune_ops.model.units import counted

MAX_REPLAYS = 3
MOST_GROUPS = 200  # a queue for each of many workers would make one each; the rest is counted together
# Types that start or stop an execution; the others report on one, also after its end.
WORK = frozenset(("ExecutionRequested", "ExecutionCancelRequested"))

FINISHED_STAY = "restore keeps messages of finished executions in the file; `--finished` would run that work again"

# Why a message was not published, by the broker's answer.
NOT_PUBLISHED: dict[PublishResult, tuple[Outcome, str]] = {
    "unroutable": ("returned", "unroutable"),
    "exchange not found": ("returned", "exchange not found"),
    "nacked": ("refused", "nacked by the broker (a full queue with overflow reject-publish?)"),
}


class Target(msgspec.Struct, frozen=True):
    """Where messages are published: to a named exchange, or (None) back where each came from.

    Back means: for a dead letter the exchange and key before it was dead-lettered, for any other those it was
    published with. A replayed dead letter is counted, in its header `x-attune-ops-replays`: with `counted` each one,
    with `counted_back` only one that is published to the queue that dead-lettered it. With `dead_only` only dead
    letters are published.
    """

    exchange: str | None = None
    routing_key: str | None = None
    counted: bool = True
    counted_back: bool = False
    dead_only: bool = False

    @property
    def words(self) -> str:
        """The destination, in words."""
        if self.exchange is None:
            return "their original exchange" if self.routing_key is None else f"its exchange, key {self.routing_key!r}"
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
        if self.is_replay(message):
            raw = with_header(raw, REPLAYS, message.replays + 1)
        return Destination(exchange, key, raw)

    def is_replay(self, message: Message) -> bool:
        """Whether that counts as a replay of a dead letter: the message may come back."""
        if not message.deaths:
            return False
        back = self.exchange == "" and self.routing_key == message.deaths[0].queue
        return self.counted or (self.counted_back and back)


class Guard(msgspec.Struct, frozen=True):
    """What prevents a message from being published again.

    `max_replays` is how often a dead letter may be replayed to the `target`; None is no limit. `user` is the
    connection's user.
    """

    max_replays: int | None = MAX_REPLAYS
    user: str = ""
    target: Target = Target()

    def why_not(self, message: Message, ended: Mapping[int, str]) -> str | None:
        """The reason not to publish it, or None; `ended` maps executions to their final status."""
        if names_user(message.properties) and message.decoded.user_id != self.user:
            return f"only user {message.decoded.user_id!r} may publish it (its user_id)"
        if self.max_replays is not None and message.replays >= self.max_replays and self.target.is_replay(message):
            return f"already replayed {message.replays} times"
        status = ended.get(message.execution_id or 0) if message.type in WORK else None
        return None if status is None else f"its execution is already {status}"


class Kept(msgspec.Struct, frozen=True):
    """A message that is not published, and why."""

    outcome: Outcome
    why: str = ""


class Selector:
    """Decides for batches of messages which are published and where to. Raises `ConfigError` for a wrong filter."""

    def __init__(self, settings: Settings, filters: Iterable[str], target: Target, max_replays: int | None) -> None:
        self._settings, self._filters, self.target = settings, parse(filters), target
        self._guard = Guard(max_replays, settings.amqp.user, target)
        self._session: Session | None = None
        # Where the selected messages go, and the queue that dead-lettered them or '', with the headers of the first.
        self.routed: dict[tuple[str, str, str], Mapping[str, Any]] = {}

    @property
    def detail(self) -> dict[str, object]:
        """What the audit log records of it."""
        return {"to": self.target.words, "filters": [f.text for f in self._filters]}

    @contextlib.contextmanager
    def registry(self, *, finished: bool) -> Iterator[str]:
        """Opens the registry to keep messages of finished executions; the text says why it is not read, or is empty.

        With `finished` those are published too. Raises `SourceError` where a configured registry cannot be reached:
        without it finished executions would be replayed. Needs SELECT on the table `execution`, changes nothing.
        """
        database = self._settings.database
        if finished or database is None:
            yield "finished executions are not skipped: the registry is not checked"
        elif database.kind == "sqlite" and not database.file.exists():
            yield "finished executions are not skipped: there is no registry"
        else:
            with session(database, self._settings.timeout) as s:
                columns = s.columns("execution")
                if not columns:
                    yield "finished executions are not skipped: the registry has no table `execution`"
                    return
                check_table(s, "execution", columns, ("id", "status"))
                self._session = s
                yield ""

    def decide(self, batch: list[Message]) -> list[Destination | Kept]:
        """For each message its destination, or why it is not published. Reads the registry once."""
        at = datetime.now(UTC)
        matches = [accepts(self._filters, m, at) for m in batch]
        ended = self._ended(executions_of([m for m, matched in zip(batch, matches, strict=True) if matched]))
        return [
            self._decide(m, ended) if matched else Kept("other", "not matched by --filter")
            for m, matched in zip(batch, matches, strict=True)
        ]

    def _ended(self, executions: tuple[int, ...]) -> dict[int, str]:
        if self._session is None or not executions:
            return {}
        return ended_executions(self._session, executions)

    def _decide(self, message: Message, ended: dict[int, str]) -> Destination | Kept:
        if self.target.dead_only and not message.deaths:
            return Kept("kept", "not dead-lettered: no original queue to return to")
        try:
            why = self._guard.why_not(message, ended)
            if why is not None:
                return Kept("kept", why)
            to = self.target.of(message)
        except BadProperties:  # the file was edited; the broker would close the connection
            return Kept("kept", "invalid AMQP properties")
        place = (to.exchange, to.key, message.deaths[0].queue if message.deaths else "")
        if place not in self.routed and len(self.routed) < MOST_GROUPS:
            self.routed[place] = message.headers
        return to


def executions_of(messages: list[Message]) -> tuple[int, ...]:
    """The executions that these messages start or stop."""
    found = {m.execution_id for m in messages if m.type in WORK}
    return tuple(sorted(i for i in found if i is not None and 0 < i < 2**63))


class OutcomeCounter:
    """Counts messages by outcome, destination and reason."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[Outcome, str | None, str | None, str]] = Counter()

    def add(self, decision: Destination | Kept) -> None:
        """Counts a message that is not published, or one that would be."""
        if isinstance(decision, Kept):
            self._add((decision.outcome, None, None, decision.why))
        else:
            self.settle(decision, "published")

    def settle(self, to: Destination, result: PublishResult) -> None:
        """Counts a message by the broker's answer."""
        outcome, why = NOT_PUBLISHED.get(result, ("published", ""))
        self._add((outcome, to.exchange, to.key, why))

    def expect(self, messages: int) -> None:
        """Counts messages that would be published, as far as is known."""
        self._add(("published", None, None, ""), messages)

    def _add(self, key: tuple[Outcome, str | None, str | None, str], messages: int = 1) -> None:
        if key not in self._counts and len(self._counts) >= MOST_GROUPS:
            key = (key[0], None, None, "…")
        self._counts[key] += messages

    def count(self, outcome: Outcome) -> int:
        """The number of messages with this outcome."""
        return self.by_outcome[outcome]

    @property
    def were_published(self) -> str:
        """ "1 message was", "2 messages were": those published so far."""
        return counted(self.count("published"), "message was", "messages were")

    @property
    def by_outcome(self) -> Counter[str]:
        """The number of messages by outcome."""
        found: Counter[str] = Counter()
        for (outcome, *_), n in self._counts.items():
            found[outcome] += n
        return found

    @property
    def outcomes(self) -> tuple[OutcomeCount, ...]:
        """The groups, the largest first."""
        return tuple(OutcomeCount(outcome, n, exchange, key, why)
                     for (outcome, exchange, key, why), n in self._counts.most_common())  # fmt: skip
