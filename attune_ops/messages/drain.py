"""Draining a queue to a file: a message is acknowledged only when it is durably on disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from attune_ops.installation import audit
from attune_ops.installation.config import Settings
from attune_ops.messages import raw_amqp
from attune_ops.messages.filters import Filter, accepts
from attune_ops.messages.message_file import MessageFile, appending, foresee
from attune_ops.messages.queue_state import Seen, look
from attune_ops.messages.taker import PREFETCH, Source, open_source
from attune_ops.messages.transfer import Share, Transfer
from attune_ops.model.command_lines import line
from attune_ops.model.units import counted

OnProgress = Callable[[int], None]


def drain(
    settings: Settings,
    queue: str,
    path: Path,
    *,
    filters: tuple[Filter, ...] = (),
    limit: int | None = None,
    prefetch: int = PREFETCH,
    apply: bool = False,
    confirm: str | None = None,
    on_progress: OnProgress | None = None,
) -> Transfer:
    """Takes the messages that `filters` mean from `queue` to a file; without `apply` says what it would do.

    Killed at any moment it loses none: run it again and it goes on. What was on disk and not yet acknowledged is
    then in the file twice (at most `prefetch` messages), told apart by position and id. Undo: `restore` the file.
    Raises `ActionError`, or `SourceError` where the connection breaks; the file then holds what was drained.
    """
    began = time.perf_counter()
    seen = look(settings, queue)
    counts: Counter[str] = Counter()
    notes = list(seen.notes(held=bool(filters)))
    if apply:
        with audit.change(
            settings,
            "messages drain",
            queue,
            confirm=confirm,
            to=str(path.absolute()),
            filters=[f.text for f in filters],
        ) as outcome:

            def safe() -> str:
                return f"{counted(counts['drained'], 'message is', 'messages are')} safe in {str(path)!r}"

            try:
                with raw_amqp.telling(safe, "; run it again to go on", lambda: counts["drained"] > 0):
                    notes += _drain(settings, seen, path, filters, limit, prefetch, counts, on_progress)
            finally:
                outcome |= counts
    else:
        foresee(path, settings, queue)
        counts["drained"] = seen.ready if limit is None else min(limit, seen.ready)
    return Transfer(
        what="drain",
        source=queue,
        target=str(path),
        applied=apply,
        at_most=not apply and bool(filters),
        shares=_shares(counts, apply),
        taken_at=datetime.now(UTC),
        duration_ms=(time.perf_counter() - began) * 1000,
        notes=tuple(notes),
        undo=_undo(queue, path) if apply and counts["drained"] else "",
    )


def _drain(
    settings: Settings,
    seen: Seen,
    path: Path,
    filters: tuple[Filter, ...],
    limit: int | None,
    prefetch: int,
    counts: Counter[str],
    on_progress: OnProgress | None,
) -> list[str]:
    notes = []
    with appending(path, settings, seen.name) as file:
        if file.count:
            notes.append(
                f"went on after {file.count} messages that the file held already; where it was killed some may be in "
                f"it twice, which restore leaves out"
            )
        if file.cut:
            notes.append(f"cut {file.cut} bytes of a message off that was never acknowledged")
        with open_source(settings, seen, prefetch=prefetch, few=limit is not None and limit <= prefetch) as source:
            while limit is None or counts["drained"] < limit:
                if not _batch(source, file, filters, limit, counts):
                    break
                if on_progress is not None:
                    on_progress(counts["drained"])
    return [*notes, *source.notes]


def _batch(
    source: Source, file: MessageFile, filters: tuple[Filter, ...], limit: int | None, counts: Counter[str]
) -> bool:
    """Takes one batch, makes it safe, acknowledges it; False where the queue is empty."""
    batch = source.more(None if limit is None else limit - counts["drained"])
    at = datetime.now(UTC)
    safe: list[int] = []
    for taken in batch:
        if accepts(filters, taken.message, at):
            file.append(taken.message)
            safe.append(taken.tag)
        else:
            source.hold(taken)
            counts["other"] += 1
    if safe:
        file.keep()
        source.acknowledge(safe)
        counts["drained"] += len(safe)
    return not source.empty


def _undo(queue: str, path: Path) -> str:
    return line("messages", "restore", "--exchange=", f"--routing-key={queue}", "--apply", "--", str(path))


def _shares(counts: Counter[str], applied: bool) -> tuple[Share, ...]:
    found = [Share("drained", counts["drained"])]
    if counts["other"]:
        found.append(Share("other", counts["other"], why="the filters do not mean them; they are back in the queue"))
    return tuple(found)
