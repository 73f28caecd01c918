"""What stops `reap` from deleting a queue at the last moment, and what it gives back."""

from __future__ import annotations

import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attune_ops.cleanup.candidates import Candidate, unacknowledged
from attune_ops.cleanup.reap import (
    GRACE,
    USED_AGAIN,
    _declarations,
    _definition,
    _has_filled,
    _held,
    _notes,
    _Reaper,
    _unusable,
)
from attune_ops.installation import registry_write
from attune_ops.installation.amqp import Depth
from attune_ops.installation.amqp_write import BrokerRefused
from attune_ops.installation.config import Settings, resolve
from attune_ops.messages.selection import FINISHED_STAY
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.facts import Facts
from attune_ops.model.topologies import load
from tests.unit.facts import NOW, facts

QUEUE = "worker.3.executions"


def candidate(worker_id: int | None = 3, **changes: Any) -> Candidate:
    made = Candidate(QUEUE, worker_id, "it stopped cleanly", "deletes", "", 0, NOW - GRACE, GRACE)
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize(
    ("live", "why"),
    [
        (None, "already gone"),
        (Depth(0, 1), USED_AGAIN),
        (Depth(5, 2), USED_AGAIN),
        (Depth(0, 0), None),
        (Depth(5, 0), None),
    ],
)
def test_a_queue_that_is_used_again_is_kept(live: Depth | None, why: str | None) -> None:
    assert _unusable(live) == why


@pytest.mark.parametrize(
    ("count", "why"),
    [
        (None, "the number of its unacknowledged messages is unknown"),
        (1, "a client has 1 unacknowledged message of it"),
        (2, "a client has 2 unacknowledged messages of it"),
        (0, None),
    ],
)
def test_unacknowledged_messages_keep_a_queue_and_so_does_not_to_know(count: int | None, why: str | None) -> None:
    assert _held(count) == why
    assert count is None or why is None or why == unacknowledged(count)


def test_a_refused_deletion() -> None:
    assert _has_filled(BrokerRefused("deleting", 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty"))
    assert not _has_filled(BrokerRefused("deleting", 406, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use"))
    for code in (403, 404, None):
        refused = BrokerRefused("deleting", code, "queue in use")
        with pytest.raises(BrokerRefused) as raised:
            _has_filled(refused)
        assert raised.value is refused


@pytest.mark.parametrize("topology", ["attune-2026-01", "attune-2026-09", "attune-0.6"])
def test_what_is_given_back_is_what_the_worker_declares(topology: str) -> None:
    loaded = load(topology)
    for queue in loaded.worker_queues(3):
        queues, bindings = _declarations(loaded, 3, queue.name)
        assert queues == [queue]
        assert bindings
        assert {b.destination for b in bindings} == {queue.name}
        assert bindings == [b for b in loaded.worker_bindings(3) if b.destination == queue.name]
    assert _declarations(loaded, 3, "worker.33.executions") == ([], [])


def test_the_next_run_is_after_the_first_grace_period() -> None:
    later = candidate(verdict="waits", seen_since=NOW + timedelta(minutes=1))
    first = candidate(verdict="waits", seen_since=NOW)
    assert _notes((later, first, candidate(seen_since=NOW - timedelta(days=1))), GRACE) == (
        "run it again after 2026-01-16 12:10:00 UTC, when the first grace period ends",
    )
    assert _notes((candidate(), candidate(verdict="kept")), GRACE) == ()
    assert _notes((candidate(verdict="deleted", saved="file.jsonl"),), GRACE) == (FINISHED_STAY,)


def test_the_audit_log_has_the_queue_s_definition() -> None:
    made = facts(topology="attune-2026-09")
    assert _definition(made, QUEUE) == {
        "durable": True,
        "auto_delete": False,
        "arguments": {"x-dead-letter-exchange": "attune.dlx", "x-message-ttl": 300000},
        "bindings": [["attune.executions", "execution.dispatch.worker.3", {}]],
    }


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A registry in a file, and a broker that is not there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    urls = {"amqp_url": f"amqp://u:p@127.0.0.1:{port}/%2F", "database_url": f"sqlite:///{tmp_path / 'registry.db'}"}
    return resolve(urls, {})


def reaper(settings: Settings, made: Facts | None = None) -> _Reaper:
    return _Reaper(settings, made or unused(), Path("not-used"), None)


def unused() -> Facts:
    """The broker of three workers whose queues have no consumers."""
    made = facts()
    assert made.broker is not None
    queues = tuple(msgspec.structs.replace(q, consumers=0) for q in made.broker.queues or ())
    return msgspec.structs.replace(made, broker=msgspec.structs.replace(made.broker, queues=queues, consumers=()))


def registered(settings: Settings) -> int:
    assert settings.registry is not None
    return registry_write.register(settings.registry, "w").id


def test_a_worker_that_registered_meanwhile_is_live(settings: Settings) -> None:
    id = registered(settings)
    assert reaper(settings)._is_live(id)
    assert not reaper(settings)._is_live(id + 1), "another id is not this worker"


def test_a_worker_that_stopped_is_not_live(settings: Settings) -> None:
    id = registered(settings)
    assert settings.registry is not None
    registry_write.deactivate(settings.registry, id)
    assert not reaper(settings)._is_live(id)


def test_a_name_that_is_a_number_is_not_its_id(settings: Settings) -> None:
    assert settings.registry is not None
    id = registry_write.register(settings.registry, "77").id
    assert id != 77
    assert not reaper(settings)._is_live(77)


def test_the_stale_limit_of_the_settings_holds(settings: Settings, tmp_path: Path) -> None:
    id = registered(settings)
    old = (datetime.now(UTC) - timedelta(seconds=200)).isoformat()
    with sqlite3.connect(tmp_path / "registry.db") as connection:
        connection.execute("UPDATE worker SET last_heartbeat = ?, created = '2026-01-01 00:00:00'", (old,))
    connection.close()
    used = facts()  # with consumers: it is not starting
    assert not reaper(settings, used)._is_live(id)
    longer = msgspec.structs.replace(settings, stale_after=300.0)
    assert reaper(longer, used)._is_live(id)


def test_a_queue_of_a_live_worker_is_kept_without_asking_the_broker(settings: Settings) -> None:
    id = registered(settings)
    assert reaper(settings)._objection(candidate(id)) == "its worker is live again"


def test_of_a_worker_that_is_not_live_the_broker_is_asked(settings: Settings) -> None:
    registered(settings)
    with pytest.raises(SourceError):
        reaper(settings)._objection(candidate(99))


def test_a_leftover_has_no_worker_that_could_be_live(settings: Settings) -> None:
    done = reaper(settings)._after(candidate(None))
    assert (done.verdict, done.reason) == ("deleted", "unused and empty")
    registered(settings)
    gone = reaper(settings)._after(candidate(99))
    assert gone.verdict == "deleted"


def test_a_queue_that_is_deleted_is_not_called_kept(settings: Settings, tmp_path: Path) -> None:
    """Its worker registered meanwhile, but the broker is down; or the registry is away."""
    id = registered(settings)
    done = reaper(settings)._after(candidate(id))
    assert (done.verdict, done.reason.partition(":")[0]) == ("deleted", "failed")
    assert "must be restarted" in done.reason
    (tmp_path / "registry.db").write_text("no database")
    done = reaper(settings)._after(candidate(id))
    assert done.verdict == "deleted"
    assert done.reason.startswith("failed: whether its worker registered meanwhile is unknown (")


def test_a_run_that_is_interrupted_says_what_it_did(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reaper(settings)
    assert made.report() == ""
    outcomes = iter([candidate(verdict="deleted"), candidate(verdict="kept")])
    monkeypatch.setattr(made, "_reap", lambda _: next(outcomes))
    made.reap(candidate())
    made.reap(candidate())
    assert made.report() == f"deleted before: {QUEUE}"
    made._latest = candidate(saved="file.jsonl", saved_messages=3)
    assert made.report().endswith(f"; not deleted before: {QUEUE} (3 messages saved in 'file.jsonl')")


def test_a_folder_that_cannot_be_made_is_an_error_of_the_tool(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ActionError, match="cannot make the folder"):
        _Reaper(settings, unused(), tmp_path / "file" / "folder", None)._save(candidate())


def test_a_broker_that_is_down_keeps_the_queue_and_its_saved_messages(settings: Settings) -> None:
    saved = candidate(saved="file.jsonl", saved_messages=3)
    done = reaper(settings).reap(saved)
    assert (done.verdict, done.saved, done.saved_messages) == ("kept", "file.jsonl", 3)
    assert done.reason.startswith("failed: ")


def test_a_deletion_that_fails_after_saving_names_the_file(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reaper(settings)

    def saves_and_fails(one: Candidate) -> Candidate:
        made._latest = msgspec.structs.replace(one, saved="file.jsonl", saved_messages=3)
        raise ActionError("the connection was lost")

    monkeypatch.setattr(made, "_save_and_delete", saves_and_fails)
    done = made.reap(candidate())
    assert (done.verdict, done.saved, done.saved_messages) == ("kept", "file.jsonl", 3)
    assert done.reason == "failed: the connection was lost"
