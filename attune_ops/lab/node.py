"""One node of the lab: its files, its environment, and when it is ready."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attune_ops.installation.config.running_lab import LabNode, Process, RunningLab
from attune_ops.lab import process
from attune_ops.lab.ports import PER_NODE, answers
from attune_ops.lab.server import Server, search_path

PLUGINS = ("rabbitmq_management", "rabbitmq_prometheus")
CONSOLE = "console.log"


def make(folder: Path, ordinal: int, block: range) -> LabNode:
    """The node of that number, counted from 1, with its ports of the block."""
    first = 1 + (ordinal - 1) * PER_NODE
    amqp, management, prometheus, distribution = block[first : first + PER_NODE]
    name = f"attune-{ordinal}"
    return LabNode(f"{name}@localhost", str(folder / name), amqp, management, prometheus, distribution)


def configuration(lab: RunningLab, node: LabNode, extra: Sequence[str] = ()) -> str:
    """The node's rabbitmq.conf. It holds the password."""
    lines = [
        f"listeners.tcp.1 = 127.0.0.1:{node.amqp_port}",
        "management.tcp.ip = 127.0.0.1",
        f"management.tcp.port = {node.management_port}",
        "prometheus.tcp.ip = 127.0.0.1",
        f"prometheus.tcp.port = {node.prometheus_port}",
        f"default_user = {lab.user}",
        f"default_pass = {lab.password.reveal()}",
        f"cluster_name = attune-ops-lab-{lab.name}",
    ]
    first = lab.nodes[0]
    if node.name != first.name:
        # The first node forms the cluster alone; a node that finds no peer would wait for one.
        lines += [
            "cluster_formation.peer_discovery_backend = classic_config",
            f"cluster_formation.classic_config.nodes.1 = {first.name}",
            f"cluster_formation.classic_config.nodes.2 = {node.name}",
        ]
    return "\n".join([*lines, *lab.config, *extra, ""])


def environment(lab: RunningLab, node: LabNode | None = None) -> dict[str, str]:
    """The environment of the lab's programs: nothing of a system-wide broker's configuration applies."""
    made = {k: v for k, v in os.environ.items() if k in ("LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "USER", "LOGNAME")}
    made = {"LANG": "C.UTF-8"} | made
    none = str(Path(lab.folder, "none"))
    made |= {
        "PATH": search_path(),
        "HOME": lab.folder,  # where Erlang looks for the cookie
        "ERL_EPMD_PORT": str(lab.epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONF_ENV_FILE": none,
        "ATTUNE_OPS_LAB_FOLDER": lab.folder,
    }
    if node is not None:
        made |= {
            "RABBITMQ_NODENAME": node.name,
            "RABBITMQ_DIST_PORT": str(node.distribution_port),
            "RABBITMQ_CONFIG_FILE": f"{node.folder}/rabbitmq.conf",
            "RABBITMQ_CONFIG_FILES": none,
            "RABBITMQ_ADVANCED_CONFIG_FILE": none,
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{node.folder}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{node.folder}/data",
            "RABBITMQ_LOG_BASE": f"{node.folder}/log",
            "RABBITMQ_PID_FILE": f"{node.folder}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # The script becomes the broker instead of watching over it, so that the pid is the broker's.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
    return made


def start(
    lab: RunningLab, node: LabNode, server: Server, record: Callable[[Process], None], extra: Sequence[str] = ()
) -> Process:
    """Writes the node's files and starts it; returns without waiting for it."""
    folder = Path(node.folder)
    for part in ("data", "log"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    write_private(folder / "rabbitmq.conf", configuration(lab, node, extra))
    plugins = ",".join((*PLUGINS, *lab.plugins))
    (folder / "enabled_plugins").write_text(f"[{plugins}].\n")
    return process.launch([server.start], environment(lab, node), folder, folder / CONSOLE, record)


def write_private(path: Path, text: str) -> None:
    """Writes a file that nobody but its owner could ever read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def speaks_amqp(lab: RunningLab, node: LabNode) -> bool:
    """Whether the node answers an AMQP greeting with its own."""
    try:
        with socket.create_connection(("127.0.0.1", node.amqp_port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # a method frame: connection.start
    except OSError:
        return False


def serves_management(lab: RunningLab, node: LabNode) -> bool:
    """Whether the management API answers, and the Prometheus port with it."""
    return ask(lab, node, "overview") is not None and answers(node.prometheus_port)


def sees_all(lab: RunningLab, node: LabNode) -> bool:
    """Whether the node sees every node of the lab run in its cluster."""
    running = [n for n in ask(lab, node, "nodes?columns=name,running") or () if n.get("running")]
    return len(running) == len(lab.nodes)


def ask(lab: RunningLab, node: LabNode, path: str) -> Any:
    """What the node's management API answers to `GET /api/PATH`, or None as long as it does not."""
    credentials = base64.b64encode(f"{lab.user}:{lab.password.reveal()}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", node.management_port, timeout=5)
    try:
        connection.request("GET", f"/api/{path}", headers={"Authorization": f"Basic {credentials}"})
        answer = connection.getresponse()
        body = answer.read()
        return json.loads(body) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def last_words(node: LabNode) -> str:
    """What the node printed about its failure: the line after BOOT FAILED, or else its last one."""
    try:
        lines = Path(node.folder, CONSOLE).read_text(errors="replace").splitlines()
    except OSError:
        return "it printed nothing"
    said = [line.strip() for line in lines if line.strip(" =\t")]
    for i, line in enumerate(said[:-1]):
        if "BOOT FAILED" in line:
            return said[i + 1][:300]
    return said[-1][:300] if said else "it printed nothing"
