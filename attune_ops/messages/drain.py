"""Draining a queue to a file: a message is acknowledged only when it is durably on disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from attune_ops.installation import audit
from attune_ops.installation.config import Settings
from attune_ops.messages import interrupts, raw_amqp
from attune_ops.messages.filters import Filter, accepts, parse
from attune_ops.messages.message_file import MessageFile, check_file, is_stdout, open_file
from attune_ops.messages.queue_reader import PREFETCH, QueueReader, open_reader
from attune_ops.messages.queue_state import QueueInfo, read_queue
from attune_ops.messages.selection import FINISHED_STAY
from attune_ops.messages.transfer import OutcomeCount, Transfer
from attune_ops.model.command_lines import restore_to_queue
from attune_ops.model.units import counted

OnProgress = Callable[[int], None]


def drain(
    settings: Settings,
    queue: str,
    to: str | Path,
    *,
    filters: Iterable[str] = (),
    limit: int | None = None,
    apply: bool = False,
    confirm: str | None = None,
    on_progress: OnProgress | None = None,
) -> Transfer:
    """Moves the messages of `queue` that match `filters` to the file `to` (`-`: stdout); without `apply` a dry run.

    Killed at any moment it loses none: run it again and it resumes. What was on disk and not yet acknowledged (at
    most PREFETCH messages) is then in the file twice; `restore` skips the second copies. Undo: `restore` the file.
    Raises `ActionError`, or `SourceError` where the connection breaks; the file then holds what was drained.

    >>> transfer = ops.messages.drain("attune.events.queue", "events.jsonl", filters=["age<1h"])
    >>> transfer.applied, len(ops.messages.peek("attune.events.queue").messages)
    (False, 2)
    >>> transfer = ops.messages.drain("attune.events.queue", "events.jsonl", apply=True)
    >>> transfer.applied, len(ops.messages.peek("attune.events.queue").messages)
    (True, 0)
    """
    began = time.perf_counter()
    path, selected = Path(to), parse(filters)
    check_file(path, settings, queue)
    info = read_queue(settings, queue)
    counts: Counter[str] = Counter()
    notes = list(info.notes(requeued=bool(selected)))
    if is_stdout(path):
        notes.append("a message is acknowledged once it is written to standard output, which may be lost in a pipe")
    if apply:
        detail = {"to": str(path.absolute()), "filters": [f.text for f in selected]}
        with audit.change(settings, "messages drain", queue, confirm=confirm, **detail) as outcome:

            def safe() -> str:
                return f"{counted(counts['drained'], 'message is', 'messages are')} safe in {str(path)!r}"

            try:
                with raw_amqp.resume_hint(
                    safe, ", the rest is on the broker; run it again to resume", lambda: counts["drained"] > 0
                ):
                    notes += _drain(settings, info, path, selected, limit, counts, on_progress)
            finally:
                outcome |= counts
    else:
        counts["drained"] = info.ready if limit is None else min(limit, info.ready)
    undo = restore_to_queue(queue, str(path)) if apply and counts["drained"] and not is_stdout(path) else None
    notes += _undo_notes(settings) if undo is not None else []
    if limit is not None and counts["drained"] < limit:
        notes.append(
            f"{limit:,} asked for (--limit), {counted(counts['drained'], 'message')} {'drained' if apply else 'ready'}"
        )
    return Transfer(
        what="drain",
        source=queue,
        target=str(path),
        applied=apply,
        at_most=not apply and bool(selected),
        outcomes=_outcomes(counts),
        taken_at=datetime.now(UTC),
        duration_ms=(time.perf_counter() - began) * 1000,
        notes=tuple(notes),
        undo=undo,
    )


def _drain(
    settings: Settings,
    info: QueueInfo,
    path: Path,
    filters: tuple[Filter, ...],
    limit: int | None,
    counts: Counter[str],
    on_progress: OnProgress | None,
) -> list[str]:
    notes = []
    with open_file(path, settings, info.name) as file:
        if file.count:
            notes.append(f"resumed after {counted(file.count, 'message')} in the file; restore skips duplicates")
        if file.cut:
            notes.append(f"cut off {file.cut} bytes of an incomplete message, which was never acknowledged")
        with open_reader(settings, info, ahead=limit is None or limit > PREFETCH) as reader:
            while limit is None or counts["drained"] < limit:
                interrupts.interruption_point()
                if not _batch(reader, file, filters, limit, counts):
                    break
                if on_progress is not None:
                    on_progress(counts["drained"])
    return [*notes, *reader.notes]


def _batch(
    reader: QueueReader, file: MessageFile, filters: tuple[Filter, ...], limit: int | None, counts: Counter[str]
) -> bool:
    """Reads one batch, makes it safe, acknowledges it; False at the end of the queue."""
    batch = reader.next_batch(None if limit is None else limit - counts["drained"])
    at = datetime.now(UTC)
    safe: list[int] = []
    for delivery in batch:
        if accepts(filters, delivery.message, at):
            file.append(delivery.message)
            safe.append(delivery.tag)
        else:
            reader.requeue_later(delivery)
            counts["other"] += 1
    if safe:
        file.sync()
        reader.acknowledge(safe)
        counts["drained"] += len(safe)
    return not reader.empty


def _undo_notes(settings: Settings) -> list[str]:
    """Which messages the undo keeps; without a registry nothing is known of executions."""
    return [FINISHED_STAY] if settings.database is not None else []


def _outcomes(counts: Counter[str]) -> tuple[OutcomeCount, ...]:
    found = [OutcomeCount("drained", counts["drained"])]
    if counts["other"]:
        found.append(OutcomeCount("other", counts["other"], why="not matched by --filter; requeued"))
    return tuple(found)
