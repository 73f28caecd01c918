"""Errors that clients and the broker's log report without a reply code, and reply codes of an unknown wording."""

from __future__ import annotations

from attune_ops.doctor.explain.rule import rule

_REACH = ("attune-ops config check", "attune-ops health broker")


def _any(name: str) -> str:
    """The code's name as clients and as the broker's log write it, with the rest of its line."""
    return rf"\b{name}\b[^\n]*|\b(?:channel|connection) exception {name.lower()}:[^\n]*"


RULES = (
    rule(
        "HEARTBEAT_LOST",
        r"missed heartbeats from client,? timeout: ?(?P<limit>\d+) ?s|"
        r"(?:No activity or )?too many missed heartbeats in the last (?P<seconds>\d+) seconds|AMQPHeartbeatTimeout\b|"
        r"no heartbeat received from server for too long|MissingHeartbeatError|[Mm]issed server heartbeats|"
        r"\{heartbeat_timeout\b[^\n]*|\{heartbeat_send_error\b[^\n]*|\{inet_error,\s*etimedout\b[^\n]*",
        "The peer sent nothing for two heartbeat intervals, so the connection was closed. The process hung (a handler "
        "blocks the thread of the connection), was stopped, or the network dropped its packets. Its unacknowledged "
        "messages are requeued. An auto-delete queue without another consumer is deleted with its messages.",
        "Keep long work out of the thread that serves the connection. Reconnect and run the whole start-up again.",
        closes="connection",
        commands=("attune-ops workers", "attune-ops orphans"),
    ),
    rule(
        "CLIENT_GONE",
        r"client unexpectedly closed TCP connection",
        "A client's TCP connection ended without an AMQP close: the process was killed or crashed, or a proxy or "
        "firewall cut the connection.",
        "Check the service at that address at that time. A clean stop closes the connection first.",
        closes="connection",
        commands=("attune-ops workers", "attune-ops orphans"),
    ),
    rule(
        "HANDSHAKE_TIMEOUT",
        r"\bhandshake_timeout\b|\{bad_header,[^\n]*|\bbad_header\b",
        "A client connected to the AMQP port and did not complete the AMQP handshake in time: a probe that only opens "
        "the port, a client that uses HTTP or TLS, or an overloaded broker.",
        "Point probes at the management API. Check the client's port and scheme (amqp or amqps).",
        closes="connection",
        commands=_REACH,
    ),
    rule(
        "NOT_AMQP",
        r"IncompatibleProtocolError\b|The protocol returned by the server is not supported|"
        r"wrong version number|WRONG_VERSION_NUMBER|InvalidProtocolVersion|ProtocolVersionMismatch\b|"
        r"the server only supports AMQP|\bParsingError\(",
        "The server at that port does not speak AMQP, or one side uses TLS and the other does not. The management API "
        "(15672) is not the AMQP port (5672, with TLS 5671).",
        "Correct the port or the scheme of the AMQP URL.",
        commands=_REACH,
    ),
    rule(
        "CONNECTION_REFUSED",
        r"Connection refused|ConnectionRefused(?:Error)?\b|ECONNREFUSED|\beconnrefused\b",
        "No process listens at that address and port. If they are the broker's, it is down or still starting. An "
        "action of a worker can have this error with any other server.",
        "Read the address in the line. Start the broker, or correct host and port.",
        commands=_REACH,
    ),
    rule(
        "NO_SUCH_HOST",
        r"gaierror\b|Name or service not known|nodename nor servname|failed to lookup address information|\bnxdomain\b",
        "The name of the broker's host cannot be resolved.",
        "Correct the host in the URL, or fix DNS.",
        commands=("attune-ops config show",),
    ),
    rule(
        "NO_ANSWER",
        r"TimeoutError\b|\bTimedOut\b|Connection timed out|ETIMEDOUT|"
        r"AMQPConnectionWorkflowFailed\b",
        "The host did not respond in time: it is down, or a firewall drops the packets.",
        "Connect to the port from this machine with another tool. Check firewalls and network routes.",
        commands=_REACH,
    ),
    rule(
        "BLOCKED",
        r"ConnectionBlockedTimeout\b|connection\.blocked|Connection\.Blocked|"
        r"(?P<subject>memory|disk)(?: resource limit)? alarm set|low on (?P<low>memory|disk)",
        "A memory or disk alarm is in effect: the broker blocks every connection that publishes until the alarm "
        "clears. Consumers on other connections continue.",
        "Free memory or disk (most often: consume the backlog). Publish and consume on separate connections.",
        kind="alarm",
        commands=("attune-ops doctor --only reach", "rabbitmq-diagnostics alarms"),
    ),
    rule(
        "NO_MANAGEMENT_TAG",
        r"HTTP access denied: user '(?P<user>[^'\n]*)' - Not management user",
        "The management API refuses user {user!r}: it has no management tag. Attune's own AMQP user has none. The "
        "services are not affected: they use AMQP alone.",
        "Make a user with the tag `monitoring` for this tool. Do not give Attune's user a tag: the next upgrade of its "
        "Helm chart removes it.",
        commands=("attune-ops docs monitoring-user",),
    ),
    rule(
        "DESCRIPTORS_EXHAUSTED",
        r"file descriptor limit alarm set\b",
        "The broker's process has almost no free file descriptors: it accepts no new connection until some are free. "
        "Clients that are connected are not affected.",
        "Find the client that opens connections and does not close them, and raise the limit of the broker's process "
        "(`LimitNOFILE` of systemd, `ulimit -n`).",
        commands=("attune-ops doctor --only AT113", "attune-ops connections list"),
    ),
    rule(
        "CONNECTION_LOST",
        r"StreamLostError\b(?![^\n]*heartbeat)|Connection reset by peer|ECONNRESET|Broken pipe|Transport indicated EOF|"
        r"pop from an empty deque|ConnectionReset\b|ConnectionAborted\b|unexpected end of file|[Cc]onnection aborted|"
        r"Socket was readable but we read 0\b[^\n]*|Socket was writable but we wrote 0\b[^\n]*|"
        r"\bUnexpectedEof\b|\bBrokenPipe\b|\bNotConnected\b|Socket (?:is )?not connected",
        "The connection was lost without an AMQP close: the broker was killed, a proxy or firewall cut the "
        "connection, or the broker closed it after missed heartbeats.",
        "Read the broker's log at that time. Reconnect and run the whole start-up again.",
        closes="connection",
        commands=_REACH,
    ),
    rule(
        "CHANNEL_CLOSED",
        r"ChannelWrongStateError\b|Channel is closed|InvalidChannelState|invalid channel state|\bInvalidChannel\(\d|"
        r"invalid channel: \d",
        "The client uses a channel that the broker closed after an earlier error. A service can stop consuming while "
        "its heartbeats continue.",
        "Find the error before this one (404, 406, 403 …). Open a new channel after each channel error. If the service "
        "has no consumers any more, restart it.",
        commands=("attune-ops consumers", "attune-ops doctor --only workers"),
    ),
    rule(
        "CONNECTION_CLOSED",
        r"InvalidConnectionState\b|invalid connection state",
        "The client uses a connection that is closed, or is not open yet. Before 0.4.1 a service of Attune did not "
        "consume again after a lost connection, while its heartbeats continued.",
        "Find the error before this one: it closed the connection. If the service has no consumers, restart it.",
        commands=("attune-ops consumers", "attune-ops health broker", "attune-ops doctor --only workers"),
    ),
    rule(
        "CHANNEL_LIMIT",
        r"ChannelsLimitReached\b|the maximum number of channels for this connection has been reached",
        "The connection has reached its negotiated channel_max: the client opens channels and does not close them.",
        "Close channels after use. A restart of the service closes all its channels.",
        commands=("attune-ops connections list", "rabbitmqctl list_connections name channels"),
    ),
    # The rest: a reply code with a wording that no other rule knows.
    rule(
        "403 ACCESS_REFUSED",
        _any("ACCESS_REFUSED"),
        "The broker refused access: wrong credentials, a missing permission, a reserved name, or exclusive use.",
        "Check the user's permissions, and which other client uses the object.",
        commands=("rabbitmqctl list_permissions -p {vhost}",),
    ),
    rule(
        "404 NOT_FOUND",
        _any("NOT_FOUND"),
        "A queue, exchange or binding does not exist. The broker closed the channel.",
        "Run set-up, and declare a queue before it is bound and consumed.",
        commands=("attune-ops topology diff", "attune-ops workers"),
    ),
    rule(
        "405 RESOURCE_LOCKED",
        _any("RESOURCE_LOCKED"),
        "The queue is exclusive to another connection. The broker closed the channel.",
        "Find the connection that owns it.",
        commands=("attune-ops queues",),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        _any("PRECONDITION_FAILED"),
        "A precondition of the request is not met. Most often an existing object was redeclared with other "
        "properties. The broker closed the channel and changed nothing.",
        "Compare the topology with the broker.",
        commands=("attune-ops topology diff",),
    ),
    rule(
        "530 NOT_ALLOWED",
        _any("NOT_ALLOWED"),
        "The broker does not allow this: the vhost is missing or not permitted, a limit is reached, or a consumer tag "
        "is used twice. It closed the connection.",
        "Check the vhost in the URL, the limits, and the consumer tags.",
        commands=("attune-ops config check", "rabbitmqctl list_vhosts"),
    ),
)
