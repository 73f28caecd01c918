"""Passive declares over AMQP, for what the management API does not tell: no plug-in, tag or statistics are needed."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from attune_ops.installation.amqp import Exclusive, depth, in_time, short_connection
from attune_ops.installation.config.settings import Settings
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.passive import MOST_WORKERS, PassiveReading
from attune_ops.model.recognition import Fit, Recognition, best_first
from attune_ops.model.snapshot import ExchangeState, QueueState
from attune_ops.model.topologies import candidates
from attune_ops.model.topology import Topology

if TYPE_CHECKING:
    import pika

STATISTICS_OFF = "the broker collects no statistics (management_agent.disable_metrics_collector)"


class PassiveReader:
    """Passive declares on one connection, each name once; changes nothing.

    Needs no permission up to RabbitMQ 4.0, any of the three from 4.3 on. Raises `ActionError` where the broker refuses,
    and `SourceError` where it does not answer.
    """

    def __init__(self, connection: pika.BlockingConnection, settings: Settings) -> None:
        self._connection, self._settings = connection, settings
        self._queues: dict[str, QueueState | None] = {}
        self._exchanges: dict[str, bool] = {}

    def queue(self, name: str) -> QueueState | None:
        """A queue with its ready messages and consumers, which are unknown where it is exclusive; None if missing."""
        if name not in self._queues:
            self._queues[name] = self._queue(name)
        return self._queues[name]

    def _queue(self, name: str) -> QueueState | None:
        vhost = self._settings.vhost
        try:
            found = depth(self._connection, name, timeout=self._settings.timeout)
        except Exclusive:
            return QueueState(name, vhost, exclusive=True)
        if found is None:
            return None
        # With a consumer there may be unacknowledged messages, which only the management API counts.
        messages = None if found.consumers else found.messages
        return QueueState(name, vhost, messages=messages, messages_ready=found.messages, consumers=found.consumers)

    def exchange(self, name: str) -> bool:
        """Whether an exchange of this name is there, of whatever type."""
        if name not in self._exchanges:
            self._exchanges[name] = self._exchange(name)
        return self._exchanges[name]

    def _exchange(self, name: str) -> bool:
        import pika.exceptions

        try:
            with in_time(self._connection, self._settings.timeout):
                channel = self._connection.channel()
                channel.exchange_declare(name, passive=True)
                channel.close()
        except pika.exceptions.AMQPHeartbeatTimeout as e:
            raise SourceError(f"exchange {name!r}: {e}") from None
        except pika.exceptions.ChannelClosedByBroker as e:
            if e.reply_code == 404:
                return False
            raise ActionError(f"the broker refused to report on exchange {name!r}: {e.reply_text}") from None
        return True

    def recognise(self, known: Iterable[Topology]) -> Recognition:
        """How well each topology fits by the names of its exchanges and queues; their types cannot be seen.

        Of topologies that fit about equally, the one with consumers on its own queues is better, then the newest.
        """
        known = sorted(known, key=lambda t: (t.released, t.name), reverse=True)
        shared = set.intersection(*({q.name for q in t.base_queues} for t in known))
        return Recognition(best_first(self._fit(t, shared) for t in known))

    def _fit(self, topology: Topology, shared: Collection[str]) -> Fit:
        queues = [self.queue(q.name) for q in topology.base_queues]
        found = [*map(self.exchange, (e.name for e in topology.exchanges)), *(q is not None for q in queues)]
        consumed = sum(bool(q.consumers) for q in queues if q is not None and q.name not in shared)
        return Fit(topology.name, sum(found), len(found), consumed)


def recognised_by_names(reader: PassiveReader, settings: Settings) -> Topology | None:
    """The topology that was given, else the one of the broker; None where it has none that is known."""
    if not settings.recognise:
        return settings.topology
    known = candidates(settings.topology)
    best = reader.recognise(known.values()).best
    return known[best.name] if best else None


def with_passive_declares(settings: Settings, facts: Facts) -> Facts:
    """The facts with what passive declares tell of the expected queues, where the management API did not.

    Expected are the queues of the topology, which is recognised by names where none was given, and those of every
    worker of the registry, of 500 at most. Changes nothing. Where AMQP does not answer or refuses, the facts stay, and
    the reason is added to that of the management API.
    """
    reason = _reason(facts)
    if reason is None:
        return facts
    try:
        with short_connection(settings, "passive declare") as connection:
            return _read(PassiveReader(connection, settings), settings, facts, reason)
    except ActionError as e:
        return msgspec.structs.replace(facts, missing=_with_reason(facts.missing, str(e)))
    except SourceError:  # whoever asks for AMQP says why
        return facts


def _reason(facts: Facts) -> str | None:
    """Why existence or consumers of queues are unknown, None where they are known."""
    if facts.broker is not None and facts.broker.statistics_disabled and facts.broker.queues is not None:
        return STATISTICS_OFF
    asked = [s for s in (Source.BROKER, Source.CONSUMERS) if facts.could_not_read(s)]
    return facts.missing_reason((asked[0],)) if asked else None


def _with_reason(missing: Mapping[Source, str], more: str) -> dict[Source, str]:
    reported = (Source.BROKER, Source.DEPTHS, Source.CONSUMERS)
    return {s: f"{reason}; over AMQP: {more}" if s in reported else reason for s, reason in missing.items()}


def _read(reader: PassiveReader, settings: Settings, facts: Facts, reason: str) -> Facts:
    recognition, topology = facts.recognition, facts.topology
    if recognition is None:
        known = candidates(settings.topology)
        recognition = reader.recognise(known.values())
        if settings.recognise and recognition.best is not None:
            topology = known[recognition.best.name]
    names = [q.name for q in topology.base_queues]
    workers = [w for w in facts.registry.workers if w.has_queues] if facts.registry else []
    live = {w.id for w in facts.live_workers}
    for worker in heapq.nlargest(MOST_WORKERS, workers, key=lambda w: (w.id in live, w.id)):
        names += [q.name for q in topology.worker_queues(worker.id)]
    found = {name: reader.queue(name) for name in names}
    there = [e for e in topology.exchanges if reader.exchange(e.name)]
    made: Facts = msgspec.structs.replace(
        facts,
        topology=topology,
        recognition=recognition,
        recognised=facts.recognised or (settings.recognise and recognition.best is not None),
        passive=PassiveReading(
            reason,
            exchanges=tuple(ExchangeState(e.name, facts.vhost, e.type) for e in there),
            queues=tuple(q for q in found.values() if q is not None),
            missing=tuple(name for name, q in found.items() if q is None),
            only_consumers=facts.missing_reason((Source.BROKER,)) is None,
        ),
    )
    return made
