"""pika with raw message properties and asynchronous publisher confirms.

pika decodes properties and encodes them with other types, a double even as an integer. So this connection does not
decode content headers. Neither that nor asynchronous confirms are in pika's public interface; all use of its private
members is in this module, and the tests of the wire fail where a release of pika changes them.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pika
import pika.exceptions as refusals
from pika import frame, spec

from attune_ops.installation.amqp import CLOSE_S, close, interruptible, open_connection
from attune_ops.installation.amqp_write import asking
from attune_ops.installation.config import Settings
from attune_ops.messages import interrupts
from attune_ops.model import deadline
from attune_ops.model.errors import ActionError, AttuneOpsError, ConfigError, Interrupted, SourceError

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

    from attune_ops.installation.timed_connection import TimedConnection

HEADER = struct.Struct(">BHI")  # type, channel, size
INTERRUPT_S = 1.0  # for the broker's answer to connection.close after an error or an interrupt
TURN_S = 0.25  # the longest wait before a signal is looked at
CONNECTION_FORCED = 320  # sent by a broker that shuts down


class RawProperties:
    """Message properties as they are on the wire; pika accepts them in place of its own."""

    __slots__ = ("raw",)
    INDEX = spec.BasicProperties.INDEX
    NAME = spec.BasicProperties.NAME

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def encode(self) -> list[bytes]:
        """What pika writes into the content header."""
        return [self.raw]


class RawConnection(pika.SelectConnection):  # type: ignore[misc]
    """A connection with `RawProperties` in its content headers."""

    def _read_frame(self) -> tuple[int, Any]:
        data = self._frame_buffer
        if data[:1] != b"\x02" or len(data) < HEADER.size:
            found: tuple[int, Any] = super()._read_frame()
            return found
        _, channel, size = HEADER.unpack_from(data)
        end = HEADER.size + size + spec.FRAME_END_SIZE
        if len(data) < end:
            return 0, None
        # Class (2), weight (2), body size (8), then the properties.
        body_size = int(struct.unpack_from(">Q", data, HEADER.size + 4)[0])
        return end, frame.Header(channel, body_size, RawProperties(data[HEADER.size + 12 : end - 1]))


@contextlib.contextmanager
def connected(settings: Settings, name: str) -> Iterator[TimedConnection]:
    """Connects for raw messages and closes the connection at the end; raises `SourceError`.

    A signal interrupts only where `process_events` is called, or at the end.
    """
    with interrupts.held(ends=True):
        with interruptible():
            connection = open_connection(
                settings.amqp,
                name=f"attune-ops {name}",
                timeout=settings.timeout,
                tls=settings.tls,
                implementation=RawConnection,
            )
        timeout = INTERRUPT_S
        try:
            yield connection
            timeout = CLOSE_S
        finally:
            close(connection, 0 if interrupts.forced() else min(timeout, deadline.left()))  # forced: pika is unusable


def enable_confirms(
    channel: BlockingChannel, on_confirm: Callable[[Any], None], on_return: Callable[..., None]
) -> Callable[..., None]:
    """Enables publisher confirms and returns a publish function that does not wait for them.

    Each answer goes to `on_confirm` (Basic.Ack or Nack), each unroutable message to `on_return` (channel, method,
    properties, body), in the order of arrival. Published messages are written with the next `process_events`.
    """
    inner = channel._impl
    is_on: list[Any] = []

    def and_wake(callback: Callable[[Any], None], answer: Any) -> None:
        callback(answer)
        channel.connection._request_channel_dispatch(-channel.channel_number)  # ends the waiting `process_events`

    # The blocking channel would dispatch returns after confirms; only the order relates them.
    inner.add_on_return_callback(on_return)
    inner.confirm_delivery(
        lambda answer: and_wake(on_confirm, answer.method), callback=lambda answer: and_wake(is_on.append, answer)
    )
    while not is_on:
        process_events(channel, 1)
        if deadline.left() <= 0:
            deadline.ended(late=True)
            raise SourceError("the broker does not answer confirm.select in time")
    deadline.ended()
    publish: Callable[..., None] = inner.basic_publish
    return publish


def cancel(channel: BlockingChannel, tag: str) -> None:
    """Cancels a consumer; what arrives until then is delivered. Pika's own cancel rejects it."""
    is_off: list[Any] = []
    channel._impl._rpc(spec.Basic.Cancel(tag), is_off.append, [(spec.Basic.CancelOk, {"consumer_tag": tag})])
    channel._flush_output(lambda: bool(is_off))
    channel._process_data_events(time_limit=0)


def process_events(channel: BlockingChannel, timeout: float) -> None:
    """Reads and writes pending frames, for at most `timeout` seconds or TURN_S; raises what closed the channel."""
    interrupts.interruption_point()
    channel._process_data_events(time_limit=min(timeout, TURN_S))


@contextlib.contextmanager
def broker_errors(doing: str, needs: str = "") -> Iterator[None]:
    """Turns pika's errors into this package's; a lost connection is a `SourceError`, a refusal an `ActionError`."""
    with asking(doing, needs):
        try:
            yield
        except (refusals.StreamLostError, refusals.AMQPHeartbeatTimeout, refusals.ConnectionWrongStateError) as e:
            raise _lost(doing, e) from None
        except refusals.ConnectionClosedByBroker as e:
            if e.reply_code == CONNECTION_FORCED:
                raise _lost(doing, e) from None
            raise


@contextlib.contextmanager
def resume_hint(done: Callable[[], str], hint: str, useful: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Appends to an error or an interrupt what was `done`; to an error the `hint` too, and only where `useful`."""
    try:
        with interruptible():
            yield
    except AttuneOpsError as e:
        raise extended(e, f"{done()}{hint}" if useful() else "") from e
    except KeyboardInterrupt:
        raise Interrupted(f"{done()}; run the same command again to resume") from None


def extended(error: AttuneOpsError, more: str) -> AttuneOpsError:
    """The same kind of error with a longer text; a wrong command line stays as it is."""
    if isinstance(error, ConfigError) or not more:
        return error
    return (SourceError if isinstance(error, SourceError) else ActionError)(f"{error}; {more}")


def _lost(doing: str, error: Exception) -> SourceError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SourceError(f"{doing}: the connection to the broker was lost ({reason})")
