"""The AMQP writes to a broker, each over a pika channel of the caller.

What the broker refuses raises `BrokerRefused` with the reply code and text, which the doctor explains. A refusal closes
the channel, or the whole connection, as the broker decides.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from attune_ops.installation.amqp import in_time
from attune_ops.model.errors import ActionError
from attune_ops.model.topology import Binding, Exchange, Queue

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

ANSWER_S = 30.0  # a broker that does not answer a declare within this time never does: see `in_time`
ACCESS_REFUSED = 403
CONFIGURE, WRITE, READ = (f"{right} permission on it" for right in ("configure", "write", "read"))
DECLARE = f"{CONFIGURE}; with a dead-letter exchange also read on it, and write on that exchange"
BIND = "write permission on the destination, and read permission on the source"
OnMessage = Callable[["BlockingChannel", Any, Any, bytes], None]


class BrokerRefused(ActionError):
    """The broker, or pika on its behalf, refused a write. `code` is None where there is no reply code.

    `reason` is its text with the permission that the write `needs`: RabbitMQ 3 does not report which one is missing.
    """

    def __init__(self, doing: str, code: int | None, text: str, needs: str = "") -> None:
        self.code = code
        self.text = text
        self.reason = f"{text} (needs {needs})" if needs and code == ACCESS_REFUSED else text
        super().__init__(f"{doing}: {self.reason if code is None else f'{code} {self.reason}'}")


class Declared(NamedTuple):
    """The answer to a declare: the name (for an empty one the broker's choice), ready messages, consumers."""

    name: str
    messages: int
    consumers: int


@contextlib.contextmanager
def asking(doing: str, needs: str = "") -> Iterator[None]:
    """Raises `BrokerRefused` for what pika raises in the block.

    `doing` begins its sentence; `needs` is the permission that is missing where the broker refuses.
    """
    import pika.exceptions as refusals

    try:
        yield
    except (refusals.ChannelClosedByBroker, refusals.ConnectionClosedByBroker) as e:
        raise BrokerRefused(doing, e.reply_code, e.reply_text, needs) from None
    except (refusals.AMQPError, refusals.ChannelError) as e:
        raise BrokerRefused(doing, None, f"{type(e).__name__}: {e}") from None


def declare_exchange(channel: BlockingChannel, exchange: Exchange) -> None:
    """Declares an exchange; an equal one stays as it is. Undo: `delete_exchange`."""
    with asking(f"exchange {exchange.name!r}", CONFIGURE):
        channel.exchange_declare(
            exchange.name,
            exchange.type,
            durable=exchange.durable,
            auto_delete=exchange.auto_delete,
            internal=exchange.internal,
            arguments=exchange.arguments or None,
        )


def declare_queue(channel: BlockingChannel, queue: Queue, *, server_named: bool = False) -> Declared:
    """Declares a queue; an equal one stays as it is. Undo: `delete_queue`.

    With `server_named` the broker chooses the name, and `queue.name` is only the topology's label.
    """
    with asking(f"queue {queue.name!r}", DECLARE), in_time(channel.connection, ANSWER_S):
        answer = channel.queue_declare(
            "" if server_named else queue.name,
            durable=queue.durable,
            exclusive=queue.exclusive,
            auto_delete=queue.auto_delete,
            arguments=queue.arguments or None,
        ).method
    return Declared(answer.queue, answer.message_count, answer.consumer_count)


def read_back(channel: BlockingChannel, exchanges: Iterable[Exchange], queues: Iterable[str]) -> None:
    """Confirms with passive declares that what was declared is on the broker; changes nothing.

    Raises `BrokerRefused` for the first that is missing, as a silent refusal or a deletion meanwhile leaves it. It
    cannot tell what a broker that is killed in the next moment has on disk (docs/failover.md, declare-then-kill).
    """
    asked = [("exchange", exchange.name) for exchange in exchanges] + [("queue", queue) for queue in queues]
    last = len(asked) - 1
    with asking("reading back what was declared"), in_time(channel.connection, ANSWER_S):
        for i, (kind, name) in enumerate(asked):
            # pika's own channel does not wait for an answer: the broker then closes the channel for what is missing,
            # and says nothing of the rest. It handles one after the other, so the last answer confirms them all.
            by = channel if i == last else channel._impl
            (by.exchange_declare if kind == "exchange" else by.queue_declare)(name, passive=True)


def bind(channel: BlockingChannel, binding: Binding, destination: str | None = None) -> None:
    """Makes a binding; an equal one stays. `destination` is the real name of a server-named queue. Undo: `unbind`."""
    to = binding.destination if destination is None else destination
    with asking(f"binding {binding.source!r} → {to!r} by key {binding.routing_key!r}", BIND):
        make = channel.queue_bind if binding.destination_kind == "queue" else channel.exchange_bind
        make(to, binding.source, binding.routing_key, arguments=binding.arguments or None)


def unbind(channel: BlockingChannel, binding: Binding, destination: str | None = None) -> None:
    """Removes a binding, from `destination` where that is given; a missing one is no error. Undo: `bind`."""
    at = binding.destination if destination is None else destination
    with asking(f"removing the binding {binding.source!r} → {at!r} by key {binding.routing_key!r}", BIND):
        remove = channel.queue_unbind if binding.destination_kind == "queue" else channel.exchange_unbind
        remove(at, binding.source, binding.routing_key, arguments=binding.arguments or None)


def delete_queue(channel: BlockingChannel, name: str, *, if_unused: bool = False, if_empty: bool = False) -> int:
    """Deletes a queue with everything in it and returns how many ready messages that was.

    A missing queue is no error (RabbitMQ answers 0). There is no undo for the messages; they are not dead-lettered.
    With `if_unused` or `if_empty` the broker refuses (406) to delete a queue with consumers or messages.
    """
    with asking(f"deleting queue {name!r}", CONFIGURE):
        return int(channel.queue_delete(name, if_unused=if_unused, if_empty=if_empty).method.message_count)


def purge_queue(channel: BlockingChannel, name: str) -> int:
    """Removes the ready messages of a queue, and returns how many. No undo; they are not dead-lettered."""
    with asking(f"purging queue {name!r}", READ):
        return int(channel.queue_purge(name).method.message_count)


def delete_exchange(channel: BlockingChannel, name: str, *, if_unused: bool = False) -> None:
    """Deletes an exchange with its bindings; a missing one is no error. Undo: declare and bind it again."""
    with asking(f"deleting exchange {name!r}", CONFIGURE):
        channel.exchange_delete(name, if_unused=if_unused)


def consume(channel: BlockingChannel, tag: str, queue: str, on_message: OnMessage, *, prefetch: int) -> str:
    """Attaches a consumer with manual acknowledgements; returns its tag, chosen by the broker for ''. Undo: `cancel`.

    The queue delivers to it from then on; what it does not acknowledge is requeued afterwards.
    """
    with asking(f"consumer {tag!r} on queue {queue!r}", READ):
        channel.basic_qos(prefetch_count=prefetch)
        return str(channel.basic_consume(queue, on_message, auto_ack=False, consumer_tag=tag or None))


def cancel(channel: BlockingChannel, tag: str) -> None:
    """Cancels a consumer, requeues what its channel has not acknowledged, closes the channel. Undo: `consume`.

    An auto-delete queue is deleted with its last consumer, requeued messages included.
    """
    with asking(f"cancelling consumer {tag!r}"):
        channel.basic_cancel(tag)
        channel.basic_nack(0, multiple=True, requeue=True)
        channel.close()


def publish(channel: BlockingChannel, exchange: str, routing_key: str, body: bytes, properties: Any = None) -> str:
    """Publishes one mandatory message, waits for the publisher confirm and returns the outcome.

    "confirmed": it is in every queue it was routed to. "returned": it is unroutable. "nacked": the broker could
    not store it. Needs a channel with `confirm_delivery`. There is no undo: a consumer may have it already.
    Anything else raises `BrokerRefused`; it is then unknown whether the message arrived.
    """
    import pika.exceptions

    with asking(f"publishing to exchange {exchange!r} by key {routing_key!r}", WRITE):
        try:
            channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)
        except pika.exceptions.UnroutableError:
            return "returned"
        except pika.exceptions.NackError:
            return "nacked"
    return "confirmed"
