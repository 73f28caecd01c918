"""A broker and a registry that stop answering in the middle of what lists, taps, watches, serves and records."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.live.attack.proxy import between, margin, spend
from tests.live.attack.test_network import dead
from tests.live.attack.test_signals import within
from tests.live.messages.test_round_trip import declare
from tests.world import Vhost, clean_environment, eventually

pytestmark = pytest.mark.slow

TIMEOUT_S = 2
AFTER = 1500  # bytes, then there is silence: in the first answers
ASKS = (
    "workers", "connections list", "connections close nobody --apply", "snapshot save s.json", "report --output r.html",
    "health route work job.1", "health worker w1", "history record --for 0s", "messages tap work --for 0s",
    "queues -o prometheus", "topology bind work q other.# --apply", "watch --lines --for 60s",
)  # fmt: skip
CONNECTS_TO_NOTHING = (
    "topology check attune-2026-09", "config check", "config show", "monitoring rules", "topology graph",
)  # fmt: skip
GO_ON = (
    "queues --watch 1s", "watch --lines --interval 1s", "history record --interval 1s",
    "messages tap work --json-lines", "serve --port 0 --interval 1s",
)  # fmt: skip


@pytest.fixture
def site(vhost: Vhost, database: str) -> Vhost:
    """A queue that an exchange routes to, and a registry."""
    declare(vhost, "q")
    vhost.api("PUT", "exchanges/{vhost}/work", {"type": "topic", "durable": True})
    vhost.api("POST", "bindings/{vhost}/e/work/q/q", {"routing_key": "job.#"})
    dead(vhost, database)
    return vhost


def test_what_asks_ends_in_time(site: Vhost, database: str, tmp_path: Path) -> None:
    def run(line: str) -> None:
        with between(site, "silent", AFTER, database) as (proxy, environment):
            done = spend(tmp_path, environment, *shlex.split(line), "--timeout", f"{TIMEOUT_S}s")
            assert proxy.fault == "silent", (line, done)
        assert done.status == 3, (line, done)
        assert done.seconds < TIMEOUT_S + margin(), (line, done)
        assert "no answer" in " ".join(done.said.split()), (line, done)
        assert "a bug" not in done.said

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, ASKS))


def test_what_needs_no_broker_connects_to_none(site: Vhost, database: str, tmp_path: Path) -> None:
    def run(line: str) -> None:
        with between(site, "silent", 0, database) as (proxy, environment):
            done = spend(tmp_path, environment, *shlex.split(line))
            assert (done.status, proxy.connections) == (0, 0), (line, done)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, CONNECTS_TO_NOTHING))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_goes_on_ends_with_a_signal(number: signal.Signals, site: Vhost, database: str, tmp_path: Path) -> None:
    """Whatever it waits for: a reading that has no answer, or the interval."""

    def run(line: str) -> None:
        with between(site, "none", 0, database) as (proxy, environment):
            process = subprocess.Popen(
                [sys.executable, "-m", "attune_ops", *shlex.split(line), "--timeout", f"{TIMEOUT_S}s"],
                cwd=tmp_path, env=clean_environment(tmp_path) | environment | {"PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            assert process.stdout is not None
            said = [process.stdout.readline()]
            reader = threading.Thread(target=keep, args=(process.stdout, said))
            reader.start()
            try:
                if "tap" in line:
                    eventually(lambda: any("job.1" in each for each in said) or not tapped(site), within=60)
                proxy.turn("silent")
                if "tap" not in line:  # which need not ask
                    count = proxy.swallowed
                    eventually(lambda: proxy.swallowed > count, within=60)
                process.send_signal(number)
                asked = time.monotonic()
                process.wait(60)
                took = time.monotonic() - asked
            finally:
                process.kill()
                process.wait()
                reader.join()
                process.stdout.close()
            assert took < within(), (line, took, said)
            assert process.returncode in (0, 3, 130), (line, process.returncode, said)
            assert not [each for each in said if "a bug" in each or "Traceback" in each], said

    with ThreadPoolExecutor(len(GO_ON)) as pool:
        list(pool.map(run, GO_ON))


def tapped(vhost: Vhost) -> bool:
    """Publishes a message for the tap."""
    with vhost.channel() as channel:
        channel.basic_publish("work", "job.1", b"{}")
    return True


def keep(stream: Iterable[str], said: list[str]) -> None:
    said.extend(stream)


def test_served_values_stay(site: Vhost, database: str, tmp_path: Path) -> None:
    """Metrics and health answer at once while the broker does not, with the last values."""
    with between(site, "none", 0, database) as (proxy, environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "attune_ops", "serve", "--port", "0", "--interval", "1s", "--timeout", "2s"],
            cwd=tmp_path, env=clean_environment(tmp_path) | environment | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            url = next(word for word in first.split() if word.startswith("http://")).rstrip("/;,")
            eventually(lambda: b"attune_ops_workers{" in urlopen(f"{url}/metrics", timeout=60).read(), within=60)
            proxy.turn("silent")
            eventually(
                lambda: b"attune_ops_reading_success 0" in urlopen(f"{url}/metrics", timeout=60).read(), within=60
            )
            assert b"attune_ops_workers{" in urlopen(f"{url}/metrics", timeout=60).read()
        finally:
            process.kill()
            process.communicate()
