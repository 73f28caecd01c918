"""Features that RabbitMQ deprecates or removes, on this broker and in the next version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed, without_policies
from attune_ops.doctor.findings import Problem, Severity, Subject, Unknown
from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import QueueState
from attune_ops.topology.redeclaration import TRANSIENT, unknown_denial

NEXT = "4.3"  # the default target version

REMEDY = (
    "Declare the queue durable, durable with x-expires, or transient and exclusive; or set "
    f"deprecated_features.permit.{TRANSIENT} = true on all nodes before the upgrade."
)
DENIED = ("global_qos", "amqp_address_v1", "queue_master_locator", "ram_node_type")  # by 4.3, as measured on 4.3.6
MIRRORING = ("ha-mode", "ha-params", "ha-sync-mode", "ha-promote-on-shutdown", "ha-promote-on-failure")


def _transient(facts: Facts) -> tuple[QueueState, ...]:
    queues = (facts.broker.queues if facts.broker else None) or ()
    return tuple(q for q in queues if not q.durable and not q.exclusive)


def _wanted_transient(facts: Facts) -> list[str]:
    return [q.name for q in facts.topology.queues if not q.durable and not q.exclusive]


@check("AT701", "deprecated-unused", "no deprecated features in use", Severity.INFO, needs=(Source.DEPRECATED,))
def deprecated_unused(facts: Facts) -> Iterator[Problem]:
    """The broker reports which deprecated features exist, whether it permits them, and which are in use.

    The default of a version is not reliable: distributions patch it (Debian's 4.3.6 permits what upstream's 4.3
    denies), and the configuration can change it. For transient queues the finding lists the queues and the clients
    that consume from them. The broker does not record which client declared a queue.
    """
    for feature in facts.actual.deprecated or ():
        if not feature.used:
            continue
        queues = _transient(facts) if feature.name == TRANSIENT else ()
        clients = sorted(_clients(facts, queues))
        by = f" by {listed([q.name for q in queues], 3)}" if queues else ""
        by += f" (consumed by {listed(clients, 3)})" if clients else ""
        yield Problem(
            Subject("broker", feature.name),
            f"{feature.name} is in use{by}; this broker {_stance(feature.state, feature.phase)}",
            evidence={"feature": feature.name, "state": feature.state, "phase": feature.phase,
                      "queues": [q.name for q in queues], "clients": clients},
            remedy=REMEDY if queues else "Find its user before the next upgrade.",
        )  # fmt: skip


def _stance(state: str | None, phase: str | None) -> str:
    if state is not None:
        return f"reports it as {state}"
    return f"does not report its state, only the phase {phase}" if phase else "does not report its state"


def _clients(facts: Facts, queues: tuple[QueueState, ...]) -> set[str]:
    """The names of the connections that consume from these queues."""
    named, consumers = facts.actual.connection_named, facts.actual.consumers_of
    connections = {c.connection for q in queues for c in consumers.get(q.name, ())}
    return {(named[c].client_name if c in named else None) or c for c in connections}


@check(
    "AT702",
    "declares-permitted",
    "broker permits the topology's queues",
    Severity.ERROR,
    needs=(Source.DEPRECATED,),
    may_recover=True,
    any_broker=False,
)
def declares_permitted(facts: Facts) -> Iterator[Problem]:
    """A broker that denies transient non-exclusive queues closes the connection of each worker that declares one.

    Upstream RabbitMQ does so by default from 4.3.0 on. The declare closes the connection (not only the channel) with
    541 INTERNAL_ERROR "Feature `transient_nonexcl_queues` is deprecated". The worker is registered by then, and
    leaves a row without a queue. An import of definitions skips such queues silently. If such queues exist on a 4.3
    node, it does not boot after they are denied: delete them first. RabbitMQ 4.0 does not report whether it denies
    them; the check is then skipped.
    """
    names = _wanted_transient(facts)
    denied = [f for f in facts.actual.deprecated or () if f.name == TRANSIENT and f.state == "denied"]
    if names and denied:
        yield Problem(
            Subject("broker", TRANSIENT),
            f"this broker denies {TRANSIENT}: declaring {listed(names)} fails with 541 and closes the connection",
            evidence={"feature": TRANSIENT, "state": "denied", "queues": names},
            remedy=REMEDY,
        )
    elif names and (reason := unknown_denial(facts)):
        raise Unknown(f"it is unknown whether transient queues are denied: {reason}")


class _Target(NamedTuple):
    """The version to check for. `severity` is info where it is the default and not named by the user."""

    text: str
    version: tuple[int, int]
    severity: Severity | None


def _target(facts: Facts, since: tuple[int, int]) -> _Target | None:
    """The target version if it is at least `since` and this broker is older; else None."""
    text = facts.target_version or NEXT
    now, version = _version(facts.broker.version if facts.broker else None), _version(text)
    if version is None or version < since or (now is not None and now >= version):
        return None
    return _Target(text, version, None if facts.target_version else Severity.INFO)


def target_note(facts: Facts) -> str | None:
    """A remark about a target version that is not an upgrade, or newer than what is known."""
    target, now = _version(facts.target_version), _version(facts.broker.version if facts.broker else None)
    if target is None or facts.target_version is None:
        return None
    if now is not None and facts.broker is not None and target <= now:
        how = "the version of this broker" if target == now else "older than this broker"
        return f"RabbitMQ {facts.target_version} is {how} ({facts.broker.version}): not an upgrade"
    if target > (_version(NEXT) or target):
        return f"nothing is known about RabbitMQ after {NEXT}: {facts.target_version} is checked as {NEXT}"
    return None


@check(
    "AT703",
    "next-takes-queues",
    "next RabbitMQ version permits the topology's queues",
    Severity.WARNING,
    any_broker=False,
)
def next_takes_queues(facts: Facts) -> Iterator[Problem]:
    """Upstream RabbitMQ denies transient non-exclusive queues by default from 4.3.0 on: declaring one fails with 541.

    A 4.3 node that still has such queues when they are denied does not boot ("failed_to_deny_deprecated_features").
    Delete them before the upgrade, or boot once with the feature permitted, delete them, and restart. Only the
    broker itself reports whether it permits the feature: check AT702 after the upgrade. Checked for
    `--target-version`, 4.3 by default. With that option the severity is warning, otherwise info.
    """
    target, queues, templates = _target(facts, (4, 3)), _transient(facts), _wanted_transient(facts)
    if target is not None and (queues or templates):
        there = f"; delete {counted(len(queues), 'such queue')} before the upgrade" if queues else ""
        yield Problem(
            Subject("broker", TRANSIENT),
            f"RabbitMQ {target.text} denies {TRANSIENT} by default (some distributions permit it); if denied, "
            f"declaring {listed(templates or [q.name for q in queues])} fails with 541{there}",
            evidence={"target": target.text, "topology": templates, "queues": [q.name for q in queues]},
            remedy=REMEDY,
            severity=target.severity,
        )


@check(
    "AT704",
    "next-takes-features",
    "next RabbitMQ version permits all features in use",
    Severity.WARNING,
    needs=(Source.BROKER,),
)
def next_takes_features(facts: Facts) -> Iterator[Problem]:
    """RabbitMQ 4.3 denies more by default than 4.0 does: global QoS, AMQP addresses v1, the queue master locator.

    The broker reports deprecated features in use, but not all of them, and only from 3.13 on. So the check also
    searches for queues and policies with a master locator, and for channels with a global prefetch, which RabbitMQ 4
    no longer lists. Where one of these is unknown and none is found, the check is skipped. AT703 checks transient
    queues.
    """
    target = _target(facts, (4, 3))
    reported: dict[str, list[str]] = {f.name: [] for f in facts.actual.deprecated or () if f.used and f.name in DENIED}
    users = reported | _users(facts)
    if target is not None and users:
        by = listed([name for names in users.values() for name in names], 3)
        yield Problem(
            Subject("broker", next(iter(users))),
            f"RabbitMQ {target.text} denies {listed(users)} by default, which is in use here"
            + (f": {by}" if by else ""),
            evidence={"target": target.text, "features": list(users), "users": users},
            remedy="Change that client, queue or policy before the upgrade.",
            severity=target.severity,
        )
    elif target is not None:
        reason = facts.missing_reason((Source.DEPRECATED, Source.CONNECTIONS)) or without_policies(facts)
        if reason:
            raise Unknown(f"it is not known which features are in use: {reason}")


def _users(facts: Facts) -> dict[str, list[str]]:
    """The objects that use a feature that RabbitMQ 4.3 denies, by feature."""
    seen = facts.actual
    channels = [c for c in seen.channels or () if c.global_prefetch]
    located = [f"policy {p.name}" for p in seen.policies or () if "queue-master-locator" in p.definition]
    located += [f"queue {q.name}" for q in seen.queues or () if "x-queue-master-locator" in q.arguments]
    named = seen.connection_named
    clients = dict.fromkeys(
        (named[c.connection].client_name if c.connection in named else None) or c.connection for c in channels
    )
    found = {"global_qos": [f"connection {name}" for name in clients], "queue_master_locator": located}
    return {feature: users for feature, users in found.items() if users}


@check(
    "AT705",
    "next-takes-policies",
    "next RabbitMQ version supports all policies",
    Severity.WARNING,
    needs=(Source.BROKER,),
    unknown=without_policies,
)
def next_takes_policies(facts: Facts) -> Iterator[Problem]:
    """RabbitMQ 4.0 removed classic queue mirroring: a policy with `ha-mode` has no effect there.

    The queues remain, each on one node only. When that node is down, they are unavailable or deleted.
    """
    target = _target(facts, (4, 0))
    mirrored = [p.name for p in facts.actual.policies or () if any(key in p.definition for key in MIRRORING)]
    if target is not None and mirrored:
        yield Problem(
            Subject("policy", mirrored[0]),
            f"RabbitMQ {target.text} has no mirrored classic queues: policy {listed(mirrored)} has no effect there",
            evidence={"target": target.text, "policies": mirrored},
            remedy="Use quorum queues where replication is needed, and remove the ha- keys from the policies.",
            severity=target.severity,
        )


def _version(text: str | None) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", text or "")
    return (int(found[1]), int(found[2])) if found else None
