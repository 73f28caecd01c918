"""A rehearsal: what the drill's virtual host holds is what the snapshot or the definitions of the real one hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from attune_ops.drills.journal import Journal
from attune_ops.drills.runner import run
from attune_ops.installation.config import Settings, resolve
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.topologies import load
from attune_ops.ops import Ops
from attune_ops.startup.steps import set_up
from tests.world import Broker, Vhost

POLICIES = {
    "policies/{vhost}/lengths": ("^worker\\.", "queues", {"max-length": 40, "overflow": "reject-publish"}, 7),
    "policies/{vhost}/lost-and-found": ("^attune\\.executions$", "exchanges", {"alternate-exchange": "spare"}, 0),
    "operator-policies/{vhost}/limits": (".*", "queues", {"max-length": 5000}, 3),
}
WORKER = "worker.7.executions"


@pytest.fixture
def real(vhost: Vhost) -> Vhost:
    """An installation that somebody has changed: an exchange and a queue more, other worker queues, policies."""
    with vhost.channel() as channel:
        set_up(channel, load("attune-2026-01"))
    vhost.api("PUT", "exchanges/{vhost}/spare", {"type": "fanout", "durable": True})
    vhost.api("PUT", "queues/{vhost}/spare.queue", {"durable": True, "arguments": {"x-max-length": 9}})
    vhost.api("POST", "bindings/{vhost}/e/spare/q/spare.queue", {"routing_key": "", "arguments": {}})
    vhost.api("PUT", f"queues/{{vhost}}/{WORKER}", {"durable": True, "arguments": {"x-message-ttl": 600000}})
    binding = {"routing_key": "worker.7", "arguments": {}}
    vhost.api("POST", f"bindings/{{vhost}}/e/attune.executions/q/{WORKER}", binding)
    for path, (pattern, to, definition, priority) in POLICIES.items():
        body = {"pattern": pattern, "apply-to": to, "definition": definition, "priority": priority}
        vhost.api("PUT", path, body)
    return vhost


def definitions(vhost: Vhost) -> dict[str, Any]:
    """All that is declared there, for a worker with whatever id."""
    told = vhost.api("GET", "definitions/{vhost}").json()
    told["operator policies"] = vhost.api("GET", "operator-policies/{vhost}").json()
    for each in (*told["policies"], *told["operator policies"]):
        each.pop("vhost", None)  # RabbitMQ 4 leaves it out
    workers = [q for q in told["queues"] if q["name"].startswith("worker.")]
    return {
        "exchanges": sorted(told["exchanges"], key=str),
        "queues": sorted((q for q in told["queues"] if q not in workers), key=str),
        "worker queue": {k: v for k, v in workers[0].items() if k != "name"},
        "bindings": sorted((b for b in told["bindings"] if not b["destination"].startswith("worker.")), key=str),
        "policies": sorted(told["policies"], key=str),
        "operator policies": sorted(told["operator policies"], key=str),
    }


def rehearsed(broker: Broker, file: Path, **more: Any) -> tuple[Journal, dict[str, Any]]:
    """A run on the topology of a file, and what its virtual host held when the worker was killed."""
    seen: list[dict[str, Any]] = []
    names: list[str] = []

    def note(text: str) -> None:
        names.extend(word for word in text.split() if word.startswith("attune-ops-drill-"))
        if "is killed" in text:
            seen.append(definitions(Vhost(broker, names[0], broker.user, broker.password)))

    target = {"amqp_url": broker.amqp_url, "management_url": broker.management_url}
    settings: Settings = msgspec.structs.replace(resolve(target, {}), env="test", drills=True)
    journal = run(
        "worker-crash", settings, confirm="test", like=str(file), on_progress=note, rate=30, workers=1, **more
    )
    assert isinstance(journal, Journal)
    return journal, seen[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["snapshot", "definitions"])
def test_topology_and_policies_are_those_of_the_file(kind: str, real: Vhost, broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "production"
    if kind == "snapshot":
        Ops(real.settings(f"sqlite:///{tmp_path}/registry.sqlite")).snapshot(str(file))
    else:
        file.write_bytes(real.api("GET", "definitions/{vhost}").content)
    journal, held = rehearsed(broker, file)
    assert held == definitions(real)
    assert journal.verdict == "held", journal
    assert journal.topology == "attune-2026-01, like production"
    assert journal.ledger.lost == 0, "the worker's queue is durable there"
    assert {"lengths", "lost-and-found", "limits"} <= {
        word.strip(",") for e in journal.steps for word in e.text.split()
    }


def test_a_policy_that_the_broker_refuses_and_a_snapshot_without_a_broker(broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "definitions.json"
    wrong = {"vhost": "/", "name": "typo", "pattern": "x", "apply-to": "queues", "definition": {"max-lenght": 1}}
    file.write_bytes(msgspec.json.encode({"exchanges": [{"name": "x", "type": "direct", "vhost": "/"}],
                                          "policies": [wrong]}))  # fmt: skip
    with pytest.raises(ActionError, match="refused policy 'typo'"):
        rehearsed(broker, file)
    empty = tmp_path / "empty"
    target = {"amqp_url": "amqp://127.0.0.1:1", "management_url": "http://127.0.0.1:1"}
    Ops(resolve(target, {})).snapshot(str(empty))
    with pytest.raises(SourceError):
        rehearsed(broker, empty)
