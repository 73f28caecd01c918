"""Peeking: messages are delivered, shown and requeued."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from attune_ops.installation import audit
from attune_ops.installation.config import Settings
from attune_ops.messages.filters import accepts, parse
from attune_ops.messages.preview import PeekResult, Preview, preview
from attune_ops.messages.queue_reader import open_reader
from attune_ops.messages.queue_state import read_queue
from attune_ops.model.redaction import Redactor
from attune_ops.model.units import counted


def peek(
    settings: Settings,
    queue: str,
    count: int = 10,
    *,
    filters: Iterable[str] = (),
    reveal: bool = False,
    confirm: str | None = None,
) -> PeekResult:
    """Shows the first `count` messages of a queue that match `filters`; secrets are masked unless `reveal` is set.

    Peeking delivers and requeues the messages. They keep their position and are flagged as redelivered; other
    consumers do not get them meanwhile. A quorum queue up to RabbitMQ 4.2 counts a delivery. `reveal` is logged to the
    audit log and needs confirmation in a protected environment. Raises `ActionError`, or `SourceError` where the
    connection breaks; the messages are requeued then too.

    >>> for message in ops.messages.peek("attune.events.queue", 2).messages:
    ...     print(message.exchange, message.routing_key)
    attune.events event.created
    attune.events event.created
    """
    if not reveal:
        return _peek(settings, queue, count, filters, Redactor(settings.redact, settings.secrets))
    with audit.change(settings, "messages peek --reveal", queue, confirm=confirm) as outcome:
        result = _peek(settings, queue, count, filters, None)
        outcome["shown"] = len(result.messages)
        return result


def _peek(settings: Settings, queue: str, count: int, filters: Iterable[str], redactor: Redactor | None) -> PeekResult:
    selected = parse(filters)
    info = read_queue(settings, queue)
    previews: list[Preview] = []
    at = datetime.now(UTC)
    with open_reader(settings, info, ahead=False) as reader:
        while len(previews) < count and not reader.empty:
            for delivery in reader.next_batch(None if selected else count - len(previews)):
                reader.requeue_later(delivery)
                if len(previews) < count and accepts(selected, delivery.message, at):
                    previews.append(preview(delivery.message, at, redactor))
    notes = list(info.other_consumers)
    if info.consumers and info.unacknowledged:  # without consumers it is of an earlier peek
        held = counted(info.unacknowledged, "unacknowledged message")
        notes.append(f"its consumers hold {held} (a statistic, seconds old); peek shows ready messages only")
    if reader.read:
        messages = counted(reader.read, "message is", "messages are")
        notes.append(f"{messages} now flagged `redelivered`; the order is unchanged")
        if info.type == "quorum":
            limit = "" if info.delivery_limit is None else f"; the delivery limit is {info.delivery_limit}"
            notes.append(f"a quorum queue up to RabbitMQ 4.2 counts this as a delivery{limit}")
    notes += reader.notes
    return PeekResult(
        queue=queue,
        vhost=settings.vhost,
        ready=info.ready,
        messages=tuple(previews),
        taken_at=at,
        revealed=redactor is None,
        notes=tuple(notes),
    )
