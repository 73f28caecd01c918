"""Running a drill: steady state, faults, expectations, undo, drain, ledger, doctor, journal."""

from __future__ import annotations

import os
import platform
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from attune_ops.drills import Drill, _counting, _place, _registry, find
from attune_ops.drills._expecting import Expect
from attune_ops.drills._eye import Follow
from attune_ops.drills._judging import judged, verdict_of
from attune_ops.drills._like import World
from attune_ops.drills._like import like as like_file
from attune_ops.drills._parameters import Parameters, read_parameters
from attune_ops.drills._recover import Note, UndoList, left
from attune_ops.drills._stage import Stage
from attune_ops.drills._watching import events
from attune_ops.drills.journal import Comparison, Event, Expected, Journal, Look
from attune_ops.drills.ledger import Leftover
from attune_ops.drills.remedies import Remedy
from attune_ops.drills.remedies import find as find_remedy
from attune_ops.installation import audit
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import open_management
from attune_ops.model.errors import AttuneOpsError, DrillRefused, SourceError
from attune_ops.model.topologies import DEFAULT, load
from attune_ops.model.version import __version__
from attune_ops.model.waiting import wait_until
from attune_ops.startup.processes import stop_all

POLL_S = 0.05
STEADY_S = 60.0  # the management API tells some things up to 10 s late, more on a busy machine
AFTER_S = 8.0
QUIET_S, UNCHANGED_S = 30.0, 4.0


def run(
    drill: Drill | str,
    settings: Settings | None = None,
    *,
    confirm: str | None = None,
    server: str | None = None,
    topology: str | None = None,
    like: str | None = None,
    remedy: str | None = None,
    note: Note = lambda text: None,
    follow: Follow = lambda course: None,
    **parameters: Any,
) -> Journal | Comparison:
    """Runs a drill, with a `remedy` without and then with it; all that it made is removed again, also after Ctrl-C.

    Without `settings` it runs on the lab; with those of an environment only where it allows drills and `confirm`
    is its name. `like` is a snapshot or definitions file whose topology is taken. `note` is told each line of what
    goes on, `follow` twice a second how it goes in all. `parameters` are those of `Parameters`. Raises `ConfigError`,
    `DrillRefused`, `SourceError`.
    """
    drill = find(drill) if isinstance(drill, str) else drill
    told = read_parameters(parameters)
    cure = find_remedy(remedy) if remedy else None
    if settings is not None:
        _place.refuse_unless_allowed(settings, confirm)
    wanted = _world(drill, settings, topology, like)
    if left():
        note("a drill that was killed has left something: attune-ops drill recover undoes it")
    first = _one(drill, settings, told, wanted, None, confirm, server, note, follow)
    if cure is None:
        return first
    note(f"once more with the remedy {cure.name}: {cure.summary}")
    return Comparison(first, _one(drill, settings, told, wanted, cure, confirm, server, note, follow))


def _world(drill: Drill, settings: Settings | None, named: str | None, file: str | None) -> World:
    if file is not None:
        return like_file(file, load(named) if named else None)
    if named is None and drill.topology is None and settings is not None:
        return World(settings.topology)
    return World(load(named or drill.topology or DEFAULT))


def _one(
    drill: Drill,
    settings: Settings | None,
    parameters: Parameters,
    world: World,
    remedy: Remedy | None,
    confirm: str | None,
    server: str | None,
    note: Note,
    follow: Follow,
) -> Journal:
    configured = settings is not None and not settings.on_lab
    undo = UndoList(drill.name, env=settings.env if settings is not None and configured else None)
    folder = Path(tempfile.gettempdir(), f"attune-ops-drill-{secrets.token_hex(6)}")
    place = None
    try:
        undo.add("folder", str(folder))
        folder.mkdir(mode=0o700)
        registry = _registry.make(parameters.registry, folder, undo)
        place = _place.make(drill, settings, server, undo, note)
        made = msgspec.structs.replace(
            place.settings,
            topology=remedy.topology(world.topology) if remedy else world.topology,
            database=registry.database,
            heartbeat_interval=drill.heartbeat_s,
        )
        stage = Stage(
            made, parameters, folder, undo, registry, lab=place.lab, server=server,
            remedy=remedy, policies=world.policies, note=lambda e: note(shown(e)), follow=follow,
        )  # fmt: skip
        with audit.change(made, "drill run", drill.name, confirm=confirm):
            return _Run(drill, stage, remedy, note).run()
    finally:
        undo.undo(place.settings if place else None, note)


def shown(event: Event) -> str:
    """A line of the live progress."""
    return f"{event.at_ms / 1000:7.2f} s  {event.kind:<5} {event.text}"


class _Run:
    """One run on a stage that is ready."""

    def __init__(self, drill: Drill, stage: Stage, remedy: Remedy | None, note: Note) -> None:
        self.drill, self.stage, self.remedy, self._note = drill, stage, remedy, note
        self.expected: list[Expected] = []
        self.broke = ""

    def run(self) -> Journal:
        """Plays the drill from the steady state to the journal."""
        stage, started_at = self.stage, datetime.now(UTC)
        versions = _versions(stage.settings)
        try:
            try:
                self._populate()
                before = self._steady()
                self._play()
            finally:
                stage.mend()
            after, leftovers = self._end()
        finally:
            stop_all(stage.services)
            stage.close()
        ledger = _counting.count(stage, leftovers)
        self.expected += judged(ledger, stage.allowed)
        verdict, reason = verdict_of(self.expected, ledger, self.broke)
        return Journal(
            drill=self.drill.name, hypothesis=self.drill.hypothesis, promise=self.drill.promise,
            source=self.drill.source, verdict=verdict, reason=reason, started_at=started_at,
            duration_ms=stage.now_ms, versions=versions, topology=stage.topology.name,
            parameters=msgspec.structs.asdict(stage.parameters), steps=tuple(stage.events),
            expectations=tuple(self.expected), ledger=ledger, before=before, after=after,
            remedy=self.remedy.name if self.remedy else None, queues=tuple(stage.eye.queues),
            samples=stage.eye.evened,
        )  # fmt: skip

    def _end(self) -> tuple[Look | None, list[Leftover]]:
        """Waits for quiet, looks, stops everybody and drains; without a broker the drill has come to no conclusion."""
        after, leftovers = None, []
        try:
            self._quiet()
            after = self._after()
            leftovers = _counting.drain(self.stage)
            stop_all(self.stage.services)
            leftovers += _counting.drain(self.stage)
        except SourceError as e:
            self.broke = self.broke or f"nothing could be drained or counted in the end: {e}"
        return after, leftovers

    def _populate(self) -> None:
        """Starts the services that consume and the workers, with the remedy's policies in place before."""
        self.stage.set_policies()
        for service in ("executor", "sensor"):
            if self.stage.topology.service_consumers(service):
                self.stage.start(service, service, reconnect=True)
        for n in range(self.drill.workers if self.drill.workers is not None else self.stage.parameters.workers):
            told = dict(self.drill.worker)
            if told.pop("short_heartbeat", False):
                told["amqp_heartbeat"] = self.stage.parameters.heartbeat
            self.stage.worker(f"w{n + 1}", **told)

    def _steady(self) -> Look:
        """Waits until the doctor finds no error outside of design; raises `DrillRefused` where it does."""
        look = wait_until(
            self.stage.doctor,
            lambda look: not look.findings,
            timeout=STEADY_S,
            interval=0.3,
            on_wait=lambda look, left: self.stage.look(),
        )
        if look.findings:
            raise DrillRefused(f"no steady state before the drill {self.drill.name}: {', '.join(look.findings)}")
        self.stage.say(f"steady state: the doctor says {look.status}")
        return look

    def _after(self) -> Look:
        """What the doctor says in the end; some seconds are given to what the management API tells late."""
        return wait_until(
            lambda: self.stage.doctor(anew=True), lambda look: not look.findings, timeout=AFTER_S, interval=0.5
        )

    def _play(self) -> None:
        """Takes the drill's own way, up to the first expectation that does not hold."""
        play: Iterator[Expect] = self.drill.play(self.stage)
        try:
            for expect in play:
                self.expected.append(self._await(expect))
                if not self.expected[-1].held:
                    return
        except DrillRefused:
            raise
        except AttuneOpsError as e:
            self.broke = str(e)
            self.stage.say(f"the drill could not go on: {e}")

    def _await(self, expect: Expect) -> Expected:
        began = time.monotonic()
        while True:
            self.stage.look()
            holds, spent = _asked(expect.check), time.monotonic() - began
            late = spent >= expect.within
            if late or holds is not expect.stays:
                break
            time.sleep(POLL_S)
        took = round(spent * 1000)
        seen = _asked_text(expect.seen)
        line = f"holds {expect.title}, {took} ms" if holds else f"FAILS {expect.title}: {seen or 'it did not come'}"
        self._note(f"{'':>9}  {line}")
        return Expected(expect.title, holds, expect.within * 1000, took if holds else None, seen)

    def _quiet(self) -> None:
        """Waits until all is sent and nothing moves any more."""
        until, changed, before = time.monotonic() + QUIET_S, time.monotonic(), -1
        with open_management(self.stage.settings) as management:
            while time.monotonic() < until:
                self.stage.look()
                held = sum(q.messages or 0 for q in management.totals())
                logged = sum(events(s).total() for s in self.stage.services)
                if held + logged != before:
                    changed, before = time.monotonic(), held + logged
                idle = time.monotonic() - changed
                if idle > UNCHANGED_S or (idle > 0.5 and not held and not self._sending()):
                    return
                time.sleep(0.1)

    def _sending(self) -> bool:
        loads = ((load, events(load)) for load in self.stage.loads)
        return any(
            load.status is None and sum(told[o] for o in _counting.OUTCOMES) < self.stage.parameters.count
            for load, told in loads
        )


def _asked(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except AttuneOpsError:
        return False  # the broker does not answer, which may be what the drill is about


def _asked_text(question: Callable[[], str]) -> str:
    try:
        return question()
    except AttuneOpsError as e:
        return str(e)


def _versions(settings: Settings) -> dict[str, str]:
    with open_management(settings) as management:
        told = management.overview()
    broker = {"rabbitmq": told.rabbitmq_version or "", "erlang": told.erlang_version or ""}
    return {"attune-ops": __version__, **broker, "python": platform.python_version(), "system": os.uname().sysname}
