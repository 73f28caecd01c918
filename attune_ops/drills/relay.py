"""A TCP relay that can stop forwarding both ways without closing anything: packets dropped, no FIN, no RST.

Unlike a packet filter it needs no privileges. To both ends the peer is silent.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

CHUNK = 65536
POLL_S = 0.05


class Relay:
    """Forwards a loopback port to `target` until `cut`, and again after `restore`; `close` ends it."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._other: dict[socket.socket, socket.socket] = {}
        self._cut = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port to connect to."""
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Stops forwarding; connections stay open, new ones are not made. Undo: `restore`."""
        self._cut.set()

    def restore(self) -> None:
        """Forwards again, first the packets that were held back."""
        self._cut.clear()

    def close(self) -> None:
        """Ends the relay with all its connections."""
        self._closed.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._closed.is_set():
            if self._cut.is_set():
                self._closed.wait(POLL_S)
                continue
            for key, _ in self._selector.select(POLL_S):
                if self._cut.is_set():
                    break
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._other:
                    self._forward(key.fileobj)
        for each in [*self._other, self._listener]:
            each.close()
        self._selector.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(self._target, 5)
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            self._other[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if data := source.recv(CHUNK):
                self._other[source].sendall(data)
                return
        self._drop(source)

    def _drop(self, one: socket.socket) -> None:
        for each in (one, self._other.pop(one)):
            self._selector.unregister(each)
            self._other.pop(each, None)
            each.close()
