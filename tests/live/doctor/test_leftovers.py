"""What an upgrade leaves on the real broker: named with its release, and deleted as printed, never under a consumer."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from attune_ops.doctor.findings import Finding, Report
from attune_ops.installation import amqp_write as act
from attune_ops.model.topologies import load
from attune_ops.model.topology import Binding, Queue
from tests.live.places import JANUARY, SEPTEMBER, Place
from tests.live.printed import fix, proves
from tests.world import Run, eventually

LIFECYCLE = "attune.rules.lifecycle.queue"
EXECUTIONS, NOTIFICATIONS = "attune.executions.queue", "attune.notifications.queue"
SENSOR, WORKER, FOREIGN = "sensor.core.timer", "worker.9.executions", "sensor.temperature"
RULES = ("rule.created", "rule.enabled", "rule.disabled", "rule.deleted")


def left_by_upgrades(p: Place) -> None:
    """Each queue exactly as its release declared and bound it, and 3 messages published by the present one."""
    january, september = load(JANUARY), load(SEPTEMBER)
    with p.vhost.channel() as channel:
        for topology, name in ((september, LIFECYCLE), (january, EXECUTIONS), (january, NOTIFICATIONS)):
            act.declare_queue(channel, next(q for q in topology.queues if q.name == name))
            for binding in topology.bindings_to(name):
                act.bind(channel, binding)
        act.declare_queue(channel, Queue(SENSOR))
        for key in RULES:
            act.bind(channel, Binding("attune.events", SENSOR, key))
        act.declare_queue(channel, january.worker_queues(9)[0])
        act.bind(channel, january.worker_bindings(9)[0])
        act.declare_queue(channel, Queue(FOREIGN))  # of another program: not bound to Attune
    p.publish("attune.events", "rule.created", 3)


def of(report: Report) -> dict[str, Finding]:
    """The findings of AT412 that no other finding explains, by queue."""
    return {f.subject.name: f for f in report.findings if f.code == "AT412"}


def test_each_leftover_is_named_and_deleted_as_printed(place: Callable[..., Place], run: Run) -> None:
    p = place("attune-0.6").populate()
    left_by_upgrades(p)
    known = {LIFECYCLE, SENSOR, EXECUTIONS, NOTIFICATIONS}

    def seen() -> Report | None:
        report = p.look()
        return report if of(report).keys() == known and all(f.commands for f in of(report).values()) else None

    report = eventually(seen, within=30, every=1)
    found = of(report)
    said = {name: (f.evidence["release"], f.evidence["receives"], f.evidence["messages"]) for name, f in found.items()}
    rules = ["RuleCreated", "RuleDeleted", "RuleDisabled", "RuleEnabled"]
    assert said == {
        LIFECYCLE: ("release 0.5", ["PackDeleted", "PackRegistered", *rules], 3),
        SENSOR: ("the timer sensor before June 2026", rules, 3),
        EXECUTIONS: ("January 2026", [], 0),
        NOTIFICATIONS: ("January 2026", [], 0),
    }
    assert "without a limit; 3 messages in it" in found[LIFECYCLE].detail
    assert "no message is routed to it" in found[EXECUTIONS].detail
    (orphan,) = [f for f in report.findings if WORKER in f.detail and f.group != "upgrade"]  # one queue, one finding
    assert [c.detail for c in orphan.consequences if c.code == "AT412"] == [
        f"{WORKER} is a leftover of January 2026: no message is routed to it"
    ]
    proves("AT412 reap", p, report, run)
    fix(p, report, run)
    assert not {*known, WORKER} & p.vhost.names("queues")
    assert FOREIGN in p.vhost.names("queues")
    after = p.look()
    assert not of(after)
    assert not [f for f in after.findings if f.severity == "error"]


def test_the_messages_of_a_leftover_are_saved(place: Callable[..., Place], run: Run) -> None:
    p = place("attune-0.6").populate()
    left_by_upgrades(p)
    done = run("reap", LIFECYCLE, "--grace", "0s", "--apply", "--format", "json", env=p.environment, status=0)
    (row,) = json.loads(done.stdout)["queues"]
    assert (row["verdict"], row["saved_messages"], row["worker_id"]) == ("deleted", 3, None)
    back = ("--exchange=", f"--routing-key={EXECUTIONS}", "--apply")
    run("messages", "restore", row["saved"], *back, env=p.environment, status=0)
    with p.vhost.channel() as channel:
        assert channel.queue_declare(EXECUTIONS, passive=True).method.message_count == 3


def test_a_leftover_with_a_consumer_is_never_deleted(place: Callable[..., Place], run: Run) -> None:
    p = place("attune-0.6").populate()
    left_by_upgrades(p)
    with p.vhost.channel() as channel:
        act.consume(channel, "sensor-rule-lifecycle", LIFECYCLE, lambda *_: None, prefetch=10)

        def seen() -> bool:
            channel.connection.process_data_events(0)
            found = of(p.look())
            return LIFECYCLE in found and found[LIFECYCLE].evidence["consumed"] is True

        eventually(seen, within=30, every=1)
        report = p.look()
        finding = of(report)[LIFECYCLE]
        assert not finding.commands
        assert "a service of release 0.5 still runs" in (finding.remedy or "")
        proves("AT412 consumers", p, report, run)
        done = run("reap", "--grace", "0s", "--apply", "--format", "json", env=p.environment, status=0)
        verdicts = {q["queue"]: q["verdict"] for q in json.loads(done.stdout)["queues"]}
        assert verdicts == {
            LIFECYCLE: "kept",
            SENSOR: "deleted",
            EXECUTIONS: "deleted",
            NOTIFICATIONS: "deleted",
            WORKER: "deleted",
        }
        assert LIFECYCLE in p.vhost.names("queues")


@pytest.mark.parametrize("given", [False, True])
def test_the_queue_of_the_release_that_may_run_is_kept(given: bool, place: Callable[..., Place], run: Run) -> None:
    """0.5 without its sensor at the moment looks like 0.6 with the leftover: nothing is deleted then."""
    p = place(SEPTEMBER).populate()
    p.services["sensor"].disconnect()
    env = p.environment | {"ATTUNE_OPS_TOPOLOGY": "attune-0.6" if given else ""}
    eventually(
        lambda: not p.vhost.api("GET", f"queues/{{vhost}}/{LIFECYCLE}").json().get("consumers"), within=20, every=1
    )
    report = json.loads(run("doctor", "--format", "json", env=env).stdout)
    assert not [c for f in report["findings"] for c in f["commands"] if LIFECYCLE in c and "reap" in c]
    run("reap", "--grace", "0s", "--apply", env=env, status=0)
    assert LIFECYCLE in p.vhost.names("queues")
