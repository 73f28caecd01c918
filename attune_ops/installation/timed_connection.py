"""pika's blocking connection with the deadline of the command on every answer, and its sockets freed in the end.

Loaded on use: pika takes 60 ms. Pika alone waits for an answer until the broker's heartbeats stop, or endlessly.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pika
from pika.exceptions import AMQPHeartbeatTimeout, ConnectionClosedByClient

from attune_ops.model import deadline, requests_log
from attune_ops.model.errors import SourceError

LOOK_S = 0.5  # between two looks at what is left: a signal shortens it


class TimedConnection(pika.BlockingConnection):  # type: ignore[misc]
    """A connection; where the broker does not answer in time, it is closed and `SourceError` is raised.

    What the broker still reads of our output is progress too.

    `blocked` is the broker's reason while an alarm blocks this connection (it published); such a wait has no limit but
    the heartbeat's. `on_blocked` is called with each change of it.
    """

    place = ""  # for the sentence of an error
    blocked: str | None = None
    on_blocked: Callable[[str | None], None] | None = None
    _only_events = False
    _sent: list[str] | None = None  # the methods that wait for their answer, where requests are reported

    def watch(self, place: str) -> None:
        """Follows the alarms of the broker from now on; `place` is its URL without the password."""
        self.place = place
        if requests_log.listening():
            self._report_methods()
        # Below pika's blocking layer, which reports an alarm only between two calls: the blocked call does not end.
        self._impl.add_on_connection_blocked_callback(lambda _, frame: self._alarm(_text(frame.method.reason)))
        self._impl.add_on_connection_unblocked_callback(lambda _, frame: self._alarm(None))

    def _report_methods(self) -> None:
        """Reports each AMQP method that is sent, with the time until pika has its answer."""
        send, waiting = self._impl._send_method, list[str]()
        self._sent = waiting

        def sent(channel: int, method: Any, content: Any = None) -> None:
            object = getattr(method, "queue", None) or getattr(method, "exchange", None)
            waiting.append(f"AMQP {method.NAME.lower()}" + (f" {object}" if object else ""))
            send(channel, method, content)

        self._impl._send_method = sent

    def _report_sent(self, outcome: str, started: float) -> None:
        elapsed = (time.perf_counter() - started) * 1000
        for request in self._sent or ():
            requests_log.report(request, outcome, elapsed)

    def _alarm(self, reason: str | None) -> None:
        self.blocked = reason
        if self.on_blocked is not None:
            self.on_blocked(reason)

    def process_data_events(self, time_limit: float | None = 0) -> None:
        """Waits for events, no answer among them, for that long: the deadline does not apply.

        Pika alone also waits until all output is sent, without a limit where the broker stops reading.
        """
        self._only_events = True
        super().process_data_events(time_limit)

    @property
    def unsent(self) -> int:
        """The bytes of output that are not sent yet."""
        return int(self._impl._get_write_buffer_size()) if self._impl._transport else 0

    def _poll(self, *waiters: Callable[[], bool]) -> None:
        """Processes input and output until a waiter is ready; raises what closed the connection."""
        while not (self._closed_result.ready or any(ready() for ready in waiters)):
            self._impl.ioloop.poll()
            self._impl.ioloop.process_timeouts()
        if self._closed_result.ready:
            error = self._closed_result.value.error
            self._cleanup()
            if not isinstance(error, ConnectionClosedByClient):
                raise error

    def _flush_output(self, *waiters: Callable[[], bool]) -> None:
        """Every wait of pika for an answer, and for its output to be sent; reports what was sent."""
        started, outcome = time.perf_counter(), "ok"
        try:
            self._flush_in_time(*waiters)
        except BaseException as e:
            outcome = type(e).__name__
            raise
        finally:
            if self._sent:
                self._report_sent(outcome, started)
                self._sent.clear()

    def _flush_in_time(self, *waiters: Callable[[], bool]) -> None:
        only_events, self._only_events = self._only_events, False
        seconds = deadline.seconds()
        if only_events and not self.is_closed:
            self._poll(*waiters)
            return
        if seconds is None or not self.is_open:
            super()._flush_output(*waiters)
            return
        impl, before = self._impl, (self._frames(), self.unsent)
        late = AMQPHeartbeatTimeout(f"no answer within {seconds:g} s")
        timer: Any = None

        def look() -> None:
            nonlocal timer, before
            now = self._frames(), self.unsent
            if now[0] != before[0] or now[1] < before[1] or self.blocked is not None:
                deadline.ended()
            before, left = now, deadline.left()
            if left > 0:
                timer = impl._adapter_call_later(min(left, LOOK_S), look)
            else:
                impl._terminate_stream(late)

        look()
        try:
            super()._flush_output(*waiters)
        except AMQPHeartbeatTimeout as e:
            deadline.ended(late=True)
            if e is late:
                raise SourceError(f"AMQP {self.place}: the broker does not answer ({e})") from None
            raise
        except Exception:
            deadline.ended()
            raise
        finally:
            if timer is not None:
                impl._adapter_remove_timeout(timer)
        deadline.ended()

    def _frames(self) -> int:
        """The number of frames that came, without heartbeats, which are no answer."""
        beats = getattr(self._impl._heartbeat_checker, "_heartbeat_frames_received", 0)
        return int(self._impl.frames_received) - int(beats)


class Opening:
    """The connection that pika is making, so that its sockets can be closed when it is interrupted."""

    def __init__(self, implementation: type[pika.SelectConnection] | None) -> None:
        self._implementation = implementation or pika.SelectConnection
        self._loop: Any = None
        self._workflow: Any = None

    def create_connection(self, configs: Any, on_done: Any, custom_ioloop: Any) -> None:
        """Begins to connect; called by pika."""
        self._loop = custom_ioloop
        self._workflow = self._implementation.create_connection(configs, on_done=on_done, custom_ioloop=custom_ioloop)

    def abort(self) -> None:
        """Stops connecting and closes the sockets."""
        with contextlib.suppress(Exception):  # pika was interrupted anywhere, and its own `abort` fails
            connector = self._workflow._connector
            if connector._amqp_conn is not None:
                _close_stream(connector._amqp_conn)
                connector._amqp_conn = None
            connector._close()
        with contextlib.suppress(Exception):
            self._loop.close()


def free(connection: pika.BlockingConnection) -> None:
    """Closes the sockets of a connection, which pika keeps where it was lost or its close was interrupted."""
    impl = connection._impl
    impl.connection_state = impl.CONNECTION_CLOSED
    _close_stream(impl)
    with contextlib.suppress(Exception):
        connection._cleanup()


def _close_stream(connection: Any) -> None:
    """Closes the TCP connection of one of pika's own connections."""
    with contextlib.suppress(Exception):
        if connection._transport is not None:
            connection._transport._close_and_finalize()


def _text(reason: str | bytes) -> str:
    return reason.decode(errors="replace") if isinstance(reason, bytes) else reason
