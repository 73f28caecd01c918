"""What runs, where, and how to reach it."""

from __future__ import annotations

from datetime import UTC, datetime

from attune_ops.config.running_lab import LabNode, RunningLab, read_state
from attune_ops.errors import ConfigError
from attune_ops.lab import folder
from attune_ops.secret import MASK
from attune_ops.table import Cell, Column, Kind, Table

COLUMNS = (
    Column("lab", doc="the lab's name"),
    Column("node", doc="the node's name"),
    Column("state", Kind.CATEGORY, doc="running, down, or half-started"),
    Column("amqp_url", doc="AMQP, the password masked"),
    Column("management_url", doc="the management API and UI"),
    Column("prometheus_url", doc="the broker's own metrics"),
    Column("version", Kind.CATEGORY, doc="the version of RabbitMQ"),
    Column("pid", Kind.INTEGER, doc="the broker's process id"),
    Column("database_url", doc="the lab's worker registry"),
    Column("password_file", doc="where the password is, mode 600"),
    Column("server", doc="the rabbitmq-server that was started"),
    Column("created", Kind.TIME, doc="when it was started"),
)


def status(name: str | None = None) -> Table:
    """A row for each node of the lab of that name, or of every lab. Reads their state files, changes nothing."""
    rows: list[tuple[Cell, ...]] = []
    notes: list[str] = []
    for each in folder.names() if name is None else [name]:
        try:
            lab = read_state(each)
        except ConfigError as e:
            notes.append(str(e))
            continue
        if lab is not None:
            rows += [_row(lab, node) for node in lab.nodes]
            notes.append(f"{each}: user {lab.user}, password in {lab.password_file} (mode 600), data in {lab.folder}")
    return Table("lab", COLUMNS, tuple(rows), datetime.now(UTC), tuple(notes))


def _row(lab: RunningLab, node: LabNode) -> tuple[Cell, ...]:
    state = "down" if not node.alive else "running" if lab.ready else "half-started"
    return (
        lab.name,
        node.name,
        state,
        f"amqp://{lab.user}:{MASK}@127.0.0.1:{node.amqp_port}/%2F",
        f"http://127.0.0.1:{node.management_port}",
        f"http://127.0.0.1:{node.prometheus_port}/metrics",
        lab.version,
        node.process.pid if node.process is not None and node.alive else None,
        lab.database_url,
        str(lab.password_file),
        lab.server,
        lab.created,
    )
