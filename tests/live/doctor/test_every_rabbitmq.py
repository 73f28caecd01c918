"""One broker with MQTT and streams beside Attune: queues of other kinds, no statistics, a prefix, a slow network."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pika
import pytest
import requests
from pika.adapters.blocking_connection import BlockingChannel

from attune_ops import lab
from attune_ops.doctor.findings import Severity
from attune_ops.lab import Lab
from attune_ops.lab.node import is_free
from tests.conftest import end_lab, lacking
from tests.live.attack import proxy as proxies
from tests.live.attack.proxy import Proxy, between
from tests.live.network_namespace import losing
from tests.live.places import JANUARY, Place
from tests.world import Broker, Run, Vhost, clean_environment, eventually

pytestmark = pytest.mark.slow

PLUGINS = ("rabbitmq_mqtt", "rabbitmq_stream")
EXCLUSIVE = "worker.88.executions"  # a client's own queue with an unlucky name
SLOW_S = 0.1  # each way: a round trip takes 200 ms
LOSS = 0.01  # of the packets
ROUNDS = 8
MOST_TRIPS = 40  # one after the other: 6 to 9 were measured; the rest is for a machine with other load


class Site:
    """The broker with an installation of Attune and other applications in one virtual host."""

    def __init__(self, made: Lab, place: Place, mqtt: int, six: int | None, run: Run) -> None:
        self.lab, self.place, self.vhost, self.run, self._mqtt = made, place, place.vhost, run, mqtt
        self.six = six  # the port of AMQP on ::1

    def rows(self, *command: str) -> list[dict[str, Any]]:
        """The rows of a command's table."""
        found: list[dict[str, Any]] = self.data(*command)["rows"]
        return found

    def data(self, *command: str, env: dict[str, str] | None = None, status: int = 0) -> dict[str, Any]:
        """The JSON of a command."""
        self.place.beat()
        given = self.place.environment | (env or {})
        done = self.run(*command, "--format", "json", env=given, status=status)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def shows(self, *command: str, status: int = 0, env: dict[str, str] | None = None) -> str:
        """What a command says on both streams."""
        self.place.beat()
        done = self.run(*command, env=self.place.environment | (env or {}), status=status)
        return done.stdout + done.stderr

    @contextmanager
    def management(self, **settings: str) -> Iterator[None]:
        """Runs the block with settings of rabbitmq_management, as Erlang writes them."""
        restart = "application:stop(rabbitmq_management), application:start(rabbitmq_management)."
        change = [f"application:set_env(rabbitmq_management, {k}, {v})" for k, v in settings.items()]
        undo = [f"application:unset_env(rabbitmq_management, {k})" for k in settings]
        self.lab.ctl("eval", ", ".join([*change, restart]))
        try:
            yield
        finally:
            self.lab.ctl("eval", ", ".join([*undo, restart]))

    @contextmanager
    def management_on_ipv6(self) -> Iterator[int]:
        """Runs the block with the management API on ::1 only; gives its port."""
        port = self.lab.state.node.management_port
        restart = "application:stop(rabbitmq_management), application:start(rabbitmq_management)."
        listens = 'application:set_env(rabbitmq_management, tcp_config, [{{port, {}}}, {{ip, "{}"}}]), '
        self.lab.ctl("eval", listens.format(port, "::1") + restart)
        try:
            yield port
        finally:
            self.lab.ctl("eval", listens.format(port, "127.0.0.1") + restart)

    def subscribe(self, client: str, topic: str, clean: bool, qos: int) -> socket.socket:
        """An MQTT 3.1.1 client with one subscription."""
        user, password = f"{self.vhost.name}:{self.vhost.user}", self.vhost.password
        flags = 0xC0 | (2 if clean else 0)
        hello = _text("MQTT") + bytes([4, flags, 2, 88]) + _text(client) + _text(user) + _text(password)
        connection = socket.create_connection(("127.0.0.1", self._mqtt), 20)
        connection.sendall(b"\x10" + bytes([len(hello)]) + hello)
        assert connection.recv(4) == b"\x20\x02\x00\x00"
        wanted = b"\x00\x01" + _text(topic) + bytes([qos])
        connection.sendall(b"\x82" + bytes([len(wanted)]) + wanted)
        assert connection.recv(5) == b"\x90\x03\x00\x01" + bytes([qos])
        return connection


def _text(word: str) -> bytes:
    return struct.pack(">H", len(word)) + word.encode()


def _free_on_ipv6() -> int | None:
    """A free port of the IPv6 loopback, None where the host has none."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as probe:
            return int(probe.getsockname()[1])
    except OSError:
        return None


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("every")
    mqtt, stream = [port for port in range(18000, 19000) if is_free(port)][os.getpid() % 400 :: 400][:2]
    config = [f"mqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}", f"stream.listeners.tcp.1 = 127.0.0.1:{stream}"]
    config.append("collect_statistics_interval = 1000")
    if six := _free_on_ipv6():
        config.append(f"listeners.tcp.2 = ::1:{six}")
    name = f"t{secrets.token_hex(4)}"
    made = lab.up(name, server=os.environ.get("ATTUNE_OPS_TEST_SERVER"), config=config, plugins=PLUGINS)
    with ExitStack() as stack:
        stack.callback(end_lab, name)
        broker = Broker(made.state.amqp_url, made.state.management_url)
        place = Place(stack.enter_context(broker.vhost()), folder, JANUARY).populate()
        stack.callback(place.close)
        found = Site(made, place, mqtt, six, Run(folder, clean_environment(folder)))
        stack.enter_context(_others(found))
        eventually(lambda: {c["queue"]["name"] for c in _consumers(place.vhost)} >= {"worker.1.executions"})
        eventually(lambda: not found.run("doctor", env=place.environment).returncode, within=30, every=1)
        yield found


def _consumers(vhost: Vhost) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = vhost.api("GET", "consumers/{vhost}").json()
    return found


@contextmanager
def _others(site: Site) -> Iterator[None]:
    """Applications that are not Attune: a quorum queue, streams, a super stream, exclusive and MQTT session queues."""
    server = pika.URLParameters(site.vhost.amqp_url)
    server.heartbeat = 0  # nothing is read here meanwhile, so the broker would close it on a machine under load
    connection = pika.BlockingConnection(server)
    channel = connection.channel()
    channel.queue_declare("quorum", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_declare("log", durable=True, arguments={"x-queue-type": "stream"})
    channel.exchange_declare("invoices", "direct", durable=True, arguments={"x-super-stream": True})
    for n in range(2):  # as `rabbitmq-streams add_super_stream` makes it
        channel.queue_declare(f"invoices-{n}", durable=True, arguments={"x-queue-type": "stream"})
        channel.queue_bind(f"invoices-{n}", "invoices", str(n), {"x-stream-partition-order": n})
        channel.basic_publish("invoices", str(n), b"invoice")
    channel.queue_declare("worker.1.log", durable=True, arguments={"x-queue-type": "stream"})
    channel.queue_declare("own", exclusive=True)
    site.subscribe("meter-1", "meters/1", clean=False, qos=1).close()
    session = site.subscribe("meter-2", "meters/2", clean=True, qos=0)
    try:
        yield
    finally:
        session.close()
        connection.close()


OTHERS = {"quorum", "log", "invoices-0", "invoices-1", "worker.1.log", "own"}


def trouble(report: dict[str, Any]) -> list[str]:
    """What is found that is not a known weakness of January's topology."""
    found = [f for f in report["findings"] if f["severity"] in ("error", "warning")]
    return [f"{f['code']} {f['detail']}" for f in found if not f["code"].startswith("AT6")]


def test_queues_of_other_kinds(site: Site) -> None:
    rows = {r["name"]: r for r in site.rows("queues")}
    mqtt = {name for name in rows if name.startswith("mqtt-subscription-")}
    assert len(mqtt) == 2
    assert {rows[name]["kind"] for name in OTHERS | mqtt} == {"foreign"}
    assert {rows[name]["type"] for name in ("log", "invoices-0")} == {"stream"}
    assert [name for name, row in rows.items() if row["alert"] == "unavailable"] == []

    report = site.data("doctor")
    assert trouble(report) == []
    of_queues = ("AT407", "AT408", "AT412", "AT504")
    found = [f["detail"] for f in report["findings"] if f["code"] in of_queues]
    assert found == [], "nothing of others is orphaned, left behind or unavailable"

    with site.vhost.channel() as channel:
        channel.queue_declare(EXCLUSIVE, exclusive=True)
        assert site.data("doctor", "--only", "AT407")["findings"] == []
        (different,) = site.data("doctor", "--only", "AT206", status=1)["findings"]
        assert "deleted with its connection" in different["remedy"]
        assert site.rows("orphans") == []
        assert "no orphaned queues" in site.shows("reap", "--grace", "0s", "--apply")
        assert site.vhost.names("queues") >= OTHERS | mqtt | {EXCLUSIVE}
    assert site.shows("health", "worker", "w1").startswith("healthy")
    assert site.data("route", "invoices", "1")["queues"] == ["invoices-1"]


def test_without_statistics_in_the_management_api(site: Site) -> None:
    """`management.disable_stats`: the broker collects them, for Prometheus only."""
    with site.management(disable_management_stats="true"):
        report = site.data("doctor", status=3)
        assert report["summary"]["status"] == "unknown"
        assert trouble(report) == []
        skipped = {c["code"]: c["reason"] for c in report["checks"] if c["status"] == "skipped"}
        assert "AT404" not in skipped, "the consumers of Attune's queues are counted over AMQP"
        assert "AT503" in skipped
        assert [f["severity"] for f in report["findings"] if f["code"] == "AT115"] == ["info"]
        assert "passive declare" in site.shows("health", "worker", "w1")
        counts = {r["name"]: r["consumers"] for r in site.rows("queues")}
        assert counts["worker.1.executions"] == 1
        assert counts["log"] is None, "unknown, not 0"
        assert site.rows("orphans") == []
        said = site.shows("reap", "--grace", "0s", "--apply", status=3)
        assert "disabled" in said


def test_behind_a_prefix(site: Site) -> None:
    with site.management(path_prefix='"/rabbit"'):
        eventually(lambda: _answers(site, "/rabbit/api/overview"))
        bare = {"ATTUNE_OPS_MANAGEMENT_URL": site.vhost.management_url}
        assert "path_prefix" in site.shows("health", "broker", status=3, env=bare)
        right = {"ATTUNE_OPS_MANAGEMENT_URL": f"{site.vhost.management_url}/rabbit"}
        assert trouble(site.data("doctor", env=right)) == []
        for command in ("health broker", "health worker w1", "queues", "orphans", "reap", "topology diff"):
            site.shows(*command.split(), env=right)
    eventually(lambda: _answers(site, "/api/overview"))


def test_behind_nginx(site: Site, tmp_path: Path) -> None:
    """A reverse proxy that adds a prefix, and one that decodes the %2F of a virtual host, as nginx does by default."""
    if (nginx := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")) is None:
        lacking("no nginx for a reverse proxy")
    api = site.vhost.broker.management_address
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port, api=api))
    command = [nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        login = site.vhost.management_url.rpartition("@")[0]
        proxied = f"{login}@127.0.0.1:{port}/ops/rabbit"
        eventually(lambda: answers(port))
        env = {"ATTUNE_OPS_MANAGEMENT_URL": proxied}
        assert trouble(site.data("doctor", env=env)) == []
        for words in ("health broker", "health worker w1", "health route attune.executions execution", "orphans"):
            site.shows(*words.split(), env=env)
        said = site.shows("health", "broker", status=3, env={"ATTUNE_OPS_MANAGEMENT_URL": f"{login}@127.0.0.1:{port}"})
        assert "404" in said
        site.vhost.api("PUT", "vhosts/a%2Fb", {})
        try:
            site.vhost.api("PUT", f"permissions/a%2Fb/{site.vhost.user}", {"configure": "", "write": "", "read": ".*"})
            slash = {"ATTUNE_OPS_AMQP_URL": f"{site.vhost.amqp_url.rpartition('/')[0]}/a%2Fb"}
            assert site.shows("queues", env=env | slash)
            decoding = {"ATTUNE_OPS_MANAGEMENT_URL": f"{login}@127.0.0.1:{port}/decoding"}
            assert "a proxy decodes the %2F" in site.shows("exchanges", env=decoding | slash, status=3)
            root = {"ATTUNE_OPS_AMQP_URL": f"{site.vhost.amqp_url.rpartition('/')[0]}/%2F"}
            for words in ("exchanges", "bindings", "reap", "health broker"):
                said = site.shows(*words.split(), env=decoding | root, status=3)
                assert "a proxy decodes the %2F" in said, f"{words} shows objects of all virtual hosts"
            assert site.shows("exchanges", env=env | root)
        finally:
            site.vhost.api("DELETE", "vhosts/a%2Fb")
    finally:
        process.terminate()
        process.wait(60)


NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    map $request_uri $rest {{ "~^/ops/rabbit(?<path>/.*)$" $path; }}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /ops/rabbit/ {{
            proxy_pass http://{api}$rest;
        }}
        location /decoding/ {{
            proxy_pass http://{api}/;
        }}
        location / {{
            return 404;
        }}
    }}
}}
"""


def test_over_ipv6(site: Site) -> None:
    """The broker's own listeners, of AMQP and of the management API."""
    if site.six is None:
        pytest.skip("this host has no IPv6 loopback")
    broker = site.vhost.broker
    with site.management_on_ipv6() as port:
        eventually(lambda: answers(port, "::1"))
        env = {
            "ATTUNE_OPS_AMQP_URL": site.vhost.amqp_url.replace(broker.amqp_address, f"[::1]:{site.six}"),
            "ATTUNE_OPS_MANAGEMENT_URL": site.vhost.management_url.replace(broker.management_address, f"[::1]:{port}"),
        }
        report = site.data("doctor", env=env)
        assert trouble(report) == []
        assert {c["code"] for c in report["checks"] if c["status"] == "skipped"} & {"AT101", "AT102"} == set()
        assert site.shows("health", "broker", env=env).startswith(f"healthy: broker [::1]:{site.six}: ")
        assert site.shows("health", "worker", "w1", env=env).startswith("healthy")
        one = {"ATTUNE_OPS_AMQP_URL": env["ATTUNE_OPS_AMQP_URL"].replace("[::1]", "127.0.0.1")}
        assert "refused" in site.shows("health", "broker", env=env | one, status=3), "it listens on ::1 alone"
    eventually(lambda: _answers(site, "/api/overview"))


def test_a_network_that_loses_packets(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """TCP sends again what is lost: slower, and everything is read."""
    broker = site.vhost.broker
    slow = Proxy("delay")
    monkeypatch.setattr(proxies, "DELAY_S", SLOW_S)
    with ExitStack() as stack:
        lossy = stack.enter_context(losing(LOSS))
        stack.callback(slow.close)
        env = dict(site.place.environment)
        for key, address in (("AMQP", broker.amqp_address), ("MANAGEMENT", broker.management_address)):
            port = lossy.port(f"127.0.0.1:{slow.port(address)}")
            env[f"ATTUNE_OPS_{key}_URL"] = env[f"ATTUNE_OPS_{key}_URL"].replace(address, f"127.0.0.1:{port}")
        for _ in range(ROUNDS):
            site.place.beat()
            done = subprocess.run(
                [*lossy.command, site.run.command, "doctor", "--format", "json"],
                env=site.run.environment(env=env), cwd=site.run.folder, capture_output=True, text=True,
                timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            report = json.loads(done.stdout)
            assert trouble(report) == []
            if lossy.dropped:
                break
        assert lossy.dropped
        direct = site.data("doctor")
        assert [c["code"] for c in report["checks"] if c["status"] == "skipped"] == [
            c["code"] for c in direct["checks"] if c["status"] == "skipped"
        ]


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), 20):
            return True
    except OSError:
        return False


def _answers(site: Site, path: str) -> bool:
    broker = site.vhost.broker
    url = f"http://{broker.management_address}{path}"
    try:
        return requests.get(url, auth=(broker.user, broker.password), timeout=20).ok
    except requests.ConnectionError:
        return False


def test_a_slow_network(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 ms a round trip: what counts is how many of them follow each other."""
    monkeypatch.setattr(proxies, "DELAY_S", SLOW_S)
    with between(site.vhost, "delay") as (_, slow):
        report = site.data("doctor", env=slow)
        assert trouble(report) == []
        ran = {c["code"] for c in report["checks"] if c["status"] != "skipped"}
        direct = site.data("doctor")
        assert ran == {c["code"] for c in direct["checks"] if c["status"] != "skipped"}
        trips = (report["duration_ms"] - direct["duration_ms"]) / (2000 * SLOW_S)
        assert trips < MOST_TRIPS
        assert site.shows("health", "worker", "w1", env=slow).startswith("healthy")
        said = site.shows("doctor", "--timeout", "50ms", status=3, env=slow)
        assert "no answer within 0.05 s" in said


@contextmanager
def changing(vhost: Vhost, change: Callable[[BlockingChannel, int], None]) -> Iterator[Callable[[], None]]:
    """Runs the block while a thread calls `change` with 0, 1, 2, …; yields a wait for the end of one more such round.

    What ends the thread before the block is raised after it.
    """
    over, ended = threading.Event(), list[int]()

    def run() -> None:
        with vhost.channel() as channel:
            while not over.is_set():
                change(channel, len(ended))
                ended.append(len(ended))

    def goes_on() -> None:
        before = len(ended)
        eventually(lambda: len(ended) > before or running.done())

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield goes_on
        finally:
            over.set()
        running.result()


def test_what_is_in_motion_is_no_error(site: Site) -> None:
    """Queues and bindings that come and go while the lists are read, one after the other."""

    def moving(channel: BlockingChannel, n: int) -> None:
        channel.exchange_declare("moving", "topic")
        names = [f"moving.{n}.{i}" for i in range(20)]
        for name in names:
            channel.queue_declare(name, auto_delete=True)
            channel.queue_bind(name, "moving", name)
        for name in names:
            channel.queue_delete(name)

    with changing(site.vhost, moving):
        for _ in range(ROUNDS):
            report = site.place.look()
            assert [f.detail for f in report.findings if f.severity is Severity.ERROR] == []
            names = [q.name for q in report.facts.actual.queues or ()]
            assert len(names) == len(set(names))
        assert site.rows("queues")
        assert site.rows("orphans") == []
        site.shows("topology", "diff")


def test_worker_queues_that_come_and_go_while_it_reads(site: Site) -> None:
    """The lists of queues, bindings and consumers are read one after the other, and differ: none is an error."""
    topology = site.place.settings.topology

    def workers(channel: BlockingChannel, n: int) -> None:
        ids = range(500 + 10 * n, 510 + 10 * n)
        queues = [queue for worker in ids for queue in topology.worker_queues(worker)]
        for queue in queues:
            channel.queue_declare(queue.name, durable=queue.durable, auto_delete=queue.auto_delete)
        for binding in (b for worker in ids for b in topology.worker_bindings(worker)):
            channel.queue_bind(binding.destination, binding.source, binding.routing_key)
        for queue in queues:
            channel.queue_delete(queue.name)

    with changing(site.vhost, workers) as goes_on:
        for _ in range(ROUNDS):
            report = site.place.look()
            assert [f.detail for f in report.findings if f.severity is Severity.ERROR] == []
            goes_on()
        for words in ("doctor", "queues", "workers", "orphans", "bindings", "topology diff", "reap --grace 0s --apply"):
            done = site.run(*words.split(), env=site.place.environment)
            assert "Traceback" not in done.stderr
            assert done.returncode in (0, 1), done.stderr
