"""Which messages are sent on their way again, and where to: the filters, the target, the guard and the registry."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.installation.registry_read import check_table, ended_executions, session
from attune_ops.messages.filters import Filter, accepts
from attune_ops.messages.message import Message
from attune_ops.messages.properties import BadProperties
from attune_ops.messages.publisher import Outcome
from attune_ops.messages.replay import Destination, Guard, Target, asks_for
from attune_ops.messages.transfer import Fate, Share
from attune_ops.model.units import counted

MOST_SHARES = 200  # groups that are told apart; a queue for each of many workers would make one each

# Why a message that was sent stays where it was, by the broker's answer.
STAYED: dict[str, tuple[Fate, str]] = {
    "returned": ("returned", "no queue takes them there"),
    "nowhere": ("returned", "there is no such exchange"),
    "refused": ("refused", "the broker did not keep them (a full queue that rejects?)"),
}

EndedOf = Callable[[tuple[int, ...]], dict[int, str]]


class Choice(msgspec.Struct, frozen=True):
    """What is meant and where it goes. `ask_registry` False publishes also what has ended, or cannot be known."""

    filters: tuple[Filter, ...] = ()
    target: Target = Target()
    most_replays: int | None = Guard().most_replays
    ask_registry: bool = True


EVERYTHING = Choice()


class Left(msgspec.Struct, frozen=True):
    """A message that is not sent, and why."""

    fate: Fate
    why: str = ""


class Chooser:
    """Decides for batches of messages."""

    def __init__(self, settings: Settings, choice: Choice, ended_of: EndedOf) -> None:
        self._choice = choice
        # What is published as it was, to a named place, is not on its way again.
        most = choice.most_replays if choice.target.counted else None
        self._guard = Guard(most, settings.amqp.user)
        self._ended_of = ended_of

    def choose(self, batch: list[Message]) -> list[Destination | Left]:
        """For each message where it goes, or why it stays. Asks the registry once."""
        at = datetime.now(UTC)
        meant = [accepts(self._choice.filters, m, at) for m in batch]
        wanted = asks_for([m for m, is_meant in zip(batch, meant, strict=True) if is_meant])
        ended = self._ended_of(wanted) if wanted else {}
        return [
            self._one(m, ended) if is_meant else Left("other", "the filters do not mean them")
            for m, is_meant in zip(batch, meant, strict=True)
        ]

    def _one(self, message: Message, ended: dict[int, str]) -> Destination | Left:
        if self._choice.target.dead_only and not message.deaths:
            return Left("kept", "they never died, so there is nowhere to send them back to")
        try:
            why = self._guard.why_not(message, ended)
            return self._choice.target.of(message) if why is None else Left("kept", why)
        except BadProperties:  # a file that somebody has edited; the broker would close the connection
            return Left("kept", "its properties are none of AMQP")


@contextlib.contextmanager
def asking_registry(settings: Settings, choice: Choice) -> Iterator[tuple[EndedOf, str]]:
    """Opens the registry to ask which executions have ended; the text says why it cannot be asked, or is empty.

    A registry that is configured and cannot be reached raises `SourceError`: to go on without would replay what has
    ended. One that was never made, and one without executions, has nothing to say.
    """
    database = settings.database
    if not choice.ask_registry or database is None:
        yield _nothing, "the registry is not asked which executions have ended"
    elif database.kind == "sqlite" and not database.file.exists():
        yield _nothing, "there is no registry to tell which executions have ended"
    else:
        with session(database, settings.timeout) as s:
            columns = s.columns("execution")
            if not columns:
                yield _nothing, "the registry has no table of executions to tell which have ended"
                return
            check_table(s, "execution", columns, ("id", "status"))

            def ended_of(ids: tuple[int, ...]) -> dict[int, str]:
                try:
                    return ended_executions(s, ids)
                finally:
                    s.connection.commit()  # no transaction is left open while messages are published

            yield ended_of, ""


def _nothing(ids: tuple[int, ...]) -> dict[int, str]:
    return {}


class Tally:
    """Counts messages by fate, place and reason."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[Fate, str | None, str | None, str]] = Counter()

    def add(self, decision: Destination | Left) -> None:
        """Counts a message that stays, or one that would go."""
        if isinstance(decision, Left):
            self._add((decision.fate, None, None, decision.why))
        else:
            self.settle(decision, "published")

    def settle(self, to: Destination, outcome: Outcome) -> None:
        """Counts a message by the broker's answer."""
        fate, why = STAYED.get(outcome, ("published", ""))
        key = to.routing_key
        self._add((fate, to.exchange, key if isinstance(key, str) else key.decode(errors="replace"), why))

    def add_many(self, fate: Fate, messages: int, why: str) -> None:
        """Counts messages of which no more is known."""
        self._add((fate, None, None, why), messages)

    def _add(self, key: tuple[Fate, str | None, str | None, str], messages: int = 1) -> None:
        if key not in self._counts and len(self._counts) >= MOST_SHARES:
            key = (key[0], None, None, "…")
        self._counts[key] += messages

    def count(self, *fates: Fate) -> int:
        """The number of messages with one of these fates."""
        return sum(n for (fate, *_), n in self._counts.items() if fate in fates)

    @property
    def were_published(self) -> str:
        """ "1 message was", "2 messages were": those published so far."""
        return counted(self.count("published"), "message was", "messages were")

    @property
    def by_fate(self) -> dict[str, int]:
        """The number of messages by fate."""
        found: Counter[str] = Counter()
        for (fate, *_), n in self._counts.items():
            found[fate] += n
        return dict(found)

    @property
    def shares(self) -> tuple[Share, ...]:
        """The groups, the largest first."""
        return tuple(Share(fate, n, exchange, key, why) for (fate, exchange, key, why), n in self._counts.most_common())
