"""The canary: what the broker does with a message, and that nothing of it is left behind."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from attune_ops.installation.scratch_vhost import PREFIX
from tests.world import Broker, Run, Users, Vhost, eventually


def define(vhost: Vhost, **kinds: Any) -> None:
    empty: dict[str, list[Any]] = {"exchanges": [], "queues": [], "bindings": [], "policies": []}
    vhost.api("POST", "definitions/{vhost}", empty | kinds)


def exchange(name: str, type: str, **arguments: str) -> dict[str, Any]:
    return {
        "name": name, "type": type, "durable": True, "auto_delete": False, "internal": False,
        "arguments": {k.replace("_", "-"): v for k, v in arguments.items()},
    }  # fmt: skip


def queue(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "durable": True, "auto_delete": False, "arguments": arguments}


def bound(source: str, destination: str, key: str = "", **arguments: Any) -> dict[str, Any]:
    return {
        "source": source, "destination": destination, "destination_type": "queue", "routing_key": key,
        "arguments": arguments,
    }  # fmt: skip


@pytest.fixture
def site(vhost: Vhost) -> Vhost:
    define(
        vhost,
        exchanges=[
            exchange("x", "topic", alternate_exchange="alt"), exchange("alt", "fanout"), exchange("h", "headers"),
        ],
        queues=[
            queue("jobs", **{"x-message-ttl": 1}), queue("rest", **{"x-max-length": 0}), queue("<h>\n'"), queue("none"),
        ],
        bindings=[bound("x", "jobs", "job.*"), bound("alt", "rest"), bound("h", "<h>\n'", n=3, type="a")],
        policies=[{"name": "p", "pattern": "", "apply-to": "all", "priority": 1, "definition": {"message-ttl": 1}}],
    )  # fmt: skip
    return vhost


def left_behind(broker: Broker) -> list[str]:
    return [name for name in broker.vhosts if name.startswith(PREFIX)]


@pytest.mark.parametrize(
    ("arguments", "queues"),
    [
        (["x", "job.1"], ["jobs"]),
        (["x", "other"], ["rest"]),
        (["", "none"], ["none"]),
        (["h", "", "--headers", '{"n": 3, "type": "a"}'], ["<h>\n'"]),
        (["x", "other", "--header", "CC=job.1"], ["jobs"]),
        (["h", "k"], []),
    ],
)
def test_the_broker_agrees(site: Vhost, run: Run, arguments: list[str], queues: list[str]) -> None:
    done = run("route", *arguments, "--canary", "--format", "json", target=site, status=0)
    answer = json.loads(done.stdout)
    assert answer["queues"] == answer["canary"]["queues"] == queues
    assert answer["canary"]["notes"] == []
    site.broker.api("GET", f"vhosts/{answer['canary']['vhost']}", ok=(404,))
    assert all(not q.get("messages") for q in site.api("GET", "queues/{vhost}").json())


def test_server_named_and_exclusive_queues_have_stand_ins(site: Vhost, run: Run) -> None:
    with site.channel() as channel:
        name = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(name, "x", "job.1")
        answer = json.loads(run("route", "x", "job.1", "--canary", "--format", "json", target=site, status=0).stdout)
        direct = json.loads(run("route", "", name, "--canary", "--format", "json", target=site, status=0).stdout)
        assert channel.queue_declare(name, passive=True).method.message_count == 0
    assert answer["canary"]["queues"] == sorted([name, "jobs"])
    assert direct["canary"]["queues"] == [name]


def test_too_many_copies_are_refused(site: Vhost, run: Run) -> None:
    define(site, queues=[queue(f"q{i}") for i in range(1001)], bindings=[bound("h", f"q{i}", n=i) for i in range(1001)])
    run("route", "x", "job.1", "--canary", target=site, status=0)
    done = run("route", "h", "", "--canary", target=site, status=1)
    assert "would copy 1,002 queues to a scratch virtual host, more than 1,000" in done.stderr


def test_needs_an_administrator(site: Vhost, run: Run, user: Users) -> None:
    monitor = user(site, tags="monitoring")
    done = run("route", "x", "job.1", "--canary", target=monitor, status=3)
    assert "needs a user with the tag administrator" in done.stderr
    assert done.stdout == ""


def test_an_interrupt_leaves_nothing(site: Vhost, run: Run, broker: Broker) -> None:
    define(
        site,
        queues=[queue(f"q{i}") for i in range(500)],
        bindings=[bound("x", f"q{i}", "other") for i in range(500)],
    )
    before = set(left_behind(broker))
    with run.start("route", "x", "job.1", "--canary", target=site) as process:
        eventually(lambda: set(left_behind(broker)) - before, every=0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    others = set(left_behind(broker)) - before  # of tests beside this one, which go
    eventually(lambda: not others & set(left_behind(broker)))
