"""Where a drill runs, and with which topology and policies: on the lab, an allowed environment, or its own broker."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from attune_ops.drills.broker import settings_of_lab, start_lab
from attune_ops.drills.catalog import Drill
from attune_ops.drills.parameters import Parameters
from attune_ops.drills.undo import Record, UndoList, writer
from attune_ops.installation import audit
from attune_ops.installation.broker_release import recognised_or_default
from attune_ops.installation.config import resolve
from attune_ops.installation.config.running_lab import read
from attune_ops.installation.config.settings import Settings
from attune_ops.lab import Lab
from attune_ops.model import units
from attune_ops.model.errors import ActionError, DrillRefused
from attune_ops.model.facts import Source
from attune_ops.model.ownership import require
from attune_ops.model.snapshot import PolicyState
from attune_ops.model.snapshot_file import load_facts
from attune_ops.model.topologies import DEFAULT, load
from attune_ops.model.topology import Per, Topology
from attune_ops.topology.export import live_topology

ENVELOPE = 500  # bytes of a message without `size`
LARGE = 100_000_000  # bytes; a node of 1 GiB has its alarm at 400 MB
NODES = {"vhost": 1, "node": 1, "cluster": 3}


class DrillTarget(NamedTuple):
    """Settings that point at a drill's scratch virtual host, and the broker that it started, if any."""

    settings: Settings
    lab: Lab | None


class Declarations(NamedTuple):
    """The topology that is declared in the scratch virtual host, and the policies that are set before."""

    topology: Topology
    policies: tuple[PolicyState, ...] = ()


def refuse_unless_allowed(settings: Settings, confirm: str | None) -> None:
    """Raises `DrillRefused` unless the environment allows drills and `confirm` is its name; changes nothing."""
    audit.check_confirmation(settings, confirm)
    if settings.env is None:
        raise DrillRefused(
            f"{settings.amqp} is neither a lab nor a named environment: drills run on the lab, or on an environment "
            "with drills = true in the configuration file"
        )
    if not settings.drills:
        raise DrillRefused(f"environment {settings.env!r} does not allow drills: its entry has no drills = true")
    elsewhere = next((settings.origin.get(m, "") for m in ("amqp", "management") if _is_given(settings, m)), None)
    if elsewhere is not None:
        raise DrillRefused(
            f"{elsewhere} points at another broker than environment {settings.env!r}, of which drills = true is: leave "
            f"{elsewhere} out"
        )
    if not settings.on_lab and confirm != settings.env:
        raise DrillRefused(
            f"a drill on environment {settings.env!r} must be confirmed with its name: --confirm {settings.env}"
        )


def refuse_large_load(settings: Settings, parameters: Parameters) -> None:
    """Raises `DrillRefused` for a load that could set off an alarm of a broker that others use; changes nothing."""
    size = parameters.count * (parameters.size + ENVELOPE)
    if size > LARGE and not settings.on_lab:
        load = f"{units.counted(parameters.count, 'message')} ({units.size(size)})"
        raise DrillRefused(
            f"{load} could set off a memory alarm, which blocks all publishers of this broker: the limit on an "
            f"environment is {units.size(LARGE)}. Use a lab"
        )


def _is_given(settings: Settings, member: str) -> bool:
    """Whether an option or variable points beside the environment that allows drills."""
    given = settings.origin.get(member, "").startswith(("--", "ATTUNE_OPS_"))
    return given and "drills" in settings.origin and not settings.on_lab


def prepare(
    drill: Drill, settings: Settings | None, server: str | None, undo: UndoList, on_progress: Callable[[str], None]
) -> DrillTarget:
    """Finds or starts the broker and creates the scratch virtual host; both are on the undo list before.

    Without `settings` the broker is the running lab; where none runs, the drill starts its own. A drill that breaks a
    node always starts its own.
    """
    lab = None
    if drill.needs != "vhost" or (settings is None and (server is not None or read() is None)):
        lab = start_lab(undo, NODES[drill.needs], server, drill.config, on_progress)
        _refuse_older(drill, lab.state.version or "0")
        undo.set_lab(lab.name)
        settings = settings_of_lab(lab.state)
    elif settings is None:
        running = read()
        assert running is not None
        settings = settings_of_lab(running)
        undo.set_lab(running.name)
    elif settings.lab is not None:
        undo.set_lab(settings.lab)
    broker_settings = settings
    undo.settings_of = lambda: broker_settings  # before the virtual host exists, which may be made only in part
    vhost = f"attune-ops-drill-{secrets.token_hex(4)}"
    if lab is None:  # else it is removed with the drill's own broker, which may have failed by then
        undo.add("vhost", vhost)
    with writer(settings, vhost) as broker:
        broker.make_vhost("attune-ops drill: may be deleted at any time", settings.amqp.user)
    on_progress(f"scratch virtual host {vhost} on {settings.amqp.address}")
    return DrillTarget(msgspec.structs.replace(settings, amqp=msgspec.structs.replace(settings.amqp, path=vhost)), lab)


def _refuse_older(drill: Drill, version: str) -> None:
    if drill.since is None or [int(n) for n in version.split(".")[:2]] >= [int(n) for n in drill.since.split(".")]:
        return
    raise DrillRefused(
        f"{drill.name} needs RabbitMQ {drill.since} or newer, and this is {version}: name a newer one with --server "
        "(scripts/rabbitmq install 4.3 prints its folder)"
    )


def settings_of_record(record: Record, config: str = "") -> Settings | None:
    """Settings for the broker of a killed drill; None where it was a lab that no longer runs; `config` is as --config.

    Raises `ConfigError` where its environment is not found here, and `ActionError` where that is another broker now.
    """
    if record.env is None:
        running = read(record.lab) if record.lab else None
        return settings_of_lab(running) if running is not None else None
    settings = resolve({"env": record.env, "config": config})
    if record.broker and settings.management.address != record.broker:
        raise ActionError(
            f"the drill ran at {record.broker}, and environment {record.env!r} is {settings.management.address} here: "
            "name the configuration file of that run with --config"
        )
    return settings


def declared(
    drill: Drill, settings: Settings | None, topology: str | None, like: str | None, vhost: str | None = None
) -> Declarations:
    """What a drill declares: that of `vhost` in the file `like`, the named topology, the drill's, or the settings'."""
    if like is not None:
        return rehearsal(like, load(topology) if topology else None, vhost)
    if topology is None and drill.topology is None and settings is not None:
        return Declarations(recognised_or_default(settings).topology)
    return Declarations(load(topology or drill.topology or DEFAULT))


def rehearsal(file: str, known: Topology | None = None, vhost: str | None = None) -> Declarations:
    """Topology and policies of a snapshot or definitions file; worker queues that it lacks are from `known`.

    `vhost` is needed where several virtual hosts of the file are not empty. Without `known` it is the topology of the
    snapshot; for definitions the shipped topology that fits best.
    Raises `ConfigError`, and `SourceError` where a snapshot holds no broker.
    """
    facts = load_facts(file, known, vhost)
    require(facts, Source.BROKER)
    known = facts.topology
    made = live_topology(facts, f"{known.name}, like {Path(file).name}")
    return Declarations(_with_workers(made, known), facts.actual.policies or ())


def _with_workers(made: Topology, known: Topology) -> Topology:
    if any(q.per is Per.WORKER for q in made.queues):
        return made
    workers = tuple(q for q in known.queues if q.per is Per.WORKER)
    named, exchanges = {q.name for q in workers}, {e.name for e in made.exchanges}
    return msgspec.structs.replace(
        made,
        queues=(*made.queues, *workers),
        bindings=(*made.bindings, *(b for b in known.bindings if b.destination in named and b.source in exchanges)),
        consumers=(*made.consumers, *(c for c in known.consumers if c.queue in named)),
    )
