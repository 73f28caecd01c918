"""The screens of the commands as a person sees them: at a terminal of 80 columns, on a real broker."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from attune_ops.inventory.queues import queues
from tests.examples import assert_wrapped, examples
from tests.live.doctor.broken import W1, missing_worker_queue
from tests.live.places import Place
from tests.live.screen import doctor
from tests.terminal import Printed, printed
from tests.world import COMMAND, Broker, Run, eventually


@pytest.fixture
def here(place: Callable[..., Place]) -> Place:
    """A healthy installation, once the statistics say so."""
    made = place().populate()
    eventually(lambda: not made.look().at_least(made.look().findings[0].severity) or made.look().status == "degraded")
    return made


@pytest.fixture
def shows(here: Place, run: Run) -> Callable[..., Printed]:
    """`shows("doctor", "--all", width=80)` runs a command at a terminal."""

    def shown(*arguments: str, width: int = 80, env: dict[str, str] | None = None) -> Printed:
        environment = run.environment(env={**here.environment, **(env or {})})
        done = printed([COMMAND, *arguments], environment, width=width)
        assert max(map(len, done.lines)) <= width
        return done

    return shown


def of_other_tests(lines: list[str]) -> int:
    """How many lines tell what the broker counts as a whole: the unroutable messages of tests beside this one."""
    return 2 if [line for line in lines if line.endswith(" AT509")] else 0


def test_healthy(shows: Callable[..., Printed]) -> None:
    for width in (80, 160):
        done = shows("doctor", width=width)
        lines = done.lines
        assert done.status == 0
        assert len(lines) <= 25 + of_other_tests(lines), "\n".join(lines)
        assert lines[0].startswith("! degraded: no problems except 5 known weaknesses; ")
        assert lines[-1] == lines[0]
        assert [line for line in lines if line.startswith("√ Topology ")]
        assert not [line for line in lines if line.startswith(("ERROR", "WARNING"))]
    assert "worker.{id}.executions is deleted" in "\n".join(shows("doctor", "--design").lines)
    every = shows("doctor", "--all").lines
    assert "√ ok      AT101 can connect to the broker over AMQP" in every
    assert len(every) > 80


def test_one_error(shows: Callable[..., Printed], here: Place) -> None:
    eventually(lambda: "attune worker w1" in {c.client_name for c in here.look().facts.actual.connections or ()})
    missing_worker_queue(here)
    for width in (80, 160):
        done = shows("doctor", width=width)
        first = done.lines[:20]
        assert done.status == 1
        assert first[0].startswith("× unhealthy: 1 error, ")
        head = next(line for line in first if line.startswith("ERROR"))
        assert head.startswith(f"ERROR    {W1} is missing: work for worker 1 (w1) is lost  ")
        assert head.endswith(" AT401")
        assert [line for line in first[first.index(head) :] if "→ Restart the worker" in line]
        assert not [line for line in done.lines if "crashed" in line], "it is connected"
        assert [line for line in first if line.startswith("         causes 2 more findings: ")]
        assert "every live worker has its queues" not in "\n".join(done.lines)
        assert [line for line in done.lines[-3:] if line.endswith("see $ attune-ops workers w1")]
    quiet = shows("doctor", "-q").lines
    assert len(quiet) < 12 + of_other_tests(quiet), "\n".join(quiet)
    assert [line for line in quiet if "→ Restart the worker" in line]
    assert not [line for line in quiet if line.startswith(("√", "–"))]
    every = shows("doctor", "--all").lines
    assert "× error   AT401 worker-queues: 1 finding" in every
    assert "× error   AT301 publishes-arrive: explained by AT401" in every


def test_the_example_of_the_documentation(here: Place, run: Run) -> None:
    eventually(lambda: "attune worker w1" in {c.client_name for c in here.look().facts.actual.connections or ()})
    missing_worker_queue(here)
    page = Path(__file__).parents[3] / "docs" / "doctor.md"

    def on_any_broker(text: str) -> str:
        text = re.sub(r"RabbitMQ \S+ \S+\s+amqp://\S+", "RabbitMQ", text)
        return re.sub(r"in virtual\s+host \S+,", "in virtual host /,", text)

    printed = "\n".join(doctor(here, run).lines)
    assert_wrapped(on_any_broker(examples(page.read_text())["attune-ops doctor"]), on_any_broker(printed))


@pytest.mark.parametrize("columns", ["", "80"])
def test_the_summary_is_one_line(here: Place, run: Run, columns: str) -> None:
    missing_worker_queue(here)
    done = run("doctor", "--summary", env={**here.environment, "COLUMNS": columns}, status=1)
    assert done.stdout.count("\n") == 1
    assert done.stdout.endswith("; see $ attune-ops workers w1\n")
    assert f"; {W1} is missing: work for worker 1 (w1) is lost; " in done.stdout


def test_thirty_dead_workers_are_a_few_lines(shows: Callable[..., Printed], here: Place) -> None:
    rows = ", ".join(
        f"({n}, 'dead{n}', 'local', 'action', 'active', '2025-01-01 00:00:00', '2025-01-01 00:00:00')"
        for n in range(100, 130)
    )
    here.sql(f"INSERT INTO worker (id, name, worker_type, worker_role, status, last_heartbeat, created) VALUES {rows}")
    lines = shows("doctor").lines
    assert len(lines) <= 45, "\n".join(lines)
    named = [line for line in lines if "AT409" in line]
    assert named
    assert lines.index(named[0]) < 8
    assert sum(line.startswith(("ERROR", "WARNING")) for line in lines) <= 4


def test_a_young_queue_has_no_consumers_0(place: Callable[..., Place]) -> None:
    """The statistics of a queue with a consumer say 0 until the next interval; the list of consumers does not."""

    def listed(made: Place) -> set[str]:
        """The queues with a consumer in that list; none of them has 0 in the table of the same reading."""
        facts = made.look().facts
        rows = {row["name"]: row["consumers"] for row in queues(facts).records()}
        found = {queue for queue, consumers in facts.actual.consumers_of.items() if consumers}
        assert {queue for queue in found if rows[queue] == 0} == set()
        return found

    def has_three(made: Place) -> bool:
        return len(listed(made)) == 3

    for _ in range(3):
        made = place()
        made.populate()
        eventually(partial(has_three, made))
        made.close()


def test_a_backlog_without_a_consumer_is_red(shows: Callable[..., Printed], here: Place, run: Run) -> None:
    here.services["executor"].disconnect()
    here.publish("attune.executions", "execution", 3)
    red = "\x1b[31mno consumer"
    eventually(lambda: red in shows("queues").raw, within=20)  # consumers of a young queue are unknown
    assert "\x1b" not in shows("queues", env={"NO_COLOR": "1"}).raw
    assert "\x1b" not in run("queues", env=here.environment).stdout
    assert red in run("queues", env={**here.environment, "FORCE_COLOR": "1"}).stdout
    assert "\x1b" not in run("queues", "--no-color", env={**here.environment, "FORCE_COLOR": "1"}).stdout


def test_a_consumer_that_acknowledges_nothing(here: Place, run: Run) -> None:
    with here.vhost.channel() as channel:
        channel.queue_declare("slow", durable=True)
        channel.basic_qos(prefetch_count=2)
        channel.basic_consume("slow", lambda *_: None)
        for _ in range(5):
            channel.basic_publish("", "slow", b"{}")

        def alert() -> str:
            done = run("queues", "slow", "--columns", "alert", "--format", "csv", env=here.environment, status=0)
            return done.stdout.splitlines()[1]

        eventually(lambda: alert() in ("prefetch full", "stuck"), within=20)


def test_a_pipe_obeys_columns(here: Place, run: Run) -> None:
    uncut = run("queues", env=here.environment, status=0).stdout
    assert "arguments" in uncut
    for width in (60, 80, 120):
        fitted = run("queues", env={**here.environment, "COLUMNS": str(width)}, status=0).stdout
        assert max(map(len, fitted.splitlines())) <= width
        assert "more columns: --columns NAME,…" in fitted
        doctor = run("doctor", env={**here.environment, "COLUMNS": str(width)}, status=0).stdout
        assert max(map(len, doctor.splitlines())) <= width
    assert "arguments" in run("queues", env={**here.environment, "COLUMNS": "wide"}, status=0).stdout


@pytest.mark.skipif(shutil.which("watch") is None, reason="needs `watch`")
def test_watch(here: Place, run: Run) -> None:
    """`watch -n 2 attune-ops queues` shows each queue on a line of its own."""
    environment = run.environment(env=here.environment) | {"TERM": "xterm", "LINES": "24", "COLUMNS": "80"}
    ours, theirs = pty.openpty()
    command = ["watch", "-t", "-n", "2", str(COMMAND), "queues"]
    shown, deadline = b"", time.monotonic() + 30
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        while b"more columns: " not in shown and time.monotonic() < deadline:
            shown += os.read(ours, 65536)
        process.terminate()
    os.close(ours)
    text = shown.decode(errors="replace")
    for name in ("attune.events.queue", "attune.notifications.queue", "worker.2.executions"):
        assert text.count(name) == 1, text
    assert "more columns: " in text
    assert "dead_letter_exchange" not in text


def test_a_drill_leads_with_what_was_lost(run: Run, broker: Broker) -> None:
    with broker.vhost() as vhost:
        done = run("drill", "run", "worker-crash", target=vhost, status=0, timeout=120)
    lines = done.stdout.splitlines()
    found = re.fullmatch(r"(\d+) of 100 messages lost, as predicted", lines[0])
    assert found is not None, done.stdout
    assert lines[1].startswith("  deleted together with its queue: ")
    assert not [line for line in lines[1:] if f"{found[1]} lost" in line]


def test_the_live_graph_differs_from_the_desired_one(shows: Callable[..., Printed], here: Place) -> None:
    here.vhost.api("DELETE", "queues/{vhost}/attune.notifications.queue")
    here.publish("attune.events", "event.created", 3)
    desired, live = shows("topology", "graph").lines, shows("topology", "graph", "--live")
    assert desired != live.lines
    assert "sensor ──event.created──► attune.events  topic" in live.lines
    missing = live.lines.index("   └──► attune.notifications.queue")
    assert live.lines[missing + 1].strip() == "missing"
    assert "        3 messages, 0 consumers" in live.lines
    assert [line for line in live.lines if line.startswith("        2 queues, 0 messages")], live.lines
    assert "\x1b[31m" in live.raw, "what is missing is red"
