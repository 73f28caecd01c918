"""Dead letters that reached no queue, counted by a real broker of the test's own: the counters are the whole node's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from attune_ops.installation.config.urls import parse_prometheus
from attune_ops.lab import Lab
from tests.live.doctor.test_dead_letters import DEAD, SIX, STATUS, depth, reject
from tests.live.places import Place
from tests.live.printed import proves
from tests.world import Broker, Run, eventually


@pytest.fixture
def counted(module_lab: Lab, tmp_path: Path) -> Iterator[Place]:
    """A place of release 0.6 without an executor, on that broker, with its Prometheus endpoint."""
    state = module_lab.state
    with Broker(state.amqp_url, state.management_url).vhost() as vhost:
        p = Place(vhost, tmp_path, SIX).populate()
        p.services["executor"].disconnect()
        p.settings = msgspec.structs.replace(p.settings, prometheus=parse_prometheus(state.prometheus_url, "the lab"))
        yield p
        p.close()


def lost(p: Place) -> int | None:
    """The number that AT308 reports now; None where it reports nothing, or was skipped."""
    report = p.look(["AT308"])
    assert not [r.reason for r in report.results if r.reason]
    return next((int(f.evidence["lost"]) for f in report.findings), None)


def reject_new(p: Place, count: int) -> None:
    p.publish("attune.executions", "execution.status.changed", count)
    reject(p, STATUS, count)


def test_rejected_messages_are_counted(counted: Place, run: Run) -> None:
    p = counted
    assert lost(p) is None
    reject_new(p, 7)
    eventually(lambda: lost(p) == 7, within=20, every=1)
    (finding,) = p.look(["AT308"]).findings
    assert finding.detail.startswith("7 dead letters lost since the broker started: 7 rejected in all virtual hosts; ")
    proves("AT308 queues", p, p.look(["AT308"]), run)
    named = {"ATTUNE_OPS_PROMETHEUS_URL": "http://" + p.settings.prometheus.address} if p.settings.prometheus else {}
    said = run("doctor", "--only", "AT308", env=p.environment | named, status=0)
    assert "7 dead letters lost" in " ".join(said.stdout.split())
    (root,) = [f for f in p.look().findings if f.code == "AT603"]
    assert any(c.code == "AT308" and c.detail.startswith("7 dead letters lost") for c in root.consequences)

    run("policy", "apply", "dead-letters", "--apply", env=p.environment, status=0)
    reject_new(p, 3)  # these arrive
    eventually(lambda: depth(p, DEAD) == 3)
    with p.vhost.channel() as channel:
        for _ in range(2):
            channel.basic_ack(channel.basic_get(DEAD)[0].delivery_tag)
        channel.basic_get(DEAD, auto_ack=True)
        channel.basic_publish("attune.dlx", "#", b"{}")  # which is no dead letter
    eventually(lambda: lost(p) == 7, within=30, every=1)
    (finding,) = p.look(["AT308"]).findings
    assert (finding.severity, finding.evidence["received"]) == ("info", 3)


def test_where_the_endpoint_does_not_answer_nothing_is_claimed(counted: Place) -> None:
    p = counted
    nobody = parse_prometheus("http://127.0.0.1:1/metrics", "the test")
    p.settings = msgspec.structs.replace(p.settings, prometheus=nobody)
    reject_new(p, 1)
    (result,) = p.look(["AT308"]).results
    assert result.status == "skipped"
    assert "Prometheus endpoint http://127.0.0.1:1/metrics" in (result.reason or "")
    elsewhere = p.settings.management
    p.settings = msgspec.structs.replace(
        p.settings, prometheus=parse_prometheus(f"http://{elsewhere.address}/", "here")
    )
    (result,) = p.look(["AT308"]).results
    assert result.status == "skipped"


def test_dead_letters_of_another_virtual_host_are_not_called_lost(counted: Place) -> None:
    p = counted
    before = lost(p) or 0
    reject_new(p, 2)
    eventually(lambda: lost(p) == before + 2, within=20, every=1)
    with Broker(p.vhost.amqp_url, p.vhost.management_url).vhost() as theirs:
        with theirs.channel() as channel:
            channel.queue_declare("retry")
            channel.basic_publish("", "retry", b"{}")

        def reason() -> str:
            (result,) = p.look(["AT308"]).results
            return result.reason or ""

        eventually(lambda: "others have messages, too" in reason(), within=20, every=1)
