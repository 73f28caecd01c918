"""Errors about an object that exists with other properties, and about invalid requests: 406 PRECONDITION_FAILED."""

from __future__ import annotations

from attune_ops.doctor.explain.rule import NAME, SOME, VHOST, rule

# "received 'true' but current is 'false'", "received the value '5' of type 'signedint' but current is none", and
# the two the other way round.
_VALUES = (
    r"received (?:the value )?(?P<wanted>none|'[^\n]{0,260}?')(?: of type '(?P<wanted_type>\w+)')? "
    r"but current is (?:the value )?(?P<found>none|'[^\n]{0,260}?')(?: of type '(?P<found_type>\w+)')?(?=[\s\"',)\\]|$)"
)

_SLOW = (
    "Find out whether the handler hangs or runs a long action. Restart a service that hangs. A worker that runs "
    "actions is busy: a restart ends them, so wait until they are done. Raise `consumer_timeout` if the handler is "
    "meant to take that long."
)

_UNEQUAL = (
    "Correct the side that is wrong. If that is the client, nothing is to be deleted. Otherwise delete the {kind}, and "
    "let its service redeclare it. A queue is deleted with its messages: drain it first. An exchange is deleted with "
    "all its bindings: each worker must restart, which ends the actions that it runs."
)

RULES = (
    rule(
        "406 PRECONDITION_FAILED",
        rf"inequivalent arg '(?P<argument>[^'\n]*)' for (?P<kind>queue|exchange) '{NAME}' {VHOST}: {_VALUES}",
        "{kind} {subject!r} exists with {argument} = {found} and was redeclared with {argument} = {wanted}. The "
        "broker does not change an existing {kind}. It reported the first difference only, and closed the channel.",
        f"{_UNEQUAL} TTL, length limits, expiry and dead-lettering can be set by a policy, without a redeclare.",
        commands=("attune-ops topology diff",),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        rf"inequivalent arg '(?P<argument>[^'\n]*)' for (?P<kind>queue|exchange) '{NAME}' {VHOST}(?!: received)",
        "{kind} {subject!r} exists and was redeclared with another value of {argument}. The broker does not change an "
        "existing {kind}, and closed the channel.",
        _UNEQUAL,
        commands=("attune-ops topology diff",),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        rf"invalid arg '(?P<argument>[^'\n]*)' for (?P<kind>queue|exchange) '{NAME}' {VHOST}"
        r"(?:: \\*\"(?P<why>[^\"\n\\]*)|: (?P<term>\{[^\n]*?\})| of queue type (?P<type>\w+))",
        "The broker does not accept this value of {argument}, or does not support {argument} for this queue type. "
        "{why}{term}",
        "Correct the argument where it is declared. Most often its type (a number, not a string) or its sign is wrong.",
        commands=("attune-ops topology show",),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        rf"invalid property '(?P<argument>[^'\n]*)' for (?P<kind>queue) '{NAME}' {VHOST}",
        "A queue of this type cannot be {argument}: quorum queues and streams are always durable, never exclusive "
        "and never auto-delete.",
        "Declare it durable, or declare it with `x-queue-type: classic`. In a vhost with default queue type quorum, a "
        "queue that is declared without a type is a quorum queue.",
        commands=("attune-ops topology show", "rabbitmqctl list_vhosts name default_queue_type"),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        r"unknown delivery tag (?P<subject>\d+)",
        "A message was acknowledged twice, on another channel than it was delivered on, or after that channel was "
        "closed. The broker closed the channel and requeued its unacknowledged messages.",
        "Acknowledge each message once, on the channel that delivered it. After a reconnect discard the old tags.",
        kind="delivery tag",
        commands=("attune-ops consumers",),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        r"delivery acknowledgement on channel (?P<subject>\d+) timed out"
        r"(?:\. Timeout value used: (?P<limit>\d+) ms)?[^\n\"]*",
        "A consumer did not acknowledge a message within the delivery acknowledgement timeout ({limit} ms). The "
        "broker closed its channel and requeued its messages. The connection stays open, so the service can appear to "
        "be live while it consumes nothing. From RabbitMQ 4.3 on the timeout does not apply to classic queues.",
        _SLOW,
        kind="channel",
        commands=("attune-ops consumers", "attune-ops doctor --only flow"),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        rf"Consumer '?(?P<tag>[^\s']*)'? on channel (?P<channel>\d+)(?: and queue '?{NAME}'? {VHOST})? "
        r"has timed out waiting for (?:a consumer|delivery) acknowledgement"
        r"[^\n]*?(?:Timeout used: (?P<limit>\d+) ms|$)",
        "The broker's log reports that consumer {tag!r} did not acknowledge a message within the delivery "
        "acknowledgement timeout ({limit} ms). The broker closed that channel and requeued its messages.",
        _SLOW,
        kind="queue",
        commands=("attune-ops consumers", "attune-ops doctor --only flow"),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        rf"queue '{NAME}' {VHOST} (?P<why>in use|not empty)",
        "Queue {subject!r} was to be deleted only if unused or empty. It is {why}, so it was not deleted.",
        "Check its consumers and messages before you delete it.",
        kind="queue",
        commands=("attune-ops queues", "attune-ops consumers"),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        rf"cannot declare queue '(?P<subject>{SOME})': queue limit in vhost '(?P<vhost>{SOME})' "
        r"\((?P<limit>\d+)\) is reached",
        "Vhost {vhost!r} has reached its limit of {limit} queues: queue {subject!r} was not declared.",
        "Delete orphaned queues, or raise the limit.",
        kind="queue",
        commands=("attune-ops orphans", "rabbitmqctl list_vhost_limits -p {vhost}"),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        r"unknown exchange type '(?P<subject>[^'\n]*)'",
        "Exchange type {subject!r} is unknown: the plugin that provides it is not enabled. RabbitMQ 3 closes the "
        "connection (503), RabbitMQ 4 the channel (406).",
        "Enable the plugin, or correct the type.",
        kind="exchange type",
        commands=("rabbitmq-plugins list --enabled",),
    ),
    rule(
        "406 PRECONDITION_FAILED",
        r"invalid message: (?P<why>\{[^\n]*?\})|invalid expiration '(?P<subject>[^\n]*?)': (?P<reason>[\w{}(), ]+)",
        "The broker refused this message: its properties are invalid ({why}{subject}). It closed the channel and did "
        "not store the message.",
        "Correct the property: CC and BCC are arrays of strings, expiration is a string of milliseconds.",
        kind="property",
    ),
    rule(
        "406 PRECONDITION_FAILED",
        r"user_id property set to '(?P<subject>[^\n]*?)' but authenticated user was '(?P<user>[^\n]*?)'",
        "The `user_id` property of a message is {subject!r}, but user {user!r} published it.",
        "Omit the `user_id` property, or publish as that user.",
        kind="user",
    ),
)
