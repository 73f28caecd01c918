"""What the documentation of messages and of health shows runs as it is written there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from attune_ops.installation.registry_write import register
from attune_ops.topology.apply import apply_topology
from tests.live.monitoring.test_serve import serving
from tests.live.places import Place
from tests.world import Run, Vhost, eventually

DOCS = Path(__file__).parents[3] / "docs"


def block(page: str, language: str) -> str:
    """The first block of code of that language in a page."""
    found = re.search(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"docs/{page} shows no {language}"
    return found[1]


def test_python(vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name, value in vhost.environment.items():
        monkeypatch.setenv(name, value)
    apply_topology(vhost.settings(f"sqlite:///{tmp_path}/registry.sqlite"), write=True)
    exec(block("messages.md", "python"), {})
    assert (tmp_path / "kept.jsonl").exists()


def test_the_probe_of_a_pod(place: Callable[..., Place]) -> None:
    probe = yaml.safe_load(block("health.md", "yaml"))["readinessProbe"]["httpGet"]
    here = place().populate()
    path = probe["path"].replace("worker-python-01", "w1")
    with serving(here) as server:
        assert eventually(lambda: (got := server.get(path)).status == 200 and got, within=30)
        here.services["w1"].stop()
        assert "w1" in eventually(lambda: (got := server.get(path)).status == 503 and got, within=30).text


@pytest.mark.slow
def test_the_probe_of_this_hosts_worker(vhost: Vhost, database: str, run: Run) -> None:
    told = {
        "ATTUNE__WORKER__NAME": "pod-1",
        "ATTUNE__MESSAGE_QUEUE__URL": vhost.amqp_url,
        "ATTUNE__DATABASE__URL": database,
        "ATTUNE_OPS_MANAGEMENT_URL": vhost.management_url,
    }

    def probe() -> Any:
        return run("health", "worker", env=told)

    settings = vhost.settings(database)
    assert probe().returncode == 1
    assert settings.database is not None
    worker = register(settings.database, "pod-1").id
    apply_topology(settings, write=True)
    with vhost.channel() as channel:
        (queue,) = settings.topology.worker_queues(worker)
        channel.basic_consume(queue.name, lambda *_: None, consumer_tag=f"worker-{worker}")
        eventually(lambda: probe().returncode == 0, within=25)
        channel.queue_delete(queue.name)
        done = eventually(lambda: (p := probe()).returncode == 1 and p)
        assert f"queue {queue.name} is missing" in done.stdout
