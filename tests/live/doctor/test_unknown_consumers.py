"""A stranger that consumes from Attune's queues: found, described, and its connection closed as printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pika
import pytest
from pika.exceptions import AMQPError

from attune_ops.doctor.findings import Severity
from tests.live.doctor.broken import EXECUTIONS, W1
from tests.live.places import Place, found
from tests.live.printed import fix, proves
from tests.world import Run, Vhost, eventually


@contextmanager
def consuming(vhost: Vhost, *queues: str) -> Iterator[pika.BlockingConnection]:
    """A client "night shift" that takes up to 3 messages of each queue and keeps them."""
    parameters = pika.URLParameters(vhost.amqp_url)
    parameters.client_properties = {"connection_name": "night shift"}
    parameters.heartbeat = 0
    connection = pika.BlockingConnection(parameters)
    for queue in queues:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=3)
        channel.basic_consume(queue, lambda *_: None, consumer_tag="eats")
    try:
        yield connection
    finally:
        with suppress(AMQPError):
            connection.close()


def test_a_stranger_is_found_and_closed(place: Callable[..., Place], run: Run) -> None:
    p = place().populate()
    with consuming(p.vhost, EXECUTIONS, W1) as connection:
        p.publish("attune.executions", "worker.1", 4)

        def seen() -> bool:
            report = p.look()
            held = [c["held"] for f in report.findings if f.code == "AT417" for c in f.evidence["consumers"]]
            return found(report, Severity.ERROR) == {("AT417", EXECUTIONS), ("AT417", W1)} and any(held)

        eventually(seen, within=40, every=1)
        report = p.look()
        (finding,) = [f for f in report.findings if f.subject.name == W1 and f.code == "AT417"]
        stranger = finding.evidence["consumers"][0]
        assert (stranger["client"], stranger["host"], stranger["prefetch"]) == ("night shift", "127.0.0.1", 3)
        for words in ("'eats' of night shift on 127.0.0.1", f"user {stranger['user']}", "prefetch 3, holds 2 messages"):
            assert words in finding.detail
        said = run("doctor", target=p.vhost, env=p.environment, status=1).stdout
        assert "night shift" in said

        # The list, and a dry run that closes nothing.
        done = run("connections", "list", "night*", "--format", "json", target=p.vhost, status=0)
        (row,) = json.loads(done.stdout)["rows"]
        assert (row["name"], row["consumers"], row["queues"]) == (stranger["connection"], 2, [EXECUTIONS, W1])
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
