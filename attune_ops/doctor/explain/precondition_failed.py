"""Errors about something that is there but other than asked for, or that was asked for wrongly: 406 and its kin."""

from __future__ import annotations

from attune_ops.doctor.explain._rule import NAME, SOME, VHOST, rule

# "received 'true' but current is 'false'", "received the value '5' of type 'signedint' but current is none", and
# the two the other way round.
_VALUES = (
    r"received (?:the value )?(?P<wanted>none|'[^\n]{0,260}?')(?: of type '(?P<wanted_type>\w+)')? "
    r"but current is (?:the value )?(?P<found>none|'[^\n]{0,260}?')(?: of type '(?P<found_type>\w+)')?(?=[\s\"',)\\]|$)"
)

RULES = (
    rule(
        406,
        "PRECONDITION_FAILED",
        rf"inequivalent arg '(?P<argument>[^'\n]*)' for (?P<kind>queue|exchange) '{NAME}' {VHOST}: {_VALUES}",
        "{kind} {subject!r} is there with {argument} = {found}, and was declared with {argument} = {wanted}. The "
        "broker never changes what is there, names only the first difference, and closed the channel.",
        "Make the two agree: correct whoever declares it, or delete the {kind} and let set-up declare it anew (a "
        "queue's messages go with it: drain it first). TTL, length limits, expiry and dead-lettering can be set by a "
        "policy instead, which needs no new queue.",
        closes="channel",
        commands=("attune-ops topology diff",),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        rf"inequivalent arg '(?P<argument>[^'\n]*)' for (?P<kind>queue|exchange) '{NAME}' {VHOST}(?!: received)",
        "{kind} {subject!r} is there with another value of {argument} than it was declared with. The broker never "
        "changes what is there, and closed the channel.",
        "Make the two agree: correct whoever declares it, or delete the {kind} and let set-up declare it anew.",
        closes="channel",
        commands=("attune-ops topology diff",),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        rf"invalid arg '(?P<argument>[^'\n]*)' for (?P<kind>queue|exchange) '{NAME}' {VHOST}"
        r"(?:: \\*\"(?P<why>[^\"\n\\]*)|: (?P<term>\{[^\n]*?\})| of queue type (?P<type>\w+))",
        "The broker does not take {argument} with this value, or at all for this type of queue. {why}{term}",
        "Correct the argument where it is declared, usually its type (a number, not a text) or its sign.",
        closes="channel",
        commands=("attune-ops topology show",),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        rf"invalid property '(?P<argument>[^'\n]*)' for (?P<kind>queue) '{NAME}' {VHOST}",
        "A queue of this type cannot be {argument}: quorum queues and streams are always durable, never exclusive "
        "and never auto-delete.",
        "Declare it durable, or declare it with `x-queue-type: classic`. A vhost whose default queue type is quorum "
        "makes a quorum queue of what does not say its type.",
        closes="channel",
        commands=("attune-ops topology show", "rabbitmqctl list_vhosts name default_queue_type"),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        r"unknown delivery tag (?P<subject>\d+)",
        "A message was acknowledged twice, on another channel than it came on, or after that channel was closed. "
        "The broker closed the channel; what it had unacknowledged goes back to its queue.",
        "Acknowledge each message once, on the channel that delivered it; after a reconnect forget the old tags.",
        closes="channel",
        kind="delivery tag",
        commands=("attune-ops consumers",),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        r"delivery acknowledgement on channel (?P<subject>\d+) timed out"
        r"(?:\. Timeout value used: (?P<limit>\d+) ms)?[^\n\"]*",
        "A consumer kept a message unacknowledged for longer than the broker allows ({limit} ms). The broker closed "
        "its channel and gave the messages back to the queue; the connection stays, so the service may look alive "
        "while it consumes nothing. From RabbitMQ 4.3 on this no longer covers classic queues.",
        "Find out why the handler takes so long or hangs, restart it, and raise `consumer_timeout` only if it may.",
        closes="channel",
        kind="channel",
        commands=("attune-ops consumers", "attune-ops doctor --only flow"),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        rf"Consumer '?(?P<tag>[^\s']*)'? on channel (?P<channel>\d+)(?: and queue '?{NAME}'? {VHOST})? "
        r"has timed out waiting for (?:a consumer|delivery) acknowledgement"
        r"[^\n]*?(?:Timeout used: (?P<limit>\d+) ms|$)",
        "The broker's log says that consumer {tag!r} kept a message unacknowledged for too long ({limit} ms): it "
        "closed that channel and gave the messages back to the queue.",
        "Find out why the handler takes so long or hangs, restart it, and raise `consumer_timeout` only if it may.",
        closes="channel",
        kind="queue",
        commands=("attune-ops consumers", "attune-ops doctor --only flow"),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        rf"queue '{NAME}' {VHOST} (?P<why>in use|not empty)",
        "Queue {subject!r} was to be deleted only if it were unused or empty; it is {why}. Nothing was deleted.",
        "Look at its consumers and messages before you delete it.",
        closes="channel",
        kind="queue",
        commands=("attune-ops queues", "attune-ops consumers"),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        rf"cannot declare queue '(?P<subject>{SOME})': queue limit in vhost '(?P<vhost>{SOME})' "
        r"\((?P<limit>\d+)\) is reached",
        "Vhost {vhost!r} may hold {limit} queues, and has that many: queue {subject!r} was not declared.",
        "Delete queues that nobody owns, or raise the limit.",
        closes="channel",
        kind="queue",
        commands=("attune-ops orphans", "rabbitmqctl list_vhost_limits -p {vhost}"),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        r"unknown exchange type '(?P<subject>[^'\n]*)'",
        "This broker has no exchange type {subject!r}: the plug-in that brings it is not enabled. RabbitMQ 3 closes "
        "the connection for it (503), 4 the channel (406).",
        "Enable the plug-in, or correct the type.",
        closes="channel",
        kind="exchange type",
        commands=("rabbitmq-plugins list --enabled",),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        r"invalid message: (?P<why>\{[^\n]*?\})|invalid expiration '(?P<subject>[^\n]*?)': (?P<reason>[\w{}(), ]+)",
        "The broker does not take this message: its properties are wrong ({why}{subject}). The channel is closed and "
        "the message was not stored.",
        "Correct the property: CC and BCC are arrays of texts, expiration is a text with milliseconds in it.",
        closes="channel",
        kind="property",
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        r"user_id property set to '(?P<subject>[^\n]*?)' but authenticated user was '(?P<user>[^\n]*?)'",
        "A message names {subject!r} as its sender, but was published by {user!r}.",
        "Leave the user_id property out, or publish as that user.",
        closes="channel",
        kind="user",
    ),
)
