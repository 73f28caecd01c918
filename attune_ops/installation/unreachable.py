"""Why a port did not answer as it should, and what to try: for AMQP and the management API.

Sockets, TLS, requests and pika each wrap errors in their own way, so the names and texts of the whole chain of
errors are searched.
"""

from __future__ import annotations

from attune_ops.installation.config.settings import Endpoint
from attune_ops.installation.sockets import MOST_BYTES
from attune_ops.model import deadline

CERTIFICATE = ("certificate_verify_failed", "certificate verify failed")
OTHER_NAME = ("hostname mismatch", "ip address mismatch")
EXPIRED = ("certificate has expired",)
# TLS 1.2 reports a missing client certificate as a failed handshake.
NO_CLIENT = ("certificate_required", "certificate required", "handshake_failure", "handshake failure")
BAD_CLIENT = ("alert_unknown_ca", "alert unknown ca", "alert_bad_certificate", "alert bad certificate")
VERSION = ("unsupported_protocol", "alert_protocol_version", "alert protocol version", "no_protocols_available")
NO_TLS = ("wrong_version_number", "record_layer_failure", "packet_length_too_long", "unknown_protocol")
SLOW = ("timeout", "timed out")
REFUSED = ("connectionrefused", "connection refused")
UNKNOWN_HOST = ("gaierror", "name resolution", "name or service not known")
UNREACHABLE = ("unreachable", "no route to host")
OTHER_PROTOCOL = (
    "badstatusline", "nothttp", "incompatibleprotocol", "protocolversionmismatch", "notamqp", "linetoolong",
    "httpexception", "invalidheader", "contentdecoding", "recursionerror", "valueerror",
)  # fmt: skip
BROKE_OFF = (
    "brokeoff", "incompleteread", "remotedisconnected", "connectionreset", "brokenpipe", "chunkedencoding",
    "streamlost", "eof occurred", "eoferror", "invalidframe", "invalidchunklength",
)  # fmt: skip

ASK_HTTP = (
    "check that the broker is running and the port is correct (default 15672), and that the plug-in is enabled "
    "(rabbitmq-plugins enable rabbitmq_management); --management-url sets another URL"
)
ASK_AMQP = "check that the broker is running and the port is correct (default 5672, with TLS 5671)"
NOT_HTTP = "the server does not speak HTTP properly (an AMQP port?); the default port of the management API is 15672"
NOT_AMQP = "the server does not speak AMQP (an HTTP or TLS port?); the default port is 5672, 5671 with TLS"
NOT_AMQP_TLS = f"{NOT_AMQP}; with TLS it may demand a client certificate that it trusts (cert_file, key_file)"
CLOSED = (
    "the server closed the TLS connection; it may demand a client certificate that it trusts (cert_file, key_file), or "
    "the port is not correct (default 5671 for AMQP, 15671 for the management API)"
)
HALF = "the answer is incomplete; check that the port is correct (default 15672) and no proxy is in between"


def why(endpoint: Endpoint, error: BaseException, timeout: float) -> str:
    """Why `endpoint` did not answer, and what to try, in half a sentence. `timeout` in s."""
    timeout = min(timeout, deadline.seconds() or timeout)
    http = endpoint.scheme.startswith("http")
    plain = endpoint.scheme.removesuffix("s")
    known = (
        (OTHER_NAME, "its certificate is not trusted for this host; it is for another name: set tls_server_name to a "
                     "name in it (--tls-server-name, ATTUNE_OPS_TLS_SERVER_NAME)"),
        (EXPIRED, "its certificate has expired"),
        (NO_CLIENT, "the server refused the TLS handshake; it may demand a client certificate: set cert_file and "
                    "key_file (--cert-file, --key-file)"),
        (BAD_CLIENT, "the server does not trust the client certificate; check cert_file, and the authorities that "
                     "the server trusts"),
        (VERSION, "the server has no TLS version that is allowed here; tls_min_version sets the oldest"),
        (CERTIFICATE, "its certificate is not trusted for this host; set ca_file to its authority "
                      "(--ca-file, or the configuration file)"),
        (NO_TLS, f"the server does not speak TLS; try {plain}:// instead of {plain}s://"),
        (("toomuch",), f"the answer is larger than {MOST_BYTES >> 20} MiB; check host and port"),
        (("nonameserver",), f"no name server answers for {endpoint.host!r} within {timeout:g} s; "
                            "check /etc/resolv.conf"),
        (SLOW, f"no answer within {timeout:g} s; check host, port and firewall"),
        (REFUSED, f"connection refused; {ASK_HTTP if http else ASK_AMQP}"),
        (UNKNOWN_HOST, f"host name {endpoint.host!r} is unknown; check its spelling"),
        (UNREACHABLE, "network or host unreachable; check host and routes"),
        (OTHER_PROTOCOL, NOT_HTTP if http else NOT_AMQP_TLS if endpoint.tls else NOT_AMQP),
        (BROKE_OFF, CLOSED if endpoint.tls else HALF if http else NOT_AMQP),
    )  # fmt: skip
    text = _chain(error)
    low = text.lower()
    return next((sentence for words, sentence in known if any(w in low for w in words)), text[:200])


def is_late(error: BaseException) -> bool:
    """Whether the error means that no answer came in time."""
    low = _chain(error).lower()
    return any(word in low for word in SLOW)


def _chain(error: BaseException | None) -> str:
    """The names and texts of an error and its causes, outermost first, in one line."""
    found: list[str] = []
    while error is not None and len(found) < 10:
        found.append(f"{type(error).__name__}: {error}")
        held = (*error.args, getattr(error, "reason", None), getattr(error, "exception", None))
        error = next((e for e in held if isinstance(e, BaseException)), None) or error.__cause__ or error.__context__
    return " ".join("; ".join(found).split())
