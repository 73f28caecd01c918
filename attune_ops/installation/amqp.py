"""Connecting to the broker over AMQP, and explaining a connection that fails."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from attune_ops.installation.config.settings import Endpoint, Settings, Tls
from attune_ops.installation.sockets import LEAST_S, addresses, connect, tls_context
from attune_ops.installation.unreachable import is_late, why
from attune_ops.model import deadline, requests_log
from attune_ops.model.command_lines import PROGRAM
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.facts import Reach, Source
from attune_ops.model.version import __version__

if TYPE_CHECKING:
    import pika

    from attune_ops.installation.timed_connection import TimedConnection


PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
CONNECTION_START = b"\x00\x0a\x00\x0a"  # class 10, method 10
NO_FILES = Tls()
CLOSE_S = 5.0  # for the broker's answer to connection.close


class NotAmqp(OSError):
    """The server does not speak AMQP 0-9-1."""


class Exclusive(ActionError):
    """The queue can be used by another connection only."""


class Depth(NamedTuple):
    """The answer of a passive declare, 1 ms old: ready messages and consumers of a queue."""

    messages: int
    consumers: int


def open_connection(
    endpoint: Endpoint,
    *,
    name: str,
    timeout: float = 10.0,
    tls: Tls = NO_FILES,
    heartbeat: int | None = None,
    implementation: type[pika.SelectConnection] | None = None,
) -> TimedConnection:
    """Connects and logs in; the broker lists the connection under `name`. Times in s.

    `implementation` reads and writes the frames in pika's place. For a few requests, use `short_connection`.

    Raises `SourceError` naming the URL (password masked), the virtual host and what to try.
    """
    import pika

    from attune_ops.installation.timed_connection import Opening, TimedConnection

    try:
        hosts = addresses(endpoint.host, endpoint.port, timeout)
    except OSError as e:
        raise _unreachable(endpoint, e, timeout) from None
    at_most = max(min(timeout, deadline.left()), LEAST_S)
    parameters = [
        pika.ConnectionParameters(
            host=host,
            port=endpoint.port,
            virtual_host=endpoint.path,
            credentials=pika.PlainCredentials(endpoint.user, endpoint.password.reveal()),
            ssl_options=pika.SSLOptions(tls_context(tls), tls.server_name or endpoint.host) if endpoint.tls else None,
            heartbeat=heartbeat,
            socket_timeout=at_most,
            stack_timeout=at_most,
            client_properties={"connection_name": name, "product": PROGRAM, "version": __version__},
        )
        for host in hosts
    ]
    opening = Opening(implementation)
    try:
        with requests_log.reported("AMQP connection.open"):
            connection = TimedConnection(parameters, _impl_class=opening)
    except Exception as e:  # noqa: BLE001 - pika lets socket, TLS and its own errors through
        raise _unreachable(endpoint, e, timeout) from None
    except BaseException:  # after an interrupt pika keeps its sockets
        opening.abort()
        raise
    deadline.ended()
    connection.watch(str(endpoint))
    return connection


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raises KeyboardInterrupt where an interrupt made pika raise another error from its inconsistent state."""
    try:
        yield
    except Exception as e:
        cause = e.__context__
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__context__
        if cause is None:
            raise
        raise KeyboardInterrupt from None


def close(connection: pika.BlockingConnection, timeout: float = CLOSE_S) -> None:
    """Closes a connection in any state, within `timeout` s; the broker requeues what was not acknowledged.

    Raises nothing but an interrupt. With a timeout of 0 the broker is not waited for.
    """
    from attune_ops.installation.timed_connection import free

    try:
        if connection.is_open and timeout:
            with contextlib.suppress(Exception), interruptible(), in_time(connection, timeout):
                connection.close()
    finally:
        free(connection)


@contextlib.contextmanager
def short_connection(settings: Settings, purpose: str) -> Iterator[TimedConnection]:
    """Connects for the block, under the name `attune-ops PURPOSE`, and disconnects at its end.

    Raises `SourceError` where it cannot connect, and where the connection is lost in the block.
    """
    connection = open_connection(
        settings.amqp, name=f"attune-ops {purpose}", timeout=settings.timeout, tls=settings.tls
    )
    timeout = CLOSE_S
    try:
        with interruptible(), losable(settings.amqp):
            yield connection
    except KeyboardInterrupt:
        timeout = 0.0  # pika was interrupted anywhere: it may wait for an answer that it has already read
        raise
    finally:
        close(connection, timeout)


@contextlib.contextmanager
def losable(endpoint: Endpoint) -> Iterator[None]:
    """Raises `SourceError` where the connection is lost in the block."""
    from pika.exceptions import AMQPConnectionError

    try:
        yield
    except AMQPConnectionError as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        raise SourceError(f"AMQP {endpoint}: the connection to the broker was lost ({reason})") from None


def greet(endpoint: Endpoint, *, timeout: float = 10.0, tls: Tls = NO_FILES) -> None:
    """Checks that the port answers AMQP's greeting, without login and without pika. Changes nothing.

    A server that speaks AMQP 0-9-1 answers the protocol header with connection.start. Raises `SourceError`.
    """
    try:
        with (
            requests_log.reported("AMQP protocol header"),
            connect(endpoint.host, endpoint.port, timeout, tls if endpoint.tls else None) as stream,
        ):
            stream.sendall(PROTOCOL_HEADER)
            answer = stream.makefile("rb").read(11)
    except OSError as e:
        raise _unreachable(endpoint, e, timeout) from None
    deadline.ended()
    if not (answer[:1] == b"\x01" and answer[7:11] == CONNECTION_START):
        raise _unreachable(endpoint, NotAmqp(), timeout)


def reach(settings: Settings) -> Reach:
    """Connects, logs in and disconnects; measures the latency and reads the broker's version. Changes nothing."""
    import pika  # noqa: F401 - loaded before the clock starts

    started = time.perf_counter()
    with short_connection(settings, "reach") as connection:
        latency = (time.perf_counter() - started) * 1000
        version, cluster = server_version(connection), _server_property(connection, "cluster_name")
    return Reach(
        Source.AMQP,
        target=str(settings.amqp),
        latency_ms=latency,
        user=settings.amqp.user,
        version=version,
        cluster=cluster,
    )


def server_version(connection: pika.BlockingConnection) -> str | None:
    """The version that the broker reported when the connection was opened."""
    return _server_property(connection, "version")


def _server_property(connection: pika.BlockingConnection, name: str) -> str | None:
    """A property that the broker reported when the connection was opened."""
    value = (connection._impl.server_properties or {}).get(name)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


@contextlib.contextmanager
def in_time(connection: pika.BlockingConnection, seconds: float) -> Iterator[None]:
    """Closes the connection where the broker does not answer the block in time; pika raises `AMQPHeartbeatTimeout`.

    pika alone would wait without a limit while the broker's heartbeats go on. RabbitMQ 4.3.6 does not answer the
    declare of a transient queue if the queue's node is down.
    """
    from pika.exceptions import AMQPHeartbeatTimeout

    impl = connection._impl
    if connection.is_closed:  # its timers are gone; the call itself raises
        yield
        return
    late = AMQPHeartbeatTimeout(f"no answer within {seconds:g} s")
    timer = impl._adapter_call_later(seconds, lambda: impl._terminate_stream(late))
    try:
        yield
    finally:
        impl._adapter_remove_timeout(timer)


def depth(connection: pika.BlockingConnection, queue: str, *, timeout: float = 10.0) -> Depth | None:
    """Reads one queue's ready messages and consumers, live; None where the queue is missing. Changes nothing.

    Needs no permission up to RabbitMQ 4.0, any of the three from 4.3 on. A missing queue closes a channel. Raises
    `ActionError` where the broker refuses, and `SourceError` where it does not answer within `timeout` s, which closes
    the connection.
    """
    import pika.exceptions

    if "\r" in queue or "\n" in queue:  # RabbitMQ answers with the name without them: pika would go on waiting
        return None
    try:
        with in_time(connection, timeout):
            channel = connection.channel()
            found = channel.queue_declare(queue, passive=True).method
            channel.close()
    except pika.exceptions.AMQPHeartbeatTimeout as e:
        raise SourceError(f"queue {queue!r} does not answer ({e}); is its node down?") from None
    except pika.exceptions.ChannelClosedByBroker as e:
        if e.reply_code == 404:
            return None
        if e.reply_code == 405:
            raise Exclusive(f"queue {queue!r} is exclusive: only the connection that declared it can use it") from None
        needs = " (needs configure, write or read permission on it)" if e.reply_code == 403 else ""
        why = f"{e.reply_code} {e.reply_text}{needs}"
        raise ActionError(f"the broker refused to report on queue {queue!r}: {why}") from None
    return Depth(found.message_count, found.consumer_count)


def _unreachable(endpoint: Endpoint, error: BaseException, timeout: float) -> SourceError:
    deadline.ended(late=is_late(error))
    reason = _refusal(endpoint, error) or why(endpoint, error, timeout)
    return SourceError(f"AMQP {endpoint} (virtual host {endpoint.path!r}): {reason}")


_LIMIT = re.compile(r"(?P<user>user )?connection limit \((?P<limit>\d+)\) is reached")


def _refusal(endpoint: Endpoint, error: BaseException) -> str | None:
    """What the broker's refusal of a login means, None for another error; pika wraps it up to three times."""
    import shlex

    text, user = repr(error), endpoint.user
    vhost, quoted = shlex.quote(endpoint.path), shlex.quote(user)
    if "530" in text and "not found" in text:
        return f"no such virtual host; rabbitmqctl add_vhost {vhost}, or correct the path of the URL"
    if "530" in text and (limit := _LIMIT.search(text)):
        whose = f"of user {user!r}" if limit["user"] else "of that virtual host"
        raise_it = f"set_user_limits {quoted}" if limit["user"] else f"set_vhost_limits -p {vhost}"
        raise_it += """ '{"max-connections": N}'"""
        return (
            f"the connection limit {whose} ({limit['limit']}) is reached; close connections, or rabbitmqctl {raise_it}"
        )
    if "530" in text and "refused" in text:
        reads = f"rabbitmqctl set_permissions -p {vhost} {quoted} '^$' '^$' '^$' lets it read"
        return f"user {user!r} has no permissions there; {reads}"
    if "530" in text:
        return f"the broker refused the connection: {getattr(error, 'reply_text', None) or error}"
    if "ACCESS_REFUSED" in text:
        remote = " (it can connect from localhost only)" if user == "guest" else ""
        return f"wrong user or password for user {user!r}{remote}"
    return None
