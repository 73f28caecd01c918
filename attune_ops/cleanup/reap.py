"""Deleting orphaned queues: messages are saved first, and the broker deletes only an unused, empty queue."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from attune_ops.cleanup.candidates import (
    SOURCES,
    Candidate,
    ReapResult,
    candidates,
    history,
    orphaned_since,
    unacknowledged,
)
from attune_ops.installation import audit
from attune_ops.installation.amqp import Depth, depth, short_connection
from attune_ops.installation.amqp_write import BrokerRefused, bind, declare_queue, delete_queue
from attune_ops.installation.collect import check_release, collect
from attune_ops.installation.config import Settings
from attune_ops.installation.management import open_management
from attune_ops.installation.registry_read import read_worker
from attune_ops.installation.registry_session import session
from attune_ops.messages.drain import drain
from attune_ops.messages.selection import FINISHED_STAY
from attune_ops.model.errors import ActionError, AttuneOpsError, reports_done
from attune_ops.model.facts import Facts
from attune_ops.model.files import make_folder, state_folder
from attune_ops.model.ownership import check_registry, why_not_live
from attune_ops.model.registry import RegistryView
from attune_ops.model.table import matcher
from attune_ops.model.topology import Binding, Queue, Topology
from attune_ops.model.units import counted

PRECONDITION_FAILED = 406
USED_AGAIN = "it has a consumer again"
TRIES = 5  # how often messages that arrive between saving and deleting are saved too
GRACE = timedelta(minutes=10)


def reap(
    settings: Settings,
    pattern: str = "*",
    *,
    grace: timedelta = GRACE,
    save_to: str | Path | None = None,
    apply: bool = False,
    confirm: str | None = None,
    force: bool = False,
) -> ReapResult:
    """Deletes worker queues that broker and registry show as orphaned in two runs at least `grace` apart.

    So it does with the known leftovers of earlier releases (`Topology.leftovers`).
    Every run records which queues are orphaned; without `apply` it changes nothing else and returns what it would do.
    Messages are saved first, to a file in `save_to` (default: the user's state folder). The broker deletes only an
    unused and empty queue (`if-unused`, `if-empty`), so a worker that starts again keeps its queue. Undo: the worker
    declares its queue when it starts; then the command in the result publishes the saved messages to that queue alone.
    Needs tag management. `confirm` is the environment's name where it is protected. Raises `SourceError` where broker
    or registry cannot be read, `ConfigError` where `confirm` is missing, the registry is not the one of this broker's
    workers, or the broker runs another release and `force` is not set.
    """
    matches, _ = matcher(pattern), settings.registry
    if apply:
        audit.check_confirmation(settings, confirm)
        check_release(settings, force)
    with history(settings) as record:
        facts = collect(settings, SOURCES)
        since = orphaned_since(facts, record)
        check_registry(facts)
        record.clear()
        record.update(since)
    found = candidates(facts, since, grace, matches)
    if apply and any(c.verdict == "deletes" for c in found):
        folder = Path(save_to) if save_to else state_folder("reaped", f"{facts.taken_at:%Y%m%dT%H%M%SZ}")
        reaper = _Reaper(settings, facts, folder, confirm)
        with reports_done(reaper.report):
            found = tuple(reaper.reap(c) if c.verdict == "deletes" else c for c in found)
    return ReapResult(apply, found, grace, facts.taken_at, _notes(found, grace))


def _notes(found: Collection[Candidate], grace: timedelta) -> tuple[str, ...]:
    """When the next run may find something to delete, and which saved messages a restore keeps."""
    ripe = [c.seen_since + grace for c in found if c.verdict == "waits"]
    again = f"run it again after {min(ripe):%Y-%m-%d %H:%M:%S} UTC, when the first grace period ends" if ripe else ""
    finished = FINISHED_STAY if any(c.saved for c in found) else ""
    return tuple(filter(None, (again, finished)))


class _Reaper:
    """Reaps one queue after another."""

    def __init__(self, settings: Settings, facts: Facts, folder: Path, confirm: str | None) -> None:
        self._settings, self._facts, self._folder, self._confirm = settings, facts, folder, confirm
        self._latest: Candidate | None = None  # with the file of its messages, also where the deletion then fails
        self._ended: list[Candidate] = []

    def report(self) -> str:
        """What was deleted and saved so far, for a run that is interrupted."""
        changed = (c for c in (*self._ended, self._latest) if c and (c.saved or c.verdict in ("deleted", "given back")))
        return "; ".join(
            f"{c.verdict if c.verdict != 'deletes' else 'not deleted'} before: {c.queue}"
            + (f" ({counted(c.saved_messages, 'message')} saved in {c.saved!r})" if c.saved else "")
            for c in changed
        )

    def reap(self, candidate: Candidate) -> Candidate:
        """Saves and deletes one queue; an error becomes its verdict, and the next queue follows."""
        done = self._reap(candidate)
        self._ended.append(done)
        self._latest = None
        return done

    def _reap(self, candidate: Candidate) -> Candidate:
        detail = {
            "worker": candidate.worker_id,
            "why": candidate.why,
            "queue": _definition(self._facts, candidate.queue),
        }
        self._latest = candidate
        try:
            with audit.change(self._settings, "reap", candidate.queue, confirm=self._confirm, **detail) as outcome:
                done = self._save_and_delete(candidate)
                outcome |= {"verdict": done.verdict, "reason": done.reason, "saved": done.saved_messages}
                if done.saved is not None:
                    outcome["file"] = done.saved
                return done
        except AttuneOpsError as e:
            return (self._latest or candidate).judged("kept", f"failed: {e}")

    def _save_and_delete(self, candidate: Candidate) -> Candidate:
        for _ in range(TRIES):
            with short_connection(self._settings, "reap") as connection:
                live = depth(connection, candidate.queue)
            objection = _unusable(live)
            if objection is None:
                if live is not None and live.messages:
                    candidate = self._save(candidate)
                objection = self._objection(candidate)
            if objection is not None:
                return candidate.judged("kept", objection)
            try:
                with short_connection(self._settings, "reap") as connection:
                    delete_queue(connection.channel(), candidate.queue, if_unused=True, if_empty=True)
            except BrokerRefused as e:
                if _has_filled(e):
                    continue
                return candidate.judged("kept", USED_AGAIN)
            return self._after(candidate)
        return candidate.judged("kept", f"messages keep arriving: saved {TRIES} times, never empty")

    def _save(self, candidate: Candidate) -> Candidate:
        file = self._folder / f"{quote(candidate.queue, safe='')}.jsonl"
        try:
            make_folder(self._folder)
        except OSError as e:
            raise ActionError(f"cannot make the folder {str(self._folder)!r} for its messages: {e}") from e
        count = drain(self._settings, candidate.queue, file, apply=True, confirm=self._confirm).count("drained")
        saved = str(file) if count else candidate.saved
        self._latest = msgspec.structs.replace(candidate, saved=saved, saved_messages=candidate.saved_messages + count)
        return self._latest

    def _objection(self, candidate: Candidate) -> str | None:
        """Why it must not be deleted now: its worker is live again, or a client has unacknowledged messages."""
        if candidate.worker_id is not None and self._is_live(candidate.worker_id):
            return "its worker is live again"
        with open_management(self._settings) as management:
            counts = management.live_counts(candidate.queue)
        return _held(counts.messages_unacknowledged if counts is not None else None)

    def _after(self, candidate: Candidate) -> Candidate:
        """Redeclares the queue of a worker that registered during the deletion; an error does not bring it back."""
        id, doing = candidate.worker_id, "whether its worker registered meanwhile is unknown"
        try:
            if id is None or not self._is_live(id):
                return candidate.judged("deleted", "unused and empty")
            doing = "its worker registered meanwhile and must be restarted: the queue could not be redeclared"
            with short_connection(self._settings, "reap") as connection:
                channel = connection.channel()
                queues, bindings = _declarations(self._facts.topology, id, candidate.queue)
                for queue in queues:
                    declare_queue(channel, queue)
                for binding in bindings:
                    bind(channel, binding)
        except AttuneOpsError as e:
            return candidate.judged("deleted", f"failed: {doing} ({e})")
        return candidate.judged("given back", "its worker registered meanwhile: redeclared and bound")

    def _is_live(self, worker_id: int) -> bool:
        """Whether the registry has it as live now."""
        with session(self._settings.registry, self._settings.timeout) as s:
            found = read_worker(s, str(worker_id))
            registry = RegistryView(
                s.kind,
                (found,) if found is not None and found.id == worker_id else (),
                stale_after=self._settings.stale_after,
            )
        now = msgspec.structs.replace(self._facts, registry=registry, taken_at=datetime.now(UTC))
        beating = found is not None and found.is_beating(now.taken_at, registry.limit)
        return beating or why_not_live(now, worker_id) is None


def _unusable(live: Depth | None) -> str | None:
    """Why a queue of which a passive declare reports this is not deleted, or None."""
    if live is None:
        return "already gone"
    return USED_AGAIN if live.consumers else None


def _held(count: int | None) -> str | None:
    """Why a queue with that many unacknowledged messages is not deleted, or None; a count of None is unknown."""
    if count is None:
        return "the number of its unacknowledged messages is unknown"
    return unacknowledged(count) if count else None


def _has_filled(refused: BrokerRefused) -> bool:
    """Whether it was not deleted because a message has arrived since it was drained; False where it is in use.

    Raises any other refusal.
    """
    if refused.code != PRECONDITION_FAILED:
        raise refused
    return "in use" not in refused.text


def _declarations(topology: Topology, worker_id: int, name: str) -> tuple[list[Queue], list[Binding]]:
    """How a worker declares and binds its queue of that name."""
    queues = [q for q in topology.worker_queues(worker_id) if q.name == name]
    return queues, [b for b in topology.worker_bindings(worker_id) if b.destination == name]


def _definition(facts: Facts, queue: str) -> dict[str, Any]:
    """The queue's definition, for the audit log."""
    state = facts.actual.queue_named[queue]
    bindings = facts.actual.bindings_to_queue.get(queue, ())
    return {
        "durable": state.durable,
        "auto_delete": state.auto_delete,
        "arguments": state.arguments,
        "bindings": [[b.source, b.routing_key, b.arguments] for b in bindings],
    }
