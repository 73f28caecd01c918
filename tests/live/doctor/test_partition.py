"""A cluster of three, whole, and then with one node cut off: its distribution connections are closed and refused.

Both sides are asked, during the cut and after it. All processes run all the time.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pika
import pytest

from attune_ops import lab
from attune_ops.lab import Lab
from tests.conftest import end_lab
from tests.live.doctor.test_healthy_installations import SIX, all_listed, looks_healthy, trouble
from tests.live.places import SEPTEMBER, Place
from tests.live.screen import doctor
from tests.world import Broker, Run, Users, eventually

pytestmark = pytest.mark.slow

THIRD, ORPHAN = "third", "worker.77.executions"
REACHES_WORKER_1 = "attune.executions execution.dispatch.worker.1"


class Cluster:
    """Three nodes with an installation on the first, and two queues on the third."""

    def __init__(self, made: Lab, place: Place) -> None:
        self._lab, self.place = made, place
        self.names = [n.name for n in made.state.nodes]

    def environment(self, node: int) -> dict[str, str]:
        """What points the command to that node, counted from 0."""
        first, other = self._lab.state.nodes[0], self._lab.state.nodes[node]
        found = dict(self.place.environment)
        for key, before, after in (
            ("ATTUNE_OPS_AMQP_URL", first.amqp_port, other.amqp_port),
            ("ATTUNE_OPS_MANAGEMENT_URL", first.management_port, other.management_port),
        ):
            found[key] = found[key].replace(f":{before}", f":{after}")
        return found

    def broker(self, node: int) -> Broker:
        """One node's management API."""
        state = self._lab.state
        here = self.environment(node)
        return Broker(here["ATTUNE_OPS_AMQP_URL"], f"http://127.0.0.1:{state.nodes[node].management_port}")

    def running(self, node: int) -> list[str]:
        """The nodes that this one says to be running."""
        return [n["name"] for n in self.broker(node).api("GET", "nodes").json() if n["running"]]

    def counted(self, node: int) -> set[str]:
        """The queues whose consumers this node's statistics have counted."""
        path = f"queues/{self.place.vhost.quoted}?columns=name,consumers"
        return {q["name"] for q in self.broker(node).api("GET", path).json() if "consumers" in q}

    def cut(self) -> None:
        """Closes the third node's connections to the others and refuses new ones: they have another cookie.

        The others are suspended meanwhile, so that they notice it together: the one that loses the third node while the
        other still has it disconnects from the other, too ("Partial partition detected").
        """
        for name in self.names[:2]:
            self._lab.suspend_node(name)
        self._with_each("erlang:set_cookie(N, cut), erlang:disconnect_node(N)")
        for name in self.names[:2]:
            self._lab.resume_node(name)
        eventually(lambda: (len(self.running(0)), len(self.running(2))) == (2, 1), within=60)

    @property
    def khepri(self) -> bool:
        """Whether the metadata is in Khepri, which accepts changes on the side with a majority only."""
        flags = {f["name"]: f["state"] for f in self.broker(0).api("GET", "feature-flags").json()}
        return flags.get("khepri_db") == "enabled"

    def repair(self) -> None:
        """Lets them connect again; with Mnesia the partition stays until a side is restarted."""
        self._with_each("erlang:set_cookie(N, erlang:get_cookie()), net_kernel:connect_node(N)")
        if self.khepri:
            eventually(lambda: (len(self.running(0)), len(self.running(2))) == (3, 3))
            return
        eventually(lambda: self._apart(0) >= {self.names[2]} and self._apart(2) >= {*self.names[:2]}, within=60)

    def _apart(self, node: int) -> set[str]:
        """The nodes that a node knows to be on the other side."""
        listed = self.broker(node).api("GET", "nodes").json()
        return {other for n in listed for other in n.get("partitions") or () if n["running"]}

    def _with_each(self, expression: str) -> None:
        others = ", ".join(f"'{name}'" for name in self.names[:2])
        self._lab.ctl("eval", f"[begin {expression} end || N <- [{others}]].", node=self.names[2])


@pytest.fixture(scope="module")
def three() -> Iterator[Lab]:
    """A cluster of three; what cuts it is the last test."""
    made = lab.up(f"t{secrets.token_hex(4)}", server=os.environ.get("ATTUNE_OPS_TEST_SERVER"), nodes=3)
    yield made
    end_lab(made.name)


@pytest.fixture
def cluster(three: Lab, tmp_path: Path) -> Iterator[Cluster]:
    broker = Broker(three.state.amqp_url, three.state.management_url)
    with ExitStack() as stack:
        place = Place(stack.enter_context(broker.vhost()), tmp_path, SEPTEMBER).populate()
        stack.callback(place.close)
        found = Cluster(three, place)
        connection = pika.BlockingConnection(pika.URLParameters(found.environment(2)["ATTUNE_OPS_AMQP_URL"]))
        for name in (THIRD, ORPHAN):
            connection.channel().queue_declare(name, durable=True)
        connection.close()
        yield found


def test_a_whole_cluster_is_healthy(three: Lab, run: Run, tmp_path: Path) -> None:
    broker = Broker(three.state.amqp_url, three.state.management_url)
    users = Users(broker)  # deleted with the broker
    with broker.vhost() as vhost:
        p = Place(vhost, tmp_path, SIX).populate()
        try:
            assert trouble(doctor(p, run)) == []
            eventually(lambda: all_listed(p), within=30, every=1)
            lesser = users(vhost, tags="monitoring", configure="", write="", read="")
            why = looks_healthy(p, run, lesser)
            assert not why, "\n".join(why)
            assert [n.running for n in p.look(["AT110"]).facts.actual.nodes or ()] == [True] * 3
        finally:
            p.close()


def test_both_sides_of_a_partition(cluster: Cluster, run: Run) -> None:
    def asked(node: int, *command: str, status: int) -> Any:
        done = run(*command, "--format", "json", env=cluster.environment(node), status=status)
        return json.loads(done.stdout)

    def findings(node: int) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for each in asked(node, "doctor", "--full", status=1)["findings"]:
            found.setdefault(each["code"], []).append(each)
        return found

    first, second, third = cluster.names
    khepri = cluster.khepri
    # Its consumers are listed before the cut, and so are the statistics of the queues on the third node: until they are
    # there, up to 10 s after the declaration and longer on a busy machine, how many consumers these have is unknown.
    run("health", "worker", "w1", "--wait", "60s", env=cluster.environment(0), status=0, timeout=120)
    eventually(lambda: cluster.counted(2) >= {THIRD, ORPHAN})
    cluster.cut()

    here = findings(0)
    assert [f["subject"]["name"] for f in here["AT110"]] == [third]
    assert "down or unreachable" in here["AT110"][0]["detail"]
    orphan = here["AT407"][0]
    assert orphan["subject"]["name"] == ORPHAN
    assert orphan["commands"] == [], "nothing is deleted on a node that cannot be asked"
    plan = run("reap", "--grace", "0s", env=cluster.environment(0), status=0).stdout
    assert f"kept     {ORPHAN}: it is unavailable" in plan
    for kind in ("broker", "worker w1", f"route {REACHES_WORKER_1}"):
        assert run("health", *kind.split(), env=cluster.environment(0), status=0).stdout.startswith("healthy")

    there = findings(2)
    assert {f["subject"]["name"] for f in there["AT110"]} == {first, second}
    assert [f["evidence"]["majority"] for f in there["AT110"]] == [not khepri] * 2
    assert all(("without a majority" in f["detail"]) == khepri for f in there["AT110"])
    assert not {"AT202", "AT401"} & there.keys(), "unavailable queues are not missing"
    assert bool(there["AT407"][0]["commands"]) != khepri, "no deletion that the broker refuses"
    broker = run("health", "broker", env=cluster.environment(2), status=int(khepri)).stdout
    assert "1 of 3 nodes are running" in broker
    assert ("Khepri refuses to declare" in broker) == khepri
    said = run("health", "route", *REACHES_WORKER_1.split(), env=cluster.environment(2), status=1).stdout
    # Mnesia removes the bindings of queues whose node is down.
    assert "worker.1.executions is unavailable" in said or "routed to no queue" in said
    said = run("health", "worker", "w1", env=cluster.environment(2), status=1).stdout
    assert "queue worker.1.executions is unavailable" in said
    assert "missing" not in said
    states = {row["name"]: row["alert"] for row in asked(2, "queues", status=0)["rows"]}
    assert states["attune.events.queue"] == "unavailable"
    assert states[THIRD] == "ok"

    cluster.repair()
    if khepri:  # the minority follows by itself
        for node in range(3):
            said = run("health", "broker", "--wait", "60s", env=cluster.environment(node), status=0, timeout=120).stdout
            assert "3 of 3 nodes are running" in said
        return
    for node, side in ((0, [first, second]), (2, [third])):
        found = findings(node)
        (apart,) = found["AT111"]
        assert apart["evidence"]["sides"][0] == side
        assert all(name in apart["detail"] for name in cluster.names)
        assert all("other side of a partition" in f["detail"] for f in found["AT110"])
