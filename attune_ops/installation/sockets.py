"""Connections over TCP and TLS: opening one, which authorities are trusted, and when a certificate expires."""

from __future__ import annotations

import math
import socket
import time
from typing import TYPE_CHECKING, Any

from attune_ops.installation.config.settings import Endpoint
from attune_ops.model import deadline
from attune_ops.model.errors import ConfigError, SourceError

if TYPE_CHECKING:
    import ssl


LEAST_S = 0.01  # a timeout of 0 is none
PROGRESS = 1 << 16  # bytes of an answer that show that the server goes on; a byte now and then does not
MOST_BYTES = 128 << 20  # of one answer, decompressed; 10,000 workers have lists of some 60 MB


class TooMuch(OSError):
    """The answer is larger than `MOST_BYTES`."""


class _InTime:
    """A socket with one timeout for everything that is read until it is set again, not for each read.

    So a server that sends a byte now and then cannot hold a reader endlessly. `quiet` bounds each wait, in s.
    """

    quiet: float | None = None
    _ends: float | None = None
    _read = 0

    def settimeout(self, seconds: float | None) -> None:
        """Restarts the time and the count of bytes."""
        self._ends, self._read = (time.monotonic() + seconds if seconds else None), 0
        super().settimeout(seconds)  # type: ignore[misc]

    def recv_into(self, *where: Any) -> int:
        """Reads what there is; raises `TimeoutError` or `TooMuch`."""
        began = time.monotonic()
        while True:
            own = self._own_limit(began)
            left = min(own, deadline.left())
            if left <= 0:
                raise TimeoutError("timed out")
            if left < math.inf:
                super().settimeout(left)  # type: ignore[misc]
            try:
                size: int = super().recv_into(*where)  # type: ignore[misc]
                break
            except TimeoutError:
                if self._own_limit(began) <= 0:
                    raise  # else there was progress elsewhere: `left` says how long this may last
        before, self._read = self._read, self._read + size
        if self._read // PROGRESS > before // PROGRESS:
            deadline.ended()
        if self._ends is not None and self._read > MOST_BYTES:
            raise TooMuch(f"more than {MOST_BYTES} bytes")
        return size

    def _own_limit(self, began: float) -> float:
        """How long a read that began then may still last, by the timeout of the answer and by `quiet`; in s."""
        if self._ends is None:
            return math.inf
        quiet = math.inf if self.quiet is None else began + self.quiet
        return min(self._ends, quiet) - time.monotonic()


class InTimeSocket(_InTime, socket.socket):
    """A socket over TCP with a time for each whole answer."""


def timed(stream: socket.socket, quiet: float | None = None) -> socket.socket:
    """The same connection with a time for each whole answer; one with TLS has it from `tls_context`."""
    if not isinstance(stream, _InTime):
        seconds = stream.gettimeout()
        stream = InTimeSocket(fileno=stream.detach())
        stream.settimeout(seconds)
    stream.quiet = quiet
    return stream


def connect(host: str, port: int, timeout: float, tls: bool = False, ca_file: str | None = None) -> socket.socket:
    """Opens a TCP connection, with TLS on request; raises `OSError`. `timeout` in s."""
    # As bytes: a text would load the codec for international names, 7 ms; one that is not ASCII needs it.
    timeout = max(min(timeout, deadline.left()), LEAST_S)
    address = (host.encode() if host.isascii() else host, port)
    stream = timed(socket.create_connection(address, timeout))  # type: ignore[arg-type]
    # A request is one small packet: without this the kernel waits for the previous answer's acknowledgement.
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls_context(ca_file).wrap_socket(stream, server_hostname=host) if tls else stream


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """The TLS settings of every connection; `ca_file` holds authorities to trust besides the system's.

    Raises `ConfigError` for a file that is missing or holds no certificate.
    """
    import ssl

    class InTimeTls(_InTime, ssl.SSLSocket):
        """The same with TLS."""

    try:
        made = ssl.create_default_context()
        made.sslsocket_class = InTimeTls
        if ca_file is not None:
            made.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as e:
        raise ConfigError(f"cannot use ca_file {ca_file!r}: {e.strerror or e}") from None
    return made


def certificate_days(endpoint: Endpoint, ca_file: str | None, timeout: float) -> int:
    """Reads in how many whole days the server's certificate expires; raises `SourceError`. Changes nothing."""
    import ssl

    try:
        with connect(endpoint.host, endpoint.port, timeout, tls=True, ca_file=ca_file) as stream:
            ends = (stream.getpeercert() or {}).get("notAfter")  # type: ignore[attr-defined]
        return int((ssl.cert_time_to_seconds(str(ends)) - time.time()) // 86400)
    except (OSError, ValueError) as e:
        raise SourceError(f"{endpoint}: cannot read its certificate: {e}") from None
