"""What the inspections say of a healthy installation, of a broken one, and of one that was half read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from attune_ops.installation.config import resolve
from attune_ops.inventory import filtered, inspect
from attune_ops.inventory.bindings import bindings
from attune_ops.inventory.connections import connections
from attune_ops.inventory.consumers import consumers
from attune_ops.inventory.exchanges import exchanges
from attune_ops.inventory.orphans import orphans
from attune_ops.inventory.queues import queues
from attune_ops.inventory.workers import workers
from attune_ops.model.errors import ConfigError, SourceError
from attune_ops.model.facts import Facts, Reach, Source, with_topology
from attune_ops.model.passive import PassiveReading
from attune_ops.model.registry import Execution, Worker
from attune_ops.model.snapshot import BindingState, ChannelState, ConnectionState, ConsumerState
from attune_ops.model.table import Table
from attune_ops.model.topologies import candidates
from tests.unit.facts import NOW, binding, broker, facts, queue, worker

ALL = (queues, bindings, exchanges, consumers, workers, orphans)


def of(table: Table, key: str, value: object) -> dict[str, object]:
    (found,) = [r for r in table.records() if r[key] == value]
    return dict(found)


def test_queues_say_whose_they_are() -> None:
    here = facts()
    assert here.broker is not None
    mine, young = queue("amq.gen-1", exclusive=True), queue("someone.else", messages=None, consumers=None)
    table = queues(msgspec.structs.replace(here, broker=broker(here.topology, queues=(
        *(here.broker.queues or ()), mine, young,
    ))))  # fmt: skip
    assert of(table, "name", "worker.2.executions") | {"kind": "worker", "worker": "w2", "worker_id": 2} == of(
        table, "name", "worker.2.executions"
    )
    assert of(table, "name", "attune.events.queue")["kind"] == "base"
    assert of(table, "name", "attune.events.queue")["dead_letter_exchange"] == "attune.dlx"
    assert of(table, "name", "amq.gen-1")["kind"] == "foreign"
    assert of(table, "name", "someone.else")["messages"] is None
    assert of(table, "name", "someone.else")["consumers"] is None


def test_replica_queues_are_known_by_their_binding() -> None:
    here = facts(topology="attune-2026-09")
    assert here.broker is not None
    bound = BindingState("/", "attune.metadata", "amq.gen-1", "metadata.action.changed")
    seen = msgspec.structs.replace(
        here.broker,
        queues=(queue("amq.gen-1", exclusive=True), queue("amq.gen-2", exclusive=True)),
        bindings=(bound, BindingState("/", "attune.metadata", "amq.gen-2", "other")),
    )
    here = msgspec.structs.replace(here, broker=seen)
    assert queues(here).column("kind") == ("replica", "foreign")
    assert bindings(here).column("wanted") == (True, False)


def test_bindings_compare_key_and_arguments() -> None:
    here = facts(workers=(worker(1),))
    assert set(bindings(here).column("wanted")) == {True}
    (good,) = (binding(b) for b in here.topology.worker_bindings(1))
    for wrong in ({"routing_key": "worker.2"}, {"arguments": {"x": 1}}, {"source": "attune.events"}):
        bad = msgspec.structs.replace(good, **wrong)
        table = bindings(facts(workers=(worker(1),), bindings=(bad,)))
        assert table.column("wanted") == (False,)


def test_exchanges() -> None:
    table = exchanges(facts())
    assert of(table, "name", "attune.executions") | {"bindings": 4, "kind": "base"} == of(
        table, "name", "attune.executions"
    )
    assert of(table, "name", "")["bindings"] is None
    assert of(table, "name", "amq.topic")["kind"] == "builtin"


def test_consumers() -> None:
    stranger = ConsumerState("/", "worker.1.executions", "ctag-1", connection="gone")
    here = facts()
    assert here.broker is not None
    table = consumers(facts(consumers=(*(here.broker.consumers or ()), stranger)))
    assert of(table, "tag", "worker-1")["service"] == "worker"
    assert of(table, "tag", "executor.manager")["client"] == "executor"
    assert of(table, "tag", "executor.manager")["connected"] == timedelta(hours=2)
    assert of(table, "tag", "ctag-1")["service"] is None


OLD = NOW - timedelta(hours=1)


def test_worker_states() -> None:
    many = (
        worker(1),
        worker(2, status="inactive"),
        worker(3, status="error"),
        worker(4, last_heartbeat=NOW - timedelta(minutes=5)),
        worker(5),
        worker(6),
        worker(7, role="sensor"),
        worker(8, last_heartbeat=None),
        worker(10, status="inactive", last_heartbeat=OLD, updated=OLD + timedelta(seconds=20)),
        worker(11, status="inactive", last_heartbeat=OLD, updated=OLD + timedelta(seconds=95)),
        worker(12, last_heartbeat=NOW - timedelta(minutes=5)),
        worker(13, status="inactive"),
        worker(14, status="inactive", last_heartbeat=NOW - timedelta(seconds=20), updated=NOW),
    )
    topology = facts().topology
    whole = broker(topology, (1, 4, 5, 6, 9, 12, 13, 14))
    seen = msgspec.structs.replace(
        whole,
        queues=tuple(
            msgspec.structs.replace(q, consumers=0) if q.name == "worker.12.executions" else q
            for q in whole.queues or ()
            if q.name != "worker.5.executions"
        ),
        consumers=tuple(c for c in whole.consumers or () if c.tag not in ("worker-6", "worker-12")),
    )
    here = facts(many, executions=(Execution(1, "core.echo", "running", 1),))
    table = workers(msgspec.structs.replace(here, broker=seen))
    assert dict(zip(table.column("id"), table.column("state"), strict=True)) == {
        1: "ready", 2: "stopped", 3: "error", 4: "stale", 5: "no queue", 6: "no consumer", 7: "ready", 8: "stale",
        9: "unregistered", 10: "stopped", 11: "crashed", 12: "starting", 13: "set inactive",
        14: "stopped",
    }  # fmt: skip
    assert of(table, "id", 5)["missing"] == ("worker.5.executions",)
    assert of(table, "id", 7)["queue"] is None
    assert of(table, "id", 1)["executions"] == 1


def test_a_worker_is_not_called_ready_where_the_broker_was_not_read() -> None:
    lost = dict.fromkeys((Source.BROKER, Source.DEPTHS, Source.CONSUMERS, Source.CONNECTIONS), "refused")
    here = msgspec.structs.replace(facts(), broker=None, missing=lost)
    table = workers(here)
    assert table.column("state") == (None, None, None)
    assert table.column("queue") == (None, None, None)
    assert table.notes == ("registry, executions: live", "queue, messages, consumer, process: unknown (refused)")


def test_workers_without_a_broker_are_not_all_that_was_asked_for() -> None:
    """Exit status 3: what is unread is what the command ends with."""
    settings = resolve({"amqp_url": "amqp://h", "database_url": "sqlite:///r.db"}, {})
    lost = dict.fromkeys((Source.BROKER, Source.DEPTHS, Source.CONSUMERS, Source.CONNECTIONS), "refused")
    management = Reach(Source.MANAGEMENT, "http://h", error="refused")
    here = msgspec.structs.replace(facts(), missing=lost, reach=(management,))
    away = msgspec.structs.replace(here, broker=None)
    assert inspect(settings, "workers", facts=away).unread == ("refused",)
    declared = msgspec.structs.replace(away, passive=PassiveReading("refused"))
    assert inspect(settings, "workers", facts=declared).unread == (), "read by passive declares"
    assert inspect(settings, "workers", facts=facts()).unread == ()
    assert here.registry is not None
    for failed in (False, True):
        registry = msgspec.structs.replace(here.registry, executions=None, read_failed=failed)
        slow = msgspec.structs.replace(facts(), registry=registry, missing={Source.EXECUTIONS: "a time-out"})
        assert inspect(settings, "workers", facts=slow).unread == (("a time-out",) if failed else ())


@pytest.mark.parametrize("inspection", [workers, orphans])
@pytest.mark.parametrize(
    ("offset", "note"),
    [
        (-120.0, "the registry's clock is 120 s behind this host's: a live worker can appear dead here (AT107)"),
        (120.0, "the registry's clock is 120 s ahead of this host's: a dead worker can appear live here (AT107)"),
        (10.0, None),
        (None, None),
    ],
)
def test_clock_skew_is_noted(inspection: Callable[[Facts], Table], offset: float | None, note: str | None) -> None:
    reach = Reach(Source.REGISTRY, "postgresql://h", clock_offset_s=offset)
    found = inspection(msgspec.structs.replace(facts(), reach=(reach,))).notes
    assert [n for n in found if "clock" in n] == ([note] if note else [])


def test_workers_have_the_notes_of_the_registry() -> None:
    here = facts()
    assert here.registry is not None
    noted = msgspec.structs.replace(here.registry, notes=("only the oldest were read",))
    assert workers(msgspec.structs.replace(here, registry=noted)).notes[-1] == "only the oldest were read"


def test_no_consumers_told_is_not_no_consumer() -> None:
    table = workers(facts(consumers=None))
    assert set(table.column("state")) == {None}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (worker(2, status="inactive"), "it is registered as inactive, but sends heartbeats and consumes"),
        (worker(2, status="inactive", last_heartbeat=OLD), "it stopped: its status is inactive"),
        (
            worker(2, status="inactive", last_heartbeat=OLD, updated=OLD + timedelta(seconds=89)),
            "it stopped cleanly",
        ),
        (
            worker(2, status="inactive", last_heartbeat=OLD, updated=OLD + timedelta(seconds=90)),
            "it crashed: its heartbeat stopped 1 h ago",
        ),
        (worker(2, status="error"), "its status is error"),
        (worker(2, role="sensor"), "its role is sensor, which takes no executions"),
        (worker(2, last_heartbeat=NOW - timedelta(seconds=300)), "its heartbeat is 5 min old"),
        (worker(2, last_heartbeat=None), "it never sent a heartbeat"),
        (worker(4), "no worker 2 in the registry"),
    ],
)
def test_orphaned_queue(changed: Worker, why: str) -> None:
    here = facts((worker(1), changed))
    here = msgspec.structs.replace(here, broker=broker(here.topology, tuple({1, 2, changed.id})))
    (row,) = orphans(here).records()
    assert (row["kind"], row["queue"], row["why"]) == ("queue", "worker.2.executions", why)


def test_no_orphans_when_healthy_or_a_worker_is_cordoned() -> None:
    assert orphans(facts((worker(1), worker(2, cordoned=True), worker(3, status="busy")))).rows == ()


def test_live_worker_without_queue() -> None:
    here = facts((worker(1), worker(2)), queues=())
    assert [r["queue"] for r in orphans(here).records()] == ["worker.1.executions", "worker.2.executions"]
    assert set(orphans(here).column("kind")) == {"worker"}
    stale = worker(1, last_heartbeat=NOW - timedelta(hours=1))
    assert orphans(facts((stale,), queues=())).rows == ()  # a dead worker's queue is rightly gone


@pytest.mark.parametrize(
    ("elsewhere", "says"), [((), ""), (("attune",), "; virtual host attune has exchanges of Attune")]
)
def test_a_virtual_host_without_attune_is_named_before_its_workers_are_restarted(
    elsewhere: tuple[str, ...], says: str
) -> None:
    empty = facts(exchanges=(), queues=(), bindings=(), consumers=(), connections=())
    here = with_topology(empty, candidates(empty.topology), given=True)
    here = msgspec.structs.replace(here, elsewhere=elsewhere)
    for table in (workers(here), orphans(here)):
        assert table.notes[0] == (
            f"no Attune topology in virtual host /{says}: check the virtual host at the end of the AMQP URL before you "
            "restart a worker"
        )
        assert set(table.column("process")) == {None}  # not crashed: it may be connected to another virtual host
    lost = facts(queues=(), bindings=(), consumers=())
    lost = with_topology(lost, candidates(lost.topology), given=True)
    assert not any("virtual host" in note for note in (*workers(lost).notes, *orphans(lost).notes))


@pytest.mark.parametrize("inspection", ALL)
@pytest.mark.parametrize("topology", ["attune-2026-01", "attune-2026-09"])
def test_healthy_installation(inspection: Callable[[Facts], Table], topology: str) -> None:
    table = inspection(facts(topology=topology))
    assert bool(table.rows) is (inspection is not orphans)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert all(c.doc for c in table.columns if c.name not in ("name", "id"))


@pytest.mark.parametrize("inspection", [i for i in ALL if i is not workers])
def test_without_a_broker_the_reason_is_told(inspection: Callable[[Facts], Table]) -> None:
    here = msgspec.structs.replace(facts(), broker=None, missing={Source.BROKER: "connection refused"})
    with pytest.raises(SourceError, match="connection refused"):
        inspection(here)


def test_narrowed() -> None:
    here = queues(facts(tuple(worker(i) for i in (1, 2, 10))))
    table = filtered(here, {"pattern": "worker.*", "sort": ("-name",), "columns": ("name",), "limit": 2})
    assert table.rows == (("worker.10.executions",), ("worker.2.executions",))
    assert table.notes[-1] == "1 more row not shown (limit 2)"
    assert filtered(here, {"pattern": "/^attune.*s/"}).rows == here.matching("attune.*").rows
    with pytest.raises(ConfigError, match="no column 'nope' in queues; it has name, messages"):
        filtered(here, {"columns": ("nope",)})
    with pytest.raises(ConfigError, match="not a regular expression"):
        filtered(here, {"pattern": "/(/"})


@pytest.mark.parametrize("pattern", ["[", "nope", "/nope/"])
def test_a_pattern_that_matches_nothing_says_how_it_is_read(pattern: str) -> None:
    rows = len(queues(facts()).rows)
    found = filtered(queues(facts()), {"pattern": pattern})
    assert found.rows == ()
    assert found.notes[0].startswith(f"no match for {pattern!r} in {rows} rows: a glob must match the whole name")
    assert filtered(queues(facts()), {"pattern": "worker.*"}).notes == queues(facts()).notes


def test_a_word_finds_the_names_that_contain_it() -> None:
    found = filtered(queues(facts()), {"pattern": "worker.2"})
    assert [row[0] for row in found.rows] == ["worker.2.executions"], "not worker.20 or another name"
    assert found.notes[0] == "no name is 'worker.2': these contain it"


def test_where_there_is_nothing_the_pattern_is_not_to_blame() -> None:
    nothing = msgspec.structs.replace(queues(facts()), rows=())
    assert filtered(nothing, {"pattern": "["}).notes == nothing.notes


@pytest.mark.parametrize(
    ("state", "consuming", "alert"),
    [
        ({"messages": 3, "consumers": 0}, False, "unread"),
        ({"messages": 0, "consumers": 0}, False, "ok"),
        ({"messages": 3, "consumers": None}, False, None),
        ({"messages": 9, "messages_ready": 7, "messages_unacknowledged": 2, "ack_rate": 0.0}, True, "stuck"),
        ({"messages": 9, "messages_ready": 7, "messages_unacknowledged": 2, "ack_rate": None}, True, "prefetch full"),
        ({"messages": 9, "messages_ready": 7, "messages_unacknowledged": 2, "ack_rate": 0.2}, True, "ok"),
        ({"messages": 2, "messages_ready": 0, "messages_unacknowledged": 2, "ack_rate": 0.0}, True, "ok"),
        ({"messages": None, "messages_ready": None}, False, "unavailable"),
    ],
)
def test_the_alert_of_a_queue(state: dict[str, Any], consuming: bool, alert: str | None) -> None:
    here = facts()
    consumer = ConsumerState("/", "q", "tag", prefetch=2, ack_required=True)
    seen = broker(here.topology, queues=(queue("q", **state),), consumers=(consumer,) if consuming else ())
    (row,) = queues(msgspec.structs.replace(here, broker=seen)).records()
    assert row["alert"] == alert
    if consuming:
        assert row["consumers"] == 1, "the list of consumers is more recent than the statistics"


def test_bytes_of_a_young_message_are_unknown() -> None:
    here = facts()
    young, old = queue("young", messages=1, message_bytes=0), queue("old", messages=0, message_bytes=0)
    table = queues(msgspec.structs.replace(here, broker=broker(here.topology, queues=(young, old))))
    assert table.column("bytes") == (0, None)


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    """A channel too young for statistics, and one of a worker's four queues that does not answer."""
    channels = tuple(
        ChannelState(f"{c} ({n})", "/", c, messages_unacknowledged=count)
        for c, n, count in (("c1", 1, 3), ("c1", 2, 4), ("c2", 1, 3), ("c2", 2, None))
    )
    made = facts(topology="attune-2026-09")
    connected = tuple(ConnectionState(c, "/") for c in ("c1", "c2", "c3"))
    silent = tuple(
        msgspec.structs.replace(q, messages=None, state="down") if q.name == "worker.2.packs" else q
        for q in made.actual.queues or ()
    )
    here = msgspec.structs.replace(
        made, broker=msgspec.structs.replace(made.actual, queues=silent, channels=channels, connections=connected)
    )
    assert connections(here).column("unacked") == (7, None, 0)
    assert workers(here).column("messages") == (0, None, 0)
