"""Connections over TCP and TLS: opening one, which authorities are trusted, and when a certificate expires."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from attune_ops.installation.config.settings import Endpoint
from attune_ops.model.errors import ConfigError, SourceError

if TYPE_CHECKING:
    import ssl


def connect(host: str, port: int, timeout: float, tls: bool = False, ca_file: str | None = None) -> socket.socket:
    """Opens a TCP connection, with TLS on request; raises `OSError`. `timeout` in s."""
    # As bytes: a text would load the codec for international names, 7 ms; one that is not ASCII needs it.
    address = (host.encode() if host.isascii() else host, port)
    stream = socket.create_connection(address, timeout)  # type: ignore[arg-type]
    # A request is one small packet: without this the kernel waits for the previous answer's acknowledgement.
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls_context(ca_file).wrap_socket(stream, server_hostname=host) if tls else stream


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """The TLS settings of every connection; `ca_file` holds authorities to trust besides the system's.

    Raises `ConfigError` for a file that is missing or holds no certificate.
    """
    import ssl

    try:
        made = ssl.create_default_context()
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
    except OSError as e:
        raise SourceError(f"{endpoint}: cannot read its certificate: {e}") from None
    return int((ssl.cert_time_to_seconds(str(ends)) - time.time()) // 86400)
