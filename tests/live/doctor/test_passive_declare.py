"""Brokers without a usable management API: what passive declares over AMQP report is used, and named as such."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from attune_ops import lab
from attune_ops.installation.config import resolve
from attune_ops.lab import node
from attune_ops.lab.server import find
from tests.conftest import end_lab
from tests.live.places import Place
from tests.world import Broker, Run, Users, Vhost

WAYS = ("no tag", "port closed", "plug-in off", "collector off")
COLLECTOR_OFF = "management_agent.disable_metrics_collector = true"
PASSIVE = "passive declare"
W1, W2, W4 = (f"worker.{i}.executions" for i in (1, 2, 4))


@dataclass(frozen=True)
class Site:
    """A healthy installation of January's release, and the command pointed at it in one of the ways."""

    how: str
    place: Place
    run: Run
    target: Vhost
    env: dict[str, str]

    def data(self, *command: str, status: int) -> dict[str, Any]:
        """The JSON of a command, once its exit status is as expected."""
        self.place.beat()
        done = self.run(*command, "--format", "json", target=self.target, env=self.env, status=status)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def own_broker(stack: ExitStack, how: str) -> tuple[lab.Lab, Broker]:
    """A broker of the test's own, without statistics where that is the way."""
    config = [COLLECTOR_OFF] if how == "collector off" else []
    made = lab.up(f"t{secrets.token_hex(4)}", server=os.environ.get("ATTUNE_OPS_TEST_SERVER"), config=config)
    stack.callback(end_lab, made.name)
    return made, Broker(made.state.amqp_url, made.state.management_url)


def without_plugin(made: lab.Lab) -> None:
    state = made.state
    plugins = Path(find(state.server).ctl).with_name("rabbitmq-plugins")
    if not plugins.exists():  # what it does, for an installation that has only rabbitmqctl outside
        made.ctl("eval", "application:stop(rabbitmq_management).")
        return
    command = [str(plugins), "-n", state.node.name, "disable", "rabbitmq_management"]
    enabled = {"RABBITMQ_ENABLED_PLUGINS_FILE": f"{state.node.folder}/enabled_plugins"}
    subprocess.run(
        command, env=node.environment(state) | enabled, cwd=state.folder, check=True, capture_output=True, timeout=300
    )


@pytest.fixture(scope="module")
def without_statistics() -> Iterator[Broker]:
    """A broker without statistics; each test has a virtual host of its own there."""
    with ExitStack() as stack:
        yield own_broker(stack, "collector off")[1]


@pytest.fixture(params=WAYS)
def site(request: pytest.FixtureRequest, run: Run, tmp_path: Path) -> Iterator[Site]:
    """Executor, sensor, workers 1 and 2 run; worker 4 is a row that stopped, with a queue that is left."""
    how = request.param
    with ExitStack() as stack:
        made = None
        if how in ("no tag", "port closed"):
            vhost = request.getfixturevalue("vhost")
        elif how == "collector off":
            vhost = stack.enter_context(request.getfixturevalue("without_statistics").vhost())
        else:
            made, broker = own_broker(stack, how)
            vhost = Vhost(broker, "/", broker.user, broker.password)
        place = Place(vhost, tmp_path)
        stack.callback(place.close)
        place.populate()
        place.sql(
            "INSERT INTO worker (id, name, worker_type, worker_role, status, created, updated, last_heartbeat) VALUES "
            "(4, 'w4', 'local', 'action', 'inactive', '2026-01-01 00:00:00', '2026-01-01 00:00:00', "
            "'2026-01-01 00:00:00')"
        )
        with vhost.channel() as channel:
            channel.queue_declare(W4, auto_delete=True)
        target, env = vhost, {"ATTUNE_OPS_DATABASE_URL": place.database}
        if how == "no tag":
            target = request.getfixturevalue("user")(vhost, tags="")
        elif how == "port closed":
            env["ATTUNE_OPS_MANAGEMENT_URL"] = "http://127.0.0.1:1"
        elif how == "plug-in off":
            assert made is not None
            without_plugin(made)
        yield Site(how, place, run, target, env)


def missing_queue(site: Site) -> None:
    with site.place.vhost.channel() as channel:
        channel.queue_delete(W2)


def test_health(site: Site) -> None:
    healthy = site.data("health", "worker", "w1", status=0)
    assert healthy["origin"] == PASSIVE
    assert f"{W1} has 1 consumer, 0 ready (passive declare)" in healthy["seen"]
    (skipped,) = healthy["skipped"]
    assert skipped.startswith("not checked: ")
    assert "consumer tags" in skipped
    bound = any("bound" in seen for seen in healthy["seen"])
    assert bound is (site.how == "collector off")
    assert ("bindings" in skipped) is not bound

    missing_queue(site)
    sick = site.data("health", "worker", "w2", status=1)
    assert sick["reasons"] == [f"queue {W2} is missing" + (" (passive declare)" if not bound else "")]
    site.data("health", "worker", "w1", status=0)
    with site.place.vhost.channel() as channel:
        channel.queue_declare(W2, auto_delete=True)
        channel.queue_bind(W2, "attune.executions", "worker.2")
        for _ in range(3):
            channel.basic_publish("attune.executions", "worker.2", b"{}")
    reasons = site.data("health", "worker", "w2", status=1)["reasons"]
    assert reasons == [f"{W2} has 0 consumers instead of 1, 3 ready (passive declare)"]
    assert site.data("health", "worker", "w4", status=1)["reasons"][0].startswith("status is inactive")
    site.env["ATTUNE_OPS_DATABASE_URL"] = "sqlite:////nowhere/at-all.sqlite"
    assert site.run("health", "worker", "w1", target=site.target, env=site.env, status=3).stdout == ""


def test_tables(site: Site) -> None:
    queues = site.data("queues", status=0)
    rows = {r["name"]: r for r in queues["rows"]}
    assert {"attune.events.queue", "attune.executions.queue", "attune.notifications.queue", W1, W2, W4} == set(rows)
    assert {r["origin"] for r in rows.values()} == {PASSIVE}
    assert any(note.startswith(f"origin {PASSIVE}: ") for note in queues["notes"])
    assert [rows[q]["consumers"] for q in ("attune.executions.queue", W1, W4)] == [3, 1, 0]
    assert [rows[q]["ready"] for q in (W1, W4)] == [0, 0]
    assert (rows[W1]["durable"] is None) is (site.how != "collector off")

    consumers = site.data("consumers", status=0)
    assert [r["queue"] for r in consumers["rows"]].count("attune.executions.queue") == 3
    assert {(r["tag"], r["origin"]) for r in consumers["rows"]} == {(None, PASSIVE)}

    orphans = site.data("orphans", status=0)
    assert [(r["kind"], r["queue"], r["worker"], r["origin"]) for r in orphans["rows"]] == [
        ("queue", W4, "w4", PASSIVE)
    ]
    missing_queue(site)
    orphans = site.data("orphans", status=0)
    assert {(r["kind"], r["queue"]) for r in orphans["rows"]} == {("queue", W4), ("worker", W2)}
    assert W2 not in {r["name"] for r in site.data("queues", status=0)["rows"]}
    states = {r["name"]: r["state"] for r in site.data("workers", status=0)["rows"]}
    assert states["w2"] == "no queue"


def test_doctor(site: Site) -> None:
    report = site.data("doctor", status=3)
    summary = report["summary"]
    assert (summary["status"], summary["counts"]["error"], summary["origin"]) == ("unknown", 0, PASSIVE)
    assert any(note.startswith(f"origin {PASSIVE}: ") for note in summary["notes"])
    checks = {c["code"]: (c["status"], c["reason"]) for c in report["checks"]}
    for code in ("AT403", "AT404", "AT405", "AT501"):
        assert checks[code] == ("ok", f"by {PASSIVE}")
    listed = site.how == "collector off"
    assert checks["AT401"] == checks["AT202"] == ("ok", None if listed else f"by {PASSIVE}")
    assert checks["AT204"][0] == ("ok" if listed else "skipped")
    assert checks["AT417"][0] == "skipped"
    assert checks["AT417"][1]
    assert (report["target"]["topology"], report["target"]["recognised"]) == ("attune-2026-01", True)
    site.data("doctor", "--fail-on", "error-only", status=0)

    missing_queue(site)
    errors = {f["code"]: f for f in site.data("doctor", status=1)["findings"] if f["severity"] == "error"}
    finding = errors["AT401"]
    assert finding["subject"]["name"] == W2
    if not listed:
        assert finding["detail"].startswith(f"{W2} is missing: ")
        assert finding["detail"].endswith(f"({PASSIVE})")
        assert (finding["evidence"]["origin"], finding["commands"]) == (PASSIVE, [])
    with site.place.vhost.channel() as channel:
        channel.queue_declare(W2, auto_delete=True)
        channel.queue_bind(W2, "attune.executions", "worker.2")
        channel.basic_publish("attune.executions", "worker.2", b"{}")
        errors = {f["code"]: f for f in site.data("doctor", status=1)["findings"] if f["severity"] == "error"}
        assert "backlog: 1 message" in errors["AT403"]["detail"]
        assert errors["AT403"]["evidence"]["origin"] == PASSIVE


@pytest.mark.parametrize("release", ["attune-2026-01", "attune-2026-09", "attune-0.6"])
def test_the_release_by_names(place: Callable[..., Place], user: Users, run: Run, release: str) -> None:
    """Attune's own user as its chart makes it: all permissions, no tag."""
    p = place(release).populate()
    if release == "attune-0.6":  # what an upgrade leaves behind is not what runs
        with p.vhost.channel() as channel:
            channel.queue_declare("attune.rules.lifecycle.queue", durable=True)
    target, env = user(p.vhost, tags=""), {"ATTUNE_OPS_DATABASE_URL": p.database}
    p.beat()
    report = json.loads(
        run("doctor", "--fail-on", "error-only", "--format", "json", status=0, target=target, env=env).stdout
    )
    assert (report["target"]["topology"], report["target"]["recognised"]) == (release, True)
    said = run("health", "worker", "w1", status=0, target=target, env=env).stdout
    for queue in p.settings.topology.worker_queues(1):
        assert f"{queue.name} has 1 consumer" in said
    wrong = {"ATTUNE_OPS_TOPOLOGY": "attune-2026-09" if release == "attune-2026-01" else "attune-2026-01"}
    report = json.loads(run("doctor", "--format", "json", status=1, target=target, env=env | wrong).stdout)
    assert report["findings"][0]["code"] == "AT214"


def test_an_empty_virtual_host_and_one_that_refuses(vhost: Vhost, user: Users, run: Run, tmp_path: Path) -> None:
    plain = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{tmp_path}/none.sqlite"}
    report = json.loads(run("doctor", "--format", "json", target=user(vhost, tags=""), env=plain, status=1).stdout)
    (error,) = (f for f in report["findings"] if f["severity"] == "error")
    assert error["code"] == "AT201"
    assert "has no exchange and no queue of attune-2026-01" in error["detail"]
    lesser, queue = user(vhost, tags="", configure="^$", write="^$", read="^$"), "attune.events.queue"
    with vhost.channel() as channel:
        channel.queue_declare(queue, durable=True)
    if vhost.broker.version < (4, 3):
        rows = json.loads(run("queues", "--format", "json", target=lesser, status=0).stdout)["rows"]
        assert [r["name"] for r in rows] == [queue]
    else:  # there a passive declare needs one of the three permissions
        assert "403 ACCESS_REFUSED - configure access" in run("queues", target=lesser, status=3).stderr
    closed = {"ATTUNE_OPS_AMQP_URL": "amqp://guest:guest@127.0.0.1:1/"}
    for command in ("queues", "consumers"):
        assert run(command, target=user(vhost, tags=""), env=closed, status=3).stdout == ""


def test_nothing_is_declared(place: Callable[..., Place], user: Users, run: Run) -> None:
    p = place()
    before = p.vhost.names("queues"), p.vhost.names("exchanges")
    for command in ("queues", "consumers", "doctor"):
        run(command, target=user(p.vhost, tags=""))
    assert (p.vhost.names("queues"), p.vhost.names("exchanges")) == before
    assert resolve({"amqp_url": p.vhost.amqp_url}, {}).recognise
