"""Starting a lab, stopping it, and listing the labs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from attune_ops.installation.config.running_lab import LabNode, RunningLab, read_state
from attune_ops.lab import folder as files
from attune_ops.lab import lab_nodes, process
from attune_ops.lab.lab_nodes import Lab, Note, silent
from attune_ops.lab.node import CONSOLE, MOST_NODES
from attune_ops.lab.server import find
from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.model.secret import MASK
from attune_ops.model.table import Cell, Column, Kind, Table
from attune_ops.model.units import counted

CONFIG_LINE = re.compile(r"[\w.-]+\s*=\s*\S[^\n]*")
DOWN_S = 1.0  # how long `down` lets a broker close its connections; its data are removed anyway

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


def up(
    name: str = "default",
    *,
    nodes: int | None = None,
    server: str | None = None,
    config: Sequence[str] = (),
    plugins: Sequence[str] = (),
    note: Note = silent,
    timeout: float = 90,
    on_new: Callable[[datetime], object] = lambda created: None,
) -> Lab:
    """Starts the lab of that name and returns when it is ready; starts the nodes of a running lab that are down.

    `server` is an installation's folder or its rabbitmq-server; `config` are more lines of rabbitmq.conf;
    `note` is called with the progress; `timeout` is in s, for each group of nodes. `on_new` is called before a lab is
    started that does not run yet, with the time that tells it from another of this name. Where it fails or is
    interrupted, it undoes what it started. Undo: `down`. Raises `ConfigError`, `ActionError`.
    """
    if nodes is not None and not 1 <= nodes <= MOST_NODES:
        raise ConfigError(f"a lab has 1 to {MOST_NODES} nodes, not {nodes}")
    for line in config:
        if not CONFIG_LINE.fullmatch(line):
            raise ConfigError(f"a line of rabbitmq.conf has the form KEY = VALUE, not {line!r}")
    with files.locked(name, note) as folder:
        running = _state(name, note)
        if running is not None and running.ready and any(n.alive for n in running.nodes):
            _same(running, nodes, find(server).start if server else None, config, plugins)
            note(f"lab {name!r} is already running")
            _restart_nodes(running, note, timeout)
            return Lab(name)
        programs = find(server)
        if folder.exists():
            note(f"removing the remains of lab {name!r}")
            _clear(folder, running)
        _kept_log(folder).unlink(missing_ok=True)
        try:
            created = datetime.now(UTC)
            on_new(created)
            lab_nodes.prepare(name, folder, nodes or 1, programs, config, plugins, created)
            lab_nodes.start_all(Lab(name).state, programs, note, timeout)
        except BaseException as e:
            kept = _keep_log(folder) if isinstance(e, ActionError) else None
            _clear(folder, _state(name, note))
            if kept is not None:
                raise ActionError(f"{e} (its log: {kept})") from e
            raise
    return Lab(name)


def down(name: str = "default", *, created: datetime | None = None, note: Note = silent) -> bool:
    """Stops exactly the processes that `up` started and removes the lab's folder with all its data.

    With `created` only a lab that was started at that time. Returns False where there is no such lab. There is no undo
    for the data. Raises `ActionError`.
    """
    if not files.is_there(name):
        return False
    with files.locked(name, note) as folder:
        if not folder.exists():
            return False
        state = _state(name, note)
        if created is not None and (state is None or state.created != created):
            return False
        for node in state.nodes if state else ():
            note(f"{node.name}: {'stopping' if node.alive else 'already stopped'}")
        _clear(folder, state)
        return True


def status(name: str | None = None) -> Table:
    """A row for each node of the lab of that name, or of all labs. Reads their state files, changes nothing."""
    rows: list[tuple[Cell, ...]] = []
    notes: list[str] = []
    for each in files.names() if name is None else [name]:
        try:
            lab = read_state(each)
        except ConfigError as e:
            notes.append(str(e))
            continue
        if lab is not None:
            rows += [row(lab, node) for node in lab.nodes]
            option = "" if each == "default" else f" (use --lab {each})"
            notes += [f"{each}: {_amqp_url(lab, lab.node)}{option}", f"password: {lab.password_file} (mode 600)"]
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


def _state(name: str, note: Note) -> RunningLab | None:
    try:
        return read_state(name)
    except ConfigError as e:
        note(f"{e}; processes of this lab may still be running")
        return None


def _restart_nodes(lab: RunningLab, note: Note, timeout: float) -> None:
    """Starts the nodes that are down, on their data and with the lab's own server."""
    for node in [n for n in lab.nodes if not n.alive]:
        note(f"{node.name} is down: starting")
        lab = lab_nodes.start_node(lab, node, find(lab.server))
        lab_nodes.wait_for(lab, [node.name], note, timeout)


def _same(
    lab: RunningLab, nodes: int | None, server: str | None, config: Sequence[str], plugins: Sequence[str]
) -> None:
    """Raises `ActionError` where the running lab differs from what is requested."""
    differs = {
        counted(len(lab.nodes), "node"): nodes is not None and nodes != len(lab.nodes),
        lab.server: server is not None and server != lab.server,
        "another configuration": bool(config) and tuple(config) != lab.config,
        "other plugins": bool(plugins) and tuple(plugins) != lab.plugins,
    }
    if any(differs.values()):
        found = ", ".join(what for what, yes in differs.items() if yes)
        raise ActionError(
            f"lab {lab.name!r} is already running with {found}: stop it first "
            f"(`attune-ops lab down --name {lab.name}`) or choose another --name"
        )


def _clear(folder: Path, lab: RunningLab | None) -> None:
    """Stops the lab's processes, brokers first, and removes its folder."""
    if lab is not None:
        process.end([n.process for n in lab.nodes if n.process is not None], DOWN_S)
        process.end([lab.epmd] if lab.epmd is not None else [], 5)
    files.remove(folder)


def _kept_log(folder: Path) -> Path:
    return folder.with_suffix(".log")


def _keep_log(folder: Path) -> Path:
    """Copies the output of the nodes to a file beside the folder, which is removed next."""
    kept = _kept_log(folder)
    with kept.open("wb") as out:
        for log in sorted([*folder.glob("*.log"), *folder.glob(f"*/{CONSOLE}")]):
            out.write(log.read_bytes())
    return kept
