"""Starting and ending a lab, and its nodes one by one."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from attune_ops.installation.config.running_lab import LabNode, RunningLab, read_state
from attune_ops.lab import folder as files
from attune_ops.lab import node as nodes_
from attune_ops.lab import ports, process, starting
from attune_ops.lab.server import find
from attune_ops.lab.starting import Note
from attune_ops.model.errors import ActionError, ConfigError

CONFIG_LINE = re.compile(r"[\w.-]+\s*=\s*\S[^\n]*")
LAST_WORDS_S = 1.0  # what `down` gives a broker for telling its clients; its data go anyway
GRACE_S = 60.0  # what `stop_node` gives it for a clean stop; RabbitMQ takes 6 s


def _silent(text: str) -> None:
    """Says nothing."""


class Lab:
    """A lab by its name. Everything is read from its state file anew, so several may hold it."""

    def __init__(self, name: str = "default") -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Lab({self.name!r})"

    @property
    def state(self) -> RunningLab:
        """What the state file tells; raises `ActionError` where there is no such lab."""
        found = read_state(self.name)
        if found is None:
            raise ActionError(f"there is no lab {self.name!r}: `attune-ops lab up --name {self.name}` starts it")
        return found

    def node(self, name: str) -> LabNode:
        """The node of that name, as in `attune-1@localhost`; raises `ConfigError` naming those there are."""
        found = {n.name: n for n in self.state.nodes}
        if name not in found:
            raise ConfigError(f"no node {name!r} in the lab {self.name!r}; it has {', '.join(found)}")
        return found[name]

    def start_node(self, name: str, *, config: Sequence[str] = (), wait: bool = True, timeout: float = 60) -> None:
        """Starts a stopped or killed node on its data, with more lines of rabbitmq.conf for this start.

        Returns when it is ready, or at once with `wait=False`. `stop_node` undoes it. Raises `ActionError`.
        """
        with files.locked(self.name, _silent):
            if not self.node(name).alive:
                starting.start_node(self.state, self.node(name), find(self.state.server), config)
        if wait:
            starting.wait(self.state, [name], _silent, timeout)

    def stop_node(self, name: str) -> None:
        """Stops a node cleanly; its data stay. `start_node` undoes it."""
        if (known := self.node(name).process) is not None:
            process.end([known], GRACE_S)

    def kill_node(self, name: str) -> None:
        """Kills a node as a power cut would. `start_node` undoes it."""
        if (known := self.node(name).process) is not None:
            process.end([known], 0, first=signal.SIGKILL)

    def suspend_node(self, name: str) -> None:
        """Suspends a node: its connections stay open and nothing answers. `resume_node` undoes it."""
        self._signal(name, signal.SIGSTOP)

    def resume_node(self, name: str) -> None:
        """Lets a suspended node run on."""
        self._signal(name, signal.SIGCONT)

    def ctl(self, *arguments: str, node: str | None = None, timeout: float = 60) -> str:
        """Runs the broker's own `rabbitmqctl` on a node (default: the first alive) and returns what it prints."""
        state = self.state
        target = self.node(node) if node else state.node
        done = subprocess.run(
            [find(state.server).ctl, "-q", "-n", target.name, *arguments],
            env=nodes_.environment(state),
            cwd=state.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise ActionError(f"rabbitmqctl {arguments[0]} failed on {target.name}: {done.stderr.strip()[:300]}")
        return done.stdout

    def _signal(self, name: str, number: signal.Signals) -> None:
        known = self.node(name).process
        if known is None or not process.send(known, number):
            raise ActionError(f"the node {name} of the lab {self.name!r} does not run")


def up(
    name: str = "default",
    *,
    nodes: int | None = None,
    server: str | None = None,
    config: Sequence[str] = (),
    plugins: Sequence[str] = (),
    note: Note = _silent,
    timeout: float = 90,
) -> Lab:
    """Starts the lab of that name and returns when it is ready; nodes of a running one that are down start again.

    `server` is an installation's folder or its rabbitmq-server; `config` are more lines of rabbitmq.conf;
    `note` is told the progress; `timeout` is in seconds, for each group of nodes. Interrupted or failed, it
    undoes what it started. `down` undoes it. Raises `ConfigError`, `ActionError`.
    """
    if nodes is not None and not 1 <= nodes <= ports.MOST_NODES:
        raise ConfigError(f"a lab has 1 to {ports.MOST_NODES} nodes, not {nodes}")
    for line in config:
        if not CONFIG_LINE.fullmatch(line):
            raise ConfigError(f"a line of rabbitmq.conf is KEY = VALUE, not {line!r}")
    with files.locked(name, note) as folder:
        running = _state(name, note)
        if running is not None and running.ready and any(n.alive for n in running.nodes):
            _same(running, nodes, find(server).start if server else None, config, plugins)
            note(f"the lab {name!r} runs already")
            _revive(running, note, timeout)
            return Lab(name)
        programs = find(server)
        if folder.exists():
            note(f"clearing away what is left of the lab {name!r}")
            _clear(folder, running)
        _kept_log(folder).unlink(missing_ok=True)
        try:
            starting.prepare(name, folder, nodes or 1, programs, config, plugins)
            starting.start_all(Lab(name).state, programs, note, timeout)
        except BaseException as e:
            kept = _keep_log(folder) if isinstance(e, ActionError) else None
            _clear(folder, _state(name, note))
            if kept is not None:
                raise ActionError(f"{e} (its log: {kept})") from e
            raise
    return Lab(name)


def down(name: str = "default", *, note: Note = _silent) -> bool:
    """Ends exactly the processes that `up` started and removes the lab's folder with all its data.

    False where there was nothing. Raises `ActionError`.
    """
    if not files.is_there(name):
        return False
    with files.locked(name, note) as folder:
        if not folder.exists():
            return False
        state = _state(name, note)
        for node in state.nodes if state else ():
            note(f"{node.name}: {'stopping it' if node.alive else 'does not run any more'}")
        _clear(folder, state)
        return True


def _state(name: str, note: Note) -> RunningLab | None:
    try:
        return read_state(name)
    except ConfigError as e:
        note(f"{e}; what it started, if it still runs, is not known")
        return None


def _revive(lab: RunningLab, note: Note, timeout: float) -> None:
    """Starts the nodes that are down, on their data and by the lab's own server."""
    for node in [n for n in lab.nodes if not n.alive]:
        note(f"{node.name} is down: starting it again")
        lab = starting.start_node(lab, node, find(lab.server))
        starting.wait(lab, [node.name], note, timeout)


def _same(
    lab: RunningLab, nodes: int | None, server: str | None, config: Sequence[str], plugins: Sequence[str]
) -> None:
    """Raises `ActionError` where the running lab is not what is asked for."""
    differs = {
        f"{len(lab.nodes)} node(s)": nodes is not None and nodes != len(lab.nodes),
        lab.server: server is not None and server != lab.server,
        "another configuration": bool(config) and tuple(config) != lab.config,
        "other plug-ins": bool(plugins) and tuple(plugins) != lab.plugins,
    }
    if any(differs.values()):
        found = ", ".join(what for what, yes in differs.items() if yes)
        raise ActionError(
            f"the lab {lab.name!r} runs already, with {found}: take it down first "
            f"(`attune-ops lab down --name {lab.name}`) or choose another --name"
        )


def _clear(folder: Path, lab: RunningLab | None) -> None:
    """Ends the lab's processes, brokers first, and removes its folder."""
    if lab is not None:
        process.end([n.process for n in lab.nodes if n.process is not None], LAST_WORDS_S)
        process.end([lab.epmd] if lab.epmd is not None else [], 5)
    files.remove(folder)


def _kept_log(folder: Path) -> Path:
    return folder.with_suffix(".log")


def _keep_log(folder: Path) -> Path:
    """Copies what the nodes printed beside the folder, which is about to go."""
    kept = _kept_log(folder)
    with kept.open("wb") as out:
        for log in sorted([*folder.glob("*.log"), *folder.glob(f"*/{nodes_.CONSOLE}")]):
            out.write(log.read_bytes())
    return kept
