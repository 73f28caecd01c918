"""`explain` on errors that a real PostgreSQL and a real broker cause, with what is true here and now."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests import migrations
from tests.live.doctor.test_dead_letters import SIX, fail_one
from tests.live.places import Place
from tests.postgres import Server
from tests.world import Run

REGISTER = (
    "INSERT INTO attune.worker (name, worker_type, worker_role, status, host, last_heartbeat) "
    "VALUES ('worker-pod', 'local', 'action', 'active', 'pod-a', now())"
)


def explained(p: Place, run: Run, text: str) -> dict[str, Any]:
    done = run("explain", text, "--format", "json", env=p.environment, status=0)
    (found,) = json.loads(done.stdout)["errors"]
    assert isinstance(found, dict)
    return found


def test_two_replicas_register_one_name(place: Callable[..., Place], run: Run, postgres: Server) -> None:
    with postgres.database(migrations.RELEASE_0_6) as url, psycopg.connect(url, autocommit=True) as connection:
        p = place(SIX)
        p.use_registry(url)
        connection.execute(REGISTER)
        with pytest.raises(psycopg.errors.UniqueViolation) as refused:
            connection.execute(REGISTER)
        said = explained(p, run, str(refused.value))
        assert (said["name"], said["subject"]) == ("WORKER_NAME_TAKEN", "worker-pod")
        assert "Worker 1 has this name, on host pod-a" in said["here"][0]
        connection.execute("UPDATE attune.worker SET cordoned = true")
        said = explained(p, run, "Scheduling error: No active, uncordoned workers available")
        assert said["here"] == ["Live workers now: 1; cordoned: worker-pod."]
        connection.execute("UPDATE attune.worker SET last_heartbeat = now() - interval '1 hour'")
        said = explained(p, run, "Worker worker-pod heartbeat is stale: last seen 3600 s ago")
        assert said["here"] == ["1 of 1 workers registered as running have a stale heartbeat: 1 'worker-pod'."]


def test_a_body_that_lacks_a_field(place: Callable[..., Place], run: Run) -> None:
    p = place(SIX).populate()
    p.services["executor"].disconnect()
    fail_one(p)
    text = "Failed to deserialize message: missing field `message_type` at line 1 column 2"
    assert "they are lost (AT305)" in explained(p, run, text)["here"][0]
    run("policy", "apply", "dead-letters", "--apply", env=p.environment, status=0)
    fail_one(p)
    (line,) = explained(p, run, text)["here"]
    assert line == "attune.dlx.queue holds 1 dead letter: attune-ops messages peek -- attune.dlx.queue."
    assert "{}" in run.shell(line.partition(": ")[2].rstrip("."), p.environment).stdout
