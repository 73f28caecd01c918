"""Which release of Attune a broker has, found with as few requests as that takes."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import Management, open_management
from attune_ops.model.errors import SourceError
from attune_ops.model.recognition import recognise
from attune_ops.model.snapshot import BindingState, BrokerSnapshot, ExchangeState, QueueState
from attune_ops.model.topologies import candidates
from attune_ops.model.topology import Topology


def recognised(settings: Settings, management: Management) -> Settings:
    """The settings with the topology of the broker, where none was given; with the default where it has none.

    Reads the exchanges, and one queue for each that tells two releases apart. Needs tag management and any permission
    in the virtual host, changes nothing. Raises `SourceError`.
    """
    if not settings.recognise:
        return settings
    return msgspec.structs.replace(settings, topology=_recognise(management, settings), recognise=False)


def recognised_or_default(settings: Settings) -> Settings:
    """Like `recognised`, with the default topology where the broker cannot be read: whoever reads next says why."""
    if not settings.recognise:
        return settings
    try:
        with open_management(settings) as management:
            return recognised(settings, management)
    except SourceError:
        return settings


def _recognise(management: Management, settings: Settings) -> Topology:
    exchanges = management.exchanges()
    by_name = candidates(settings.topology)
    fits = recognise(_snapshot(settings, exchanges), [_exchanges_of(t) for t in by_name.values()]).fits
    if not fits[0].matched:
        return settings.topology
    if fits[0].fraction < 1:  # something is missing or different: only all objects can tell
        bindings = management.bindings()
        found = recognise(_snapshot(settings, exchanges, management.queues(bindings), bindings), by_name.values()).best
        return settings.topology if found is None else by_name[found.name]
    best = [by_name[f.name] for f in fits if f.fraction == 1]
    return max(best, key=lambda t: (_in_use(management, t, best), t.released)) if len(best) > 1 else best[0]


def _in_use(management: Management, topology: Topology, others: list[Topology]) -> int:
    """How many queues that only this topology has are consumed from, less those that are missing."""
    shared = set.intersection(*({q.name for q in t.base_queues} for t in others))
    score = 0
    for queue in topology.base_queues:
        if queue.name not in shared:
            found = management.queue(queue.name)
            score += -1 if found is None else bool(found.consumer_details)
    return score


def _exchanges_of(topology: Topology) -> Topology:
    return msgspec.structs.replace(topology, queues=(), bindings=())


def _snapshot(
    settings: Settings,
    exchanges: tuple[ExchangeState, ...],
    queues: tuple[QueueState, ...] = (),
    bindings: tuple[BindingState, ...] = (),
) -> BrokerSnapshot:
    return BrokerSnapshot(settings.vhost, datetime.now(UTC), exchanges=exchanges, queues=queues, bindings=bindings)
