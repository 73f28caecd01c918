"""What clients and the broker's log say without a reply code: no connection, no heartbeat, no room."""

from __future__ import annotations

from attune_ops.doctor.explain._rule import rule

_REACH = ("attune-ops config check", "attune-ops health broker")

RULES = (
    rule(
        None,
        "HEARTBEAT_LOST",
        r"missed heartbeats from client,? timeout: ?(?P<limit>\d+) ?s|"
        r"(?:No activity or )?too many missed heartbeats in the last (?P<seconds>\d+) seconds|AMQPHeartbeatTimeout\b|"
        r"no heartbeat received from server for too long|MissingHeartbeatError|[Mm]issed server heartbeats|"
        r"\{heartbeat_timeout\b[^\n]*|\{inet_error,\s*etimedout\b[^\n]*",
        "Nothing came from the other side for two heartbeat intervals, so the connection was given up: the process "
        "hung (a handler that blocks the thread of the connection), was stopped, or the network dropped its packets "
        "without a word. Its unacknowledged messages go back to their queues; an auto-delete queue whose last "
        "consumer this was is deleted with everything in it.",
        "Keep long work out of the thread that serves the connection; reconnect and run the whole start-up again.",
        closes="connection",
        commands=("attune-ops workers", "attune-ops orphans"),
    ),
    rule(
        None,
        "CLIENT_GONE",
        r"client unexpectedly closed TCP connection",
        "The broker's log says that a client went without saying so: its process was killed or crashed, or something "
        "in between cut the connection.",
        "Look at the service of that address at that time; a clean stop closes the connection first.",
        closes="connection",
        commands=("attune-ops workers", "attune-ops orphans"),
    ),
    rule(
        None,
        "HANDSHAKE_TIMEOUT",
        r"\bhandshake_timeout\b|\{bad_header,[^\n]*|\bbad_header\b",
        "Something connected to the AMQP port and did not speak AMQP in time: a health probe that only opens the "
        "port, a client that speaks HTTP or TLS to it, or an overloaded broker.",
        "Let probes ask the management API; check the client's port and scheme (amqp or amqps).",
        closes="connection",
        commands=_REACH,
    ),
    rule(
        None,
        "NOT_AMQP",
        r"IncompatibleProtocolError\b|The protocol returned by the server is not supported|"
        r"wrong version number|WRONG_VERSION_NUMBER|InvalidProtocolVersion|ProtocolVersionMismatch\b",
        "What answers at that port does not speak AMQP, or speaks it with TLS where it was called without, or the "
        "other way round. The management API (15672) is not the AMQP port (5672, with TLS 5671).",
        "Correct the port or the scheme of the AMQP URL.",
        commands=_REACH,
    ),
    rule(
        None,
        "CONNECTION_REFUSED",
        r"Connection refused|ConnectionRefusedError\b|ECONNREFUSED|\beconnrefused\b",
        "Nobody listens at that address and port: the broker is down or still starting, or the URL is wrong.",
        "Start the broker, or correct host and port.",
        commands=_REACH,
    ),
    rule(
        None,
        "NO_SUCH_HOST",
        r"gaierror\b|Name or service not known|nodename nor servname|failed to lookup address information|\bnxdomain\b",
        "The name of the broker's host cannot be resolved.",
        "Correct the host of the URL, or the name service.",
        commands=("attune-ops config show",),
    ),
    rule(
        None,
        "NO_ANSWER",
        r"TimeoutError\b|Connection timed out|ETIMEDOUT|timed out after \d+|AMQPConnectionWorkflowFailed\b",
        "The host did not answer in time: it is down, or a firewall drops the packets.",
        "Reach the port from this machine by other means; look at firewalls and routes.",
        commands=_REACH,
    ),
    rule(
        None,
        "BLOCKED",
        r"ConnectionBlockedTimeout\b|connection\.blocked|Connection\.Blocked|"
        r"(?P<subject>memory|disk)(?: resource limit)? alarm set|low on (?P<low>memory|disk)",
        "The broker is short of memory or disk and holds back everybody who publishes until it is not. Consumers go "
        "on, on connections of their own.",
        "Free memory or disk (usually: consume the backlog); publish and consume on separate connections.",
        kind="alarm",
        commands=("attune-ops doctor --only reach", "rabbitmq-diagnostics alarms"),
    ),
    rule(
        None,
        "CONNECTION_LOST",
        r"StreamLostError\b(?![^\n]*heartbeat)|Connection reset by peer|ECONNRESET|Broken pipe|Transport indicated EOF|"
        r"pop from an empty deque|ConnectionReset\b|ConnectionAborted\b|unexpected end of file",
        "The connection broke without a word from the broker: it was killed, something in between cut the line, or "
        "the broker closed it after missed heartbeats.",
        "Look at the broker's log at that time; reconnect and run the whole start-up again.",
        closes="connection",
        commands=_REACH,
    ),
    rule(
        None,
        "CHANNEL_CLOSED",
        r"ChannelWrongStateError\b|Channel is closed|InvalidChannelState|invalid channel state",
        "The client uses a channel that the broker has closed because of an earlier error.",
        "Look for the error before this one (404, 406, 403 …), and open a new channel after it.",
    ),
)
