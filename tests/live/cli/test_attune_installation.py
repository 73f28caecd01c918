"""On the host of an Attune service no option is needed: its own files lead to the real broker and database."""

from __future__ import annotations

import json

from attune_ops.installation import registry_write
from attune_ops.installation.config.urls import parse_database
from tests import migrations
from tests.postgres import Server
from tests.world import Run, Vhost


def test_the_services_own_files_are_enough(vhost: Vhost, postgres: Server, run: Run) -> None:
    """As the chart and the packages have it: a file with settings, another for the environment, URLs as variables."""
    with postgres.database(migrations.RELEASE_0_6, schema="automation") as url:
        registry_write.register(parse_database(url, "test", "automation"), "pod-1")
        (run.folder / "config.yaml").write_text(
            f"message_queue:\n  url: amqp://nobody:wrong@localhost:1/%2f\n  queues: {{executions: {{name: x}}}}\n"
            f"database:\n  url: {url}\n"
        )
        (run.folder / "config.production.yaml").write_text("database: {schema: automation}\n")
        env = {
            "ATTUNE__ENVIRONMENT": "production",
            "ATTUNE__MESSAGE_QUEUE__URL": vhost.amqp_url,
            "ATTUNE_WORKER_NAME": "pod-1",
            "ATTUNE_OPS_MANAGEMENT_URL": vhost.management_url,
        }
        rows = json.loads(run("workers", "--format", "json", env=env, status=0).stdout)["rows"]
        assert [row["name"] for row in rows] == ["pod-1"]
        assert "healthy" in run("health", "broker", env=env, status=0).stdout
        found = run("health", "worker", env=env, status=1)  # no id: this host's worker, which has no queue
        assert "worker.1.executions" in found.stdout
        report = json.loads(run("doctor", "--only", "reach", "--format", "json", env=env).stdout)
        assert report["target"]["vhost"] == vhost.name
        assert report["target"]["registry"] == {"kind": "postgresql", "workers": 1}
