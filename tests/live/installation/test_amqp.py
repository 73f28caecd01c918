"""Connecting over AMQP: every refusal in one sentence, and the live depth of a queue."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from pika import BlockingConnection

from attune_ops.drills.relay import Relay
from attune_ops.drills.sampler import DrillLog, Sampler
from attune_ops.installation import amqp
from attune_ops.installation.config.urls import parse_amqp
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.topology import Exchange
from attune_ops.topology.apply import _Declarer
from tests.world import Users, Vhost, eventually, loaded


def refused(url: str, timeout: float = 10.0) -> str:
    with pytest.raises(SourceError) as e:
        amqp.open_connection(parse_amqp(url, "test"), name="test", timeout=timeout)
    assert e.value.__suppress_context__, "a traceback would show pika's parameters"
    return str(e.value)


def test_refusals(vhost: Vhost, user: Users, caplog: pytest.LogCaptureFixture) -> None:
    known, stranger = user(vhost), user(vhost, configure=None)
    place = vhost.broker.amqp_address
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        wrong = {
            f"amqp://{known.user}:wr0ng-pw@{place}/{vhost.quoted}": f"wrong user or password for user '{known.user}'",
            f"amqp://nobody:wr0ng-pw@{place}/{vhost.quoted}": "wrong user or password for user 'nobody'",
            known.amqp_url + "x": f"no such virtual host; rabbitmqctl add_vhost {vhost.name}x",
            stranger.amqp_url: f"set_permissions -p {vhost.name} {stranger.user} '^$' '^$' '^$' lets it read",
            f"amqp://u:wr0ng-pw@127.0.0.1:{closed.getsockname()[1]}": "connection refused",
            f"amqp://u:wr0ng-pw@{vhost.broker.management_address}": "does not speak AMQP",
            "amqp://u:wr0ng-pw@no-such-host.invalid": "host name 'no-such-host.invalid' is unknown",
            f"amqps://u:wr0ng-pw@{place}": "does not speak TLS; try amqp://",
        }
        with caplog.at_level(logging.DEBUG):
            for url, says in wrong.items():
                said = refused(url)
                assert says in said
                assert said.startswith(f"AMQP {parse_amqp(url, 'test')} (virtual host ")
                assert "\n" not in said
                assert "wr0ng-pw" not in said
    for secret in (known.password, stranger.password, "wr0ng-pw"):
        assert secret not in caplog.text


def test_a_silent_port(vhost: Vhost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = refused(f"amqp://u:p@127.0.0.1:{silent.getsockname()[1]}", timeout=0.3)
    assert "no answer within 0.3 s" in said


def test_the_connection_has_a_name(vhost: Vhost) -> None:
    connection = amqp.open_connection(parse_amqp(vhost.amqp_url, "test"), name="who-am-i")
    try:
        listed = eventually(lambda: vhost.api("GET", "vhosts/{vhost}/connections").json())
        assert listed[0]["client_properties"]["connection_name"] == "who-am-i"
        assert listed[0]["client_properties"]["product"] == "attune-ops"
    finally:
        connection.close()


def test_depth(vhost: Vhost, user: Users) -> None:
    with vhost.channel() as channel:
        channel.queue_declare("q")
        channel.basic_publish("", "q", b"x")
        channel.basic_consume("q", lambda *_: None)
        channel.queue_declare("held", exclusive=True)
        connection = amqp.open_connection(parse_amqp(vhost.amqp_url, "test"), name="test")
        try:
            assert eventually(lambda: amqp.depth(connection, "q") == (0, 1))
            assert amqp.depth(connection, "missing") is None
            assert amqp.depth(connection, "q\n") is None, "no queue has such a name: RabbitMQ takes the line end out"
            with pytest.raises(ActionError, match="queue 'held' is exclusive"):
                amqp.depth(connection, "held")
            assert amqp.depth(connection, "q") == (0, 1)
        finally:
            connection.close()


def test_a_queue_that_does_not_answer_is_left(vhost: Vhost) -> None:
    """The broker falls silent without closing anything: pika alone would wait for its heartbeat, or for ever."""
    endpoint = parse_amqp(vhost.amqp_url, "test")
    relay = Relay((endpoint.host, endpoint.port))
    try:
        way = msgspec.structs.replace(endpoint, host="127.0.0.1", port=relay.port)
        connection = amqp.open_connection(way, name="test")
        assert amqp.depth(connection, "missing", timeout=20) is None
        relay.cut()
        began = time.monotonic()
        with pytest.raises(SourceError, match="queue 'q' does not answer"):
            amqp.depth(connection, "q", timeout=0.5)
        assert time.monotonic() - began < 10
        assert connection.is_closed
    finally:
        relay.close()


def test_an_interrupt_does_not_wait_for_the_broker(vhost: Vhost) -> None:
    """Interrupted in a call, pika may have read the answer that it waits for: closing took 5 s more."""
    endpoint, before = parse_amqp(vhost.amqp_url, "test"), sockets(vhost)
    relay = Relay((endpoint.host, endpoint.port))
    settings = msgspec.structs.replace(
        vhost.settings(""), amqp=msgspec.structs.replace(endpoint, host="127.0.0.1", port=relay.port)
    )
    try:
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt), amqp.short_connection(settings, "test"):  # noqa: PT012
            relay.cut()
            began = time.monotonic()
            raise KeyboardInterrupt
        assert time.monotonic() - began < loaded(2)
    finally:
        relay.close()
    assert sockets(vhost) <= before


def sockets(vhost: Vhost | None = None) -> set[str]:
    """The open sockets of this process, by inode; without the one that the tests keep open to the management API."""
    if vhost is not None:
        vhost.broker.session.close()
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if (target := os.readlink(each)).startswith("socket:"):
                found.add(target)
    return found


def close_from_the_broker(vhost: Vhost) -> None:
    for each in eventually(lambda: vhost.api("GET", "vhosts/{vhost}/connections").json()):
        vhost.api("DELETE", f"connections/{quote(each['name'], safe='')}")


def notice_the_loss(connection: BlockingConnection) -> None:
    """Pika reads that the connection ends; no call of the blocking layer, which would free the sockets, fails."""
    while connection.is_open:
        connection._impl.ioloop.poll()
        connection._impl.ioloop.process_timeouts()


@pytest.mark.parametrize("fault", ["closed", "closed, noticed", "cut off", "cut off, noticed", "silent"])
def test_a_lost_connection_keeps_no_socket(vhost: Vhost, fault: str) -> None:
    """Pika keeps the sockets of a connection that was lost: its `close` raises and frees nothing."""
    endpoint, before = parse_amqp(vhost.amqp_url, "test"), sockets(vhost)
    relay = Relay((endpoint.host, endpoint.port))
    try:
        connection = amqp.open_connection(
            msgspec.structs.replace(endpoint, host="127.0.0.1", port=relay.port), name="t"
        )
        assert len(sockets(vhost) - before) > 3
        if fault.startswith("closed"):
            close_from_the_broker(vhost)
        elif fault == "silent":
            relay.cut()
        else:
            relay.close()
        if fault.endswith("noticed"):
            notice_the_loss(connection)
        began = time.monotonic()
        amqp.close(connection, timeout=1)
        amqp.close(connection, timeout=1)
        assert time.monotonic() - began < loaded(5)
        assert connection.is_closed
    finally:
        relay.close()
    assert sockets(vhost) <= before


def test_a_connection_that_is_replaced_keeps_no_socket(vhost: Vhost) -> None:
    """The sampler of a drill and `topology apply` open another connection where the first was lost."""
    before, settings = sockets(vhost), vhost.settings("")
    sampler, declarer = Sampler(settings, DrillLog(lambda event: None)), _Declarer(settings)
    try:
        for _ in range(2):
            assert sampler.depth("missing") is None
            assert declarer.declare(Exchange("x", "topic")) is None
            firsts = [sampler._connection, declarer._connection]
            close_from_the_broker(vhost)
            for first in firsts:
                assert first is not None
                notice_the_loss(first)
    finally:
        sampler.close()
        declarer.close()
    assert sockets(vhost) <= before


@pytest.mark.parametrize("after", [0.0, 0.005, 0.3])
def test_an_interrupt_while_connecting_keeps_no_socket(after: float) -> None:
    before, alarm = sockets(), threading.Timer(after, signal.raise_signal, (signal.SIGINT,))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"amqp://u:p@127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(KeyboardInterrupt) as e:  # noqa: PT012 - the interrupt may come at once
            alarm.start()
            amqp.open_connection(parse_amqp(place, "test"), name="test", timeout=5)
    assert e  # the traceback keeps what pika left open
    if not after:  # the interrupt may come in the middle of pika's own constructors: nobody has them yet
        del e
        gc.collect()
    assert sockets() <= before
