"""Errors about an object that is missing, locked or not permitted: 403, 404, 405, 530, and returned messages."""

from __future__ import annotations

from attune_ops.doctor.explain.rule import NAME, SOME, USER, VHOST, rule

UNAVAILABLE = "unavailable queue"
_NODES = ("attune-ops doctor --only AT110,AT504", "rabbitmqctl cluster_status")
_START_NODE = (
    "Start that node, or repair the network to it. If it is running, restart the virtual host there (`rabbitmqctl "
    "restart_vhost`). Do not delete the queue: its messages would be lost. Then start the service that failed."
)

RULES = (
    rule(
        "404 NOT_FOUND",
        rf"no queue '(?P<subject>amq\.gen[^'\n]{{0,240}})' {VHOST}",
        "Queue {subject!r} has a name from the broker: it was exclusive to the connection of one replica of a service, "
        "and was deleted with that connection. A declare gives the next one another name. The broker closed the "
        "channel.",
        "Nothing is to be declared by hand: the service declares a new queue after it reconnects. Restart it only if "
        "it does not; a worker's restart ends the actions that it runs.",
        kind="server-named queue",
        commands=("attune-ops consumers", "attune-ops doctor --only AT204,AT405"),
    ),
    rule(
        "404 NOT_FOUND",
        rf"no (?P<kind>queue) '{NAME}' {VHOST}",
        "Queue {subject!r} did not exist in vhost {vhost!r} when a client consumed from it, bound it or declared it "
        "passively. Either it was not declared yet, or it was deleted: auto-deleted with its last consumer, expired, "
        "deleted by an operator, or transient and lost in a node's restart. The broker closed the channel; the "
        "connection stays open.",
        "Declare the queue before it is bound and consumed. A worker declares its own queue after it has registered; "
        "set-up declares the other queues.",
        commands=("attune-ops workers", "attune-ops topology diff"),
    ),
    rule(
        "404 NOT_FOUND",
        rf"home node '(?P<node>[^'\n]{{0,260}})' of durable queue '{NAME}' {VHOST} is down or inaccessible",
        "Queue {subject!r} exists in vhost {vhost!r}, but its node {node} is down, or the node that answered cannot "
        "reach it. Until then no client can declare, bind or consume the queue. It keeps its persistent messages on "
        "that node. The broker closed the channel.",
        _START_NODE,
        kind=UNAVAILABLE,
        commands=_NODES,
    ),
    rule(
        "404 NOT_FOUND",
        rf"queue '(?P<subject>[^'\n]{{0,260}})' {VHOST} process is stopped by supervisor",
        "Queue {subject!r} exists in vhost {vhost!r}, but its node was stopped, or the virtual host is stopped there. "
        "Until then no client can declare, bind or consume the queue. If it is durable, it keeps its persistent "
        "messages on its node. The broker closed the channel.",
        _START_NODE,
        kind=UNAVAILABLE,
        commands=_NODES,
    ),
    rule(
        "404 NOT_FOUND",
        rf"failed to perform operation on queue '{NAME}' {VHOST}(?: due to timeout|: its (?:master|leader) replica)",
        "Queue {subject!r} exists in vhost {vhost!r}, but did not answer: a node with it does not run or is not "
        "reachable, too few members of a quorum queue run, or another leader is being elected. The broker closed the "
        "channel.",
        "Start the nodes that are down, or repair the network to them. An election takes seconds. Do not delete the "
        "queue: its messages would be lost. Then start the service that failed.",
        kind=UNAVAILABLE,
        commands=_NODES,
    ),
    rule(
        "404 NOT_FOUND",
        rf"queue '{NAME}' {VHOST} has crashed and failed to restart",
        "Queue {subject!r} exists in vhost {vhost!r}, but its process crashed, and the broker could not start it "
        "again. No client can declare, bind or consume the queue. The broker closed the channel.",
        "Read the broker's log at that time: a full disk or a damaged message store is the usual reason. Where the "
        "reason can be removed, remove it and restart the node. Deleting the queue is the last resort: its messages "
        "are lost.",
        kind=UNAVAILABLE,
        commands=("attune-ops doctor --only AT110,AT504", "rabbitmq-diagnostics log_tail"),
    ),
    rule(
        "404 NOT_FOUND",
        rf"no (?P<kind>exchange) '{NAME}' {VHOST}",
        "Exchange {subject!r} did not exist in vhost {vhost!r}. A client published or bound to it before set-up had "
        "declared it. The broker closed the channel. A message that is published to it is lost and not returned.",
        "Run set-up first. Every service runs it at its start; it is safe to repeat.",
        commands=("attune-ops topology diff", "attune-ops topology apply --no-worker-queues"),
    ),
    rule(
        "404 NOT_FOUND",
        r"no binding (?P<subject>.{0,260}?) between (?P<ends>.{0,260}?) in vhost '(?P<vhost>[^'\n]*)'",
        "The binding to remove does not exist. The broker closed the channel.",
        "Nothing needs to be removed. List the existing bindings.",
        kind="binding",
        commands=("attune-ops bindings",),
    ),
    rule(
        "404 NOT_FOUND",
        r"NOT_FOUND - (?P<subject>no (?:queue|exchange) '(?P<cut>[^\n]{100,}?)\.\.\.)",
        "An object with a very long name does not exist. The broker truncated its message at 255 bytes.",
        "Read the full name in the service's configuration, and compare it with the broker.",
        commands=("attune-ops topology diff",),
    ),
    rule(
        "312 NO_ROUTE",
        r"NO_ROUTE\b|unroutable message(?:\(s\)|s)? returned|reply_code: 312|UnroutableError",
        "A mandatory message was unroutable and was returned: at that moment no queue was bound to its exchange with "
        "a matching routing key. The broker did not store it; the publisher has it and must handle it.",
        "Check where the routing key leads, and that the worker it is meant for has bound its queue.",
        commands=("attune-ops bindings", "attune-ops orphans"),
    ),
    rule(
        "313 NO_CONSUMERS",
        r"NO_CONSUMERS\b",
        "An immediate message was returned: no consumer was ready for it. RabbitMQ 3 and later do not support the "
        "immediate flag, so another broker or a proxy sent this error.",
        "Publish without the immediate flag.",
    ),
    rule(
        "311 CONTENT_TOO_LARGE",
        r"CONTENT_TOO_LARGE\b|message size (?P<subject>\d+) is larger than (?:configured )?max size (?P<limit>\d+)",
        "The message is larger than `max_message_size` (default: 128 MiB up to RabbitMQ 3.13, 16 MiB from 4.0 on). "
        "The broker closed the channel and did not store the message.",
        "Send a reference to the data instead of the data, or raise `max_message_size` on every node.",
        kind="message",
    ),
    rule(
        "403 ACCESS_REFUSED",
        rf"(?P<right>configure |read |write )?access to (?P<kind>queue|exchange) '{NAME}' {VHOST} refused {USER}",
        "User {user!r} lacks a permission for {kind} {subject!r} in vhost {vhost!r} (permission: {right}). Declaring "
        "and deleting need configure. Publishing, and binding a queue, need write. Consuming, and binding to an "
        "exchange, need read. The broker closed the channel and changed nothing.",
        "Extend the user's pattern so that it matches the name, too; for a service's user AT117 prints the command. "
        "`set_permissions` replaces all three patterns. RabbitMQ 3 does not report which of them lacks the name.",
        closes="channel",
        commands=("rabbitmqctl list_user_permissions {user}", "attune-ops doctor --only AT117"),
    ),
    rule(
        "403 ACCESS_REFUSED",
        rf"(?P<right>read |write )?access to (?P<kind>topic) '{NAME}' in exchange '(?P<exchange>[^'\n]*)' "
        rf"{VHOST} refused {USER}",
        "User {user!r} has access to exchange {exchange!r}, but a topic permission refuses routing key {subject!r}.",
        "Extend or clear the topic permission of that user.",
        closes="channel",
        commands=("rabbitmqctl list_topic_permissions -p {vhost}",),
    ),
    rule(
        "403 ACCESS_REFUSED",
        r"Login was refused(?: using authentication mechanism (?P<subject>\S+?)\.)?|"
        r"(?:PLAIN login refused|HTTP access denied(?=[^\n]* - (?:invalid cred|User can only log in via localhost)))"
        r": user '(?P<user>[^'\n]*)' - (?P<why>[^\n]*)|"
        r"ProbableAuthenticationError\b(?![^\n]*Login was refused)",
        "The broker refused the user name or the password. It does not report which one; its log has the reason.",
        "Check the credentials in the URL (special characters are percent-encoded). User guest can connect from "
        "localhost only.",
        closes="connection",
        kind="mechanism",
        commands=("attune-ops config show", "rabbitmqctl list_users", "rabbitmqctl authenticate_user {user}"),
    ),
    rule(
        "403 ACCESS_REFUSED",
        rf"queue '{NAME}' {VHOST} in exclusive use",
        "Queue {subject!r} has an exclusive consumer, or an exclusive consumer was requested while others consume.",
        "Find its consumers: a second process of the same service, or an exclusive consumer.",
        closes="channel",
        kind="queue",
        commands=("attune-ops consumers",),
    ),
    rule(
        "403 ACCESS_REFUSED",
        r"(?P<kind>queue|exchange) name '(?P<subject>[^\n]{0,260}?)' contains reserved prefix 'amq\.\*'",
        "Names that begin with `amq.` are reserved for the broker: a client cannot declare {kind} {subject!r}.",
        "Choose another name. For a server-named queue declare an empty name.",
        closes="channel",
    ),
    rule(
        "403 ACCESS_REFUSED",
        rf"cannot publish to internal (?P<kind>exchange) '{NAME}' {VHOST}",
        "Exchange {subject!r} is internal: it receives messages from other exchanges only, not from publishers.",
        "Publish to an exchange that is bound to it.",
        closes="channel",
        commands=("attune-ops exchanges",),
    ),
    rule(
        "403 ACCESS_REFUSED",
        r"operation not permitted on the default exchange",
        "The default exchange cannot be declared, deleted or bound. Every queue is bound to it by its own name.",
        "Publish with the queue's name as the routing key, or bind the queue to a named exchange.",
        closes="channel",
    ),
    rule(
        "405 RESOURCE_LOCKED",
        rf"cannot obtain exclusive access to locked queue '{NAME}' {VHOST}"
        r"(?:\. It could be originally declared[^\n\"]*)?",
        "Queue {subject!r} is exclusive to the connection that declared it, or it exists and was redeclared with "
        "another value of exclusive. An exclusive queue is deleted when its connection closes.",
        "Find the connection that owns it. Do not declare a queue exclusive that several processes use.",
        kind="queue",
        commands=("attune-ops queues", "rabbitmqctl list_queues -p {vhost} name exclusive owner_pid"),
    ),
    rule(
        "530 NOT_ALLOWED",
        rf"access to vhost '(?P<subject>{SOME})' refused {USER}: connection limit \((?P<limit>\d+)\) is reached",
        "Vhost {subject!r} (or the user) has reached its limit of {limit} connections.",
        "Close connections that are not needed, or raise the limit.",
        kind="vhost",
        commands=("rabbitmqctl list_vhost_limits -p {subject}", "rabbitmqctl list_connections name user state"),
    ),
    rule(
        "530 NOT_ALLOWED",
        rf"access to vhost '(?P<subject>{SOME})' refused {USER}(?!: (?:connection limit|vhost))",
        "User {user!r} exists, but has no permissions in vhost {subject!r}.",
        "Grant the user permissions in that vhost, or correct the vhost in the URL (`/` is written `%2F`). "
        "`set_permissions` replaces what the user has there.",
        kind="vhost",
        commands=(
            "rabbitmqctl list_permissions -p {subject}",
            "rabbitmqctl set_permissions -p {subject} {user} {configure} {write} {read}",
        ),
    ),
    rule(
        "530 NOT_ALLOWED",
        r"vhost (?P<subject>[^\n\"']{1,255}?) not found",
        "Vhost {subject!r} does not exist on this broker.",
        "Correct the vhost in the URL (`/` is written `%2F`), or create it.",
        kind="vhost",
        commands=("rabbitmqctl list_vhosts", "rabbitmqctl add_vhost {subject}"),
    ),
    rule(
        "530 NOT_ALLOWED",
        r"attempt to reuse consumer tag '(?P<subject>[^\n]{0,260}?)'(?=[\s\"'),]|$)|"
        r"DuplicateConsumerTag\W+(?P<tag>[^\s'\")]+)",
        "The channel already has a consumer with this tag. The broker closed the whole connection.",
        "Cancel the first consumer before consuming again, or use another channel or tag.",
        kind="consumer",
        commands=("attune-ops consumers",),
    ),
    rule(
        "530 NOT_ALLOWED",
        r"number of channels opened \((?P<subject>\d+)\) has reached the negotiated channel_max"
        r"(?: \((?P<limit>\d+)\))?",
        "The connection has reached its negotiated channel_max: the client opens channels and does not close them (a "
        "channel leak).",
        "Close channels after use, or raise channel_max on client and broker.",
        kind="channels",
        commands=("rabbitmqctl list_connections name channels",),
    ),
)
