"""Free loopback ports for a lab: a block whose first port the lab's own epmd holds as long as it lives."""

from __future__ import annotations

import contextlib
import os
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from attune_ops.model.errors import ActionError
from attune_ops.model.files import lock

# Below the range from which systems give ports to outgoing connections, so that a stopped node finds its
# ports free again.
FIRST, LAST, BLOCK = 20000, 32000, 32
STANDARD = (25672,)  # of RabbitMQ's own ports the one in this range: a system-wide broker may come later
PER_NODE = 4  # AMQP, management, Prometheus, distribution
MOST_NODES = (BLOCK - 1) // PER_NODE


@contextmanager
def choosing() -> Iterator[None]:
    """Lets one lab on this machine choose its ports at a time: until its epmd holds the block's first one.

    The lock is on the root folder since every user can open it and nobody has to make it.
    """
    descriptor = os.open("/", os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: two at once could choose alike
            lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def free_block(seed: str) -> range:
    """A block of ports that nothing listens on; the same seed gets the same block as long as it is free."""
    starts = range(FIRST, LAST, BLOCK)
    first = zlib.crc32(seed.encode()) % len(starts)
    for start in (*starts[first:], *starts[:first]):
        block = range(start, start + BLOCK)
        if not any(port in block for port in STANDARD) and all(map(is_free, block)):
            return block
    raise ActionError(f"no {BLOCK} free loopback ports in a row between {FIRST} and {LAST}")


def is_free(port: int) -> bool:
    """Whether a server could listen on that loopback port now."""
    with socket.socket() as probe:
        # As servers do: connections of the last owner that still linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    """Whether something accepts connections on that loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False
