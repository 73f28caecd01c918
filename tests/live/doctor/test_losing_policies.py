"""Policies that lose messages: found on the real broker with what they lose, and removed as printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from attune_ops.doctor.findings import Severity
from attune_ops.installation.config.urls import parse_prometheus
from attune_ops.lab import Lab
from tests.live.doctor.broken import EXECUTIONS
from tests.live.places import JANUARY, SEPTEMBER, Place, found
from tests.live.printed import fix, proves
from tests.world import Broker, Run, eventually

OPERATOR = {"pattern": "^attune.executions", "definition": {"max-length": 2}, "apply-to": "queues"}
STATUS, ENFORCEMENTS = "attune.execution.status.queue", "attune.enforcements.queue"
TWO = {"pattern": r"^worker\.", "definition": {"message-ttl": 5000, "expires": 3_600_000}, "apply-to": "queues"}


def test_an_operator_policy_is_removed_as_printed(place: Callable[..., Place], run: Run, rabbitmqctl: str) -> None:
    p, other = place(JANUARY).populate(), place(SEPTEMBER).populate()
    p.more_environment["PATH"] = other.more_environment["PATH"] = rabbitmqctl
    p.vhost.api("PUT", "operator-policies/{vhost}/cap", OPERATOR)
    other.vhost.api("PUT", "operator-policies/{vhost}/two", TWO)

    eventually(lambda: found(p.look(), Severity.ERROR) == {("AT215", "cap")}, within=30, every=1)
    report = p.look()
    (finding,) = [f for f in report.findings if f.code == "AT215"]
    assert finding.detail.startswith(f"operator policy cap loses messages of {EXECUTIONS}: max-length 2 is below")
    run("doctor", target=p.vhost, env=p.environment, status=1)
    assert report.findings[0] is finding, "the first finding"
    proves("AT215 rabbitmqctl clear_operator_policy", p, report, run)
    fix(p, report, run)
    assert found(p.look(), Severity.ERROR) == set()

    eventually(lambda: ("AT215", "two") in found(other.look(), Severity.WARNING), within=30, every=1)
    report = other.look()
    proves("AT215 rabbitmqctl set_operator_policy", other, report, run)
    fix(other, report, run)
    (left,) = other.vhost.api("GET", "operator-policies/{vhost}").json()
    assert left["definition"] == {"expires": 3_600_000}
    assert found(other.look(), Severity.WARNING) == found(other.look(), Severity.ERROR) == set()


def test_the_number_of_messages_that_expire_is_in_the_finding(place: Callable[..., Place]) -> None:
    """A worker that is busy with its whole prefetch: what waits behind it expires, and is gone."""
    p = place().populate()
    p.publish("attune.executions", "worker.1", 40)
    p.vhost.api("PUT", "policies/{vhost}/hasty", {"pattern": r"^worker\.", "definition": {"message-ttl": 1000}})

    def losing() -> bool:
        p.publish("attune.executions", "worker.1", 5)
        return found(p.look(["AT215"]), Severity.ERROR) == {("AT215", "hasty")}

    eventually(losing, within=40, every=1)
    (finding,) = p.look(["AT215"]).findings
    assert "message-ttl 1 s: messages wait" in finding.detail
    assert finding.evidence["messages"] > 0


def test_policies_of_one_name_are_told_apart_and_what_they_dropped_is_counted(own_lab: Lab, tmp_path: Path) -> None:
    state = own_lab.state
    with Broker(state.amqp_url, state.management_url).vhost() as vhost:
        p = Place(vhost, tmp_path, "attune-0.6").populate()
        try:
            p.services["executor"].disconnect()  # nobody takes what is published
            p.settings = msgspec.structs.replace(p.settings, prometheus=parse_prometheus(state.prometheus_url, "lab"))
            for kind, queue in (("policies", STATUS), ("operator-policies", ENFORCEMENTS)):
                body = {"pattern": f"^{queue}$", "definition": {"max-length": 2}, "apply-to": "queues"}
                vhost.api("PUT", f"{kind}/{{vhost}}/same", body)
            with vhost.channel() as channel:
                for _ in range(12):
                    channel.basic_publish("", STATUS, b"{}")

            def counted() -> bool:
                return {dict(f.evidence["removed"]).get("maxlen") for f in p.look(["AT215", "AT308"]).findings
                        if f.code == "AT215"} == {10}  # fmt: skip

            eventually(counted, within=60, every=1)
            report = p.look(["AT215", "AT308"])
            both = {f.subject.kind: f for f in report.findings if f.code == "AT215"}
            assert both.keys() == {"policy", "operator policy"}
            assert both["policy"].detail.startswith(f"policy same loses messages of {STATUS}")
            assert both["operator policy"].detail.startswith(f"operator policy same loses messages of {ENFORCEMENTS}")
            assert "; 10 messages dropped by a length limit since the node started" in both["policy"].detail
            assert not both["policy"].keys & both["operator policy"].keys
            assert {k: str(f.commands[0]).split()[1] for k, f in both.items()} == {
                "policy": "policy",
                "operator policy": "clear_operator_policy",
            }
        finally:
            p.close()
