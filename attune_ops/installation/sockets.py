"""Connections over TCP and TLS: opening one, which authorities are trusted, and when a certificate expires."""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attune_ops.installation.config.settings import Endpoint, Tls
from attune_ops.installation.config.tls import pem_text
from attune_ops.model import deadline
from attune_ops.model.errors import ConfigError, SourceError

if TYPE_CHECKING:
    import ssl


LEAST_S = 0.01  # a timeout of 0 is none
PROGRESS = 1 << 16  # bytes of an answer that show that the server goes on; a byte now and then does not
MOST_BYTES = 128 << 20  # of one answer, decompressed; 10,000 workers have lists of some 60 MB


class TooMuch(OSError):
    """The answer is larger than `MOST_BYTES`."""


class NoNameServer(TimeoutError):
    """No name server answered in time."""


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


def connect(host: str, port: int, timeout: float, tls: Tls | None = None) -> socket.socket:
    """Opens a TCP connection, with `tls` an encrypted one; raises `OSError`. `timeout` in s."""
    stream = timed(open_tcp(host, port, timeout))
    # A request is one small packet: without this the kernel waits for the previous answer's acknowledgement.
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream if tls is None else tls_context(tls).wrap_socket(stream, server_hostname=tls.server_name or host)


def open_tcp(host: str, port: int, timeout: float) -> socket.socket:
    """Opens a TCP connection to the first address of the host that accepts one; raises `OSError`. `timeout` in s."""
    failed: OSError | None = None
    for address in addresses(host, port, timeout):
        try:
            return socket.create_connection((address.encode(), port), max(min(timeout, deadline.left()), LEAST_S))  # type: ignore[arg-type]
        except OSError as e:
            failed = failed or e
    raise failed or OSError(f"no address of {host!r}")


def addresses(host: str, port: int, timeout: float) -> list[str]:
    """The IP addresses of a host, in the system's order; raises `OSError`, `NoNameServer` after `timeout` s.

    The system's resolver knows no deadline: it runs in a thread, which is left behind.
    """
    # As bytes: a text would load the codec for international names, 7 ms; one that is not ASCII needs it.
    name = host.encode() if host.isascii() else host
    try:
        return _resolved(name, port, socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        import threading
    found, failed = list[str](), list[OSError]()

    def ask() -> None:
        try:
            found.extend(_resolved(name, port))
        except (OSError, UnicodeError) as e:
            failed.append(e if isinstance(e, OSError) else socket.gaierror(socket.EAI_NONAME, str(e)))

    thread = threading.Thread(target=ask, name=f"address of {host}", daemon=True)
    thread.start()
    thread.join(max(min(timeout, deadline.left()), LEAST_S))
    if thread.is_alive():
        deadline.ended(late=True)
        raise NoNameServer(f"timed out: no name server answers for {host!r}")
    deadline.ended()
    if failed:
        raise failed[0]
    return found


def _resolved(name: str | bytes, port: int, flags: int = 0) -> list[str]:
    """The addresses that the system's resolver gives, without a limit of time."""
    asked = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags)
    as_numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV  # a link-local address with its scope
    return list(dict.fromkeys(socket.getnameinfo(found[4], as_numbers)[0] for found in asked))


def tls_context(tls: Tls) -> ssl.SSLContext:
    """The TLS settings of every connection: trusted authorities, client certificate, oldest version.

    Raises `ConfigError` that names the file that cannot be used.
    """
    import ssl

    class InTimeTls(_InTime, ssl.SSLSocket):
        """The same with TLS."""

    made = ssl.create_default_context()
    made.sslsocket_class = InTimeTls
    made.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.minimum == "1.3" else ssl.TLSVersion.TLSv1_2
    if tls.ca_file is not None:
        pem_text(tls.ca_file, "ca_file", "CERTIFICATE")
        with _usable(f"ca_file {tls.ca_file!r}"):
            made.load_verify_locations(tls.ca_file)
    if tls.cert_file is not None:
        pem_text(tls.cert_file, "cert_file", "CERTIFICATE")
        key = pem_text(tls.key_file or tls.cert_file, "key_file" if tls.key_file else "cert_file", "PRIVATE KEY")
        if "ENCRYPTED" in key:
            raise ConfigError(f"cannot use key_file {tls.key_file or tls.cert_file!r}: the key has a passphrase")
        with _usable(f"cert_file {tls.cert_file!r} with key_file {tls.key_file or tls.cert_file!r}"):
            made.load_cert_chain(tls.cert_file, tls.key_file)
    return made


@contextlib.contextmanager
def _usable(what: str) -> Iterator[None]:
    import ssl

    try:
        yield
    except (OSError, ValueError) as e:
        mismatch = isinstance(e, ssl.SSLError) and "KEY_VALUES_MISMATCH" in str(e)
        reason = "the key is not that of the certificate" if mismatch else getattr(e, "strerror", None) or e
        raise ConfigError(f"cannot use {what}: {reason}") from None


def certificate_days(endpoint: Endpoint, tls: Tls, timeout: float) -> int:
    """Reads in how many whole days the server's certificate expires; raises `SourceError`. Changes nothing."""
    import ssl

    try:
        with connect(endpoint.host, endpoint.port, timeout, tls) as stream:
            ends = (stream.getpeercert() or {}).get("notAfter")  # type: ignore[attr-defined]
        return int((ssl.cert_time_to_seconds(str(ends)) - time.time()) // 86400)
    except (OSError, ValueError) as e:
        raise SourceError(f"{endpoint}: cannot read its certificate: {e}") from None
