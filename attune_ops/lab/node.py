"""One node of the lab: its files, its environment, and when it is ready."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from attune_ops.installation.amqp import greet
from attune_ops.installation.config import Endpoint
from attune_ops.installation.config.running_lab import LabNode, Process, RunningLab
from attune_ops.installation.light_http import LightHttp
from attune_ops.installation.management import Management
from attune_ops.lab import process
from attune_ops.lab.ports import PER_NODE, answers
from attune_ops.lab.server import Server, search_path
from attune_ops.model.errors import SourceError

T = TypeVar("T")

PLUGINS = ("rabbitmq_management", "rabbitmq_prometheus")
CONSOLE = "console.log"
ANSWER_S = 5.0


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
        greet(Endpoint("amqp", "127.0.0.1", node.amqp_port, lab.user, lab.password, "/"), timeout=ANSWER_S)
    except SourceError:
        return False
    return True


def serves_management(lab: RunningLab, node: LabNode) -> bool:
    """Whether the management API answers, and the Prometheus port with it."""
    return version(lab, node) is not None and answers(node.prometheus_port)


def sees_all(lab: RunningLab, node: LabNode) -> bool:
    """Whether the node sees every node of the lab run in its cluster."""
    return sum(n.running for n in _ask(lab, node, Management.nodes) or ()) == len(lab.nodes)


def version(lab: RunningLab, node: LabNode) -> str | None:
    """The RabbitMQ version of the node, None while its management API does not answer."""
    overview = _ask(lab, node, Management.overview)
    return overview.rabbitmq_version if overview else None


def _ask(lab: RunningLab, node: LabNode, read: Callable[[Management], T]) -> T | None:
    """What the node's management API answers, None while it does not."""
    endpoint = Endpoint("http", "127.0.0.1", node.management_port, lab.user, lab.password)
    with suppress(SourceError), Management(LightHttp(endpoint, ANSWER_S, None), "/") as management:
        return read(management)
    return None


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
