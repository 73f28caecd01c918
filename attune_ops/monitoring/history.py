"""Samples of the queues over time, in a small SQLite file of our own for each broker and virtual host."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.model.errors import ActionError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.files import state_folder
from attune_ops.model.ownership import require
from attune_ops.monitoring.past import Past, Sample

SOURCES = (Source.BROKER, Source.DEPTHS)
KEPT = timedelta(days=30)

_TABLES = """
create table if not exists sample (
    time real not null, queue text not null, messages integer, unacked integer, consumers integer,
    publish_rate real, deliver_rate real
);
create index if not exists sample_time on sample (time);
"""


def file(settings: Settings) -> Path:
    """Where the samples of an installation are kept; delete the file to forget them."""
    return state_folder("history", f"{settings.amqp.file_name}.sqlite")


def record(settings: Settings, facts: Facts) -> int:
    """Keeps what every queue held, and forgets what is older than 30 days; returns how many queues.

    Writes this tool's own file, nothing on the installation. Raises `SourceError` where the broker was not read.
    """
    require(facts, *SOURCES)
    taken = facts.taken_at.timestamp()
    rows = [
        (taken, q.name, q.messages, q.messages_unacknowledged, q.consumers, q.publish_rate, q.deliver_rate)
        for q in facts.actual.queue_named.values()
    ]
    with _open(settings) as database:
        database.executemany("insert into sample values (?, ?, ?, ?, ?, ?, ?)", rows)
        database.execute("delete from sample where time < ?", (taken - KEPT.total_seconds(),))
    return len(rows)


def past(settings: Settings, since: timedelta = KEPT) -> Past:
    """The samples of the last so long. Reads this tool's own file, asks nobody, changes nothing."""
    after = datetime.now(UTC).timestamp() - since.total_seconds()
    with _open(settings) as database:
        rows = database.execute("select * from sample where time >= ? order by time, queue", (after,)).fetchall()
    samples = tuple(Sample(datetime.fromtimestamp(taken, UTC), *rest) for taken, *rest in rows)
    return Past(settings.vhost, samples)


def watch(
    settings: Settings,
    *,
    interval: float = 10.0,
    seconds: float | None = None,
    on_progress: Callable[[Facts], None] = lambda facts: None,
) -> int:
    """Records the queues every `interval` s, for `seconds` or until interrupted; returns the number of samples.

    Reads the broker, needs tag monitoring; writes this tool's own file, nothing on the installation. `on_progress` gets
    the facts of each sample. Raises `SourceError` if the first read fails; later it retries.
    """
    started, samples = time.monotonic(), 0
    while True:
        facts = collect(settings, SOURCES)
        if samples == 0 or facts.missing_reason(SOURCES) is None:
            record(settings, facts)
        on_progress(facts)
        samples += 1
        left = None if seconds is None else started + seconds - time.monotonic()
        if left is not None and left <= 0:
            return samples
        time.sleep(max(0.0, interval if left is None else min(interval, left)))


@contextmanager
def _open(settings: Settings) -> Iterator[sqlite3.Connection]:
    path = file(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as database, database:
            database.executescript(_TABLES)
            yield database
    except (OSError, sqlite3.Error) as e:
        raise ActionError(f"the history {path} cannot be used: {e}; delete it to begin anew") from None
