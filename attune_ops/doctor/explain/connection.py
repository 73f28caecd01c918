"""Errors that close a whole connection: 320, 402, 50x, 530, 540, 541."""

from __future__ import annotations

from attune_ops.doctor.explain.rule import SOME, USER, rule

# The sentence goes on in a second line, which a log begins with its own time and level.
_DENIED = r"(?:\\n|\s)[^`\"]{0,90}?Its use is not permitted[^\n\"]*"
_STILL_PERMITTED = r"(?:\\n|\s)[^`\"]{0,90}?By default, this feature can still be used[^\n\"]*"
# "Could not declare queue 'q' in vhost '/' on node 'n' because the metadata store operation timed out" and its like.
_TIMED_OUT = r"(?!Feature)[^\n]{1,400}?\b(?:timed out|timeout)\b"

_REACH = ("attune-ops config check", "attune-ops health broker")

RULES = (
    rule(
        "541 INTERNAL_ERROR",
        rf"Feature `(?P<subject>transient_nonexcl_queues)` is deprecated\.{_DENIED}",
        "This broker refuses queues that are neither durable nor exclusive. Workers of topology attune-2026-01 "
        "declare such queues. The broker closed the whole connection: the worker exits after set-up and registration "
        "and leaves a registry row without a queue. RabbitMQ refuses these queues by default from 4.3.0 on; some "
        "distributions permit them again.",
        "Declare the worker's queue durable (with `x-expires`, so that it expires when unused), or exclusive. Or "
        "permit it: set `deprecated_features.permit.transient_nonexcl_queues = true` in rabbitmq.conf of ALL nodes "
        "and restart them (before an upgrade to 4.3, not after it).",
        kind="deprecated feature",
        commands=("attune-ops doctor --only upgrade",),
    ),
    rule(
        "541 INTERNAL_ERROR",
        rf"Feature `(?P<subject>[a-z_]+)` is deprecated\.{_DENIED}",
        "This broker refuses the deprecated feature {subject}. It closed the whole connection.",
        "Stop using the feature, or permit it in rabbitmq.conf of all nodes "
        "(`deprecated_features.permit.{subject} = true`).",
        kind="deprecated feature",
        commands=("attune-ops doctor --only upgrade",),
    ),
    rule(
        "541 INTERNAL_ERROR",
        rf"(?:INTERNAL_ERROR - )?access to vhost '{SOME}' refused {USER}: vhost '(?P<subject>[^'\n]*)' is down",
        "Virtual host {subject!r} is stopped on the node that answered: it failed there (a damaged message store, a "
        "full disk), or an operator stopped it. No client can log in to it on that node.",
        "Read the broker's log for the reason, then start the virtual host again on that node. Do not delete it: its "
        "messages would be lost.",
        kind="vhost",
        commands=("attune-ops health broker", "rabbitmqctl restart_vhost -p {subject}"),
    ),
    rule(
        "541 INTERNAL_ERROR",
        rf"INTERNAL_ERROR - (?P<why>{_TIMED_OUT})|connection exception internal_error: \\*\"?(?P<logged>{_TIMED_OUT})",
        "The broker's metadata store did not complete an operation in time. With Khepri (RabbitMQ 4.x) each declare, "
        "bind and delete needs a majority of the nodes, and fails so on the side without one (AT110). The broker "
        "closed the connection.",
        "Start the nodes that are down, or repair the network to them. Then start the service that failed. Nothing is "
        "to be deleted or declared by hand.",
        kind="metadata store",
        commands=("attune-ops doctor --only AT110,AT111", "rabbitmqctl cluster_status"),
    ),
    rule(
        "541 INTERNAL_ERROR",
        r"INTERNAL_ERROR\b(?! - Feature)|connection exception internal_error: (?!\\*\"?Feature)[^\n]*",
        "An internal error of the broker closed this connection. The broker's log has the reason. One cause is a "
        "non-ASCII name so long that the error message about it exceeds 255 bytes.",
        "Read the broker's log at that time.",
        commands=("rabbitmq-diagnostics log_tail",),
    ),
    rule(
        "DEPRECATED",
        rf"Feature `(?P<subject>[a-z_]+)` is deprecated\.{_STILL_PERMITTED}",
        "The deprecated feature {subject} is in use. This broker permits it; a later release refuses it.",
        "Find the clients that use it before the next upgrade.",
        kind="deprecated feature",
        commands=("attune-ops doctor --only upgrade",),
    ),
    rule(
        "320 CONNECTION_FORCED",
        r"CONNECTION_FORCED(?: - (?P<subject>[^\n']*'[^\n']*'|[^\n]*?))?(?=['\"]?(?:[,)\n]|$))|"
        r"connection exception connection_forced: \"(?P<why>[^\n\"]*)",
        "An operator or the broker closed the connection (reason: {subject}{why}): a shutdown, maintenance, the "
        "deletion of the vhost, or a forced close of this connection. Unacknowledged messages are requeued. Exclusive "
        "queues are deleted, and auto-delete queues with their last consumer.",
        "Reconnect with increasing delay, and run the whole start-up again, including setup and declare.",
        kind="reason",
        commands=("attune-ops health broker", "attune-ops workers"),
    ),
    rule(
        "402 INVALID_PATH",
        r"INVALID_PATH\b",
        "The client requested a vhost that does not exist.",
        "Correct the vhost in the URL.",
    ),
    rule(
        "501 FRAME_ERROR",
        r"FRAME_ERROR\b(?: - (?P<subject>[^\n]*?)(?=[\"')\n]|$))?|connection exception frame_error\b|fatal_frame_error",
        "The broker received an invalid frame: corrupted data, a proxy that rewrites it, two threads that write to "
        "one connection, or a frame larger than the negotiated frame_max.",
        "Use a connection from one thread only. Compare with a connection that bypasses the proxy.",
        kind="frame",
    ),
    rule(
        "502 SYNTAX_ERROR",
        r"SYNTAX_ERROR\b",
        "The client sent a method with invalid fields: a bug in the client library, or two threads that write to one "
        "connection.",
        "Use a connection from one thread only. Update the client library.",
    ),
    rule(
        "503 COMMAND_INVALID",
        r"COMMAND_INVALID\b(?! - unknown exchange type)",
        "The client sent a method that is not allowed in this state of the connection or channel.",
        "Check the order of the client's calls. Update the client library.",
    ),
    rule(
        "504 CHANNEL_ERROR",
        r"CHANNEL_ERROR\b(?: - (?P<subject>expected 'channel\.open'|second 'channel\.open' seen))?|"
        r"connection exception channel_error: \"(?P<why>[^\n\"]*)",
        "The client used a channel that is not open (an earlier error closed it, often a 404 or 406), or opened a "
        "channel twice. The broker closed the whole connection.",
        "Find the error before this one: it closed the channel. Open a new channel after each channel error.",
        kind="reason",
    ),
    rule(
        "505 UNEXPECTED_FRAME",
        r"UNEXPECTED_FRAME\b|connection exception unexpected_frame\b",
        "The broker received frames in the wrong order, such as a body without its header: two threads publish on one "
        "channel.",
        "Use a channel from one thread only.",
    ),
    rule(
        "506 RESOURCE_ERROR",
        r"RESOURCE_ERROR\b",
        "The broker is out of a resource: memory, disk, file descriptors or processes.",
        "Check the alarms and limits of the nodes.",
        commands=("attune-ops doctor --only reach",),
    ),
    rule(
        "530 NOT_ALLOWED",
        r"ProbableAccessDeniedError\b(?![^\n]*(?:vhost|NOT_ALLOWED))",
        "The broker refused the vhost: it does not exist, or the user has no permission in it.",
        "Check the vhost in the URL (`/` is written `%2F`) and the user's permissions.",
        commands=_REACH,
    ),
    rule(
        "540 NOT_IMPLEMENTED",
        r"NOT_IMPLEMENTED\b(?: - (?P<subject>[^\n]*?)(?=[\"')\n]|$))?|"
        r"connection exception not_implemented: \"(?P<why>[^\n\"]*)",
        "The client requested a feature that RabbitMQ does not implement ({subject}{why}), such as a prefetch size in "
        "bytes.",
        "Do not use the feature.",
        kind="feature",
    ),
)
