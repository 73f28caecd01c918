"""Servers of the tests' own: a thread for each connection, and no socket left open, however a test ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

END_S = 30.0  # a thread that has not ended by then is a fault of the test


@contextmanager
def server(
    talk: Callable[[socket.socket], None],
    address: str = "127.0.0.1",
    wrap: Callable[[socket.socket], socket.socket] | None = None,
) -> Iterator[int]:
    """A port of this host. `talk` has each connection in a thread of its own; it is closed when `talk` returns.

    `wrap` makes it one of TLS, say; an OSError of it hangs up. At the end all connections are shut down: a `talk` that
    reads or writes ends with that.
    """
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            if wrap is None:
                talk(client)
                return
            with wrap(client) as wrapped:
                connections.append(wrapped)
                talk(wrapped)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                connections.append(client)
                threads.append(threading.Thread(target=serve, args=(client,), daemon=True))
                threads[-1].start()

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            shut(listener)
            accepting.join(END_S)
            for client in connections:
                shut(client)
            for thread in threads:
                thread.join(END_S)
                assert not thread.is_alive(), "a connection of a test's server did not end"


def shut(one: socket.socket) -> None:
    """Both directions end; the socket stays open for the thread that it belongs to."""
    with suppress(OSError):
        socket.socket.shutdown(one, socket.SHUT_RDWR)  # an SSLSocket's own drops what another thread reads with


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Forwards all bytes until one of the two ends, then ends both."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    shut(source)
    shut(sink)


Pump = Callable[[socket.socket, socket.socket], None]


def forward(near: socket.socket, address: str, there: Pump = pump, back: Pump = pump) -> None:
    """Connects to host:port and forwards in both directions until both have ended."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as far:
        far.settimeout(None)
        returning = threading.Thread(target=back, args=(far, near), daemon=True)
        returning.start()
        there(near, far)
        returning.join()
