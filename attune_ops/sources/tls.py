"""How long a server's certificate is still valid."""

from __future__ import annotations

import socket
import time

from attune_ops.config.settings import Endpoint
from attune_ops.errors import SourceError
from attune_ops.sources.http import tls_context


def certificate_days(endpoint: Endpoint, ca_file: str | None, timeout: float) -> int:
    """Shakes hands and says how many whole days the certificate is valid; raises `SourceError`. Changes nothing."""
    import ssl

    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout) as plain,
            tls_context(ca_file).wrap_socket(plain, server_hostname=endpoint.host) as encrypted,
        ):
            ends = (encrypted.getpeercert() or {}).get("notAfter")
    except OSError as e:
        raise SourceError(f"{endpoint}: its certificate cannot be read: {e}") from None
    return int((ssl.cert_time_to_seconds(str(ends)) - time.time()) // 86400)
