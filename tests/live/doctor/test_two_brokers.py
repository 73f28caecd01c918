"""AMQP, management API and registry of two installations: the doctor says so first."""

from __future__ import annotations

import json
from collections.abc import Callable

from attune_ops.lab import Lab
from attune_ops.model.files import state_folder
from tests.live.places import Place, stopped_worker
from tests.live.printed import proves
from tests.live.screen import Screen
from tests.terminal import printed
from tests.world import COMMAND, Broker, Run


def test_the_urls_of_two_brokers(broker: Broker, module_lab: Lab, run: Run) -> None:
    other = Broker(module_lab.state.amqp_url, module_lab.state.management_url)
    env = {"ATTUNE_OPS_AMQP_URL": broker.amqp_url, "ATTUNE_OPS_MANAGEMENT_URL": other.management_url}
    report = json.loads(run("doctor", "--format", "json", env=env, status=1).stdout)
    first, *others = report["findings"]
    assert (first["code"], first["severity"]) == ("AT116", "error")
    assert first["evidence"]["management_cluster"] == other.api("GET", "cluster-name").json()["name"]
    assert first["evidence"]["amqp_cluster"] == broker.api("GET", "cluster-name").json()["name"]
    assert others, "the empty broker has other findings"
    assert not any(f["commands"] for f in others), "none of them may be run"
    screen = Screen(printed([COMMAND, "doctor"], run.environment(env=env)).lines, 1)
    assert screen.finding("AT116").startswith("ERROR")
    assert screen.says("AT116", "→ "), "\n".join(screen.lines)

    env["ATTUNE_OPS_AMQP_URL"] = other.amqp_url
    checks = json.loads(run("doctor", "--only", "AT116", "--format", "json", env=env, status=0).stdout)["checks"]
    assert [c["status"] for c in checks] == ["ok"]


def test_the_management_api_of_a_lab(module_lab: Lab, run: Run) -> None:
    """Of the AMQP URL of a running lab it is that lab's, not the one at the default port."""
    env = {"ATTUNE_OPS_AMQP_URL": module_lab.state.amqp_url, "XDG_STATE_HOME": str(state_folder().parent)}
    shown = json.loads(run("config", "show", "--format", "json", env=env, status=0).stdout)
    assert f":{module_lab.state.node.management_port}" in json.dumps(shown)
    report = json.loads(run("doctor", "--format", "json", env=env).stdout)
    checks = {c["code"]: c["status"] for c in report["checks"]}
    assert (checks["AT102"], checks["AT116"]) == ("ok", "ok")

    module_lab.kill_node(module_lab.state.node.name)  # of a lab that does not run nothing is taken
    shown = json.loads(run("config", "show", "--format", "json", env=env, status=0).stdout)
    assert ":15672" in json.dumps(shown)


def test_the_registry_of_another_installation(place: Callable[..., Place], run: Run) -> None:
    one, other = place(), place()
    for i in range(5):
        stopped_worker(other.settings, f"gone-{i}")
    one.populate()
    for service, name in (("executor", None), ("worker", "x1"), ("worker", "x2")):
        other.start(service, name)
    assert "AT118" not in {f.code for f in one.look().findings}
    for broker, registry, ids in ((one, other, [1, 2]), (other, one, [6, 7])):
        one.beat()
        other.beat()
        env = broker.environment | {"ATTUNE_OPS_DATABASE_URL": registry.database}
        report = json.loads(run("doctor", "--format", "json", env=env, status=1).stdout)
        first, *others = report["findings"]
        assert (first["code"], first["severity"]) == ("AT118", "error")
        assert first["evidence"]["worker_ids_on_broker"] == ids
        assert not any(f["commands"] for f in others), "a command would delete the queues of live workers"
        assert not {f["code"] for f in others} & {"AT401", "AT402", "AT407"}, "they follow from it"
    one.use_registry(other.database)
    proves("AT118 config show", one, one.look(["AT118"]), run)
