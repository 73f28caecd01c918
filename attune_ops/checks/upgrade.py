"""What this broker, and the next version of it, make of features that RabbitMQ is giving up."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attune_ops.checks import check
from attune_ops.checks._phrases import counted, listed
from attune_ops.equivalence import TRANSIENT
from attune_ops.facts import Facts, Source
from attune_ops.findings import Problem, Severity, Subject
from attune_ops.snapshot import PolicyState, QueueState

NEXT = "4.3"  # judged for unless another target is named

WAYS_OUT = (
    "Declare the queue durable, or durable with x-expires, or transient and exclusive; or set "
    f"deprecated_features.permit.{TRANSIENT} = true on all nodes before the upgrade."
)
MIRRORING = ("ha-mode", "ha-params", "ha-sync-mode", "ha-promote-on-shutdown", "ha-promote-on-failure")


def _transient(facts: Facts) -> tuple[QueueState, ...]:
    queues = (facts.broker.queues if facts.broker else None) or ()
    return tuple(q for q in queues if not q.durable and not q.exclusive)


def _wanted_transient(facts: Facts) -> list[str]:
    return [q.name for q in facts.topology.queues if not q.durable and not q.exclusive]


@check(
    "AT701",
    "deprecated-unused",
    group="upgrade",
    title="no deprecated feature is in use",
    severity=Severity.INFO,
    needs=(Source.DEPRECATED,),
    matters=False,
    heals=False,
)
def deprecated_unused(facts: Facts) -> Iterator[Problem]:
    """The broker itself says which deprecated features exist, whether it permits them, and which are in use.

    What a version does by default tells nothing about this broker: distributions patch it (Debian's 4.3.6 permits
    what upstream's 4.3 denies), and the configuration may say otherwise. For transient queues the report names the
    queues and the clients that consume from them; the broker does not keep who declared a queue.
    """
    for feature in facts.seen.deprecated or ():
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
            remedy=WAYS_OUT if queues else "Find out who uses it before the next upgrade.",
            causes=(("AT702", feature.name), ("AT703", feature.name)),
        )  # fmt: skip


def _stance(state: str | None, phase: str | None) -> str:
    if state is not None:
        return f"has it {state}"
    return f"does not tell its state, only the phase {phase}" if phase else "does not tell its state"


def _clients(facts: Facts, queues: tuple[QueueState, ...]) -> set[str]:
    """The names of the connections that consume from these queues."""
    named, consumers = facts.seen.connection_named, facts.seen.consumers_of
    connections = {c.connection for q in queues for c in consumers.get(q.name, ())}
    return {(named[c].client_name if c in named else None) or c for c in connections}


@check(
    "AT702",
    "declares-permitted",
    group="upgrade",
    title="the broker permits every queue that the topology declares",
    severity=Severity.ERROR,
    needs=(Source.DEPRECATED,),
    matters=False,
)
def declares_permitted(facts: Facts) -> Iterator[Problem]:
    """A broker that denies transient non-exclusive queues ends the connection of each worker that declares one.

    Upstream RabbitMQ does so by default from 4.3.0 on. The declare closes the connection (not only the channel) with
    541 INTERNAL_ERROR "Feature `transient_nonexcl_queues` is deprecated"; the worker has registered by then, and
    leaves a row without a queue. An import of definitions leaves such queues out without a word. A node of 4.3
    on which such queues exist refuses to boot once they are denied: delete them first.
    """
    names = _wanted_transient(facts)
    denied = [f for f in facts.seen.deprecated or () if f.name == TRANSIENT and f.state == "denied"]
    if names and denied:
        yield Problem(
            Subject("broker", TRANSIENT),
            f"this broker denies {TRANSIENT}: declaring {listed(names)} ends in 541 and closes the connection",
            evidence={"feature": TRANSIENT, "state": "denied", "queues": names},
            remedy=WAYS_OUT,
        )


@check(
    "AT703",
    "next-version",
    group="upgrade",
    title="the next version takes what is here",
    severity=Severity.WARNING,
    matters=False,
    heals=False,
)
def next_version(facts: Facts) -> Iterator[Problem]:
    """What the target version (`--target-version`, 4.3 unless named) refuses of what the topology and broker have.

    4.0 removed classic queue mirroring: policies with `ha-mode` have no effect there. 4.3 denies transient
    non-exclusive queues by default: declaring one answers 541, and a node that still has some when they are denied
    does not boot ("failed_to_deny_deprecated_features"). Delete them before, or boot once with the feature permitted,
    delete them, and restart. Whether a given broker permits it says only the broker itself: after an upgrade look
    at AT702. Asked for by name this is a warning, else merely noted.
    """
    target = facts.target_version or NEXT
    now, wants = _version(facts.broker.version if facts.broker else None), _version(target)
    severity = None if facts.target_version else Severity.INFO
    if now is not None and wants is not None and now >= wants:
        return
    queues, templates = _transient(facts), _wanted_transient(facts)
    if wants is not None and wants >= (4, 3) and (queues or templates):
        names = templates or [q.name for q in queues]
        there = (
            f"; {counted(len(queues), 'such queue')} on this broker would keep its node from booting" if queues else ""
        )
        yield Problem(
            Subject("broker", TRANSIENT),
            f"RabbitMQ {target} denies {TRANSIENT} by default: declaring {listed(names)} ends in 541{there}",
            evidence={"target": target, "topology": templates, "queues": [q.name for q in queues]},
            remedy=WAYS_OUT,
            severity=severity,
        )
    mirrored = [p.name for p in _policies(facts) if any(key in p.definition for key in MIRRORING)]
    if wants is not None and wants >= (4, 0) and mirrored:
        yield Problem(
            Subject("policy", mirrored[0]),
            f"RabbitMQ {target} has no mirrored classic queues: {listed(mirrored)} will mirror nothing",
            evidence={"target": target, "policies": mirrored},
            remedy="Use quorum queues where copies are needed, and take the ha- keys out of the policies.",
            severity=severity,
        )


def _policies(facts: Facts) -> tuple[PolicyState, ...]:
    return (facts.broker.policies if facts.broker else None) or ()


def _version(text: str | None) -> tuple[int, int] | None:
    found = re.match(r"(\d+)\.(\d+)", text or "")
    return (int(found[1]), int(found[2])) if found else None
