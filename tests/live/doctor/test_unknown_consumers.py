"""A stranger that consumes from Attune's queues: found, described, and its connection closed as printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pika
import pytest
from pika.exceptions import AMQPError

from attune_ops.doctor.findings import Severity
from attune_ops.installation.amqp import close
from tests.live.doctor.broken import EXECUTIONS, W1, eventually_held
from tests.live.doctor.test_dead_letters import SIX, STATUS
from tests.live.places import JANUARY, SEPTEMBER, Place, found
from tests.live.printed import fix, proves
from tests.live.screen import copy, healthy, shows
from tests.world import Run, Vhost, eventually


@contextmanager
def consuming(vhost: Vhost, *queues: str, tag: str = "eats") -> Iterator[pika.BlockingConnection]:
    """A client "night shift" that takes up to 3 messages of each queue and keeps them."""
    parameters = pika.URLParameters(vhost.amqp_url)
    parameters.client_properties = {"connection_name": "night shift"}
    parameters.heartbeat = 0
    connection = pika.BlockingConnection(parameters)
    for queue in queues:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=3)
        channel.basic_consume(queue, lambda *_: None, consumer_tag=tag)
    try:
        yield connection
    finally:
        close(connection)


@pytest.mark.parametrize(
    ("release", "base", "key"),
    [
        (JANUARY, EXECUTIONS, "worker.1"),
        (SEPTEMBER, STATUS, "execution.dispatch.worker.1"),
        (SIX, STATUS, "execution.dispatch.worker.1"),
    ],
)
def test_a_stranger_is_found_and_closed(
    release: str, base: str, key: str, place: Callable[..., Place], run: Run
) -> None:
    p = place(release).populate()
    with consuming(p.vhost, base, W1) as connection:
        p.publish("attune.executions", key, 4)

        def seen() -> bool:
            report = p.look()
            held = [c["held"] for f in report.findings if f.code == "AT417" for c in f.evidence["consumers"]]
            return found(report, Severity.ERROR) == {("AT417", base), ("AT417", W1)} and any(held)

        eventually(seen, within=40, every=1)
        report = p.look()
        (finding,) = [f for f in report.findings if f.subject.name == W1 and f.code == "AT417"]
        stranger = finding.evidence["consumers"][0]
        assert (stranger["client"], stranger["host"], stranger["prefetch"]) == ("night shift", "127.0.0.1", 3)
        for words in ("'eats' of night shift on 127.0.0.1", f"user {stranger['user']}", "prefetch 3, holds 2 messages"):
            assert words in finding.detail
        shows(p, run, "AT417", "'eats' of night shift on 127.0.0.1", "→ Stop that program.", "$ attune-ops connections")

        # The list, and a dry run that closes nothing.
        done = run("connections", "list", "night*", "--format", "json", target=p.vhost, status=0)
        (row,) = json.loads(done.stdout)["rows"]
        assert (row["name"], row["consumers"], row["queues"]) == (stranger["connection"], 2, sorted([base, W1]))
        dry = run("connections", "close", "night shift", target=p.vhost, status=0)
        assert "add --apply" in dry.stderr
        connection.process_data_events(0.2)
        assert connection.is_open

        proves("AT417 consumers", p, report, run)
        proves("AT417 connections close", p, report, run)
        fix(p, report, run)
        with pytest.raises(AMQPError):
            connection.process_data_events(1)
    missing = run("connections", "close", "no such", "--apply", target=p.vhost, status=1)
    assert "no connection 'no such'" in missing.stderr


@pytest.mark.parametrize("how", ["requeue", "reject", "hold", "auto-ack"])
def test_a_stranger_is_closed_as_the_first_screen_says(how: str, place: Callable[..., Place], run: Run) -> None:
    """One that answers holds nothing: what it requeues or rejects is gone from it at once."""
    p = place(SIX).populate()
    p.consume(STATUS, "debug", requeue=how == "requeue", reject=how == "reject", auto_ack=how == "auto-ack")
    p.publish("attune.executions", "execution.status.changed", 4)
    held = {"hold": ("holds 2 messages",), "auto-ack": ("auto-ack: each message is lost when it is sent",)}.get(how, ())
    words = f"{STATUS} has an unknown consumer: 'debug' of Pika", *held, "→ Stop that program."
    copy(shows(p, run, "AT417", *words), "AT417", p, run)
    healthy(p, run)
    if how == "hold":
        eventually_held(p, STATUS, 4)  # by the executor


@pytest.mark.parametrize(("tag", "queue"), [("executor.completion", STATUS), ("worker-2", W1)])
def test_a_service_on_the_queue_of_another_one(tag: str, queue: str, place: Callable[..., Place]) -> None:
    """Named as what it is, and never closed: the connection may be that of a live service."""
    p = place(SIX).populate()
    with consuming(p.vhost, queue, tag=tag):

        def seen() -> bool:
            return found(p.look(["AT417"]), Severity.ERROR) == {("AT417", queue)}

        eventually(seen, within=40, every=1)
        (finding,) = p.look(["AT417"]).findings
        assert f"{tag!r} (the tag of the " in finding.detail
        assert finding.commands == ()
        assert finding.evidence["consumers"][0]["service"] in ("executor", "worker")


def test_a_server_named_queue_has_its_own_consumer_only(place: Callable[..., Place]) -> None:
    """The broker refuses a second one; another program's own queue takes nothing from a replica."""
    p = place(SIX).populate()
    made = p.vhost.api("GET", "queues/{vhost}?disable_stats=true").json()
    replicas = [q["name"] for q in made if q["name"].startswith("amq.gen-")]
    assert len(replicas) == 5  # the executor's, the sensor's, the API's and those of two workers
    with p.vhost.channel() as channel, pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused:
        channel.basic_consume(replicas[0], lambda *_: None)
    assert refused.value.reply_code == 405
    connection = pika.BlockingConnection(pika.URLParameters(p.vhost.amqp_url))
    channel = connection.channel()
    own = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(own, "attune.metadata", "metadata.action.changed")
    channel.basic_consume(own, lambda *_: None, consumer_tag="eats")
    eventually(lambda: own in p.look(["AT417"]).facts.actual.consumers_of, within=20, every=1)
    assert not p.look(["AT417"]).findings
    close(connection)
