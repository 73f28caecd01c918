"""What runs, where, and how to reach it."""

from __future__ import annotations

from datetime import UTC, datetime

from attune_ops.installation.config.running_lab import LabNode, RunningLab, read_state
from attune_ops.lab import folder
from attune_ops.model.errors import ConfigError
from attune_ops.model.secret import MASK
from attune_ops.model.table import Cell, Column, Kind, Table

COLUMNS = (
    Column("lab", doc="the lab's name"),
    Column("node", doc="the node's name", priority=3),
    Column("state", Kind.CATEGORY, doc="running, down or half-started"),
    Column("version", Kind.CATEGORY, doc="the version of RabbitMQ", priority=2),
    Column("management_url", doc="the management API and UI"),
    Column("amqp_url", doc="AMQP, the password masked", priority=4),
    Column("pid", Kind.INTEGER, doc="the broker's process id", priority=3),
    Column("prometheus_url", doc="the broker's own metrics", priority=4),
    Column("database_url", doc="the lab's worker registry", priority=5),
    Column("password_file", doc="where the password is, mode 600", priority=6),
    Column("server", doc="the rabbitmq-server that was started", priority=7),
    Column("created", Kind.TIME, doc="when it was started", priority=8),
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
            rows += [row(lab, node) for node in lab.nodes]
            chosen = "" if each == "default" else f" (commands take it with --lab {each})"
            notes += [f"{each}: {_amqp_url(lab, lab.node)}{chosen}", f"password: {lab.password_file} (mode 600)"]
    return Table("lab", COLUMNS, tuple(rows), datetime.now(UTC), tuple(notes))


def row(lab: RunningLab, node: LabNode) -> tuple[Cell, ...]:
    """A node's cells, in the order of `COLUMNS`."""
    state = "down" if not node.alive else "running" if lab.ready else "half-started"
    return (
        lab.name,
        node.name,
        state,
        lab.version,
        f"http://127.0.0.1:{node.management_port}",
        _amqp_url(lab, node),
        node.process.pid if node.process is not None and node.alive else None,
        f"http://127.0.0.1:{node.prometheus_port}/metrics",
        lab.database_url,
        str(lab.password_file),
        lab.server,
        lab.created,
    )


def _amqp_url(lab: RunningLab, node: LabNode) -> str:
    return f"amqp://{lab.user}:{MASK}@127.0.0.1:{node.amqp_port}/%2F"
