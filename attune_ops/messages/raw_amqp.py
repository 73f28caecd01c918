"""pika as it is needed here: message properties stay the bytes that came, and confirms are not waited for singly.

pika decodes properties and encodes them again with other types, a double even as an integer. So its connection
is told to leave content headers alone. That and pipelined confirms are not in its public interface; whatever
reaches behind it is in this module, and the tests of the wire fail where a release of pika changes it.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pika
import pika.exceptions as refusals
from pika import frame, spec

from attune_ops.installation.amqp import open_connection
from attune_ops.installation.amqp_write import asking
from attune_ops.installation.config import Settings
from attune_ops.model.errors import ActionError, AttuneOpsError, ConfigError, Interrupted, SourceError

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

HEADER = struct.Struct(">BHI")  # type, channel, size
LEAVE_S = 5.0  # for the broker's answer to a goodbye
HURRY_S = 1.0  # the same after an error, or where somebody interrupts
FORCED = 320  # how a broker that shuts down closes its connections


class RawProperties:
    """Message properties as they are on the wire; pika takes them in place of its own."""

    __slots__ = ("raw",)
    INDEX = spec.BasicProperties.INDEX
    NAME = spec.BasicProperties.NAME

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def encode(self) -> list[bytes]:
        """What pika writes into the content header."""
        return [self.raw]


class RawConnection(pika.SelectConnection):  # type: ignore[misc]
    """A connection whose content headers carry `RawProperties`."""

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
def interruptible() -> Iterator[None]:
    """Lets an interrupt stay one: pika, interrupted in its midst, finds its state odd and raises that instead."""
    try:
        yield
    except Exception as e:
        behind = e.__context__
        while behind is not None and not isinstance(behind, KeyboardInterrupt):
            behind = behind.__context__
        if behind is None:
            raise
        raise KeyboardInterrupt from None


@contextlib.contextmanager
def connected(settings: Settings, name: str) -> Iterator[pika.BlockingConnection]:
    """Connects for raw messages, and leaves the broker at the end; raises `SourceError`."""
    with interruptible():
        connection = open_connection(
            settings.amqp,
            name=f"attune-ops {name}",
            timeout=settings.timeout,
            ca_file=settings.ca_file,
            implementation=RawConnection,
        )
    patience = HURRY_S
    try:
        yield connection
        patience = LEAVE_S
    finally:
        _leave(connection, patience)


def confirming(
    channel: BlockingChannel, on_confirm: Callable[[Any], None], on_return: Callable[..., None]
) -> Callable[..., None]:
    """Turns confirms on and returns a publish that waits for none.

    Each answer goes to `on_confirm` (Basic.Ack or Nack), each message that no queue takes to `on_return` (channel,
    method, properties, body), in the order in which they arrive. What is published is written with the next `turn`.
    """
    inner = channel._impl
    is_on: list[Any] = []

    def and_wake(callback: Callable[[Any], None], answer: Any) -> None:
        callback(answer)
        channel.connection._request_channel_dispatch(-channel.channel_number)  # ends the `turn` that waits for it

    # The blocking channel would hand returns over later than confirms; the order is what tells them apart.
    inner.add_on_return_callback(on_return)
    inner.confirm_delivery(
        lambda answer: and_wake(on_confirm, answer.method), callback=lambda answer: and_wake(is_on.append, answer)
    )
    while not is_on:
        turn(channel, 1)
    publish: Callable[..., None] = inner.basic_publish
    return publish


def turn(channel: BlockingChannel, patience: float) -> None:
    """Reads and writes what there is, waiting at most so many seconds for it; raises what closed the channel."""
    channel._process_data_events(time_limit=patience)


def _leave(connection: pika.BlockingConnection, patience: float) -> None:
    """Closes the connection, however it is; waits for the broker's goodbye, but not for ever as pika would."""
    inner = connection._impl
    if inner is None or not connection.is_open:  # None: interrupted in its midst
        return
    gone = refusals.StreamLostError("no answer to connection.close")
    timer = inner.ioloop.call_later(patience, lambda: inner._terminate_stream(gone))
    try:
        with interruptible(), contextlib.suppress(refusals.AMQPError):
            connection.close()
    finally:
        inner.ioloop.remove_timeout(timer)


@contextlib.contextmanager
def working(doing: str) -> Iterator[None]:
    """Turns what pika raises into this package's errors; a lost connection is no refusal."""
    with asking(doing):
        try:
            yield
        except (refusals.StreamLostError, refusals.AMQPHeartbeatTimeout, refusals.ConnectionWrongStateError) as e:
            raise _lost(doing, e) from None
        except refusals.ConnectionClosedByBroker as e:
            if e.reply_code == FORCED:
                raise _lost(doing, e) from None
            raise


@contextlib.contextmanager
def telling(done: Callable[[], str], then: str, worth: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Adds to an error or an interrupt what was `done` before it; to an error only if `worth`, and what `then`."""
    try:
        with interruptible():
            yield
    except AttuneOpsError as e:
        raise _with_more(e, f"{done()}{then}" if worth() else "") from e
    except KeyboardInterrupt:
        raise Interrupted(f"{done()}; run the same line again to go on") from None


def _with_more(error: AttuneOpsError, more: str) -> AttuneOpsError:
    """The same kind of error with more to say, if anything; what the command line is to blame for needs no more."""
    if isinstance(error, ConfigError) or not more:
        return error
    return (SourceError if isinstance(error, SourceError) else ActionError)(f"{error}; {more}")


def _lost(doing: str, error: Exception) -> SourceError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SourceError(f"{doing}: the connection to the broker was lost ({reason})")
