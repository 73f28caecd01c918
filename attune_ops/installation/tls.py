"""TLS: what is trusted, and how long a server's certificate is still valid."""

from __future__ import annotations

import ssl
import time

from attune_ops.installation.config.settings import Endpoint
from attune_ops.installation.light_http import connect
from attune_ops.model.errors import ConfigError, SourceError


def context(ca_file: str | None) -> ssl.SSLContext:
    """The settings of every encrypted connection; `ca_file` holds authorities to trust besides the system's.

    Raises `ConfigError` for a file that is missing or holds none.
    """
    try:
        made = ssl.create_default_context()
        if ca_file is not None:
            made.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as e:
        raise ConfigError(f"ca_file {ca_file!r} cannot be used: {e.strerror or e}") from None
    return made


def certificate_days(endpoint: Endpoint, ca_file: str | None, timeout: float) -> int:
    """Shakes hands and says how many whole days the certificate is valid; raises `SourceError`. Changes nothing."""
    try:
        with connect(endpoint.host, endpoint.port, timeout, tls=True, ca_file=ca_file) as stream:
            ends = (stream.getpeercert() or {}).get("notAfter")  # type: ignore[attr-defined]
    except OSError as e:
        raise SourceError(f"{endpoint}: its certificate cannot be read: {e}") from None
    return int((ssl.cert_time_to_seconds(str(ends)) - time.time()) // 86400)
