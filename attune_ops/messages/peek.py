"""Looking at the messages of a queue: they are taken, shown and given back."""

from __future__ import annotations

from datetime import UTC, datetime

from attune_ops.installation import audit
from attune_ops.installation.config import Settings
from attune_ops.messages.filters import Filter, accepts
from attune_ops.messages.peeked import Look, Peeked
from attune_ops.messages.preview import view
from attune_ops.messages.queue_state import look
from attune_ops.messages.taker import open_source
from attune_ops.model.redaction import Redactor
from attune_ops.model.units import counted


def peek(
    settings: Settings,
    queue: str,
    count: int = 10,
    *,
    filters: tuple[Filter, ...] = (),
    reveal: bool = False,
    confirm: str | None = None,
) -> Peeked:
    """Looks at the first `count` messages that `filters` mean; secrets are masked unless `reveal` asks for them.

    What it looks at is with nobody else meanwhile, goes back to its place, and is marked redelivered; a quorum queue
    counts a delivery. To reveal is journaled, and passes the gate of a protected environment. Raises `ActionError`,
    or `SourceError` where the connection breaks; the messages go back then too.
    """
    if not reveal:
        return _peek(settings, queue, count, filters, Redactor(settings.redact, settings.secrets))
    with audit.change(settings, "messages peek --reveal", queue, confirm=confirm) as outcome:
        seen = _peek(settings, queue, count, filters, None)
        outcome["shown"] = len(seen.messages)
        return seen


def _peek(settings: Settings, queue: str, count: int, filters: tuple[Filter, ...], redactor: Redactor | None) -> Peeked:
    seen = look(settings, queue)
    looks: list[Look] = []
    at = datetime.now(UTC)
    with open_source(settings, seen, few=True) as source:
        while len(looks) < count and not source.empty:
            for taken in source.more(None if filters else count - len(looks)):
                source.hold(taken)
                if len(looks) < count and accepts(filters, taken.message, at):
                    looks.append(view(taken.message, at, redactor))
    notes = list(seen.company)
    if source.taken:
        notes.append(f"looking marked {counted(source.taken, 'message')} as redelivered; places are kept")
        if seen.type == "quorum":
            limit = "" if seen.delivery_limit is None else f"; at {seen.delivery_limit} a message is given up"
            notes.append(f"this quorum queue counts the look as a delivery, up to RabbitMQ 4.2{limit}")
    notes += source.notes
    return Peeked(
        queue=queue,
        vhost=settings.vhost,
        ready=seen.ready,
        messages=tuple(looks),
        taken_at=at,
        revealed=redactor is None,
        notes=tuple(notes),
    )
