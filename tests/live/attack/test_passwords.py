"""A password that is also a word of ours mangles no output, and is not told by what is missing."""

from __future__ import annotations

import json

import pytest

from attune_ops.doctor.checks import all_checks
from attune_ops.topology.apply import apply_topology
from tests.world import Run, Users, Vhost

WORDS = ("active", "worker", "ok", "warning", "execution", "q")


@pytest.mark.parametrize("password", WORDS)
def test_a_password_that_is_a_word(password: str, vhost: Vhost, user: Users, run: Run, database: str) -> None:
    apply_topology(vhost.settings(database), write=True)
    own = user(vhost, tags="administrator", password=password)
    env = {"ATTUNE_OPS_DATABASE_URL": database}
    found = json.loads(run("doctor", "--format", "json", target=own, env=env).stdout)
    titles = {c.code: c.title for c in all_checks()}
    assert {c["code"]: c["title"] for c in found["checks"]} == titles
    assert {c["status"] for c in found["checks"]} <= {"ok", "info", "warning", "error", "skipped"}
    assert "***" not in json.dumps(found).replace(":***@", "")
    for line in ("queues --format json", "workers --format json", "exchanges", "doctor", "report --output -"):
        done = run(*line.split(), target=own, env=env)
        assert "***" not in (done.stdout + done.stderr).replace(":***@", "")
        assert f":{password}@" not in done.stdout + done.stderr
    shown = run("config", "show", target=own, env=env, status=0)
    assert f"{own.user}:***@" in shown.stdout
    wrong = run("queues", env={"ATTUNE_OPS_MANAGEMENT_URL": own.management_url.replace(own.user, "nobody"),
                               "ATTUNE_OPS_AMQP_URL": own.amqp_url.replace(own.user, "nobody")})  # fmt: skip
    assert wrong.returncode == 3
    assert f":{password}@" not in wrong.stdout + wrong.stderr
