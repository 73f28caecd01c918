"""The one place that says why a port did not answer as it should, and what to try: for AMQP and the management API.

Socket, TLS, requests and pika each wrap errors in their own way, so the names and texts of a whole chain of
errors are looked through for the words that tell.
"""

from __future__ import annotations

from attune_ops.installation.config.settings import Endpoint

CERTIFICATE = ("certificate_verify_failed", "certificate verify failed")
NO_TLS = ("wrong_version_number", "record_layer_failure", "packet_length_too_long", "unknown_protocol")
SLOW = ("timeout", "timed out")
REFUSED = ("connectionrefused", "connection refused")
UNKNOWN_HOST = ("gaierror", "name resolution", "name or service not known")
UNREACHABLE = ("unreachable", "no route to host")
OTHER_PROTOCOL = ("badstatusline", "nothttp", "incompatibleprotocol", "protocolversionmismatch", "notamqp")
BROKE_OFF = (
    "brokeoff", "incompleteread", "remotedisconnected", "connectionreset", "brokenpipe", "chunkedencoding",
    "streamlost", "eof occurred", "eoferror", "invalidframe", "invalidchunklength",
)  # fmt: skip

ASK_HTTP = (
    "is the broker up, is the port right (15672 by default), is its plug-in on (rabbitmq-plugins enable "
    "rabbitmq_management)? --management-url names another place"
)
ASK_AMQP = "is the broker up, is the port right (5672 by default, 5671 with TLS)?"
NOT_HTTP = "what listens there does not speak HTTP (an AMQP port?); the management API is on 15672 by default"
NOT_AMQP = "what listens there does not speak AMQP (an HTTP or TLS port?); AMQP is on 5672 by default, 5671 with TLS"
HALF = "the answer broke off before it was whole; is the port right (15672 by default), is a proxy between?"


def why(endpoint: Endpoint, error: BaseException, timeout: float) -> str:
    """What kept `endpoint` from answering, and what to try, in half a sentence. `timeout` in s."""
    http = endpoint.scheme.startswith("http")
    plain = endpoint.scheme.removesuffix("s")
    known = (
        (CERTIFICATE, "its certificate is not trusted for this host; name its authority as ca_file in the "
                      "configuration file"),
        (NO_TLS, f"what listens there does not speak TLS; try {plain}:// instead of {plain}s://"),
        (SLOW, f"no answer within {timeout:g} s; check host, port and firewall"),
        (REFUSED, f"connection refused; {ASK_HTTP if http else ASK_AMQP}"),
        (UNKNOWN_HOST, f"host name {endpoint.host!r} is not known; check its spelling"),
        (UNREACHABLE, "the network or host is unreachable; check host and routes"),
        (OTHER_PROTOCOL, NOT_HTTP if http else NOT_AMQP),
        (BROKE_OFF, HALF if http else NOT_AMQP),
    )  # fmt: skip
    said = _chain(error)
    low = said.lower()
    return next((sentence for words, sentence in known if any(w in low for w in words)), said[:200])


def _chain(error: BaseException | None) -> str:
    """The names and texts of an error and of what it holds or was caused by, outermost first, in one line."""
    found: list[str] = []
    while error is not None and len(found) < 10:
        found.append(f"{type(error).__name__}: {error}")
        held = (*error.args, getattr(error, "reason", None), getattr(error, "exception", None))
        error = next((e for e in held if isinstance(e, BaseException)), None) or error.__cause__ or error.__context__
    return " ".join("; ".join(found).split())
