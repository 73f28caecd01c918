"""Consumers on the topology's queues that the topology does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import own_queues, unknown_consumers
from attune_ops.model.snapshot import ConsumerState
from attune_ops.model.topology import ID, Consumer, Topology


@check(
    "AT417",
    "no-unknown-consumers",
    "only known consumers read Attune's queues",
    Severity.ERROR,
    needs=(Source.BROKER, Source.CONSUMERS),
)
def no_unknown_consumers(facts: Facts) -> Iterator[Problem]:
    """Each message of a queue goes to one of its consumers: what an unknown one gets, the service does not get.

    The topology names each consumer of a queue by its tag. Another tag is a forgotten tool or script, or a program that
    reads the wrong queue. It may acknowledge messages that it does not process, reject them or hold them. Without
    acknowledgements (auto-ack) the broker deletes each message when it sends it. Closing its connection requeues what
    it holds; a client may reconnect, so stop the program too. The tag of another queue is a
    service of another release, or with a wrong queue name: two kinds of consumers on one queue reject each other's
    messages. Its connection is not closed, because it may also do its own work. It is a warning where no service
    consumes from the queue, and where the same connection also has a known consumer: then a service uses another tag
    than the topology. Server-named queues are not checked: they are exclusive to the connection of their replica.
    """
    strangers = facts.memo(unknown_consumers)
    if not strangers:
        return
    services = {c.queue for c in facts.topology.consumers}
    serving = {c.connection for c in facts.actual.consumers or () if c not in strangers.get(c.queue, ())}
    printed: set[str] = set()  # a connection is closed once
    for queue, consumers in strangers.items():
        is_read = facts.memo(own_queues)[queue] in services
        misplaced = [c for c in consumers if _usual(facts.topology, c.tag)]
        foreign = [c for c in consumers if c.connection not in serving and c not in misplaced]
        connections = sorted({c.connection for c in foreign if c.connection} - printed)
        printed.update(connections)
        yield Problem(
            Subject("queue", queue),
            f"{queue} has {'an unknown consumer' if len(consumers) == 1 else f'{len(consumers)} unknown consumers'}: "
            + listed(_described(facts, c) for c in consumers),
            evidence={"consumers": [_evidence(facts, c) for c in consumers]},
            remedy=_remedy(foreign, misplaced),
            commands=tuple(command_lines.close_connection(name) for name in connections),
            inspect_commands=(command_lines.consumers(queue),),
            severity=None if is_read and (foreign or misplaced) else Severity.WARNING,
        )


def _usual(topology: Topology, tag: str) -> Consumer | None:
    """The consumer of the topology that has this tag, on whatever queue."""
    patterns = ((c, re.escape(c.tag).replace(re.escape(ID), "-?[0-9]+")) for c in topology.consumers if c.tag)
    return next((c for c, pattern in patterns if re.fullmatch(pattern, tag)), None)


def _remedy(foreign: list[ConsumerState], misplaced: list[ConsumerState]) -> str:
    if any(c.ack_required is False for c in foreign):
        return "Stop that program. The messages that it got are lost: the broker deleted them when it sent them."
    if foreign:
        return "Stop that program. Closing its connection requeues what it holds."
    if misplaced:
        return "Stop that service, and start it with the release and the configuration of the others."
    return "Correct the consumer tag in the topology file."


def _described(facts: Facts, c: ConsumerState) -> str:
    held, usual = _evidence(facts, c)["held"], _usual(facts.topology, c.tag)
    how = f"prefetch {c.prefetch or 'unlimited'}" + ("" if held is None else f", holds {counted(held, 'message')}")
    if c.ack_required is False:
        how = "auto-ack: each message is lost when it is sent"
    tag = f"{c.tag!r}" + (f" (the tag of the {usual.service} on {usual.queue})" if usual else "")
    return (
        f"{tag} of {_client(facts, c) or 'an unnamed client'} on {c.peer_host or 'an unknown host'} "
        f"(user {c.user or 'unknown'}, connection {c.connection or 'unknown'}, {how})"
    )


def _client(facts: Facts, c: ConsumerState) -> str | None:
    connection = facts.actual.connection_named.get(c.connection)
    return connection.client_name or connection.product if connection else None


def _evidence(facts: Facts, c: ConsumerState) -> dict[str, Any]:
    channel, usual = facts.actual.channel_named.get(c.channel), _usual(facts.topology, c.tag)
    return {
        "tag": c.tag, "service": usual.service if usual else None, "connection": c.connection, "channel": c.channel,
        "client": _client(facts, c), "user": c.user, "host": c.peer_host, "prefetch": c.prefetch, "ack": c.ack_required,
        "held": channel.messages_unacknowledged if channel else None,
    }  # fmt: skip
