"""A virtual host of other applications, with and without Attune in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pika

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.findings import Severity
from attune_ops.topology.apply import apply_topology
from tests.live.places import JANUARY, Place
from tests.world import Broker, Run, Users, Vhost, eventually

BACKLOG = 10_500


def shop(vhost: Vhost) -> None:
    """An application that is not Attune: a queue nobody reads, one that loses its dead letters, an unused exchange."""
    with vhost.channel() as channel:
        channel.exchange_declare("shop.orders", "topic", durable=True)
        channel.queue_declare("orders", durable=True)
        channel.queue_bind("orders", "shop.orders", "#")
        channel.queue_declare("mails", durable=True, arguments={"x-dead-letter-exchange": "nowhere"})
    connection = pika.BlockingConnection(pika.URLParameters(vhost.amqp_url))
    channel = connection.channel()
    for _ in range(BACKLOG):
        channel.basic_publish("", "orders", b"order")
    connection.close()


def doctor(run: Run, target: Vhost, *words: str) -> dict[str, Any]:
    done = run("doctor", "--format", "json", *words, target=target)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_nothing_of_attune_is_one_statement(broker: Broker, run: Run, tmp_path: Path) -> None:
    with broker.vhost() as foreign, broker.vhost() as attune:
        shop(foreign)
        # Statistics of a new queue come after up to 10 s: without them nothing is said of its consumers.
        report = eventually(lambda: (r := doctor(run, foreign)) and "AT501" in str(r["findings"]) and r)
        first = report["findings"][0]
        assert (first["code"], first["severity"]) == ("AT201", "error")
        assert "no Attune topology here" in first["detail"]
        # Nothing is ever declared beside the objects of others.
        assert first["commands"] == []
        codes = {f["code"]: f["severity"] for f in report["findings"][1:]}
        assert codes.pop("AT509", "info") == "info"  # of all virtual hosts: another test's messages may be among them
        codes.pop("AT701", None)  # RabbitMQ 4 reports deprecated features, whose queues they are is not told
        assert codes == {"AT501": "info", "AT305": "info"}
        of_attune = {c.code for c in all_checks() if not c.any_broker}
        statuses = {c["code"]: c["status"] for c in report["checks"]}
        assert {statuses[code] for code in of_attune} == {"skipped"}

        settings = attune.settings(f"sqlite:///{tmp_path}/registry.sqlite")
        apply_topology(settings, write=True)
        first = doctor(run, foreign)["findings"][0]
        assert attune.name in first["evidence"]["elsewhere"]

        # The same of a file: a definitions export of somebody else.
        definitions = tmp_path / "shop.json"
        definitions.write_text(json.dumps(foreign.api("GET", "definitions/{vhost}").json()))
        done = run("doctor", "--from", str(definitions), "--format", "json")
        report = json.loads(done.stdout)
        assert [f["code"] for f in report["findings"] if f["severity"] == "error"] == ["AT201"]


def test_an_empty_virtual_host_is_set_up_by_the_printed_command(
    vhost: Vhost, user: Users, run: Run, tmp_path: Path
) -> None:
    vhost = user(vhost, tags="monitoring")  # an administrator also sees Attune in the virtual hosts of other tests
    environment = vhost.environment | {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{tmp_path}/registry.sqlite"}
    first = doctor(run, vhost)["findings"][0]
    assert first["commands"] == []  # which release is to come is not known
    assert "start one of its services" in first["remedy"]
    release = "attune-2026-09"
    (line,) = doctor(run, vhost, "--topology", release)["findings"][0]["commands"]
    assert run.shell(line, environment | {"ATTUNE_OPS_TOPOLOGY": release}).returncode == 0
    assert "AT201" not in {f["code"] for f in doctor(run, vhost)["findings"]}


def test_foreign_objects_beside_attune_make_no_sentence_false(place: Callable[..., Place], run: Run) -> None:
    here = place(JANUARY).populate()
    shop(here.vhost)
    report = eventually(lambda: (r := here.look()) and any(f.subject.name == "orders" for f in r.findings) and r)
    assert {f.code for f in report.at_least(Severity.WARNING) if f.group != "design"} == set()
    assert {(f.code, f.subject.name) for f in report.findings if f.code in ("AT501", "AT305")} == {
        ("AT501", "orders"), ("AT305", "nowhere"),
    }  # fmt: skip


def test_a_check_of_attunes_objects_says_so_in_its_title() -> None:
    # What such a check says must not be read as a statement about every queue of a shared broker.
    whose = re.compile(r"Attune|topology|worker|service|executor|execution|release|message is routed|known consumer")
    of_attune = [c for c in all_checks() if not c.any_broker and c.group != "design"]  # that group is of the topology
    assert [c.title for c in of_attune if not whose.search(c.title)] == []
