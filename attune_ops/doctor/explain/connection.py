"""Errors that end a whole connection: 320, 50x, 541, heartbeats, and what a client says when it has none."""

from __future__ import annotations

from attune_ops.doctor.explain._rule import rule

# The sentence goes on in a second line, which a log begins with its own time and level.
_DENIED = r"(?:\\n|\s)[^`\"]{0,90}?Its use is not permitted[^\n\"]*"
_STILL_PERMITTED = r"(?:\\n|\s)[^`\"]{0,90}?By default, this feature can still be used[^\n\"]*"

_REACH = ("attune-ops config check", "attune-ops health broker")

RULES = (
    rule(
        541,
        "INTERNAL_ERROR",
        rf"Feature `(?P<subject>transient_nonexcl_queues)` is deprecated\.{_DENIED}",
        "This broker refuses queues that are neither durable nor exclusive, which is what a worker of Attune "
        "declares in topology attune-2026-01. It closed the whole connection: the worker dies after set-up and "
        "registration and leaves a row in the registry without a queue. RabbitMQ refuses them by default from 4.3.0 "
        "on; some distributions permit them again.",
        "Change the worker's queue: durable (with `x-expires` so that it goes away), or exclusive. Or permit it: "
        "`deprecated_features.permit.transient_nonexcl_queues = true` in rabbitmq.conf of ALL nodes, and restart them "
        "(before an upgrade to 4.3, not after it).",
        closes="connection",
        kind="deprecated feature",
        commands=("attune-ops doctor --only upgrade",),
    ),
    rule(
        541,
        "INTERNAL_ERROR",
        rf"Feature `(?P<subject>[a-z_]+)` is deprecated\.{_DENIED}",
        "This broker refuses the deprecated feature {subject}, and closed the whole connection.",
        "Stop using the feature, or permit it in rabbitmq.conf of all nodes "
        "(`deprecated_features.permit.{subject} = true`).",
        closes="connection",
        kind="deprecated feature",
        commands=("attune-ops doctor --only upgrade",),
    ),
    rule(
        541,
        "INTERNAL_ERROR",
        r"refused for user '[^'\n]*': vhost '(?P<subject>[^'\n]*)' is down|INTERNAL_ERROR\b(?! - Feature)",
        "The broker itself failed while it served this connection, and closed it. Its log says why; one cause is a "
        "name in letters beyond ASCII so long that an error about it does not fit in 255 bytes.",
        "Read the broker's log at that time.",
        closes="connection",
        kind="vhost",
        commands=("rabbitmq-diagnostics log_tail",),
    ),
    rule(
        None,
        "DEPRECATED",
        rf"Feature `(?P<subject>[a-z_]+)` is deprecated\.{_STILL_PERMITTED}",
        "The broker's log warns that {subject} is in use: permitted on this broker, refused by a later one.",
        "Find who uses it before the next upgrade.",
        kind="deprecated feature",
        commands=("attune-ops doctor --only upgrade",),
    ),
    rule(
        320,
        "CONNECTION_FORCED",
        r"CONNECTION_FORCED(?: - (?P<subject>[^\n]*?))?(?=['\"]?(?:[,)\n]|$))|"
        r"connection exception connection_forced: \"(?P<why>[^\n\"]*)",
        "An operator or the broker itself closed the connection (reason: {subject}{why}): a shutdown, maintenance, "
        "the deletion of the vhost, or somebody who closed this one connection. Unacknowledged messages go back to "
        "their queues; exclusive queues go, auto-delete queues go with their last consumer.",
        "Reconnect with a growing delay and run the whole start-up again, set-up and declare included.",
        closes="connection",
        kind="reason",
        commands=("attune-ops health broker", "attune-ops workers"),
    ),
    rule(
        402,
        "INVALID_PATH",
        r"INVALID_PATH\b",
        "The client asked for a vhost that the broker does not know.",
        "Correct the vhost in the URL.",
        closes="connection",
    ),
    rule(
        501,
        "FRAME_ERROR",
        r"FRAME_ERROR\b(?: - (?P<subject>[^\n]*?)(?=[\"')\n]|$))?|connection exception frame_error\b|fatal_frame_error",
        "The broker could not read what the client sent: bytes are damaged, a proxy rewrites them, two threads "
        "write to one connection at once, or a frame is larger than was agreed on.",
        "Use a connection from one thread only, and take the proxy out of the way to compare.",
        closes="connection",
        kind="frame",
    ),
    rule(
        502,
        "SYNTAX_ERROR",
        r"SYNTAX_ERROR\b",
        "The client sent a method whose fields make no sense: a bug in the client library, or two threads writing to "
        "one connection.",
        "Use a connection from one thread only; update the client library.",
        closes="connection",
    ),
    rule(
        503,
        "COMMAND_INVALID",
        r"COMMAND_INVALID\b(?! - unknown exchange type)",
        "The client sent a method that is not allowed in this state of the connection or channel.",
        "Look at the order of the client's calls; update the client library.",
        closes="connection",
    ),
    rule(
        504,
        "CHANNEL_ERROR",
        r"CHANNEL_ERROR\b(?: - (?P<subject>expected 'channel\.open'|second 'channel\.open' seen))?|"
        r"connection exception channel_error: \"(?P<why>[^\n\"]*)",
        "The client used a channel that is not open (it was closed by an earlier error, often a 404 or 406), or "
        "opened one twice. The broker closed the whole connection.",
        "Look for the error before this one: it closed the channel. Open a new channel after each channel error.",
        closes="connection",
        kind="reason",
    ),
    rule(
        505,
        "UNEXPECTED_FRAME",
        r"UNEXPECTED_FRAME\b|connection exception unexpected_frame\b",
        "Frames came in an order that makes no sense, such as a body without its header: two threads publish on one "
        "channel at once.",
        "Use a channel from one thread only.",
        closes="connection",
    ),
    rule(
        506,
        "RESOURCE_ERROR",
        r"RESOURCE_ERROR\b",
        "The broker lacks something it needs for this: memory, disk, descriptors or processes.",
        "Look at alarms and limits of the nodes.",
        closes="connection",
        commands=("attune-ops doctor --only reach",),
    ),
    rule(
        530,
        "NOT_ALLOWED",
        r"ProbableAccessDeniedError\b(?![^\n]*(?:vhost|NOT_ALLOWED))",
        "The broker refused the vhost: it does not exist, or the user has no permission in it.",
        "Check the vhost of the URL (`/` is written `%2F`) and the user's permissions.",
        closes="connection",
        commands=_REACH,
    ),
    rule(
        540,
        "NOT_IMPLEMENTED",
        r"NOT_IMPLEMENTED\b(?: - (?P<subject>[^\n]*?)(?=[\"')\n]|$))?|"
        r"connection exception not_implemented: \"(?P<why>[^\n\"]*)",
        "The client asked for something that RabbitMQ does not do ({subject}{why}), such as a prefetch in bytes.",
        "Leave it out.",
        closes="connection",
        kind="feature",
    ),
)
