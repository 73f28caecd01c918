"""Restoring a file of messages: each is published, confirmed and marked in the progress file."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from attune_ops.installation import audit
from attune_ops.installation.config import Settings
from attune_ops.messages import interrupts, raw_amqp
from attune_ops.messages.fan_out import fan_out_notes
from attune_ops.messages.length_limit import read_room
from attune_ops.messages.message import Message
from attune_ops.messages.message_file import Damaged, Header, read_header, read_messages
from attune_ops.messages.publisher import Destination, Publisher, open_publisher
from attune_ops.messages.restore_progress import (
    CONFIRMED,
    NOT_SENT,
    SENT,
    SEVERAL,
    Progress,
    marked_through,
    open_progress,
    progress_file,
    read_marks,
    target_of,
)
from attune_ops.messages.selection import MAX_REPLAYS, Kept, OutcomeCounter, Selector, Target
from attune_ops.messages.transfer import Transfer
from attune_ops.model.units import counted

CHUNK = 500  # messages decided on at once
CHUNK_BYTES = 8 << 20
SYNC_EVERY = 20  # chunks; a power cut, unlike a kill, may lose the marks of these
# Distance up to which a duplicate is recognised: what was on disk and not acknowledged when a run was killed, or what a
# killed broker had not yet recorded as acknowledged. It bounds the memory for files of any size.
DUPLICATE_WINDOW = 200_000


def restore(
    settings: Settings,
    file: str | Path,
    *,
    exchange: str | None = None,
    routing_key: str | None = None,
    filters: Iterable[str] = (),
    rate: float | None = None,
    max_replays: int | None = MAX_REPLAYS,
    finished: bool = False,
    again: bool = False,
    copies: bool = False,
    apply: bool = False,
    confirm: str | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Transfer:
    """Publishes the messages of a file where each came from, or to an exchange; without `apply` it is a dry run.

    Where each came from, every queue that is bound there with its key gets a copy: `notes` name the other queues. With
    the exchange "" and a queue as `routing_key`, that queue alone gets them.

    `again` includes messages that were restored before, `copies` duplicates in the file. Each message is published as
    mandatory and confirmed. Killed at any moment it loses none: run it again, and what the broker had confirmed is not
    published again; what was in flight (at most `publisher.WINDOW` messages) is, and is counted. What is not published
    stays in the file, unmarked. There is no undo: consumers may already have the messages. While an alarm of the broker
    blocks publishers it waits, and `on_notice` gets a sentence about it at once and every 10 s. Raises `ActionError`,
    also where the messages may exceed a length limit of the queue that is the target, above which it drops messages, or
    `SourceError` where the connection breaks.

    >>> _ = ops.messages.drain("attune.events.queue", "events.jsonl", apply=True)
    >>> transfer = ops.messages.restore("events.jsonl", exchange="", routing_key="attune.events.queue", apply=True)
    >>> transfer.count("published"), transfer.incomplete
    (2, False)
    """
    began = time.perf_counter()
    path = Path(file)
    target = Target(exchange, routing_key, counted=exchange is None and routing_key is None)
    selector = Selector(settings, filters, target, max_replays)
    header, through = read_header(path), marked_through(path)
    with selector.registry(finished=finished) as note:
        room, planned = read_room(settings, target), _Run(path, selector, again, copies)
        if room.limits or not apply:
            planned.dry_run(header)
        unknown = room.notes(planned.counter.count("published"), planned.size)
        run = _Run(path, selector, again, copies) if apply else planned
        if apply:
            detail = {"queue": header.queue, **selector.detail}
            subject = str(path.absolute())
            with audit.change(settings, "messages restore", subject, confirm=confirm, **detail) as outcome:
                try:
                    with raw_amqp.resume_hint(
                        lambda: f"{run.counter.were_published} published", "; run it again to resume"
                    ):
                        run.publish(settings, header, rate, on_progress, on_notice)
                finally:
                    outcome |= run.counter.by_outcome
    before = run.counter.count("before") if through not in ("", target_of(settings.amqp)) else 0
    # After publishing here, that would publish the same messages a second time.
    renaming = "" if apply or through == SEVERAL else str(progress_file(path))
    others = _other_broker(settings, header, before, renaming)
    source = None if header.of_tap else header.queue
    copies_to = fan_out_notes(settings, selector, source, apply) if run.counter.count("published") else ()
    return Transfer(
        what="restore",
        source=str(path),
        target=target.words,
        applied=apply,
        outcomes=run.counter.outcomes,
        taken_at=datetime.now(UTC),
        duration_ms=(time.perf_counter() - began) * 1000,
        notes=tuple(n for n in (note, *others, *copies_to, run.doubt, *unknown) if n),
    )


class _Run:
    """One pass over the file, with one chunk of it in memory."""

    def __init__(self, path: Path, selector: Selector, again: bool, copies: bool) -> None:
        self.counter = OutcomeCounter()
        self.size = 0  # bytes that a dry run would publish
        self._path, self._selector, self._again = path, selector, again
        self._unknown = 0
        self._duplicates = DuplicateDetector() if not copies and _was_resumed(path) else None

    @property
    def doubt(self) -> str:
        """How many messages a killed run may have published already, or ''."""
        if not self._unknown:
            return ""
        in_flight = counted(self._unknown, "message was", "messages were")
        return f"{in_flight} in flight when an earlier run was interrupted: possible duplicates"

    def dry_run(self, header: Header) -> None:
        """Decides on every message and publishes none."""
        marks = read_marks(self._path, header.id)
        for chunk in _chunks(read_messages(self._path)):
            for message, decision in self._decide(chunk, lambda n: marks[n - 1 : n] or NOT_SENT):
                self.counter.add(decision)
                self.size += len(message.body) if isinstance(decision, Destination) else 0

    def publish(
        self,
        settings: Settings,
        header: Header,
        rate: float | None,
        on_progress: Callable[[int], None] | None,
        on_notice: Callable[[str], None] | None,
    ) -> None:
        """Decides on every message and publishes the selected ones."""
        with (
            open_progress(self._path, header.id, target_of(settings.amqp)) as progress,
            open_publisher(settings, rate, on_notice) as publisher,
            publisher.drain_confirms_on_error(lambda: self._settle(publisher, progress)),
        ):
            for i, chunk in enumerate(_chunks(read_messages(self._path))):
                interrupts.interruption_point()
                publisher.publish(self._selected(chunk, progress))
                self._settle(publisher, progress)
                if on_progress is not None:
                    on_progress(self.counter.count("published"))
                if i % SYNC_EVERY == 0:
                    progress.sync()
            self._settle(publisher, progress, all=True)

    def _selected(self, chunk: list[Message | Damaged], progress: Progress) -> Iterator[tuple[int, Destination, bytes]]:
        for message, decision in self._decide(chunk, progress.__getitem__):
            if isinstance(decision, Kept):
                self.counter.add(decision)
            else:
                progress[message.n] = SENT
                yield message.n, decision, message.body

    def _settle(self, publisher: Publisher, progress: Progress, all: bool = False) -> None:
        for n, to, result in publisher.settled(all=all):
            progress[n] = CONFIRMED if result == "published" else NOT_SENT
            self.counter.settle(to, result)

    def _decide(
        self, chunk: list[Message | Damaged], mark_of: Callable[[int], bytes]
    ) -> Iterator[tuple[Message, Destination | Kept]]:
        open_ = [m for m in chunk if isinstance(m, Message) and (self._again or mark_of(m.n) != CONFIRMED)]
        decisions = dict(zip((m.n for m in open_), self._selector.decide(open_), strict=True))
        for message in chunk:
            if isinstance(message, Damaged):
                self.counter.add(Kept("damaged", "incomplete line" if message.torn else "not a message"))
                continue
            is_duplicate = self._duplicates is not None and self._duplicates.has(message)
            decision = decisions.get(message.n) or Kept("before", "already restored by an earlier run")
            if is_duplicate and isinstance(decision, Destination):
                decision = Kept("duplicate", "duplicates of messages in this file")
            if isinstance(decision, Destination) and mark_of(message.n) == SENT:
                self._unknown += 1
            yield message, decision


class DuplicateDetector:
    """Finds second copies of a message; one without an id has none, since two identical ones may be two messages."""

    def __init__(self, window: int = DUPLICATE_WINDOW) -> None:
        self._window = window
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def has(self, message: Message) -> bool:
        """Whether a message with the same id and body came before; remembers this one."""
        identity = message.identity
        if identity is None:
            return False
        known = identity in self._known
        self._known[identity] = None
        self._known.move_to_end(identity)
        if len(self._known) > self._window:
            self._known.popitem(last=False)
        return known


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


def _other_broker(settings: Settings, header: Header, before: int, renaming: str) -> Iterator[str]:
    """That the file is of another broker or virtual host, and how many messages may have been restored to another.

    `renaming` is the progress file, without which all messages are published here; "" where some were already.
    """
    if header.broker.rpartition("@")[2] != str(settings.amqp).rpartition("@")[2]:
        yield f"the messages are from {header.broker}; this is {settings.amqp}"
    if before:
        were = f"{counted(before, 'message was', 'messages were')} restored before"
        if renaming:
            yield (
                f"{were}, through another address or virtual host: if that was another broker, rename "
                f"{renaming!r}; then all are published here"
            )
        else:
            yield f"{were}, some or all through another address or virtual host; they were not published again"


def _was_resumed(path: Path) -> bool:
    """Whether more than one run wrote the file: within one run no message is written twice."""
    with path.open("rb") as lines:
        return any(b'"run":' in line for line in lines)
