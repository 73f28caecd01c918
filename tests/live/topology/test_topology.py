"""topology diff, apply, export and graph on a real broker: empty, partial, in conflict, shared, without rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from attune_ops.installation.config import resolve
from attune_ops.installation.registry_write import register
from attune_ops.model.topologies import load
from attune_ops.model.topology import Binding, Exchange, Queue, Topology
from attune_ops.model.topology_file import to_toml
from tests.hostile import NAMES
from tests.world import Run, Users, Vhost

JANUARY, SEPTEMBER = "attune-2026-01", "attune-2026-09"


class Site:
    """A virtual host with a registry of two live workers, and the command pointed there."""

    def __init__(self, vhost: Vhost, run: Run) -> None:
        self.vhost, self._run = vhost, run
        self.database = f"sqlite:///{run.folder}/registry.sqlite"
        options = {"amqp_url": vhost.amqp_url, "management_url": vhost.management_url, "database_url": self.database}
        database = resolve(options, {}).database
        assert database is not None
        for name in ("w1", "w2"):
            register(database, name)

    def run(self, *arguments: str | Path, target: Vhost | None = None, topology: str | None = None, **more: Any) -> Any:
        env = {"ATTUNE_OPS_DATABASE_URL": self.database, **({"ATTUNE_OPS_TOPOLOGY": topology} if topology else {})}
        return self._run("topology", *arguments, target=target or self.vhost, env=env, **more)

    def json(self, *arguments: str, status: int = 0, **more: Any) -> Any:
        return json.loads(self.run(*arguments, "--format", "json", status=status, **more).stdout)

    def definitions(self) -> str:
        """The virtual host's definitions as the broker words them, in a stable order."""
        told = self.vhost.api("GET", "definitions/{vhost}").json()
        return json.dumps({k: sorted(map(json.dumps, v)) if isinstance(v, list) else v for k, v in told.items()})


@pytest.fixture
def site(vhost: Vhost, run: Run) -> Site:
    return Site(vhost, run)


def denies_transient(vhost: Vhost) -> bool:
    answer = vhost.api("GET", "deprecated-features", ok=(200, 404))
    features = answer.json() if answer.status_code == 200 else []
    return any(f["name"] == "transient_nonexcl_queues" and f.get("state") == "denied" for f in features)


@pytest.mark.parametrize("topology", [JANUARY, SEPTEMBER])
def test_applying_to_an_empty_virtual_host(site: Site, topology: str) -> None:
    if topology == JANUARY and denies_transient(site.vhost):
        return  # its workers' queues cannot be declared there: test_a_broker_that_denies_transient_queues
    before = site.definitions()
    dry = site.run("apply", topology=topology, status=0)
    assert "dry run: nothing was changed" in dry.stderr
    assert site.definitions() == before

    done = site.json("apply", "--apply", topology=topology)
    assert {s["status"] for s in done["steps"]} == {"declared"}
    assert {s["worker"] for s in done["steps"]} == {None, 1, 2}
    assert done["left"] == []
    assert site.json("diff", topology=topology)["differences"] == []

    full = site.definitions()
    again = site.json("apply", "--apply", topology=topology)
    assert again["steps"] == []
    assert site.definitions() == full, "two applications leave the definitions byte-equal"


def test_partial_and_in_conflict(site: Site) -> None:
    wanted = load(SEPTEMBER)
    with site.vhost.channel() as channel:
        channel.exchange_declare("attune.events", "topic", durable=True)
        channel.exchange_declare("attune.executions", "direct", durable=True)
        channel.queue_declare("attune.events.queue", durable=True)
        channel.queue_declare("worker.1.executions", durable=True, arguments={"x-message-ttl": 300000})
        channel.queue_declare("worker.77.cancel", durable=True)
        channel.queue_declare("foreign", durable=True)
        channel.queue_bind("attune.events.queue", "attune.events", "wrong.key")
        channel.queue_bind("foreign", "attune.events", "#")
    dry = site.json("apply", topology=SEPTEMBER)
    assert site.json("apply", "--apply", topology=SEPTEMBER, status=1)["left"] == dry["left"]

    found = site.json("diff", topology=SEPTEMBER, status=1)
    told = {(d["difference"], d["subject"]["name"]) for d in found["differences"]}
    assert told == {
        ("different", "attune.executions"),
        ("different", "attune.events.queue"),
        ("different", "worker.1.executions"),
        ("different", "worker.77.cancel"),
        ("unexpected", "attune.events → attune.events.queue ('wrong.key')"),
        ("foreign", "attune.events → foreign ('#')"),
        ("foreign", "foreign"),
    }
    assert found["compared"] == len(wanted.exchanges) + len(wanted.base_queues) + len(wanted.base_bindings) + 2 * 9 + 1
    text = site.run("diff", topology=SEPTEMBER, status=1).stdout
    assert "type: desired topic, actual direct" in text
    assert "2 unmanaged objects ignored" in text
    answer = next(d["declaring"]["text"] for d in found["differences"] if d["subject"]["name"] == "attune.executions")
    assert answer.endswith("received 'topic' but current is 'direct'")


def test_what_a_policy_overrules(site: Site) -> None:
    site.run("apply", "--apply", topology=SEPTEMBER, status=0)
    policy = {"pattern": r"^worker\.", "apply-to": "queues", "definition": {"message-ttl": 1000, "expires": 60000}}
    site.vhost.api("PUT", "policies/{vhost}/short", policy)
    found = site.json("diff", topology=SEPTEMBER, status=1)
    assert found["counts"] | {"overruled": 2, "added": 8} == found["counts"]
    assert [d["attributes"][0]["in_force"] for d in found["differences"] if d["difference"] == "overruled"] == [
        1000
    ] * 2


def test_no_release_is_guessed(site: Site) -> None:
    """January's exchanges, the default, would stop the services of every later release with 406."""
    before = site.definitions()
    assert "attune-2026-01 is the default" in site.run("apply", status=0).stdout
    refused = site.run("apply", "--apply", status=2)
    assert "nothing was changed: attune-2026-01 is only the default" in refused.stderr
    assert site.definitions() == before
    site.run("apply", "--apply", topology=SEPTEMBER, status=0)
    site.vhost.api("DELETE", "queues/{vhost}/attune.dlx.queue")
    site.run("apply", "--apply", status=0)  # what is there tells the release
    assert "attune.dlx.queue" in site.vhost.names("queues")


def test_a_user_without_rights(site: Site, user: Users) -> None:
    nobody = user(site.vhost, configure="^$", write="^$", read=".*")
    before = site.definitions()
    done = site.json("apply", "--apply", target=nobody, topology=JANUARY, status=1)
    assert {s["status"] for s in done["steps"]} == {"refused"}
    assert {s["answer"]["code"] for s in done["steps"]} <= {403, 404}
    assert "refused for user" in done["steps"][0]["answer"]["text"]
    assert site.definitions() == before


def test_two_at_once(site: Site) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(site.run, "apply", "--apply", topology=SEPTEMBER, status=0) for _ in range(2)]
        for done in runs:
            assert "read back: no drift" in done.result().stdout or "no drift in" in done.result().stdout
    assert site.json("diff", topology=SEPTEMBER)["differences"] == []


@pytest.fixture
def other(vhost: Vhost) -> Iterator[Vhost]:
    with vhost.broker.vhost() as made:
        yield made


def hostile_topology() -> Topology:
    names = [n for n in NAMES if n and "\n" not in n and "\r" not in n and "\x00" not in n]
    return Topology(
        "<script>",
        tuple(Exchange(n, "topic") for n in names),
        tuple(Queue(n, arguments={"x-dead-letter-exchange": n}) for n in names),
        tuple(Binding(n, n, n) for n in names),
    )


@pytest.mark.parametrize("make", [lambda: load(SEPTEMBER), hostile_topology], ids=["september", "hostile"])
def test_export_and_import_elsewhere(site: Site, other: Vhost, make: Any) -> None:
    topology = make()
    file = site._run.folder / "mine.toml"
    file.write_text(to_toml(topology))
    site.run("apply", "--apply", topology=str(file), status=0)

    exported = site.run("export", "--live", topology=str(file), status=0).stdout
    other.api("POST", "definitions/{vhost}", json.loads(exported))
    assert Site.definitions(Site(other, site._run)) == site.definitions().replace(site.vhost.name, other.name)
    assert site.run("export", "--live", topology=str(file), target=other, status=0).stdout == exported
    assert site.json("diff", topology=str(file), target=other)["differs"] is False

    live = site._run.folder / "live.toml"
    live.write_text(site.run("export", "--live", "--to", "toml", topology=str(file), status=0).stdout)
    found = load(str(live))
    assert sorted(found.exchanges, key=lambda e: e.name) == sorted(topology.exchanges, key=lambda e: e.name)
    assert {q.name: q for q in found.queues} == {q.name: q for q in topology.queues}
    assert sorted(map(repr, found.bindings)) == sorted(map(repr, topology.bindings))
    assert site.json("diff", topology=str(live))["differs"] is False


def test_what_is_wanted_exported_and_imported(site: Site) -> None:
    exported = site.run("export", "--worker", "1", "--worker", "2", topology=SEPTEMBER, status=0).stdout
    site.vhost.api("POST", "definitions/{vhost}", json.loads(exported))
    assert site.json("diff", topology=SEPTEMBER)["differences"] == []


def test_the_brokers_own_export_read_from_a_file(site: Site) -> None:
    site.run("apply", "--apply", topology=SEPTEMBER, status=0)
    site.vhost.api("DELETE", "queues/{vhost}/attune.dlx.queue")
    for path in ("definitions/{vhost}", "definitions"):
        file = site._run.folder / "definitions.json"
        file.write_bytes(site.vhost.api("GET", path).content)
        vhost = () if "{vhost}" in path else ("--from", file)
        if vhost:
            continue
        found = site.json("diff", "--from", str(file), topology=SEPTEMBER, status=1)
        assert [d["subject"]["name"] for d in found["differences"]] == [
            "attune.dlx.queue", "attune.dlx → attune.dlx.queue ('#')",
        ]  # fmt: skip
        assert "queues of workers: a definitions file has no workers" in found["unseen"]


def test_a_broker_that_denies_transient_queues(site: Site) -> None:
    """On a broker that permits them, the plan says so and the declaration succeeds: the same prediction holds."""
    denied = denies_transient(site.vhost)
    planned = {d["subject"]["name"]: d for d in site.json("diff", status=1)["differences"]}
    queue = planned["worker.1.executions"]
    assert (queue["way"], (queue["declaring"] or {"code": None})["code"]) == (
        ("refused", 541) if denied else ("declare", None)
    )
    done = site.json("apply", "--apply", topology=JANUARY, status=1 if denied else 0)
    there = {q["name"] for q in site.vhost.api("GET", "queues/{vhost}").json()}
    assert ("worker.1.executions" in there) is not denied
    assert [d["subject"]["name"] for d in done["left"] if d["subject"]["kind"] == "queue"] == (
        ["worker.1.executions", "worker.2.executions"] if denied else []
    )


def test_the_live_picture(site: Site) -> None:
    site.run("apply", "--apply", topology=SEPTEMBER, status=0)
    with site.vhost.channel() as channel:
        for _ in range(3):
            channel.basic_publish("attune.executions", "execution.dispatch.worker.1", b"{}", mandatory=True)
    site.vhost.api("DELETE", "queues/{vhost}/attune.dlx.queue")
    told = site.json("graph", "--live", topology=SEPTEMBER)
    nodes = {n["label"]: n for n in told["nodes"] if n["kind"] == "queue"}
    assert nodes["attune.dlx.queue"]["marks"] == ["error", "missing"]
    assert nodes["worker.{id}.executions"]["notes"][:2] == ["2 queues", "3 messages"]
    assert "<svg" in site.run("graph", "--live", "--format", "svg", topology=SEPTEMBER, status=0).stdout


def test_a_protected_environment_wants_its_name(site: Site) -> None:
    config = site._run.folder / "attune-ops.toml"
    config.write_text(
        f'[env.prod]\namqp_url = "{site.vhost.amqp_url}"\nmanagement_url = "{site.vhost.management_url}"\n'
        f'database_url = "{site.database}"\nprotected = true\n'
    )
    config.chmod(0o600)
    refused = site._run("topology", "apply", "--apply", "--env", "prod", status=2)
    assert "is protected" in refused.stderr
    assert not site.vhost.api("GET", "queues/{vhost}").json()
    site._run("topology", "apply", "--apply", "--env", "prod", "--confirm", "prod", "--topology", SEPTEMBER, status=0)
