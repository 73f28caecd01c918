"""Where a drill runs: a scratch virtual host on the lab, on an allowed environment, or on a broker of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from attune_ops.drills import Drill, faults
from attune_ops.drills._recover import Record, UndoList
from attune_ops.installation import audit
from attune_ops.installation.config import resolve
from attune_ops.installation.config.running_lab import RunningLab, read
from attune_ops.installation.config.settings import Settings
from attune_ops.lab import Lab, up
from attune_ops.model.errors import AttuneOpsError, DrillRefused

Note = Callable[[str], None]
OWN = "drill-"
NODES = {"vhost": 1, "node": 1, "cluster": 3}


class Place(NamedTuple):
    """The broker of a drill: settings that point at its scratch virtual host, and its lab where it has one."""

    settings: Settings
    lab: Lab | None


def refuse_unless_allowed(settings: Settings, confirm: str | None) -> None:
    """Raises `DrillRefused` unless the environment allows drills and its name was typed; changes nothing."""
    audit.check_confirmation(settings, confirm)
    if settings.env is None:
        raise DrillRefused(
            f"{settings.amqp} is neither a lab nor an environment: drills run on the lab, or on an environment whose "
            "entry in the configuration file has drills = true"
        )
    if not settings.drills:
        raise DrillRefused(f"environment {settings.env!r} does not allow drills: its entry has no drills = true")
    if not settings.on_lab and confirm != settings.env:
        raise DrillRefused(f"a drill on environment {settings.env!r} wants its name typed: --confirm {settings.env}")


def make(drill: Drill, settings: Settings | None, server: str | None, undo: UndoList, note: Note) -> Place:
    """Finds or starts the broker and makes the scratch virtual host; `undo` lists both.

    Without `settings` it is the running lab, or one of the drill's own where none runs. What breaks a whole node
    always gets its own.
    """
    lab = None
    if drill.needs != "vhost" or (settings is None and (server is not None or read() is None)):
        lab = own_lab(undo, NODES[drill.needs], server, drill.config, note)
        _refuse_older(drill, lab.state.version or "0")
        undo.at(lab.name)
        settings = settings_of_lab(lab.state)
    elif settings is None:
        running = read()
        assert running is not None
        settings = settings_of_lab(running)
        undo.at(running.name)
    elif settings.lab is not None:
        undo.at(settings.lab)
    vhost = f"attune-ops-drill-{secrets.token_hex(4)}"
    if lab is None:  # else it goes with the drill's own broker, which may be dead by then
        undo.add("vhost", vhost)
    faults.make_vhost(settings, vhost)
    note(f"scratch virtual host {vhost} on {settings.amqp.address}")
    return Place(msgspec.structs.replace(settings, amqp=msgspec.structs.replace(settings.amqp, path=vhost)), lab)


def _refuse_older(drill: Drill, version: str) -> None:
    if drill.since is None or [int(n) for n in version.split(".")[:2]] >= [int(n) for n in drill.since.split(".")]:
        return
    raise DrillRefused(
        f"{drill.name} is for RabbitMQ {drill.since} or newer, and this is {version}: name a newer one with --server "
        "(scripts/rabbitmq install 4.3 prints its folder)"
    )


def own_lab(undo: UndoList, nodes: int, server: str | None, config: tuple[str, ...], note: Note) -> Lab:
    """Starts a broker of the drill's own; on the undo list before it starts."""
    name = OWN + secrets.token_hex(4)
    undo.add("lab", name)
    return up(name, nodes=nodes, server=server, config=config, note=note, timeout=180)


def settings_of_lab(state: RunningLab) -> Settings:
    """The lab itself, whatever the environment points at."""
    target = {"amqp_url": state.amqp_url, "management_url": state.management_url, "database_url": state.database_url}
    return resolve(target, {})


def settings_of_record(record: Record) -> Settings | None:
    """Where the virtual host of a killed drill is; None where its broker is gone, and with it the virtual host."""
    try:
        if record.env is not None:
            return resolve({"env": record.env})
        running = read(record.lab) if record.lab else None
        return settings_of_lab(running) if running is not None else None
    except AttuneOpsError:
        return None
