"""Errors about permission and possession: who may not do it, or who holds it already."""

from __future__ import annotations

from attune_ops.doctor.explain._rule import NAME, SOME, USER, VHOST, rule

_PERMISSIONS = (
    "rabbitmqctl list_user_permissions {user}",
    "rabbitmqctl set_permissions -p {vhost} {user} '^(attune|worker)\\..*' '.*' '.*'",
)

RULES = (
    rule(
        403,
        "ACCESS_REFUSED",
        rf"(?P<right>configure |read |write )?access to (?P<kind>queue|exchange) '{NAME}' {VHOST} refused {USER}",
        "User {user!r} may not do this to {kind} {subject!r} in vhost {vhost!r} (missing right: {right}). Declaring "
        "and deleting needs configure; publishing, and binding a queue, needs write; consuming, and binding to an "
        "exchange, needs read. The broker closed the channel; nothing was changed.",
        "Give the user the right by a pattern that covers the name; RabbitMQ 3 does not say which of the three it was.",
        closes="channel",
        commands=_PERMISSIONS,
    ),
    rule(
        403,
        "ACCESS_REFUSED",
        rf"(?P<right>read |write )?access to (?P<kind>topic) '{NAME}' in exchange '(?P<exchange>[^'\n]*)' "
        rf"{VHOST} refused {USER}",
        "User {user!r} may use exchange {exchange!r}, but a topic permission forbids the routing key {subject!r}.",
        "Widen or clear the topic permission of that user.",
        closes="channel",
        commands=("rabbitmqctl list_topic_permissions -p {vhost}",),
    ),
    rule(
        403,
        "ACCESS_REFUSED",
        r"Login was refused(?: using authentication mechanism (?P<subject>\S+?)\.)?|"
        r"PLAIN login refused: user '(?P<user>[^'\n]*)' - (?P<why>[^\n]*)|"
        r"ProbableAuthenticationError\b(?![^\n]*Login was refused)",
        "The broker refused the user name or the password; it does not tell which. Only its own log says why.",
        "Check the credentials of the URL (special characters percent-encoded); the user guest is let in from "
        "localhost only.",
        closes="connection",
        kind="mechanism",
        commands=("attune-ops config show", "rabbitmqctl list_users", "rabbitmqctl authenticate_user {user}"),
    ),
    rule(
        403,
        "ACCESS_REFUSED",
        rf"queue '{NAME}' {VHOST} in exclusive use",
        "A consumer holds queue {subject!r} exclusively, or an exclusive one was asked for while others consume.",
        "Find who consumes from it: a second process of the same service, or a consumer declared exclusive.",
        closes="channel",
        kind="queue",
        commands=("attune-ops consumers",),
    ),
    rule(
        403,
        "ACCESS_REFUSED",
        r"(?P<kind>queue|exchange) name '(?P<subject>[^\n]{0,260}?)' contains reserved prefix 'amq\.\*'",
        "Names that begin with `amq.` belong to the broker: nobody else may declare {kind} {subject!r}.",
        "Choose another name; for a queue named by the broker declare the empty name.",
        closes="channel",
    ),
    rule(
        403,
        "ACCESS_REFUSED",
        rf"cannot publish to internal (?P<kind>exchange) '{NAME}' {VHOST}",
        "Exchange {subject!r} is internal: it takes messages from other exchanges only, never from a publisher.",
        "Publish to the exchange that is bound to it.",
        closes="channel",
        commands=("attune-ops exchanges",),
    ),
    rule(
        403,
        "ACCESS_REFUSED",
        r"operation not permitted on the default exchange",
        "The default exchange cannot be declared, deleted or bound: each queue is bound to it by its own name.",
        "Publish with the queue's name as the routing key, or bind the queue to an exchange that has a name.",
        closes="channel",
    ),
    rule(
        405,
        "RESOURCE_LOCKED",
        rf"cannot obtain exclusive access to locked queue '{NAME}' {VHOST}"
        r"(?:\. It could be originally declared[^\n\"]*)?",
        "Queue {subject!r} is exclusive to the connection that declared it, or it is there and exclusive was asked "
        "for (or the other way round). It goes when the connection that holds it closes.",
        "Find the connection that holds it; do not declare as exclusive what several processes use.",
        closes="channel",
        kind="queue",
        commands=("attune-ops queues", "rabbitmqctl list_queues -p {vhost} name exclusive owner_pid"),
    ),
    rule(
        530,
        "NOT_ALLOWED",
        rf"access to vhost '(?P<subject>{SOME})' refused {USER}: connection limit \((?P<limit>\d+)\) is reached",
        "Vhost {subject!r} (or the user) may hold {limit} connections, and has that many.",
        "Close what is not needed, or raise the limit.",
        closes="connection",
        kind="vhost",
        commands=("rabbitmqctl list_vhost_limits -p {subject}", "rabbitmqctl list_connections name user state"),
    ),
    rule(
        530,
        "NOT_ALLOWED",
        rf"access to vhost '(?P<subject>{SOME})' refused {USER}(?!: (?:connection limit|vhost))",
        "User {user!r} is known, but has no permission in vhost {subject!r}.",
        "Give the user permissions in that vhost, or correct the vhost in the URL: `/` is written `%2F`.",
        closes="connection",
        kind="vhost",
        commands=(
            "rabbitmqctl list_permissions -p {subject}",
            "rabbitmqctl set_permissions -p {subject} {user} '^(attune|worker)\\..*' '.*' '.*'",
        ),
    ),
    rule(
        530,
        "NOT_ALLOWED",
        r"vhost (?P<subject>[^\n\"']{1,255}?) not found",
        "There is no vhost {subject!r} on this broker.",
        "Correct the vhost in the URL (`/` is written `%2F`), or create it.",
        closes="connection",
        kind="vhost",
        commands=("rabbitmqctl list_vhosts", "rabbitmqctl add_vhost {subject}"),
    ),
    rule(
        530,
        "NOT_ALLOWED",
        r"attempt to reuse consumer tag '(?P<subject>[^\n]{0,260}?)'(?=[\s\"'),]|$)|"
        r"DuplicateConsumerTag\W+(?P<tag>[^\s'\")]+)",
        "A channel already has a consumer with this tag; the broker closes the whole connection for it.",
        "Cancel the first consumer before consuming again, or use another channel or tag.",
        closes="connection",
        kind="consumer",
        commands=("attune-ops consumers",),
    ),
    rule(
        530,
        "NOT_ALLOWED",
        r"number of channels opened \((?P<subject>\d+)\) has reached the negotiated channel_max"
        r"(?: \((?P<limit>\d+)\))?",
        "The connection has as many channels open as was agreed on: channels are opened and not closed.",
        "Close channels after use (a channel leak), or agree on a larger channel_max.",
        closes="connection",
        kind="channels",
        commands=("rabbitmqctl list_connections name channels",),
    ),
)
