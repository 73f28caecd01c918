"""Declaring what a broker lacks of a topology."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from attune_ops.installation import audit
from attune_ops.installation.amqp import open_connection
from attune_ops.installation.amqp_write import BrokerRefused, bind, declare_exchange, declare_queue
from attune_ops.installation.collect import collect
from attune_ops.installation.config.settings import Settings
from attune_ops.model.facts import Source
from attune_ops.model.ownership import require
from attune_ops.model.topology import Binding, Exchange, Queue
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import ApplyResult, BrokerError, Declaration, Difference, Fix, TopologyDiff

if TYPE_CHECKING:
    from pika import BlockingConnection
    from pika.adapters.blocking_connection import BlockingChannel

Wanted = Exchange | Queue | Binding


# What a plan is made of.
SOURCES = (Source.BROKER, Source.DEPRECATED, Source.REGISTRY, Source.PERMISSIONS)
LISTINGS = ("exchanges", "queues", "bindings", "policies", "default_queue_type")

SETTLING_S = 5.0  # how long what was declared may take to be listed


def compare(settings: Settings) -> TopologyDiff:
    """Reads broker and registry and compares them with the topology; needs tag management, changes nothing.

    Raises `SourceError` where the broker cannot be read.
    """
    facts = collect(settings, SOURCES, listings=LISTINGS)
    require(facts, Source.BROKER)
    if settings.amqp.user != settings.management.user:  # whose rights were read is not who declares
        facts = msgspec.structs.replace(facts, reach=())
    return diff(facts)


def apply_topology(settings: Settings, *, write: bool, confirm: str | None = None) -> ApplyResult:
    """Declares what the broker lacks of the topology and reads it back; without `write` says what it would do.

    Changes nothing that is there and deletes nothing. Undo: delete the queues and exchanges that were declared;
    their bindings go with them. `confirm` is the environment's name where it is protected. Raises `SourceError`
    where the broker cannot be read or reached, and `ConfigError` at the gate.
    """
    before = compare(settings)
    if not write:
        steps = (d for d in before.differences if d.fix is Fix.DECLARE)
        return ApplyResult(
            before, tuple(Declaration(d.subject, d.name, "to declare", None, d.worker_id) for d in steps)
        )
    outcomes = _declare(settings, before, confirm)
    after, deadline = compare(settings), time.monotonic() + SETTLING_S
    while _lost(outcomes, after) and time.monotonic() < deadline:
        time.sleep(0.2)
        after = compare(settings)
    lost = _lost(outcomes, after)
    return ApplyResult(
        before, tuple(msgspec.structs.replace(o, status="lost") if o in lost else o for o in outcomes), after
    )


def _declare(settings: Settings, plan: TopologyDiff, confirm: str | None) -> tuple[Declaration, ...]:
    """Declares the plan's steps as one change in the journal; passes the gate even where there is nothing to do."""
    if not plan.steps:
        audit.check_confirmation(settings, confirm)
        return ()
    names = [d.name for d in plan.differences if d.fix is Fix.DECLARE]
    subject = f"{plan.topology} in virtual host {plan.vhost}"
    outcomes: list[Declaration] = []
    with audit.change(settings, "topology apply", subject, confirm=confirm, declares=names) as journal:
        # Filled as it goes, so that the journal of an interrupted run names what stays.
        declared, refused = journal.setdefault("declared", []), journal.setdefault("refused", {})
        for outcome in declare_steps(settings, plan):
            outcomes.append(outcome)
            if outcome.answer is None:
                declared.append(outcome.name)
            else:
                refused[outcome.name] = outcome.answer.text
    return tuple(outcomes)


def _lost(outcomes: tuple[Declaration, ...], after: TopologyDiff) -> list[Declaration]:
    """What was declared without an error and still differs: a silent refusal, or somebody deleted it meanwhile."""
    return [o for o in outcomes if o.status == "declared" and any(d.is_drift for d in after.about(o.subject, o.name))]


def declare_steps(settings: Settings, plan: TopologyDiff) -> Iterator[Declaration]:
    """Declares what the plan says can be declared, in its order; deletes and changes nothing that is there.

    What is refused is in its outcome, and the rest goes on: a refusal closes a channel or a connection, which is
    opened again. Undo: delete the queues and exchanges that were declared; their bindings go with them.
    Raises `SourceError` where the broker cannot be reached.
    """
    line = _Line(settings)
    try:
        for difference in plan.differences:
            if difference.fix is Fix.DECLARE and difference.item is not None:
                yield _outcome(line, difference, difference.item)
    finally:
        line.close()


def _outcome(line: _Line, difference: Difference, wanted: Wanted) -> Declaration:
    refused = line.declare(wanted)
    return Declaration(
        difference.subject, difference.name, "refused" if refused else "declared", refused, difference.worker_id
    )


class _Line:
    """A channel that is opened anew after the broker closed it, with its connection if need be."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None

    def declare(self, wanted: Wanted) -> BrokerError | None:
        """Declares or binds one thing; returns the broker's answer where it refused."""
        channel = self._open()
        try:
            if isinstance(wanted, Exchange):
                declare_exchange(channel, wanted)
            elif isinstance(wanted, Queue):
                declare_queue(channel, wanted)
            else:
                bind(channel, wanted)
        except BrokerRefused as e:
            return BrokerError(e.code or 0, e.text, "connection" if channel.connection.is_closed else "channel")
        return None

    def _open(self) -> BlockingChannel:
        if self._connection is None or self._connection.is_closed:
            s = self._settings
            self._connection = open_connection(
                s.amqp, name="attune-ops topology apply", timeout=s.timeout, ca_file=s.ca_file
            )
            self._channel = None
        if self._channel is None or self._channel.is_closed:
            self._channel = self._connection.channel()
        return self._channel

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
