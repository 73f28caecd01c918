"""Dead letters on the real broker: lost in releases 0.5 and 0.6, routed after the policy that the doctor prints."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attune_ops.installation import amqp
from tests.live.places import SEPTEMBER, Place
from tests.live.printed import fix, proves
from tests.world import Run, eventually

SIX = "attune-0.6"
STATUS, DEAD = "attune.execution.status.queue", "attune.dlx.queue"


def reject(p: Place, queue: str, count: int) -> None:
    """Takes messages from a queue that nobody else reads and rejects them, as a service does with a bad body."""
    with p.vhost.channel() as channel:
        for _ in range(count):
            eventually(lambda: (method := channel.basic_get(queue)[0]) and method)
            channel.basic_nack(0, multiple=True, requeue=False)


def depth(p: Place, queue: str) -> int:
    with amqp.short_connection(p.settings, "test") as connection:
        found = amqp.depth(connection, queue)
        assert found is not None
        return found.messages


def fail_one(p: Place) -> None:
    """One message of the status queue is rejected."""
    p.publish("attune.executions", "execution.status.changed", 1)
    reject(p, STATUS, 1)


@pytest.mark.parametrize("release", [SEPTEMBER, SIX])
def test_the_printed_policy_brings_dead_letters_to_their_queue(
    release: str, place: Callable[..., Place], run: Run
) -> None:
    p = place(release).populate()
    p.services["executor"].disconnect()
    fail_one(p)
    assert depth(p, DEAD) == 0
    report = p.look(["AT305", "design"])
    (finding,) = [f for f in report.findings if f.code == "AT603"]
    assert {"AT305", "AT604"} <= {c.code for c in finding.consequences}
    (command,) = map(str, finding.commands)
    assert command == "attune-ops policy apply dead-letters --apply"

    dry = run.shell(command.removesuffix(" --apply"), p.environment)
    assert dry.returncode == 0
    assert "attune-ops policy remove --apply -- dead-letters" in dry.stdout
    fail_one(p)
    assert depth(p, DEAD) == 0

    proves("AT603 policy apply", p, report, run)
    fix(p, report, run, ("AT305", "design"))
    assert not {f.code for f in p.look(["AT305", "design"]).findings} & {"AT305", "AT602", "AT603", "AT604", "AT609"}
    fail_one(p)
    eventually(lambda: depth(p, DEAD) == 1)


def test_a_policy_that_is_there_keeps_its_settings(place: Callable[..., Place], run: Run) -> None:
    """Of several policies one is effective for a queue, so the printed commands extend the one that is there."""
    p = place(SIX).populate()
    p.services["executor"].disconnect()
    run("policy", "apply", "worker-queues", "--expires", "1h", "--apply", env=p.environment, status=0)
    report = p.look(["AT305"])
    (finding,) = report.findings
    assert len(finding.commands) == 2
    proves("AT305 policy apply", p, report, run)
    fix(p, report, run, ("AT305",))
    policies = {one["name"]: one for one in p.vhost.api("GET", "policies/{vhost}").json()}
    assert policies["worker-queues"]["definition"] == {"expires": 3_600_000, "dead-letter-routing-key": "#"}
    assert policies["dead-letters"]["priority"] < policies["worker-queues"]["priority"]
    effective = p.vhost.api("GET", "queues/{vhost}/worker.1.packs").json()["effective_policy_definition"]
    assert effective == {"expires": 3_600_000, "dead-letter-routing-key": "#"}
    fail_one(p)
    eventually(lambda: depth(p, DEAD) == 1)


def test_a_policy_of_others_is_not_changed(place: Callable[..., Place]) -> None:
    p = place(SIX).populate()
    with p.vhost.channel() as channel:
        channel.queue_declare("theirs", durable=True)
    p.vhost.api("PUT", "policies/{vhost}/all", {"pattern": "", "definition": {"max-length": 100_000}})
    eventually(lambda: p.vhost.api("GET", "queues/{vhost}/theirs").json().get("policy") == "all")
    (finding,) = [f for f in p.look(["AT305"]).findings if f.severity == "warning"]
    assert finding.commands == ()
    assert finding.remedy.endswith("Add it to policy all too.")
