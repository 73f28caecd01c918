"""The inspections on a real broker and registry: the numbers are right and fresh, in every form, for any name."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import attune_ops
from attune_ops.model.topologies import load
from tests import postgres as pg
from tests.hostile import NAMES, is_safe
from tests.world import COMMAND, Broker, Run, Vhost, eventually

HOSTILE = tuple(n for n in NAMES if n and "\x00" not in n)
JANUARY = load("attune-2026-01")

WORKERS = """
INSERT INTO attune.worker (id, name, worker_type, worker_role, status, last_heartbeat, updated) VALUES
  (1, 'w1', 'local', 'action', 'active', now(), now()),
  (2, 'w2', 'local', 'action', 'active', now(), now()),
  (3, 'w3', 'local', 'action', 'inactive', now() - interval '1 hour', now() - interval '59 minutes 50 seconds')
"""


@dataclass(frozen=True)
class Site:
    """A virtual host with worker 1 in order, 2 without its queue, 3 gone; and queues of strangers."""

    vhost: Vhost
    database_url: str

    @property
    def options(self) -> dict[str, str]:
        return {
            "amqp_url": self.vhost.amqp_url,
            "management_url": self.vhost.management_url,
            "database_url": self.database_url,
        }

    @property
    def environment(self) -> dict[str, str]:
        return {f"ATTUNE_OPS_{name.upper()}": value for name, value in self.options.items()}


def declare(channel: Any) -> None:
    for exchange in JANUARY.exchanges:
        channel.exchange_declare(exchange.name, exchange.type, durable=True)
    for queue in (*JANUARY.base_queues, *JANUARY.worker_queues(1), *JANUARY.worker_queues(3)):
        channel.queue_declare(
            queue.name, durable=queue.durable, auto_delete=queue.auto_delete, arguments=queue.arguments
        )
    for binding in (*JANUARY.base_bindings, *JANUARY.worker_bindings(1), *JANUARY.worker_bindings(3)):
        channel.queue_bind(binding.destination, binding.source, binding.routing_key)
    for _ in range(3):
        channel.basic_publish("attune.executions", "worker.3", b"{}", mandatory=True)
    channel.basic_consume("worker.1.executions", lambda *_: None, consumer_tag="worker-1")


@pytest.fixture(scope="module")
def site(broker: Broker, postgres: pg.Server) -> Iterator[Site]:
    with broker.vhost() as vhost, postgres.database(pg.SCHEMA) as url, vhost.channel() as channel:
        with psycopg.connect(url) as connection:
            connection.execute(WORKERS)
        declare(channel)
        # Imported, since on a declaration the broker strips line breaks from the name.
        strangers = [{"name": n, "durable": True, "auto_delete": False, "arguments": {}} for n in HOSTILE]
        vhost.api("POST", "definitions/{vhost}", {"queues": strangers})
        yield Site(vhost, url)


@pytest.fixture(autouse=True)
def beat(site: Site) -> None:
    """The workers are live, however long the tests before took."""
    with psycopg.connect(site.database_url) as connection:
        connection.execute("UPDATE attune.worker SET last_heartbeat = now() WHERE status = 'active'")


def rows(run: Run, site: Site, *arguments: str) -> list[dict[str, Any]]:
    done = run(*arguments, "--format", "json", env=site.environment, status=0)
    made = json.loads(done.stdout)
    assert made["schema"] == "attune-ops/table/1"
    assert all(list(row) == made["columns"] for row in made["rows"])
    found: list[dict[str, Any]] = made["rows"]
    return found


def test_message_counts_are_live_and_young_statistics_are_not_zero(site: Site, run: Run) -> None:
    with site.vhost.channel() as channel:
        channel.queue_declare("young", durable=True)
        channel.basic_publish("", "young", b"x", mandatory=True)
        (row,) = rows(run, site, "queues", "young")
        channel.queue_delete("young")
    assert (row["messages"], row["ready"], row["unacked"], row["kind"]) == (1, 1, 0, "foreign")
    assert row["consumers"] in (None, 0)  # not told yet, or told: never a wrong number


def test_queues_know_their_worker(site: Site, run: Run) -> None:
    found = {r["name"]: r for r in rows(run, site, "queues")}
    assert (found["worker.3.executions"]["messages"], found["worker.3.executions"]["worker"]) == (3, "w3")
    assert found["worker.1.executions"]["auto_delete"] is True
    assert found["attune.events.queue"]["dead_letter_exchange"] == "attune.dlx"
    assert found["attune.events.queue"]["kind"] == "base"
    eventually(lambda: rows(run, site, "queues", "worker.1.*")[0]["consumers"] == 1)


def test_bindings_and_exchanges(site: Site, run: Run) -> None:
    found = rows(run, site, "bindings")
    assert {(r["source"], r["routing_key"], r["destination"], r["wanted"]) for r in found} == {
        ("attune.events", "#", "attune.events.queue", True),
        ("attune.executions", "execution", "attune.executions.queue", True),
        ("attune.executions", "worker.1", "worker.1.executions", True),
        ("attune.executions", "worker.3", "worker.3.executions", True),
        ("attune.notifications", "", "attune.notifications.queue", True),
    }
    kinds = {r["name"]: (r["type"], r["kind"], r["bindings"]) for r in rows(run, site, "exchanges")}
    assert kinds["attune.executions"] == ("direct", "base", 3)
    assert kinds["amq.topic"] == ("topic", "builtin", 0)


def test_consumers_and_workers(site: Site, run: Run) -> None:
    found = eventually(lambda: rows(run, site, "consumers"))
    assert [(r["queue"], r["tag"], r["service"]) for r in found] == [("worker.1.executions", "worker-1", "worker")]
    states = [(r["id"], r["name"], r["state"], r["queue"], r["consumer"]) for r in rows(run, site, "workers")]
    assert states == [
        (1, "w1", "ready", True, True),
        (2, "w2", "no queue", False, False),
        (3, "w3", "stopped", True, False),
    ]


def test_orphans_both_ways(site: Site, run: Run) -> None:
    assert "attune-ops doctor --only workers" in run("orphans", env=site.environment, status=0).stderr
    found = [(r["kind"], r["queue"], r["worker"], r["messages"], r["why"]) for r in rows(run, site, "orphans")]
    assert found == [
        ("queue", "worker.3.executions", "w3", 3, "it stopped cleanly"),
        ("worker", "worker.2.executions", "w2", None, "the worker is live, but its queue is missing"),
    ]


def test_pattern_sort_columns_limit(site: Site, run: Run) -> None:
    found = rows(
        run,
        site,
        "queues",
        "/^(worker|attune)/",
        "--sort",
        "-messages,name",
        "--columns",
        "name,messages",
        "--limit",
        "2",
    )
    assert found == [{"name": "worker.3.executions", "messages": 3}, {"name": "attune.events.queue", "messages": 0}]
    done = run("queues", "--sort", "size", env=site.environment, status=2)
    assert done.stderr.startswith("attune-ops: no column 'size' in queues; it has name, messages")


def test_options_work_before_and_after_the_command(site: Site, run: Run) -> None:
    url = site.options["amqp_url"]
    for arguments in (["--amqp-url", url, "exchanges"], ["exchanges", "--amqp-url", url]):
        done = run(
            *arguments, "--format", "csv", env={"ATTUNE_OPS_MANAGEMENT_URL": site.vhost.management_url}, status=0
        )
        assert "attune.dlx" in done.stdout


def test_hostile_names_in_every_form(site: Site, run: Run) -> None:
    assert {r["name"] for r in rows(run, site, "queues")} >= set(HOSTILE)
    safe = run("queues", "--format", "csv", env=site.environment, status=0).stdout
    assert is_safe(safe.replace("\r\n", "\n"))
    assert "\n'=cmd|" in safe
    text = run("queues", "--format", "csv", "--raw", env=site.environment, status=0).stdout
    assert {r["name"] for r in csv.DictReader(io.StringIO(text, newline=""))} >= set(HOSTILE) - {"carriage\rreturn"}
    for form in ("table", "markdown", "json"):
        done = run("queues", "--format", form, env=site.environment, status=0)
        assert is_safe(done.stdout)
        assert done.stderr == ""


def test_python_and_the_command_line_say_the_same(site: Site, run: Run) -> None:
    with attune_ops.connect(None, False, **site.options) as ops:
        table = ops.queues(pattern="worker.*", columns=("name", "messages"))
        facts = ops.facts()
        assert ops.orphans(facts=facts).column("queue") == ("worker.3.executions", "worker.2.executions")
    assert table.records() == rows(run, site, "queues", "worker.*", "--columns", "name,messages")
    assert str(table.frame["messages"].dtype) == "Int64"
    shown = run("queues", "worker.*", "--columns", "name,messages", env=site.environment, status=0)
    assert shown.stdout == f"{table!r}\n"


def in_terminal(site: Site, run: Run, *arguments: str, **env: str) -> str:
    """What the command writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    environment = run.environment(env=site.environment | {"TERM": "xterm-256color"} | env)
    process = subprocess.Popen(
        [str(COMMAND), *arguments], stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL, env=environment
    )
    os.close(theirs)
    read = b""
    try:
        while data := os.read(ours, 65536):
            read += data
    except OSError:
        pass  # Linux says so when the other side is closed
    os.close(ours)
    assert process.wait(60) == 0
    return re.sub(r"\r+\n", "\n", read.decode())


def test_a_terminal_gets_colours_unless_told_otherwise(site: Site, run: Run) -> None:
    assert "\x1b[1m" in in_terminal(site, run, "workers")
    for shown in (in_terminal(site, run, "--no-color", "workers"), in_terminal(site, run, "workers", NO_COLOR="1")):
        assert "\x1b" not in shown
        assert max(map(len, shown.splitlines())) <= 80
    # Its consumer is listed some seconds later.
    eventually(lambda: "ready" in in_terminal(site, run, "workers", "--no-color"), within=30)


@pytest.mark.parametrize("form", ["table", "csv", "markdown"])
def test_hostile_names_do_nothing_to_a_terminal(site: Site, run: Run, form: str) -> None:
    shown = in_terminal(site, run, "queues", "--no-color", "--format", form)
    assert is_safe(shown.replace("\t", ""))


def test_a_closed_pipe_is_no_error(site: Site, run: Run) -> None:
    with run.start("queues", "--format", "json", env=site.environment) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_full_disk_is_one_line(site: Site, run: Run) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [str(COMMAND), "exchanges"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=run.environment(env=site.environment),
            check=False,
        )
    assert (process.returncode, process.stderr) == (1, "attune-ops: cannot write to stdout: No space left on device\n")


def test_an_ascii_terminal_gets_escapes(site: Site, run: Run) -> None:
    env = site.environment | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    assert "\\u2014" in run("workers", "w2", env=env, status=0).stdout
