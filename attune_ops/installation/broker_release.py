"""Which release of Attune a broker has, found with as few requests as that takes."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from attune_ops.installation.amqp import short_connection
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import Management, open_management
from attune_ops.installation.passive import PassiveReader, recognised_by_names
from attune_ops.model.errors import ActionError, ConfigError, SourceError
from attune_ops.model.recognition import recognise
from attune_ops.model.snapshot import BindingState, BrokerSnapshot, ExchangeState, QueueState
from attune_ops.model.topologies import candidates
from attune_ops.model.topology import Topology


def recognised(settings: Settings, management: Management) -> Settings:
    """The settings with the topology of the broker, where none was given; unchanged where it has none that is known.

    Reads the exchanges, and one queue for each that tells two releases apart. Needs tag management and any permission
    in the virtual host, changes nothing. Raises `SourceError`.
    """
    if not settings.recognise:
        return settings
    return _with(settings, _recognise(management, settings))


def _with(settings: Settings, found: Topology | None) -> Settings:
    return settings if found is None else msgspec.structs.replace(settings, topology=found, recognise=False)


def recognised_or_default(settings: Settings) -> Settings:
    """Like `recognised`, with the default topology where the broker cannot be read: whoever reads next says why."""
    if not settings.recognise:
        return settings
    try:
        with open_management(settings) as management:
            return recognised(settings, management)
    except SourceError:
        return settings


def release_to_declare(settings: Settings) -> Settings:
    """Like `recognised`, for a command that declares the objects of the topology; asks over AMQP where it must.

    Raises `ConfigError` where the broker has no known release, but not on a lab. A broker that does not answer leaves
    the default: whoever declares says why.
    """
    if not settings.recognise:
        return settings
    try:
        with open_management(settings) as management:
            found = recognised(settings, management)
    except SourceError:
        try:
            with short_connection(settings, "release") as connection:
                found = _with(settings, recognised_by_names(PassiveReader(connection, settings), settings))
        except (ActionError, SourceError):
            return settings
    if found.recognise and not settings.on_lab:
        raise unknown_release(settings.topology.name, settings.vhost)
    return found


def unknown_release(default: str, vhost: str) -> ConfigError:
    """Why nothing is declared by a topology that is only the default."""
    return ConfigError(
        f"nothing was changed: {default} is only the default, since no release of Attune is recognised in "
        f"virtual host {vhost!r}; with exchanges of another release its services cannot start (406). Name the "
        "topology of your release with --topology"
    )


def _recognise(management: Management, settings: Settings) -> Topology | None:
    exchanges = management.exchanges()
    by_name = candidates(settings.topology)
    fits = recognise(_snapshot(settings, exchanges), [_exchanges_of(t) for t in by_name.values()]).fits
    if not fits[0].matched:
        return None
    if fits[0].fraction < 1:  # something is missing or different: only all objects can tell
        bindings = management.bindings()
        found = recognise(_snapshot(settings, exchanges, management.queues(bindings), bindings), by_name.values()).best
        return None if found is None else by_name[found.name]
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
