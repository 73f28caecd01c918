"""Runs a drill on a target of its own or an installation, and removes all that it made."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from attune_ops.drills import remedies, scratch_registry
from attune_ops.drills.catalog import Drill, find
from attune_ops.drills.context import Context
from attune_ops.drills.drill_run import DrillRun
from attune_ops.drills.journal import Event, Journal, JournalComparison, Timeline
from attune_ops.drills.parameters import Parameters, Setup, read_parameters
from attune_ops.drills.remedies import Remedy
from attune_ops.drills.target import Declarations, declared, prepare, refuse_large_load, refuse_unless_allowed
from attune_ops.drills.undo import UndoList, abandoned
from attune_ops.installation import audit
from attune_ops.installation.config.settings import Settings
from attune_ops.model.files import make_folder
from attune_ops.model.units import counted
from attune_ops.model.waiting import OnProgress

OnTimeline = Callable[[Timeline], None]


def run(
    drill: Drill | str,
    settings: Settings | None = None,
    *,
    confirm: str | None = None,
    server: str | None = None,
    topology: str | None = None,
    like: str | None = None,
    vhost: str | None = None,
    remedy: str | None = None,
    on_progress: OnProgress = lambda line: None,
    on_timeline: OnTimeline = lambda timeline: None,
    **parameters: Any,
) -> Journal | JournalComparison:
    """Runs a drill, with a `remedy` first without and then with it; all that it made is removed, also after Ctrl-C.

    Without `settings` it runs on the lab; on an environment only where that allows drills and `confirm` is its name.
    `like` is a snapshot or definitions file with the topology, `vhost` one of several virtual hosts in it.
    `on_progress` gets each line of progress, `on_timeline` the whole timeline twice a second. `parameters` are those of
    `Parameters`. Raises `ConfigError`, `DrillRefused`, `SourceError`.
    """
    drill = find(drill) if isinstance(drill, str) else drill
    checked = read_parameters(parameters)
    mitigation = remedies.find(remedy) if remedy else None
    if settings is not None:
        refuse_unless_allowed(settings, confirm)
        refuse_large_load(settings, checked)
    wanted = declared(drill, settings, topology, like, vhost)
    if abandoned():
        on_progress("a killed drill has left something behind; to undo it: attune-ops drill recover")

    def once(remedy: Remedy | None) -> Journal:
        return _run_once(
            drill,
            settings,
            checked,
            wanted,
            remedy,
            confirm=confirm,
            server=server,
            on_progress=on_progress,
            on_timeline=on_timeline,
        )

    first = once(None)
    if mitigation is None:
        return first
    on_progress(f"second run with mitigation {mitigation.name}: {mitigation.summary}")
    return JournalComparison(first, once(mitigation))


def _run_once(
    drill: Drill,
    settings: Settings | None,
    parameters: Parameters,
    wanted: Declarations,
    remedy: Remedy | None,
    *,
    confirm: str | None,
    server: str | None,
    on_progress: OnProgress,
    on_timeline: OnTimeline,
) -> Journal:
    undo = UndoList(drill.name)
    if settings is not None and not settings.on_lab:
        undo = UndoList(drill.name, env=settings.env, broker=settings.management.address)
    folder = Path(tempfile.gettempdir(), f"attune-ops-drill-{secrets.token_hex(6)}")
    try:
        undo.add("folder", str(folder))
        make_folder(folder, new=True)
        registry = scratch_registry.make(parameters.registry, folder, undo)
        target = prepare(drill, settings, server, undo, on_progress)
        scratch = msgspec.structs.replace(
            target.settings,
            topology=remedy.topology(wanted.topology) if remedy else wanted.topology,
            recognise=False,
            database=registry.database,
            heartbeat_interval=drill.heartbeat_s,
            stale_after=3 * drill.heartbeat_s,  # as many heartbeats as Attune allows to be missing
        )
        setup = Setup(scratch, parameters, folder, undo, registry, target.lab, server, remedy, wanted.policies)
        context = Context(setup, lambda e: on_progress(_line(e)), on_timeline)
        with audit.change(scratch, "drill run", drill.name, confirm=confirm):
            return DrillRun(drill, context, on_progress).run()
    except KeyboardInterrupt:  # said at once: a busy broker may take its time for the virtual host
        on_progress(f"interrupted: undoing {counted(len(undo.record.undo), 'change')}")
        raise
    finally:
        undo.undo(on_progress)


def _line(event: Event) -> str:
    """A line of progress."""
    return f"{event.at_ms / 1000:7.2f} s  {event.kind:<5} {event.text}"
