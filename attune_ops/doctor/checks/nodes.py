"""Whether the cluster nodes are running, connected and below their limits, and no publisher is blocked."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed
from attune_ops.doctor.findings import Problem, Severity, Subject, Unknown
from attune_ops.model import command_lines
from attune_ops.model.command_lines import CommandLine
from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import NodeState
from attune_ops.model.units import size

ROOMY_DISK = 10**9  # bytes free: half of it is still far more than the default limit of 50 MB
SAFE_MEMORY = 0.6  # of the host's memory: the default from RabbitMQ 4.0 on, within what its guide recommends
LITTLE = 0.1  # of the memory that is used: draining less does not end an alarm


@check("AT110", "nodes-running", "all cluster nodes are running", Severity.ERROR, needs=(Source.NODES,))
def nodes_running(facts: Facts) -> Iterator[Problem]:
    """When a node is down, its classic queues are unavailable (durable) or deleted (transient).

    Declaring a durable queue of that node fails with 404 "home node … is down or inaccessible". Workers connected to
    that node lost their connections. Quorum queues stay available while a majority of their members is running.
    The node that answers cannot tell a node that is down from one that it cannot reach over the network. In a
    partition, everything in this report is what that node's side has. With Khepri (RabbitMQ 4.x), the side without a
    majority of the nodes refuses each declare, bind and delete with a timeout, and so no service can start there.
    """
    apart = {name for n in _nodes(facts) for name in n.partitions}
    lost = "; without a majority of the nodes, nothing can be declared, bound or deleted here"
    lost = lost if facts.actual.majority is False else ""
    for node in _nodes(facts):
        if not node.running:
            there = [q.name for q in facts.actual.queues or () if q.node == node.name]
            what = "is on the other side of a partition" if node.name in apart else "is down or unreachable"
            yield Problem(
                Subject("node", node.name),
                f"node {node.name} {what}" + (f"; it hosts {counted(len(there), 'queue')}" if there else "") + lost,
                evidence={"queues": there, "majority": facts.actual.majority},
                remedy="End the partition. Until then its classic queues are unavailable here."
                if node.name in apart
                else "Start the node, or repair the network to it if it is running. Until then its classic queues are "
                "unavailable.",
            )


@check("AT111", "no-partitions", "no network partitions", Severity.ERROR, needs=(Source.NODES,))
def no_partitions(facts: Facts) -> Iterator[Problem]:
    """In a network partition, each side of the cluster can have different queues and bindings.

    What one node reports can be wrong for another node. After the network is repaired, the nodes of one side must be
    restarted (unless `cluster_partition_handling` does it). Messages on that side are lost.
    """
    cut_off = {n.name: list(n.partitions) for n in _nodes(facts) if n.partitions}
    if cut_off:
        here = [n.name for n in _nodes(facts) if n.running]
        there = [
            n.name for n in _nodes(facts) if not n.running and any(n.name in others for others in cut_off.values())
        ]
        sides = f"{listed(here)} and {listed(there)} are apart; this report is of the side of {listed(here)}"
        pairs = listed(f"{n} does not see {listed(o)}" for n, o in cut_off.items())
        yield Problem(
            Subject("broker", facts.actual.cluster or facts.vhost),
            f"the cluster is partitioned: {sides if here and there else pairs}",
            evidence={"partitions": cut_off, "sides": [here, there]},
            remedy="Repair the network, then restart the nodes of the side that you trust less; its messages since the "
            "partition began are lost. Read the other side first: --management-url of one of its nodes.",
        )


@check("AT112", "no-alarms", "no resource alarms in effect", Severity.ERROR, needs=(Source.ALARMS,))
def no_alarms(facts: Facts) -> Iterator[Problem]:
    """During a memory or disk alarm the whole cluster blocks connections that publish. Publishers get no error.

    Consumers continue, so draining queues helps against a memory alarm. Services see a slow broker: confirms do not
    arrive, and publishes time out. The alarm clears as soon as there is enough memory or disk space. Alarms are read
    live; the numbers of the node are statistics, up to 10 s old. Where the numbers show that the limit is the fault
    (much free disk space, or hardly any messages in the memory that is used), the command that changes it is printed,
    that of the memory only where it surely raises the limit. It is in effect until the node restarts; the node's
    configuration file has the limit for later.
    """
    blocked = [c.client_name or c.name for c in facts.actual.connections or () if c.state in _BLOCKED]
    stopped = f"; {counted(len(blocked), 'connection')} blocked" if blocked else ""
    for node, resources in facts.memo(_alarms).items():
        room = next((n for n in _nodes(facts) if n.name == node and _flags(n).issuperset(resources)), None)
        tight = _tight(room, resources) if room else ""  # only where they are as new as the alarm
        numbers = f" ({tight})" if tight else ""
        fixes = [_fix(facts, resource, room) for resource in resources]
        yield Problem(
            Subject("node", node) if node else Subject("broker", facts.actual.cluster or facts.vhost),
            f"{' and '.join(resources)} alarm{f' on {node}' if node else ''}{numbers}: publishers are blocked{stopped}",
            evidence={"alarms": resources, "blocked": blocked, **(_room(room) if room else {})},
            remedy=" ".join(fix for fix, _ in fixes) + " The alarm then clears by itself.",
            commands=tuple(command for _, command in fixes if command),
            inspect_commands=(command_lines.FULLEST,),
        )


def _fix(facts: Facts, resource: str, node: NodeState | None) -> tuple[str, CommandLine | None]:
    """What to do about an alarm, and the command where the node's numbers show that its limit is the fault.

    `node` is None where its numbers are older than the alarm, or say nothing of this resource.
    """
    if resource == "disk":
        free = (node.disk_free if node else None) or 0
        if node is None or free < ROOMY_DISK:
            return "Free disk space on the host of the node.", None
        lower = free // 2
        return (
            f"Free disk space, or lower the limit to {size(lower)} until the node restarts.",
            command_lines.set_disk_free_limit(node.name, lower),
        )
    sizes = [q.message_bytes for q in facts.actual.queues or () if q.messages != 0]
    held = sum(each or 0 for each in sizes)
    used = node.memory_used if node else None
    if node is None or used is None or None in sizes or held > LITTLE * used:
        return "Start the consumers of the fullest queues, or drain or purge these.", None
    useless = f"Messages here take {size(held)}, so draining does not help"
    # The host has at least the memory that is used. Otherwise the configured fraction may be 0.6 or more.
    if node.memory_limit is None or SAFE_MEMORY * used <= node.memory_limit:
        find = "find what takes the memory (`rabbitmq-diagnostics memory_breakdown`)"
        return f"{useless}: {find}, or raise `vm_memory_high_watermark` if the host has more memory.", None
    return (
        f"{useless}: raise the limit until the node restarts.",
        command_lines.set_memory_limit(node.name, SAFE_MEMORY),
    )


def _alarms(facts: Facts) -> dict[str, list[str]]:
    """The resources in alarm by node, '' where it is unknown; live, unlike the flags of the nodes."""
    found: dict[str, list[str]] = {}
    for text in facts.actual.alarms or ():
        resource, _, where = text.partition(" alarm on ")
        found.setdefault(where, []).append(resource.removesuffix(" alarm").removesuffix(" space"))
    return found


def _flags(node: NodeState) -> set[str]:
    """The resources in alarm by the node's statistics, up to 10 s old."""
    return {resource for resource, raised in (("memory", node.memory_alarm), ("disk", node.disk_alarm)) if raised}


def _tight(node: NodeState, resources: list[str]) -> str:
    """The numbers of these resources, as far as the node reports them."""
    known = (("memory", node.memory_used, "used", node.memory_limit),
             ("disk", node.disk_free, "free", node.disk_free_limit))  # fmt: skip
    return ", ".join(
        f"{size(number)} {word}, limit {size(limit)}"
        for resource, number, word, limit in known
        if resource in resources and number is not None and limit is not None
    )


_BLOCKED = ("blocked", "blocking")


@check(
    "AT113",
    "headroom",
    "memory, disk and file descriptors have headroom",
    Severity.WARNING,
    needs=(Source.NODES, Source.ALARMS),
    required=False,
)
def headroom(
    facts: Facts, *, memory_percent: float = 80, descriptors_percent: float = 80, disk_factor: float = 1.5
) -> Iterator[Problem]:
    """A node close to a limit raises an alarm soon.

    Memory is compared with the high watermark, not with the memory of the host; free disk space with a multiple of
    `disk_free_limit`; file descriptors with the limit of the process (each connection and open file uses one). The
    numbers are statistics, up to 10 s old. Alarms are read live: AT112 reports them. During an alarm, and while the
    numbers are older than its end or missing, the check does not pass; it is skipped, unless something else is near its
    limit.
    """
    alarms = facts.memo(_alarms)
    old = []
    for node in _nodes(facts):
        in_alarm = {*alarms.get(node.name, ()), *alarms.get("", ())}
        if node.running and (node.memory_used is None or _flags(node) - in_alarm):
            old.append(node.name)
            continue
        tight = []
        memory, descriptors = (
            _percent(node.memory_used, node.memory_limit),
            _percent(node.descriptors_used, node.descriptors_total),
        )
        if memory > memory_percent and "memory" not in in_alarm:
            tight.append(f"memory at {memory:.0f} % of its limit of {size(node.memory_limit or 0)}")
        if descriptors > descriptors_percent:
            tight.append(f"{node.descriptors_used} of {node.descriptors_total} file descriptors used")
        limit = node.disk_free_limit or 0
        tight_disk = node.disk_free is not None and limit and node.disk_free < disk_factor * limit
        if tight_disk and "disk" not in in_alarm:
            tight.append(f"disk {size(node.disk_free or 0)} free, alarm at {size(limit)}")
        if tight:
            yield Problem(
                Subject("node", node.name),
                f"{node.name}: {', '.join(tight)}",
                evidence=_room(node),
                remedy="Raise the limit of the node, or find the growing queue.",
                inspect_commands=(command_lines.FULLEST,),
            )
    if old:
        raise Unknown(f"no current statistics of {listed(old)} yet; they are up to 10 s old")
    if alarms:
        raise Unknown("AT112 reports an alarm")


@check(
    "AT114",
    "connections-flow",
    "no connections are blocked",
    Severity.WARNING,
    needs=(Source.CONNECTIONS, Source.ALARMS),
    required=False,
)
def connections_flow(facts: Facts) -> Iterator[Problem]:
    """The broker blocks a connection that publishes during an alarm. Its publisher waits without an error.

    During an alarm, AT112 lists the blocked connections, and this check is skipped. Without one, the alarm has just
    cleared, and the connections should continue within seconds. The state `flow` is different: the broker slows down
    a fast publisher for a moment.
    """
    broker = facts.actual
    if broker.alarms:
        raise Unknown("AT112 reports an alarm, and the connections that it blocks")
    if any(map(_flags, _nodes(facts))):  # they are as old as the states of the connections
        raise Unknown("the states of the connections are from before the end of an alarm; they are up to 10 s old")
    blocked = [c for c in broker.connections or () if c.state in _BLOCKED]
    if blocked:
        names = [c.client_name or c.name for c in blocked]
        yield Problem(
            Subject("connection", blocked[0].name),
            f"{counted(len(blocked), 'connection is', 'connections are')} blocked without an alarm: {listed(names)}",
            evidence={"connections": [c.name for c in blocked]},
            remedy="If it lasts, restart the client.",
        )


@check(
    "AT115",
    "statistics-current",
    "management statistics are up to date",
    Severity.WARNING,
    needs=(Source.MANAGEMENT, Source.BROKER),
    required=False,
)
def statistics_current(facts: Facts, *, statistics_backlog: float = 10_000) -> Iterator[Problem]:
    """Consumers, rates and connections come from statistics, which are up to 10 s old on a healthy broker.

    With `management_agent.disable_metrics_collector` the broker collects none: this is not a fault, but several
    checks are skipped. When the statistics database is overloaded, events queue up and all rates are out of date.
    Message counts are not affected: they are read from the queues. With more than two thousand queues the doctor
    does not read rates and ages of worker queues, because that takes the broker most of the time. Their messages and
    consumers are still read.
    """
    broker = facts.actual
    waiting = broker.statistics_backlog or 0
    if broker.statistics_disabled:
        yield Problem(
            Subject("broker", facts.vhost, facts.vhost),
            "statistics are disabled: rates, consumers and connections are unknown",
            remedy="Set management_agent.disable_metrics_collector = false if you need them.",
            severity=Severity.INFO,
        )
    if broker.statistics_left_out:
        yield Problem(
            Subject("broker", facts.vhost, facts.vhost),
            f"rates and ages of {counted(broker.statistics_left_out, 'worker queue')} were not read (it takes seconds)",
            evidence={"queues": broker.statistics_left_out},
            remedy="No action is needed; another command reads them.",
            inspect_commands=(command_lines.FULLEST,),
            severity=Severity.INFO,
        )
    if waiting > statistics_backlog:
        yield Problem(
            Subject("broker", facts.vhost, facts.vhost),
            f"{counted(waiting, 'event')} are not processed yet: rates and consumers are out of date",
            evidence={"statistics_backlog": waiting, "limit": statistics_backlog},
            remedy="Raise collect_statistics_interval, or give the broker more CPU.",
        )


def _nodes(facts: Facts) -> tuple[NodeState, ...]:
    return facts.actual.nodes or ()


def _percent(used: int | None, limit: int | None) -> float:
    return 100 * used / limit if used is not None and limit else 0.0


def _room(node: NodeState) -> dict[str, int | None]:
    names = ("memory_used", "memory_limit", "disk_free", "disk_free_limit", "descriptors_used", "descriptors_total")
    return {name: getattr(node, name) for name in names}
