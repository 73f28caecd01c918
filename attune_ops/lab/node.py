"""One node of the lab: its ports, its files, its environment, and when it is ready."""

from __future__ import annotations

import contextlib
import os
import socket
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from attune_ops.installation.amqp import greet
from attune_ops.installation.config import Endpoint
from attune_ops.installation.config.running_lab import LabNode, Process, RunningLab
from attune_ops.installation.light_http import LightHttp
from attune_ops.installation.management import Management
from attune_ops.lab import process
from attune_ops.lab.folder import write_private
from attune_ops.lab.server import Server, search_path
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.files import lock, make_folder

T = TypeVar("T")

PLUGINS = ("rabbitmq_management", "rabbitmq_prometheus")
CONSOLE = "console.log"
ANSWER_S = 5.0

# Below the ephemeral port range, so that a stopped node finds its ports free again. The lab's own epmd holds the first
# port of the block as long as it runs.
FIRST, LAST, BLOCK = 20000, 32000, 32
STANDARD = (25672,)  # RabbitMQ's own port in this range: a system-wide broker may be started later
PER_NODE = 4  # AMQP, management, Prometheus, distribution
MOST_NODES = (BLOCK - 1) // PER_NODE


def make(folder: Path, ordinal: int, block: range) -> LabNode:
    """The node of that number, counted from 1, with its ports from the block."""
    first = 1 + (ordinal - 1) * PER_NODE
    amqp, management, prometheus, distribution = block[first : first + PER_NODE]
    name = f"attune-{ordinal}"
    return LabNode(f"{name}@localhost", str(folder / name), amqp, management, prometheus, distribution)


def configuration(lab: RunningLab, node: LabNode, extra: Sequence[str] = ()) -> str:
    """The node's rabbitmq.conf, with the password."""
    lines = [
        f"listeners.tcp.1 = 127.0.0.1:{node.amqp_port}",
        "management.tcp.ip = 127.0.0.1",
        f"management.tcp.port = {node.management_port}",
        "prometheus.tcp.ip = 127.0.0.1",
        f"prometheus.tcp.port = {node.prometheus_port}",
        f"default_user = {lab.user}",
        f"default_pass = {lab.password.reveal()}",
        # With its begin: a history belongs to the cluster's name, and the next lab of this name is another cluster.
        f"cluster_name = attune-ops-lab-{lab.name}-{lab.created:%Y%m%dT%H%M%S}",
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
    """The environment of the lab's programs, without the configuration of a system-wide broker."""
    made = {k: v for k, v in os.environ.items() if k in ("LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "USER", "LOGNAME")}
    made = {"LANG": "C.UTF-8"} | made
    none = str(Path(lab.folder, "none"))
    made |= {
        **lab.ctl_environment,
        "PATH": search_path(),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONF_ENV_FILE": none,
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
            # The script becomes the broker instead of its parent, so that the pid is the broker's.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
    return made


def start(
    lab: RunningLab, node: LabNode, server: Server, record: Callable[[Process], None], extra: Sequence[str] = ()
) -> Process:
    """Writes the node's files and starts it, without waiting for it."""
    folder = Path(node.folder)
    for part in ("data", "log"):
        make_folder(folder / part)
    write_private(folder / "rabbitmq.conf", configuration(lab, node, extra))
    plugins = ",".join((*PLUGINS, *lab.plugins))
    (folder / "enabled_plugins").write_text(f"[{plugins}].\n")
    return process.launch([server.start], environment(lab, node), folder, folder / CONSOLE, record)


def speaks_amqp(lab: RunningLab, node: LabNode) -> bool:
    """Whether the node answers an AMQP protocol header."""
    try:
        greet(Endpoint("amqp", "127.0.0.1", node.amqp_port, lab.user, lab.password, "/"), timeout=ANSWER_S)
    except SourceError:
        return False
    return True


def serves_management(lab: RunningLab, node: LabNode) -> bool:
    """Whether the management API answers, and the Prometheus port with it."""
    return version(lab, node) is not None and answers(node.prometheus_port)


def sees_all(lab: RunningLab, node: LabNode) -> bool:
    """Whether every node of the lab is running in the cluster of this node."""
    return sum(n.running for n in _ask(lab, node, Management.nodes) or ()) == len(lab.nodes)


def version(lab: RunningLab, node: LabNode) -> str | None:
    """The RabbitMQ version of the node, None while its management API does not answer."""
    overview = _ask(lab, node, Management.overview)
    return overview.rabbitmq_version if overview else None


def _ask(lab: RunningLab, node: LabNode, read: Callable[[Management], T]) -> T | None:
    """The answer of the node's management API, None while it does not answer."""
    endpoint = Endpoint("http", "127.0.0.1", node.management_port, lab.user, lab.password)
    with contextlib.suppress(SourceError), Management(LightHttp(endpoint, ANSWER_S), "/") as management:
        return read(management)
    return None


def last_output(node: LabNode) -> str:
    """The node's own words about its failure: the line or Erlang term after BOOT FAILED, or else its last line."""
    try:
        lines = Path(node.folder, CONSOLE).read_text(errors="replace").splitlines()
    except OSError:
        return "no output"
    printed = [line.strip() for line in lines if line.strip(" =\t")]
    for i, line in enumerate(printed[:-1]):
        if "BOOT FAILED" in line:
            return _whole(printed[i + 1 :])[:300]
    return printed[-1][:300] if printed else "no output"


def _whole(lines: list[str]) -> str:
    """The first line, with those that follow up to the last bracket that it opened."""
    text = lines[0]
    for line in lines[1:]:
        if sum(map(text.count, "{[(")) <= sum(map(text.count, "}])")):
            break
        text += f" {line}"
    return text


@contextlib.contextmanager
def choosing_ports() -> Iterator[None]:
    """Lets one lab at a time choose its ports on this machine, until its epmd holds the first one of its block.

    The lock is on the root folder, which exists and which every user can open.
    """
    descriptor = os.open("/", os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: two labs could choose the same ports
            lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def free_block(seed: str) -> range:
    """A block of ports that nothing listens on; the same seed gives the same block while it is free."""
    starts = range(FIRST, LAST, BLOCK)
    first = zlib.crc32(seed.encode()) % len(starts)
    for start in (*starts[first:], *starts[:first]):
        block = range(start, start + BLOCK)
        if not any(port in block for port in STANDARD) and all(map(is_free, block)):
            return block
    raise ActionError(f"no {BLOCK} consecutive free loopback ports between {FIRST} and {LAST}")


def is_free(port: int) -> bool:
    """Whether a server could listen on that loopback port now."""
    with socket.socket() as probe:
        # As servers do: connections of the previous owner in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    """Whether something accepts connections on that loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False
