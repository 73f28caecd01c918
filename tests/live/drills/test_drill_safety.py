"""A drill that is killed itself is recovered; its ledger agrees with RabbitMQ's own tracer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attune_ops import lab
from attune_ops.drills import evidence
from attune_ops.drills.broker import settings_of_lab
from attune_ops.drills.context import Context
from attune_ops.drills.drill_run import DrillRun
from attune_ops.drills.journal import DoctorStatus, Journal
from attune_ops.drills.ledger import Leftover
from attune_ops.drills.runner import run
from attune_ops.drills.undo import Record, records, recover
from attune_ops.installation.amqp import close, open_connection
from attune_ops.installation.config import resolve
from attune_ops.installation.config.running_lab import start_time
from attune_ops.model.envelope import parse
from attune_ops.startup.standins.publishing import number_of
from tests.world import Broker, eventually

PREFETCH = 10  # of the topology's workers

KILLED = """
import os, signal, sys
import msgspec
from attune_ops.installation.config import resolve
from attune_ops.drills.runner import run
settings = resolve({"amqp_url": sys.argv[1], "management_url": sys.argv[2]}, {})
settings = msgspec.structs.replace(settings, env="test", drills=True)
def note(text):
    print(text, flush=True)
    if "hangs" in text:
        os.kill(os.getpid(), signal.SIGKILL)
run("worker-hang", settings, confirm="test", on_progress=note, rate=60)
"""


def undo_list(name: str) -> tuple[Path, Record]:
    """The undo list that has something of that name."""
    return next((file, record) for file, record in records() if name in [e.name for e in record.undo])


def test_a_drill_that_was_killed_is_recovered(broker: Broker) -> None:
    """SIGKILL at the fault: a worker hangs, the virtual host is there, and nobody is left to undo it."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, broker.amqp_url, broker.management_url],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    vhost = next(word for word in done.stdout.split() if word.startswith("attune-ops-drill-"))
    file, record = undo_list(vhost)
    hung = [e for e in record.undo if e.kind == "process" and start_time(int(e.name)) == e.started]
    assert hung, "the process that hangs outlived the drill"
    told = {"amqp_url": broker.amqp_url, "management_url": broker.management_url}
    assert recover(lambda r: resolve(told, {}), print) >= 1
    assert not file.exists()
    assert not [e for e in hung if start_time(int(e.name)) == e.started]
    assert vhost not in broker.vhosts
    assert not [e for e in record.undo if e.kind == "folder" and Path(e.name).exists()]


@pytest.mark.slow
def test_the_ledger_agrees_with_the_tracer(module_lab: lab.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two counts of others: what the firehose saw published and delivered, and the lines of the services' logs."""
    settings = msgspec.structs.replace(settings_of_lab(module_lab.state), env="test", drills=True)
    seen: list[tuple[str, int]] = []
    acked: Counter[int] = Counter()
    populate, drain = DrillRun._populate, evidence.drain
    tracing: list[tuple[Any, str]] = []

    def traced(self: DrillRun) -> None:
        vhost = self.context.settings.vhost
        module_lab.ctl("trace_on", "-p", vhost)
        connection = open_connection(self.context.settings.amqp, name="tracer")
        channel = connection.channel()
        queue = channel.queue_declare("tracer", durable=True).method.queue
        channel.queue_bind(queue, "amq.rabbitmq.trace", "#")
        tracing.append((channel, queue))
        monkeypatch.setattr(self.context.expect, "doctor", lambda **_: DoctorStatus("healthy"))
        populate(self)

    def read(context: Context) -> list[Leftover]:
        channel, queue = tracing[0]
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            method, properties, body = got
            what, _, _ = method.routing_key.partition(".")
            if "worker." in json.dumps(properties.headers.get("routing_keys", [])):
                number = number_of(parse(body))
                assert number is not None
                seen.append((what, number))
        acked.clear()
        for log in context.folder.glob("*.jsonl"):
            told = [json.loads(line) for line in log.read_text().splitlines()]
            acked.update(e["number"] for e in told if e["event"] == "acked")
        return drain(context)

    monkeypatch.setattr(DrillRun, "_populate", traced)
    monkeypatch.setattr(evidence, "drain", read)
    try:
        journal = run("worker-reconnect", settings, confirm="test", rate=60)
    finally:
        for channel, _ in tracing:
            close(channel.connection)
    assert isinstance(journal, Journal)
    assert journal.ledger.adds_up, journal
    published = Counter(n for what, n in seen if what == "publish")
    delivered = Counter(n for what, n in seen if what == "deliver")
    assert set(published) == set(range(1, journal.ledger.attempted + 1))
    assert sum(published.values()) == journal.ledger.published
    classes, lost = journal.ledger.classes, {n for loss in journal.ledger.losses for n in loss.numbers}
    assert len(acked) == classes["acknowledged_once"] + classes["redelivered"] + classes["duplicated"]
    assert len(delivered) == journal.ledger.attempted - classes["returned"] - len(lost - set(delivered))
    assert set(acked) <= set(delivered)
    assert not lost & set(acked)
    assert len(lost & set(delivered)) <= PREFETCH, "only what the worker had in its hands when it was killed"


def test_an_interrupt_undoes_everything(broker: Broker) -> None:
    """Ctrl-C in the middle: everything that the drill made is gone when it ends."""
    program = KILLED.replace("signal.SIGKILL", "signal.SIGINT")
    process = subprocess.run(
        [sys.executable, "-c", program, broker.amqp_url, broker.management_url],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert process.returncode != 0
    vhost = next(word for word in process.stdout.split() if word.startswith("attune-ops-drill-"))
    assert vhost not in [e.name for _, record in records() for e in record.undo]
    eventually(lambda: vhost not in broker.vhosts)


@pytest.mark.slow
def test_a_broker_that_dies_leaves_no_conclusion_and_can_be_recovered(module_lab: lab.Lab) -> None:
    """The broker is killed under the drill: it says what it knows, and its undo list keeps the virtual host."""
    settings = msgspec.structs.replace(settings_of_lab(module_lab.state), env="test", drills=True)
    node = module_lab.state.nodes[0].name
    said: list[str] = []

    def note(text: str) -> None:
        said.append(text)
        if "hangs" in text:
            module_lab.kill_node(node)

    journal = run("worker-hang", settings, confirm="test", on_progress=note, rate=60)
    assert isinstance(journal, Journal)
    assert journal.verdict == "inconclusive"
    assert journal.ledger.attempted == journal.ledger.confirmed == 60
    vhost = next(word for line in said for word in line.split() if word.startswith("attune-ops-drill-"))
    file, record = undo_list(vhost)
    assert [e.kind for e in record.undo] == ["vhost"], "everything else was undone"
    module_lab.start_node(node)
    record.pid, record.started = 0, "as if the drill's process had ended"
    replaced = file.with_suffix(".replaced")  # at once: other tests read the undo lists too
    replaced.write_bytes(msgspec.json.encode(record))
    replaced.replace(file)
    assert recover(lambda r: settings, print) >= 1
    assert not file.exists()
    assert vhost not in module_lab.ctl("list_vhosts", "name")
