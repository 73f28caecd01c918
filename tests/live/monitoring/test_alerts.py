"""Debian's Prometheus and Alertmanager on a real `serve` and a real broker: each alert fires, and clears after the fix.

`for` and the ranges of the rules are shortened; nothing else of the product is changed.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from attune_ops.installation import registry_write
from attune_ops.lab import Lab
from attune_ops.monitoring.grafana import PANELS
from attune_ops.monitoring.rules import rules
from tests.conftest import lacking
from tests.live.places import Place
from tests.world import Broker, eventually

WITHIN = 60.0  # an idle machine needs about 10 s
FIRING = 'ALERTS{{alertname="{}", alertstate="firing"}}'  # now: at the start of Prometheus an alert may have fired
DOCS = Path(__file__).parents[3] / "docs" / "monitoring.md"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Webhook:
    """A local HTTP server that keeps what Alertmanager posts."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def statuses(self, name: str) -> set[str]:
        """What was posted of an alert: firing, resolved."""
        return {a["status"] for post in self.got for a in post["alerts"] if a["labels"]["alertname"] == name}


class Monitored:
    """A place with `serve`, Prometheus, Alertmanager and a webhook."""

    def __init__(self, place: Place, lab: Lab, folder: Path, stack: ExitStack) -> None:
        self.place, self.lab, self.folder, self._stack = place, lab, folder, stack
        self.webhook = Webhook()
        stack.callback(self.webhook.server.server_close)
        stack.callback(self.webhook.server.shutdown)
        self.serve_port, self.port, alertmanager = free_port(), free_port(), free_port()
        self.serve()
        self._alertmanager(alertmanager)
        shortened = [
            {**r, "for": "2s", "expr": re.sub(r"\[\d+m\]", "[10s]", r["expr"])} for r in rules(job="attune-ops")
        ]
        (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "attune-ops", "rules": shortened}]}))
        scrape = {"job_name": "attune-ops", "static_configs": [{"targets": [f"127.0.0.1:{self.serve_port}"]}]}
        target = {"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"], "scrape_configs": [scrape], "alerting": {"alertmanagers": [target]},
        }  # fmt: skip
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._run(found("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                  f"--web.listen-address=127.0.0.1:{self.port}")  # fmt: skip
        eventually(self._answers, within=WITHIN)

    def _run(self, *words: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, env=env)
        self._stack.callback(self.end, process)
        return process

    @staticmethod
    def end(process: subprocess.Popen[bytes]) -> None:
        """Ends a process that was started here."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)

    def serve(self) -> None:
        """Starts `serve`, on the port that Prometheus scrapes."""
        words = ("serve", "--port", str(self.serve_port), "--interval", "1s")
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **self.place.environment}
        self.process = self._run(sys.executable, "-m", "attune_ops", *words, env=env)

    def _alertmanager(self, port: int) -> None:
        """Starts Alertmanager with the example of docs/monitoring.md, with this webhook and short times."""
        example = re.search(r"```yaml\n(route:\n.*?)```", DOCS.read_text(), re.DOTALL)
        assert example
        file = self.folder / "alertmanager.yml"
        file.write_text(example[1])
        done = subprocess.run([found("amtool"), "check-config", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        config = yaml.safe_load(example[1])
        config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
        config["receivers"][0]["webhook_configs"][0]["url"] = f"http://127.0.0.1:{self.webhook.server.server_port}/"
        file.write_text(yaml.safe_dump(config))
        self._run(found("prometheus-alertmanager"), f"--config.file={file}", f"--storage.path={self.folder}/am",
                  f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=")  # fmt: skip

    def _answers(self) -> bool:
        try:
            return bool(self.ask("count(attune_ops_reading_success == 1)"))
        except OSError:
            return False

    def api(self, path: str, **parameters: str) -> Any:
        """What Prometheus' API answers; an error of it raises."""
        with urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(parameters)}", timeout=20) as answer:
            made = json.load(answer)
        assert made["status"] == "success", made
        return made["data"]

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        return list(self.api("query", query=query)["result"])

    def value(self, query: str) -> float | None:
        """The value of a query with one series."""
        got = self.ask(query)
        return float(got[0]["value"][1]) if got else None

    def fired(self) -> set[str]:
        """The alerts that fired until now, also those that cleared."""
        return {s["metric"]["alertname"] for s in self.ask('last_over_time(ALERTS{alertstate="firing"}[10m])')}

    def firing(self) -> set[str]:
        """The alerts that fire now or are pending."""
        return {a["labels"]["alertname"] for a in self.api("alerts")["alerts"]}

    def all_fired(self, names: set[str]) -> None:
        """Waits until all of them fired."""
        try:
            eventually(lambda: not (names - self.fired()), within=WITHIN)
        except AssertionError:
            pytest.fail(f"did not fire: {names - self.fired()}")

    def all_cleared(self, names: set[str]) -> None:
        """Waits until none of them is active."""
        try:
            eventually(lambda: not (names & self.firing()), within=WITHIN)
        except AssertionError:
            pytest.fail(f"did not clear: {names & self.firing()}")


def found(program: str) -> str:
    return shutil.which(program) or lacking(f"no {program} (Debian: prometheus, prometheus-alertmanager)")


@pytest.fixture(scope="module")
def site(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    folder = tmp_path_factory.mktemp("monitored")
    broker = Broker(module_lab.state.amqp_url, module_lab.state.management_url)
    with ExitStack() as stack, broker.vhost() as vhost:
        place = Place(vhost, folder).populate()
        stack.callback(place.close)
        place.more_environment = {"ATTUNE_OPS_PROMETHEUS_URL": module_lab.state.prometheus_url}
        place.sql("UPDATE worker SET last_heartbeat = '2099-01-01 00:00:00'")  # no heartbeats in this test
        yield Monitored(place, module_lab, folder, stack)


def reject_one(place: Place, queue: str) -> None:
    """A consumer that rejects a message without requeue."""
    with place.vhost.channel() as channel:
        method, _, _ = channel.basic_get(queue)
        assert method is not None
        channel.basic_nack(method.delivery_tag, requeue=False)


def dashboard_answers(site: Monitored) -> None:
    """Asks Prometheus each expression of the dashboard; each has a series where everything is broken."""
    for panel in PANELS:
        for query, _ in panel.queries:
            real = re.sub(r"\$(job|instance|env)\b", ".*", query.replace("$__rate_interval", "10s"))
            assert "$" not in real
            assert site.ask(real), f"no series: {real}"


def test_alerts_of_the_broker_fire_and_clear(site: Monitored) -> None:
    place, vhost = site.place, site.place.vhost
    database = place.settings.database
    assert database is not None
    eventually(lambda: site.value("attune_ops_workers{state='ready'}") == 2, within=WITHIN)
    eventually(lambda: not site.firing(), within=WITHIN)  # a healthy place has no alert

    # Break it in all ways at once.
    vhost.api("DELETE", "queues/{vhost}/worker.1.executions")
    vhost.api("DELETE", "queues/{vhost}/attune.notifications.queue")
    third = registry_write.register(database, "w3").id
    fourth = registry_write.register(database, "w4").id
    place._registered_long_ago()
    place.sql(f"UPDATE worker SET last_heartbeat = '2099-01-01 00:00:00' WHERE id = {third}")
    place.sql(f"UPDATE worker SET last_heartbeat = '2025-06-01 00:00:00' WHERE id = {fourth}")
    with vhost.channel() as channel:
        for owner in (third, 99):
            channel.queue_declare(f"worker.{owner}.executions", durable=False, auto_delete=True)
            channel.queue_bind(f"worker.{owner}.executions", "attune.executions", f"worker.{owner}")
    place.publish("attune.executions", "worker.99", 3)
    place.publish("attune.executions", "worker.77", 2)  # unroutable
    place.services["executor"].disconnect()
    place.publish("attune.executions", "execution", 300)
    place.publish("attune.events", "event.created", 2)  # no alert: no service consumes them
    reject_one(place, "attune.events.queue")
    broken = {
        "AttuneWorkerWithoutQueue", "AttuneWorkerWithoutConsumer", "AttuneWorkerHeartbeatStale", "AttuneQueueMissing",
        "AttuneQueueWithoutConsumer", "AttuneQueueGrowing", "AttuneOrphanedQueueWithBacklog", "AttuneDeadLettersLost",
        "AttuneUnroutablePublishes",
    }  # fmt: skip
    site.all_fired(broken)
    said = {a["labels"]["alertname"]: a for a in site.api("alerts")["alerts"]}
    assert said["AttuneWorkerWithoutQueue"]["annotations"]["summary"] == "worker w1 has no queue"
    page = said["AttuneWorkerWithoutQueue"]["annotations"]["runbook_url"]
    with urlopen(page, timeout=20) as answer:
        assert 'id="at401-worker-queues"' in answer.read().decode()
    assert not [a for a in said.values() if "error" in json.dumps(a["annotations"]).lower().split()]
    eventually(lambda: site.webhook.statuses("AttuneWorkerWithoutQueue") == {"firing"}, within=WITHIN)

    # Fix it. The dead letters are routed to a queue now, and pile up there.
    vhost.api("DELETE", "queues/{vhost}/worker.99.executions")
    place.start("worker", "w1")
    place.start("worker", "w3")
    registry_write.deactivate(database, fourth)
    with vhost.channel() as channel:
        arguments = {"x-dead-letter-exchange": "attune.dlx"}
        channel.queue_declare("attune.notifications.queue", durable=True, arguments=arguments)
        channel.queue_bind("attune.notifications.queue", "attune.notifications", "")
        channel.queue_declare("dead", durable=True)
        for key in ("event.created", "execution", "notification.created"):
            channel.queue_bind("dead", "attune.dlx", key)
    reject_one(place, "attune.events.queue")
    vhost.api("DELETE", "queues/{vhost}/attune.executions.queue/contents")
    place.start("executor")
    place.sql("UPDATE worker SET last_heartbeat = '2099-01-01 00:00:00', cordoned = 1 WHERE status = 'active'")
    site.lab.ctl("set_vm_memory_high_watermark", "0.00001")
    more = {"AttuneDeadLettersPilingUp", "AttuneAllWorkersCordoned", "AttuneBrokerAlarm"}
    try:
        site.all_fired(more)
        site.all_cleared(broken)
    finally:
        site.lab.ctl("set_vm_memory_high_watermark", "0.6")
    eventually(lambda: "resolved" in site.webhook.statuses("AttuneWorkerWithoutQueue"), within=WITHIN)
    dashboard_answers(site)
    vhost.api("DELETE", "queues/{vhost}/dead/contents")
    place.sql("UPDATE worker SET cordoned = 0")
    site.all_cleared(more)


def test_alerts_of_serve_itself_and_the_gap(site: Monitored) -> None:
    node = next(iter(site.lab.state.nodes)).name
    before = site.value("attune_ops_queue_messages_ready{queue='attune.executions.queue'}")
    took = site.value("attune_ops_readings_total")
    site.lab.stop_node(node)
    eventually(lambda: site.ask(FIRING.format("AttuneReadingFailed")), within=WITHIN)
    assert site.value("attune_ops_reading_success") == 0
    assert (site.value("attune_ops_reading_age_seconds") or 0) > 2, "the gap is visible"
    assert site.value("attune_ops_queue_messages_ready{queue='attune.executions.queue'}") == before
    assert site.value("changes(attune_ops_worker_consumers{worker='w2'}[5s])") == 0, "the last value, nothing else"
    site.lab.start_node(node)
    site.all_cleared({"AttuneReadingFailed"})
    assert (site.value("attune_ops_readings_total") or 0) > (took or 0)

    site.end(site.process)
    eventually(lambda: site.ask(FIRING.format("AttuneExporterGone")), within=WITHIN)
    eventually(lambda: not site.ask("attune_ops_worker_ready"), within=WITHIN)  # no values of a process that is gone
    site.serve()
    site.all_cleared({"AttuneExporterGone"})
