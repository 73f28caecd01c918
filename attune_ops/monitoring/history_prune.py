"""Pruning: deletes old days of the history, whole files that this tool wrote and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted, seconds
from attune_ops.monitoring.history_files import Day, Folder, one_line

PRUNED = (
    Column("day", doc="UTC"),
    Column("cluster", doc="the cluster's own name"),
    Column("vhost", doc="the virtual host"),
    Column("files", Kind.INTEGER, "files", "of this tool"),
    Column("size", Kind.INTEGER, "bytes", "of these files"),
    Column("verdict", Kind.CATEGORY, doc="deletes: --apply would delete them; deleted; failed: the reason"),
)


def prune(older_than: str = "30d", *, folder: str | None = None, apply: bool = False) -> Table:
    """Deletes the files of days that ended at least `older_than` ago ("30d"), of all clusters; a dry run without apply.

    Deletes only whole files that this tool wrote; they cannot be restored. Nothing on an installation is changed.
    Raises `ConfigError`.

    >>> _ = ops.history.record("readings", seconds=0.5)
    >>> len(ops.history.prune("30d", folder="readings"))
    0
    """
    limit = seconds(older_than)
    if limit is None:
        raise ConfigError(f"{older_than!r} is not a duration; use for example 30d")
    there, now = Folder(folder), datetime.now(UTC)
    old = [d for d in there.days() if d.files and now - _end(d) >= timedelta(seconds=limit)]
    rows = tuple(
        (f"{d.day}", d.cluster, d.vhost, len(d.files), d.size, _delete(there, d) if apply else "deletes") for d in old
    )
    done = [r for r in rows if r[-1] == "deleted"] if apply else rows
    note = f"{counted(sum(int(str(r[3])) for r in done), 'file')} {'deleted' if apply else 'would be deleted'}"
    return Table("old days", PRUNED, rows, now, (note,) if rows else (), ("day",))


def _end(day: Day) -> datetime:
    return datetime(day.day.year, day.day.month, day.day.day, tzinfo=UTC) + timedelta(days=1)


def _delete(folder: Folder, day: Day) -> Cell:
    try:
        for file in day.files:
            folder.system.delete_file(file)
        for path in (PurePosixPath(day.path), *list(PurePosixPath(day.path).parents)[:2]):
            if folder.is_local and not folder.entries(str(path)):
                folder.system.delete_dir(str(path))
    except OSError as e:
        return f"failed: {one_line(e)}"
    return "deleted"
