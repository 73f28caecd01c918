"""Deliveries that are not acknowledged, consumers stuck at their prefetch limit, cancelled consumers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed, worker_name
from attune_ops.doctor.findings import Problem, Severity, Subject, Unknown
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import expected_consumers, own_queues, starting_workers
from attune_ops.model.snapshot import BrokerSnapshot, ChannelState, ConsumerState
from attune_ops.model.units import age

STATISTICS_INTERVAL_S = 5.5  # RabbitMQ updates them every 5 s
RESTART_REMEDY = "Restart that process: its messages are requeued."
BUSY_REMEDY = (
    "Compare it with the executions that the worker runs: a long action is no fault. Restart the worker only if it "
    "hangs: its unacknowledged messages are requeued, but what it runs is lost, or runs again."
)


def _holding(facts: Facts, idle: float) -> Iterator[tuple[ChannelState, tuple[ConsumerState, ...], timedelta]]:
    """The channels with unacknowledged messages that are idle for `idle` seconds, with their consumers and the time."""
    for channel in facts.actual.channels or ():
        if not channel.messages_unacknowledged or channel.idle_since is None:
            continue
        since = facts.taken_at - channel.idle_since
        if since.total_seconds() >= idle:
            yield channel, facts.actual.consumers_on.get(channel.name, ()), since


def _is_full(consumers: tuple[ConsumerState, ...], held: int) -> bool:
    """Whether the channel's consumers together hold as many messages as their prefetch allows."""
    return bool(consumers) and all(c.prefetch for c in consumers) and held >= sum(c.prefetch or 0 for c in consumers)


def _client(facts: Facts, channel: ChannelState) -> str:
    connection = facts.actual.connection_named.get(channel.connection)
    if connection is None:
        return channel.connection
    return f"{connection.client_name or connection.name} on {connection.peer_host or 'an unknown host'}"


def _evidence(facts: Facts, channel: ChannelState, consumers: tuple[ConsumerState, ...]) -> dict[str, object]:
    connection = facts.actual.connection_named.get(channel.connection)
    return {
        "unacknowledged": channel.messages_unacknowledged, "idle_since": channel.idle_since,
        "channel": channel.name, "connection": channel.connection,
        "client": connection.client_name if connection else None,
        "host": connection.peer_host if connection else None,
        "queues": sorted({c.queue for c in consumers}), "tags": [c.tag for c in consumers],
        "prefetch": [c.prefetch for c in consumers],
    }  # fmt: skip


def _severity(facts: Facts, queues: list[str]) -> Severity | None:
    """Info where all queues are foreign; a channel without a known queue counts as Attune's."""
    return Severity.INFO if queues and not facts.memo(own_queues).keys() & set(queues) else None


def _may_be_busy(facts: Facts, queues: list[str], since: timedelta, limit: float) -> bool:
    """Whether these are queues of workers, where an action may take that long."""
    return facts.owner_of.keys() >= set(queues) and since.total_seconds() < limit


@check(
    "AT502",
    "nothing-held",
    "no long-unacknowledged deliveries",
    Severity.WARNING,
    needs=(Source.CONSUMERS, Source.CONNECTIONS),
    any_broker=True,
)
def nothing_held(facts: Facts, *, held_s: float = 900) -> Iterator[Problem]:
    """Delivered messages that are not acknowledged are held by one consumer.

    They count as unacknowledged, are not delivered to another consumer, and are requeued only when the channel closes.
    The statistics of the channel show how many messages it holds, and when it was last active. A long execution cannot
    be distinguished from a hung worker, so the limit (15 min) should be longer than any execution. From RabbitMQ 4.3
    on, the broker's acknowledgement timeout no longer covers classic queues: nothing there ends the wait.
    """
    for channel, consumers, since in _holding(facts, held_s):
        held = channel.messages_unacknowledged or 0
        queues = sorted({c.queue for c in consumers})
        if _is_full(consumers, held):
            continue  # AT505 reports it
        yield Problem(
            Subject("queue", queues[0]) if queues else Subject("connection", channel.connection),
            f"{_client(facts, channel)} holds {counted(held, 'unacknowledged message')} of "
            f"{listed(queues) or 'a queue'} for {age(since)} "
            f"({listed([repr(c.tag) for c in consumers]) or 'without a consumer'})",
            evidence=_evidence(facts, channel, consumers),
            remedy=RESTART_REMEDY,
            inspect_commands=(command_lines.consumers(queues[0]),) if queues else (),
            severity=_severity(facts, queues),
        )


def may_be_stuck(facts: Facts) -> Mapping[str, ConsumerState]:
    """The queues with messages ready and one consumer that holds its whole prefetch, each with that consumer.

    Message counts are live. A second sample shows whether the consumer is stuck or busy.
    """
    return {} if facts.broker is None else _at_prefetch(facts.broker)


def _at_prefetch(broker: BrokerSnapshot) -> dict[str, ConsumerState]:
    return {
        queue: consumers[0]
        for queue, consumers in broker.consumers_of.items()
        if len(consumers) == 1
        and (state := broker.queue_named.get(queue)) is not None
        and state.messages_ready
        and 0 < (consumers[0].prefetch or 0) <= (state.messages_unacknowledged or 0)
    }


def _stuck(facts: Facts) -> Iterator[tuple[str, ConsumerState, ChannelState, float]]:
    """The queues with a consumer that is at its prefetch limit in both samples and got nothing between them.

    An acknowledgement or a reject makes the broker deliver the next message. Thus equal delivery counters show that
    there was none; unlike message counts, they change also where as much is published as is consumed.
    """
    now, before = facts.actual, facts.earlier
    if before is None:
        return
    seconds = (now.taken_at - before.taken_at).total_seconds()
    if seconds < STATISTICS_INTERVAL_S:
        return
    then = _at_prefetch(before)
    for queue, consumer in _at_prefetch(now).items():
        earlier, channel = then.get(queue), now.channel_named.get(consumer.channel)
        if earlier is None or channel is None or (earlier.channel, earlier.tag) != (consumer.channel, consumer.tag):
            continue
        old = before.channel_named.get(consumer.channel)
        if old is None or channel.delivered is None or channel.delivered != old.delivered:
            continue
        if (now.queue_named[queue].messages or 0) >= (before.queue_named[queue].messages or 0):
            yield queue, consumer, channel, seconds


@check(
    "AT505",
    "consumers-move",
    "no consumer is stuck at its prefetch limit",
    Severity.ERROR,
    needs=(Source.BROKER, Source.CONSUMERS, Source.CONNECTIONS),
    any_broker=True,
)
def consumers_move(facts: Facts, *, stuck_consumer_s: float = 120, stuck_worker_s: float = 900) -> Iterator[Problem]:
    """A consumer that holds as many messages as its prefetch gets no more. If it acknowledges none, it is stuck.

    Its connection is open and its heartbeat may be fresh, but it makes no progress. Other messages in the queue
    wait. Two samples show it: in both, the queue has messages ready and its only consumer holds its whole prefetch,
    and nothing was delivered between them. The doctor takes the second sample itself, 7 s later, if the first one
    shows a full prefetch (`--samples 1` forbids it). A busy consumer acknowledges messages and gets new ones.
    With one sample, a consumer is stuck if its channel is idle for 120 s; where one of Attune's consumers holds its
    whole prefetch for a shorter time, the check is skipped.

    A worker acknowledges no message for as long as its actions take: until 2026-02-09 after each one, since then as
    soon as one of its permits is free. The broker cannot tell a long action from a hang, so for the queue of a worker
    it is a warning until the channel has been idle for 15 min.
    """
    reported = set()
    for channel, consumers, since in _holding(facts, stuck_consumer_s):
        held = channel.messages_unacknowledged or 0
        if not _is_full(consumers, held):
            continue
        queues = sorted({c.queue for c in consumers})
        reported.update(queues)
        named = facts.actual.queue_named
        behind = sum(named[q].messages_ready or 0 for q in queues if q in named)
        yield Problem(
            Subject("queue", queues[0]),
            f"{_client(facts, channel)} ({listed([repr(c.tag) for c in consumers])}) holds {held} unacknowledged "
            f"messages (its prefetch limit) for {age(since)}" + (f"; {behind:,} more are ready" if behind else ""),
            evidence={**_evidence(facts, channel, consumers), "ready": behind},
            remedy=BUSY_REMEDY if (busy := _may_be_busy(facts, queues, since, stuck_worker_s)) else RESTART_REMEDY,
            inspect_commands=(command_lines.consumers(queues[0]),),
            severity=_severity(facts, queues) or (Severity.WARNING if busy or not behind else None),
        )
    for queue, consumer, channel, seconds in _stuck(facts):
        if queue in reported:
            continue
        state = facts.actual.queue_named[queue]
        held, ready = state.messages_unacknowledged or 0, state.messages_ready or 0
        busy = _may_be_busy(facts, [queue], timedelta(seconds=seconds), stuck_worker_s)
        yield Problem(
            Subject("queue", queue),
            f"{_client(facts, channel)} ({consumer.tag!r}) is {'busy or stuck' if busy else 'stuck'}: it holds "
            f"{counted(held, 'unacknowledged message')} (its prefetch limit) and acknowledged none in {seconds:.0f} s; "
            f"{ready:,} more {'is' if ready == 1 else 'are'} ready",
            evidence={
                **_evidence(facts, channel, (consumer,)),
                "unacknowledged": held, "ready": ready, "seconds": round(seconds, 1),
            },
            remedy=BUSY_REMEDY if busy else RESTART_REMEDY,
            inspect_commands=(command_lines.consumers(queue),),
            severity=_severity(facts, [queue]) or (Severity.WARNING if busy else None),
        )  # fmt: skip
    if facts.earlier is None:
        suspects = [q for q in may_be_stuck(facts) if q not in reported and q in facts.memo(own_queues)]
        if suspects:
            raise Unknown(f"the consumer of {listed(suspects)} holds its whole prefetch: only two samples show whether "
                          "it is stuck")  # fmt: skip


def _not_comparable(facts: Facts) -> str | None:
    """Why it is unknown which consumers there were or should be, or None."""
    if facts.earlier is not None or facts.registry is not None:
        return None
    reason = facts.missing_reason((Source.REGISTRY,))
    return f"neither the registry nor a first sample shows which workers consume: {reason}"


@check(
    "AT503",
    "consumers-stay",
    "no consumers of Attune were cancelled",
    Severity.ERROR,
    needs=(Source.CONSUMERS, Source.CONNECTIONS, Source.BROKER),
    unknown=_not_comparable,
)
def consumers_stay(facts: Facts) -> Iterator[Problem]:
    """A consumer can be cancelled without its process noticing. The connection stays open, but nothing is consumed.

    Its channel was closed by an error (an acknowledgement timeout, a double ack: 406), or its queue was deleted and the
    broker cancelled it. Two samples show this directly. One sample shows it indirectly: a connection has the worker's
    name or consumer tag, but no such consumer exists.
    """
    gone: dict[tuple[str, str], list[tuple[str, str]]] = {}
    consumed = {c.queue for c in facts.topology.consumers}
    for c in (facts.earlier.consumers if facts.earlier else None) or ():
        if c.queue not in consumed and facts.topology.worker_of(c.queue) is None:
            continue  # foreign
        if c.queue not in facts.actual.queue_named:
            continue  # its queue was deleted under it: AT401 and AT202 report the queue
        present = {(t.tag, t.connection) for t in facts.actual.consumers_of.get(c.queue, ())}
        if (c.tag, c.connection) not in present and c.connection in facts.actual.connection_named:
            gone.setdefault((c.connection, "it existed in the first sample"), []).append((c.tag, c.queue))
    expected_of, unconsumed = facts.memo(expected_consumers), facts.actual.unconsumed
    owners = {facts.owner_of.get(queue) for queue in unconsumed} - facts.memo(starting_workers).keys()
    workers = [w for w in facts.live_workers if w.id in owners]
    connections = facts.actual.connections or () if workers else ()
    named = [(c.client_name, c) for c in connections if c.client_name]
    open_connections = {word: c for name, c in named for word in (name, name.rpartition(" ")[2])}
    for worker in workers:
        for expected in expected_of[worker.id]:
            # An auto-delete queue would have been deleted with its consumer: this one never had any.
            if expected.queue not in unconsumed or facts.actual.queue_named[expected.queue].auto_delete:
                continue
            connection = open_connections.get(worker.name) or open_connections.get(expected.tag)
            if connection is not None:
                tag = (expected.tag, expected.queue)
                if not any(tag in tags for (name, _), tags in gone.items() if name == connection.name):
                    gone.setdefault((connection.name, f"{worker_name(worker)} is connected"), []).append(tag)
    for (connection_name, why), tags in gone.items():
        yield Problem(
            Subject("consumer", tags[0][0]),
            f"consumer {listed(f'{tag!r} of {queue}' for tag, queue in tags)} does not exist, but connection "
            f"{connection_name} is open; {why}",
            evidence={"connection": connection_name, "consumers": [{"tag": t, "queue": q} for t, q in tags]},
            remedy="Restart that process. Its log names the error that closed its channel.",
            inspect_commands=(command_lines.consumers(tags[0][1]),),
            alike=(facts.earlier is None, len(tags)) if facts.topology.worker_of(tags[0][1]) else None,
        )
