"""Setting up the base infrastructure of a topology, as every service of Attune does at its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from attune_ops.installation.amqp_write import bind, declare_exchange, declare_queue, delete_exchange, delete_queue
from attune_ops.model.topology import Topology

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel


class SetUp(NamedTuple):
    """How many objects a set-up made sure of."""

    exchanges: int
    queues: int
    bindings: int

    def __str__(self) -> str:
        return f"{self.exchanges} exchanges, {self.queues} queues, {self.bindings} bindings"


def set_up(channel: BlockingChannel, topology: Topology) -> SetUp:
    """Declares the exchanges, queues and bindings that exist once, in this order.

    What is there and equal stays as it is, so a second set-up changes nothing. What is there and different
    ends the set-up with `BrokerRefused`, which names the argument, what was asked and what is there: nothing
    is swallowed as "may already exist". Undo: `take_down`; but what is set up is shared by all services.
    """
    for exchange in topology.exchanges:
        declare_exchange(channel, exchange)
    for queue in topology.base_queues:
        declare_queue(channel, queue)
    for binding in topology.base_bindings:
        bind(channel, binding)
    return SetUp(len(topology.exchanges), len(topology.base_queues), len(topology.base_bindings))


def take_down(channel: BlockingChannel, topology: Topology) -> None:
    """Deletes the queues and exchanges that `set_up` declares, with their bindings and messages; the undo of it.

    What is not there is no error. There is no undo for the messages, and other services lose their queues too.
    """
    for queue in topology.base_queues:
        delete_queue(channel, queue.name)
    for exchange in topology.exchanges:
        delete_exchange(channel, exchange.name)
