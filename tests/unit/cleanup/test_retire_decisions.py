"""Which workers `retire` takes for dead: registered as running, a stale heartbeat, and nothing that consumes."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attune_ops.cleanup.retire import _alive, _chosen, _consuming, _row
from attune_ops.installation import audit, registry_write
from attune_ops.installation.config import resolve
from attune_ops.installation.registry_read import read_worker
from attune_ops.installation.registry_session import session
from attune_ops.model.errors import ActionError
from attune_ops.model.facts import Facts, with_topology
from attune_ops.model.registry import Worker
from attune_ops.model.snapshot import ConsumerState
from attune_ops.model.topologies import candidates
from tests.unit.facts import NOW, facts, worker

OLD = NOW - timedelta(hours=1)
QUEUE = "worker.3.executions"
NO_BROKER = "amqp://u:p@127.0.0.1:1/%2F"


def installation(changed: Worker, consumers: tuple[ConsumerState, ...] = (), counted: int = 0) -> Facts:
    """Three workers; the third is as given, and its queue has these consumers."""
    made = facts((worker(1), worker(2), changed))
    assert made.broker is not None
    queues = tuple(
        msgspec.structs.replace(q, consumers=counted) if q.name == QUEUE else q for q in made.broker.queues or ()
    )
    others = tuple(c for c in made.broker.consumers or () if c.queue != QUEUE)
    broker = msgspec.structs.replace(made.broker, queues=queues, consumers=(*others, *consumers))
    return msgspec.structs.replace(made, broker=broker)


def alive(changed: Worker, *consumers: ConsumerState, counted: int = 0) -> str | None:
    return _alive(installation(changed, consumers, counted), changed)


DEAD = worker(3, last_heartbeat=OLD)


def test_a_stale_worker_without_a_consumer_is_dead() -> None:
    assert alive(DEAD) is None
    assert alive(worker(3, last_heartbeat=OLD, status="busy")) is None
    assert alive(worker(3, last_heartbeat=None)) is None


@pytest.mark.parametrize(("age", "fresh"), [(89, True), (90, True), (91, False)])
def test_a_heartbeat_is_stale_after_90_seconds(age: int, fresh: bool) -> None:
    old = worker(3, last_heartbeat=NOW - timedelta(seconds=age), created=OLD)
    why = alive(old)
    assert (why == "its heartbeat is fresh") is fresh


def test_a_consumer_keeps_a_worker() -> None:
    own = ConsumerState("/", QUEUE, "worker-3", connection="c")
    assert alive(DEAD, own) == "its queue has its consumer"
    assert alive(DEAD, ConsumerState("/", QUEUE, "other", connection="c")) == "its queue has a consumer"
    assert alive(DEAD, counted=1) == "its queue has a consumer"
    assert alive(DEAD, ConsumerState("/", "worker.2.executions", "worker-3", connection="c")) is None


def test_a_virtual_host_without_attune_says_nothing_of_consumers() -> None:
    """The worker may be alive in another one; before 0.6 its heartbeat would not set it active again."""
    made = installation(DEAD)
    empty = msgspec.structs.replace(made.actual, exchanges=(), queues=(), bindings=(), consumers=())
    there = with_topology(msgspec.structs.replace(made, broker=empty), candidates(made.topology), given=True)
    assert _alive(there, DEAD) == "no Attune topology in virtual host /: it may consume in another one"


def test_a_sensor_renews_a_lease_and_is_kept() -> None:
    why = alive(worker(3, role="sensor", last_heartbeat=OLD))
    assert why is not None
    assert why.startswith("its role is sensor: it renews a lease")


@pytest.mark.parametrize(("minutes", "starting"), [(2, True), (9, True), (10, False), (60, False)])
def test_a_worker_that_may_be_starting_is_kept(minutes: int, starting: bool) -> None:
    since = NOW - timedelta(minutes=minutes)
    why = alive(worker(3, last_heartbeat=since, created=since))
    assert why == ("it may be starting: its queues exist, its row is of the last 10 minutes" if starting else None)


def test_only_what_is_registered_as_running_is_considered_by_id_or_name() -> None:
    workers = (worker(1), worker(2, status="busy"), worker(3, status="inactive"), worker(4, status="error"))
    made = facts(workers)
    assert [w.id for w in _chosen(made, lambda _: True)] == [1, 2]
    assert [w.id for w in _chosen(made, lambda text: text == "2")] == [2]
    assert [w.id for w in _chosen(made, lambda text: text == "w1")] == [1]
    assert _chosen(made, lambda text: text == "w3") == []


def test_nobody_to_ask_about_needs_no_broker() -> None:
    assert _consuming(resolve({"amqp_url": NO_BROKER}, {}), facts(), []) == {}


def row(changed: Worker, why: str | None) -> tuple[Any, ...]:
    return _row(resolve({"amqp_url": NO_BROKER}, {}), facts(), changed, why, False, None)


def test_a_dry_run_says_what_it_would_do_and_why() -> None:
    hour = timedelta(hours=1)
    assert row(DEAD, None) == (3, "w3", "active", hour, "retires", "its heartbeat is 1 h old")
    assert row(worker(3, last_heartbeat=None), None)[3:] == (None, "retires", "it never sent a heartbeat")
    assert row(DEAD, "its queue has a consumer")[4:] == ("kept", "its queue has a consumer")


def test_only_a_dead_worker_is_set_to_inactive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a registry of SQLite; a heartbeat meanwhile is an error, and changes nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    settings = resolve({"amqp_url": NO_BROKER, "database_url": f"sqlite:///{tmp_path / 'r.db'}"}, {})
    assert settings.registry is not None
    id = registry_write.register(settings.registry, "w").id

    def read() -> Worker:
        assert settings.registry is not None
        with session(settings.registry) as s:
            found = read_worker(s, str(id))
        assert found is not None
        return found

    seen = read()
    assert _row(settings, facts(), seen, "its heartbeat is fresh", True, None)[4:] == ("kept", "its heartbeat is fresh")
    assert read().status == "active"
    with sqlite3.connect(tmp_path / "r.db") as connection:
        connection.execute("UPDATE worker SET last_heartbeat = ?", (datetime.now(UTC).isoformat(),))
    connection.close()
    with pytest.raises(ActionError, match="has sent a heartbeat since"):
        _row(settings, facts(), seen, None, True, None)
    assert read().status == "active"
    done = _row(settings, facts(), read(), None, True, None)
    assert done[4] == "retired"
    assert read().status == "inactive"
    logged = [json.loads(line) for line in audit.log_file().read_text().splitlines()]
    started = [e["detail"] for e in logged if e["result"] == "started"]
    assert (started[-1]["worker"], started[-1]["heartbeat"]) == (id, str(done[3]))
