"""Three hundred workers with one problem on the real broker: one finding, and one command for all."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from attune_ops.doctor.findings import Finding, Severity
from tests.live.places import JANUARY, Place
from tests.world import Run, eventually

MANY = 300
IDS = range(1001, 1001 + MANY)


@pytest.mark.slow
def test_three_hundred_workers_are_one_finding(place: Callable[..., Place], run: Run) -> None:
    """First alive without a consumer, then crashed: the printed command deletes their queues and no other."""
    here = place(JANUARY).populate()
    topology, vhost = here.settings.topology, here.vhost
    queues = [q for i in IDS for q in topology.worker_queues(i)]
    vhost.api("POST", "definitions", {
        "queues": [{"name": q.name, "vhost": vhost.name, "durable": q.durable, "auto_delete": q.auto_delete,
                    "arguments": q.arguments} for q in queues],
        "bindings": [{"source": b.source, "vhost": vhost.name, "destination": b.destination,
                      "destination_type": "queue", "routing_key": b.routing_key, "arguments": {}}
                     for i in IDS for b in topology.worker_bindings(i)],
    })  # fmt: skip
    for i in IDS:
        here.sql(
            "INSERT INTO worker (id, name, worker_role, status, created, last_heartbeat, updated) VALUES "
            f"({i}, 'many-{i}', 'action', 'active', '2025-01-01 00:00:00', datetime('now'), datetime('now'))"
        )

    def serious() -> list[Finding]:
        """The findings about this installation."""
        here.beat()
        here.sql("UPDATE worker SET last_heartbeat = datetime('now') WHERE id > 1000 AND status = 'active'")
        return [f for f in here.look(samples=1).problems if f.severity is not Severity.INFO]

    # Before that a consumer of worker 1 or 2 may not be listed yet.
    eventually(lambda: [len(f.subjects) for f in serious()] == [MANY], within=120, every=2)
    assert [f.code for f in serious()] == ["AT403"]
    shown = run("doctor", "--samples", "1", env=here.environment, status=1).stdout.splitlines()
    assert len(shown) < 50
    data = json.loads(run("doctor", "--samples", "1", "--format", "json", env=here.environment, status=1).stdout)
    (found,) = [f for f in data["findings"] if f["code"] == "AT403"]
    assert (found["count"], len(found["subjects"]), found["truncated"]["subjects"]) == (MANY, 100, MANY)

    here.sql(
        "UPDATE worker SET status = 'inactive', updated = datetime('now', '-1 day'), "
        "last_heartbeat = datetime('now', '-2 days') WHERE id > 1000"
    )
    left = serious()
    assert [(f.code, len(f.subjects)) for f in left] == [("AT408", MANY)]
    (command,) = map(str, left[0].commands)
    done = run.shell(command, here.environment)
    assert done.returncode == 0, done.stderr
    named = {q["name"] for q in vhost.api("GET", "queues/{vhost}?columns=name").json()}
    assert not named & {q.name for q in queues}
    assert {"worker.1.executions", "worker.2.executions"} <= named
    assert serious() == []
