"""Restoring a file of messages: each is published with a confirm, and marked in the file's progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from attune_ops.installation import audit
from attune_ops.installation.config import Settings
from attune_ops.messages import raw_amqp
from attune_ops.messages.duplicates import Twins
from attune_ops.messages.message import Message
from attune_ops.messages.message_file import read_header, read_messages
from attune_ops.messages.publisher import Publisher, open_publisher
from attune_ops.messages.record import Damaged, Header
from attune_ops.messages.replay import Destination
from attune_ops.messages.restore_progress import CONFIRMED, NOT_SENT, SENT, Progress, marking, read_marks
from attune_ops.messages.selection import EVERYTHING, Choice, Chooser, Left, Tally, asking_registry
from attune_ops.messages.transfer import Transfer
from attune_ops.model.units import counted

CHUNK = 500  # messages decided on at once
CHUNK_BYTES = 8 << 20
KEEP_EVERY = 20  # chunks; what a power cut, unlike a kill, may leave unmarked


class Ways(NamedTuple):
    """How to restore: also what was restored before (`again`), also second copies, at most `rate` messages a second."""

    again: bool = False
    copies: bool = False
    rate: float | None = None


ORDINARY = Ways()


def restore(
    settings: Settings,
    path: Path,
    choice: Choice = EVERYTHING,
    ways: Ways = ORDINARY,
    *,
    apply: bool = False,
    confirm: str | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Transfer:
    """Publishes the messages of a file as mandatory and confirmed; without `apply` says which, and where to.

    Killed at any moment it loses none: run it again, and what the broker had confirmed is not published again; what
    was in flight (at most `publishing.WINDOW` messages) is, and is counted. What no queue takes stays in the file,
    unmarked. There is no undo: consumers may have what was published. Raises `ActionError`, or `SourceError` where
    the connection breaks.
    """
    began = time.perf_counter()
    header = read_header(path)
    with asking_registry(settings, choice) as (ended_of, note):
        run = _Run(path, Chooser(settings, choice, ended_of), ways)
        if apply:
            detail = {"queue": header.queue, "to": choice.target.words, "filters": [f.text for f in choice.filters]}
            subject = str(path.absolute())
            with audit.change(settings, "messages restore", subject, confirm=confirm, **detail) as outcome:
                try:
                    with raw_amqp.telling(lambda: f"{run.tally.were_published} published", "; run it again to go on"):
                        run.publish(settings, header, on_progress)
                finally:
                    outcome |= run.tally.by_fate
        else:
            run.only_look(header)
    return Transfer(
        what="restore",
        source=str(path),
        target=choice.target.words,
        applied=apply,
        shares=run.tally.shares,
        taken_at=datetime.now(UTC),
        duration_ms=(time.perf_counter() - began) * 1000,
        notes=tuple(n for n in (note, run.doubt) if n),
    )


class _Run:
    """One pass over the file, which holds no more than a chunk of it at a time."""

    def __init__(self, path: Path, chooser: Chooser, ways: Ways) -> None:
        self.tally = Tally()
        self._path, self._chooser, self._ways = path, chooser, ways
        self._doubtful = 0
        self._twins = Twins() if not ways.copies and _was_resumed(path) else None

    @property
    def doubt(self) -> str:
        """What is not known of messages that a killed run had sent, or ''."""
        if not self._doubtful:
            return ""
        flying = counted(self._doubtful, "message was", "messages were")
        return f"{flying} in flight when an earlier run broke off, and may be there twice"

    def only_look(self, header: Header) -> None:
        """Decides on every message and publishes none."""
        marks = read_marks(self._path, header.id)
        for chunk in _chunks(read_messages(self._path)):
            for _, decision in self._decide(chunk, lambda n: marks[n - 1 : n] or NOT_SENT):
                self.tally.add(decision)

    def publish(self, settings: Settings, header: Header, on_progress: Callable[[int], None] | None) -> None:
        """Decides on every message and publishes those that go."""
        with (
            marking(self._path, header.id) as progress,
            open_publisher(settings, self._ways.rate) as publisher,
            publisher.hurrying(lambda: self._settle(publisher, progress)),
        ):
            for i, chunk in enumerate(_chunks(read_messages(self._path))):
                publisher.publish(self._going(chunk, progress))
                self._settle(publisher, progress)
                if on_progress is not None:
                    on_progress(self.tally.count("published"))
                if i % KEEP_EVERY == 0:
                    progress.keep()
            self._settle(publisher, progress, all=True)

    def _going(self, chunk: list[Message | Damaged], progress: Progress) -> Iterator[tuple[int, Destination, bytes]]:
        for message, decision in self._decide(chunk, progress.__getitem__):
            if isinstance(decision, Left):
                self.tally.add(decision)
            else:
                progress[message.n] = SENT
                yield message.n, decision, message.body

    def _settle(self, publisher: Publisher, progress: Progress, all: bool = False) -> None:
        for n, to, outcome in publisher.settled(all=all):
            progress[n] = CONFIRMED if outcome == "published" else NOT_SENT
            self.tally.settle(to, outcome)

    def _decide(
        self, chunk: list[Message | Damaged], mark_of: Callable[[int], bytes]
    ) -> Iterator[tuple[Message, Destination | Left]]:
        open_ = [m for m in chunk if isinstance(m, Message) and (self._ways.again or mark_of(m.n) != CONFIRMED)]
        chosen = dict(zip((m.n for m in open_), self._chooser.choose(open_), strict=True))
        for message in chunk:
            if isinstance(message, Damaged):
                self.tally.add(Left("damaged", "torn by a crash" if message.torn else "no message"))
                continue
            is_second = self._twins is not None and self._twins.has(message)
            decision = chosen.get(message.n) or Left("before", "an earlier run published them")
            if is_second and isinstance(decision, Destination):
                decision = Left("duplicate", "second copies of messages in this file")
            if isinstance(decision, Destination) and mark_of(message.n) == SENT:
                self._doubtful += 1
            yield message, decision


def _chunks(messages: Iterable[Message | Damaged]) -> Iterator[list[Message | Damaged]]:
    chunk: list[Message | Damaged] = []
    size = 0
    for message in messages:
        chunk.append(message)
        size += 0 if isinstance(message, Damaged) else len(message.body)
        if len(chunk) >= CHUNK or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _was_resumed(path: Path) -> bool:
    """Whether more than one run wrote the file: within one run no message is written twice."""
    with path.open("rb") as lines:
        return any(b'"run":' in line for line in lines)
