"""AMQP of one broker and the management API of another: the doctor says so first."""

from __future__ import annotations

import json

from attune_ops.lab import Lab
from tests.world import Broker, Run


def test_the_urls_of_two_brokers(broker: Broker, own_lab: Lab, run: Run) -> None:
    other = Broker(own_lab.state.amqp_url, own_lab.state.management_url)
    env = {"ATTUNE_OPS_AMQP_URL": broker.amqp_url, "ATTUNE_OPS_MANAGEMENT_URL": other.management_url}
    other.api("PUT", "cluster-name", {"name": "other-cluster"})
    report = json.loads(run("doctor", "--format", "json", env=env, status=1).stdout)
    first, *others = report["findings"]
    assert (first["code"], first["severity"]) == ("AT116", "error")
    assert first["evidence"]["management_cluster"] == "other-cluster"
    assert first["evidence"]["amqp_cluster"] == broker.api("GET", "cluster-name").json()["name"]
    assert others, "the empty broker has other findings"
    assert not any(f["commands"] for f in others), "none of them may be run"

    env["ATTUNE_OPS_AMQP_URL"] = other.amqp_url
    checks = json.loads(run("doctor", "--only", "AT116", "--format", "json", env=env, status=0).stdout)["checks"]
    assert [c["status"] for c in checks] == ["ok"]
