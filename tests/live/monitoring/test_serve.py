"""`attune-ops serve` over real HTTP: what it says of real workers, how it ends, and that it never invents a value."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import bcrypt
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from attune_ops.monitoring.exporter import Exporter
from attune_ops.monitoring.history_read import period, recorded
from attune_ops.ops import Ops
from tests.live.installation.test_tls import certificate  # noqa: F401 - a fixture
from tests.live.places import Place
from tests.world import Run, eventually, loaded


class Got(NamedTuple):
    status: int
    text: str


class Server(NamedTuple):
    """A running `serve`, and how to ask it."""

    process: subprocess.Popen[str]
    url: str

    def get(self, path: str, **headers: str) -> Got:
        context = ssl._create_unverified_context() if self.url.startswith("https") else None
        try:
            with urlopen(Request(self.url + path, headers=headers), timeout=60, context=context) as answer:
                return Got(answer.status, answer.read().decode())
        except HTTPError as e:
            return Got(e.code, e.read().decode())

    @property
    def values(self) -> dict[tuple[str, ...], float]:
        """Each sample by its name and label values."""
        return parsed(self.get("/metrics").text)


def parsed(text: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(text)
    return {
        (s.name.removeprefix("attune_ops_"), *(v for k, v in s.labels.items() if k != "id")): s.value
        for f in families
        for s in f.samples
    }


def serving(place: Place, *words: str) -> contextlib.AbstractContextManager[Server]:
    return serving_with(place.environment, *words)


@contextlib.contextmanager
def serving_with(environment: Mapping[str, str], *words: str) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "attune_ops", "serve", "--port", "0", "--interval", "1s", *words],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        found = re.search(r"serving (\S+)/ and", line := process.stderr.readline())
        assert found, line
        yield Server(process, found[1])
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def here(place: Callable[..., Place]) -> Place:
    return place().populate()


def test_the_metrics_follow_the_workers(here: Place) -> None:
    with serving(here) as server:
        # Both: the broker tells each consumer with the statistics of its channel, so not at the same time.
        first = eventually(lambda: (now := server.values).get(("workers", "ready")) == 2 and now, within=30)
        assert first["worker_consumers", "w1"] == 1
        assert first["worker_ready", "w1"] == 1
        assert first["workers", "ready"] == 2
        assert first["worker_startup_steps_done", "w2"] == 7
        assert first["queue_present", "attune.events.queue"] == 1
        assert first["queue_consumers", "attune.executions.queue"] == 3
        assert first["reading_success",] == 1
        here.publish("attune.events", "event.created", 7)
        eventually(lambda: server.values["queue_messages_ready", "attune.events.queue"] == 7, within=30)
        here.vhost.api("DELETE", "queues/{vhost}/worker.1.executions")

        def gone() -> bool:
            now = server.values
            return now.get(("worker_ready", "w1")) == 0 and ("findings", "AT401", "error") in now

        eventually(gone, within=30)
        now = server.values
        assert [now[f"worker_{name}", "w1"] for name in ("queues_present", "consumers", "messages_ready")] == [
            0,
            0,
            0,
        ]
        assert now["worker_startup_steps_done", "w1"] == 3
        assert now["worker_ready", "w2"] == 1


def test_health_and_the_page(here: Place) -> None:
    with serving(here) as server:
        eventually(lambda: server.get("/readyz").status == 200, within=30)
        for worker in ("w1", "w2"):
            eventually(lambda: server.get(f"/healthz/worker/{worker}").status == 200, within=30)  # noqa: B023
        assert server.get("/healthz/worker/2").text.startswith("healthy: worker 2: ready; read ")
        assert server.get("/healthz/broker").text.startswith("healthy: ")
        nobody = server.get("/healthz/worker/nobody")
        assert (nobody.status, nobody.text.split(";")[0]) == (503, "not healthy: worker nobody is not registered")
        here.vhost.api("DELETE", "queues/{vhost}/worker.1.executions")
        eventually(
            lambda: server.get("/healthz/worker/w1").text.startswith("not healthy: worker w1: no queue"), within=30
        )
        page = server.get("/")
        assert "<!doctype html>" in page.text
        assert server.get("/else").status == 404
        password = here.settings.amqp.password.reveal()
        assert password not in page.text + server.get("/metrics").text


def test_one_reading_an_interval_whatever_asks(here: Place) -> None:
    with serving(here) as server:
        eventually(lambda: server.get("/readyz").status == 200, within=30)
        began, before = time.monotonic(), server.values["readings_total",]
        for _ in range(100):
            server.get("/metrics")
            server.get("/healthz/worker/w1")
        assert server.values["readings_total",] - before <= time.monotonic() - began + 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once(how: signal.Signals, here: Place) -> None:
    with serving(here) as server:
        eventually(lambda: server.get("/readyz").status == 200, within=30)
        began = time.monotonic()
        server.process.send_signal(how)
        assert server.process.wait(60) == 0
        assert time.monotonic() - began < loaded(5), "2 s on an idle machine"


def test_while_the_broker_is_away_the_last_values_stay_with_their_age(here: Place) -> None:
    there = here.settings
    lines = list[str]()
    exporter = Exporter(there, interval=1.0, note=lines.append)
    exporter.read_once()
    assert lines == []
    good = parsed(b"".join(exporter.answer("/metrics")[2:]).decode())
    exporter.settings = msgspec.structs.replace(
        there,
        amqp=msgspec.structs.replace(there.amqp, port=1),
        management=msgspec.structs.replace(there.management, port=1),
    )
    exporter.read_once()
    away = parsed(b"".join(exporter.answer("/metrics")[2:]).decode())
    assert away["reading_success",] == away["reading_broker_success",] == 0
    assert away["reading_failures_total",] == 1
    assert away["reading_age_seconds",] > good["reading_age_seconds",]
    kept = {k: v for k, v in good.items() if not k[0].startswith("reading")}
    assert kept.items() <= away.items()
    for path in ("/readyz", "/healthz/broker", "/healthz/worker/w1"):
        assert exporter.answer(path).status == 503
        assert b"refused" in exporter.answer(path).body
    (line,) = lines
    assert line.startswith("readings fail: ")
    assert "refused" in line
    exporter.settings = there
    for _ in range(2):
        exporter.read_once()
    assert exporter.answer("/readyz").status == 200
    assert lines == [line, "readings succeed again"]


def test_few_series_by_default_and_the_remainder_is_stated(here: Place) -> None:
    with serving(here, "--max-workers", "1") as server:
        here.vhost.api("DELETE", "queues/{vhost}/worker.2.executions")
        eventually(lambda: server.values.get(("worker_ready", "w2")) == 0, within=30)
        now = server.values
        assert now["workers_without_series",] == 1
        assert ("worker_ready", "w1") not in now, "the one that is not ready comes first"


def test_tls_and_a_password(here: Place, tmp_path: Path, certificate: Path) -> None:  # noqa: F811
    hashed = bcrypt.hashpw(b"opensesame", bcrypt.gensalt(4)).decode()
    config = tmp_path / "web.yml"
    config.write_text(
        f"tls_server_config:\n  cert_file: {certificate}\n  key_file: {certificate}\n"
        f"basic_auth_users:\n  prometheus: {hashed}\n"
    )

    def header(password: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"prometheus:{password}".encode()).decode()}

    with serving(here, "--web-config", str(config)) as server:
        assert server.url.startswith("https://")
        assert server.get("/metrics").status == 401
        assert server.get("/metrics", **header("wrong")).status == 401
        assert server.get("/metrics", Authorization="Basic ???").status == 401
        assert server.get("/metrics", **header("opensesame")).status == 200


def test_it_records_while_it_serves(here: Place, tmp_path: Path) -> None:
    folder = tmp_path / "h"
    with serving(here, "--record", str(folder)) as server:
        eventually(lambda: server.values.get(("recording_success",)) == 1, within=30)
        assert list(folder.rglob("*.parquet"))
        eventually(lambda: server.values.get(("worker_ready", "w1")) == 1, within=30)
        eventually(lambda: server.values["readings_total",] >= 3, within=30)
        (file,) = folder.rglob("*.parquet")
        in_the_way = file.parent / f".{file.name}.part"

        def blocked() -> bool:
            with contextlib.suppress(FileExistsError):  # it is being written
                in_the_way.mkdir()
            return in_the_way.is_dir()

        eventually(blocked, within=30)
        eventually(lambda: server.values["recording_success",] == 0, within=30)
        assert server.get("/readyz").status == 200, "it serves all the same"
        in_the_way.rmdir()
        eventually(lambda: server.values["recording_success",] == 1, within=30)
    found = recorded(here.settings, str(folder)).readings(period("1h"))
    assert len(found.times) >= 3
    (worker,) = Ops(here.settings).history.show("w1", of="workers", folder=str(folder)).table.records()
    assert worker["state"] == "ready"


def test_bad_input_gets_one_line(run: Run, here: Place, tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("basic_auth_users: {me: plain}\n")
    (tmp_path / "other.yml").write_text("nonsense: 1\n")
    with serving(here) as server:
        port = server.url.rpartition(":")[2]
        for words, status, said in (
            (("--port", port), 1, "cannot listen"),
            (("--interval", "0"), 2, "interval"),
            (("--web-config", "/no/such.yml"), 2, "cannot read"),
            (("--record", str(tmp_path / "other.yml")), 2, "a history is a folder"),
            (("--web-config", str(tmp_path / "broken.yml")), 2, "bcrypt"),
            (("--web-config", str(tmp_path / "other.yml")), 2, "web configuration"),
        ):
            done = run("serve", *words, env=here.environment, status=status)
            assert said in done.stderr
            assert "Traceback" not in done.stderr


READINGS_ALONE = """
import gc, os
from attune_ops.installation.config import resolve
from attune_ops.monitoring.exporter import Exporter
from attune_ops.monitoring.served_reading import free_memory, share_process

share_process()
exporter, seen = Exporter(resolve({}, dict(os.environ))), []
gc.callbacks.append(lambda phase, info: phase == "start" and seen.append(info["generation"]))
for _ in range(3):
    exporter.read_once()
    seen.append("read")
    free_memory()
print(exporter.failure, gc.get_freeze_count() > 10_000, seen)
"""


def test_no_garbage_collection_while_it_reads(here: Place) -> None:
    """With 10,000 workers each holds the interpreter, and so all scrapes, for 0.2 s."""
    done = subprocess.run(
        [sys.executable, "-c", READINGS_ALONE], env={**os.environ, **here.environment}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.strip() == f"None True {['read', 2] * 3}", done.stderr
