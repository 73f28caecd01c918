"""Errors about something that is not there: 404, and messages that no queue took."""

from __future__ import annotations

from attune_ops.doctor.explain._rule import NAME, VHOST, rule

RULES = (
    rule(
        404,
        "NOT_FOUND",
        rf"no (?P<kind>queue) '{NAME}' {VHOST}",
        "Queue {subject!r} does not exist in vhost {vhost!r}: somebody consumes from it, binds it or looks it up "
        "before it was declared, or after it went (auto-delete with its last consumer, expiry, deletion, or the "
        "restart of a node while it was not durable). The broker closed the channel; the connection stays.",
        "Declare the queue before it is bound and consumed: a worker declares its own after it has registered, "
        "the others come from set-up.",
        closes="channel",
        commands=("attune-ops workers", "attune-ops topology diff"),
    ),
    rule(
        404,
        "NOT_FOUND",
        rf"no (?P<kind>exchange) '{NAME}' {VHOST}",
        "Exchange {subject!r} does not exist in vhost {vhost!r}: somebody publishes to it or binds to it before "
        "set-up declared it. The broker closed the channel; a message published to it is lost without a return.",
        "Run set-up before anything else: every service does it at its start, and it is safe to repeat.",
        closes="channel",
        commands=("attune-ops topology diff", "attune-ops topology apply --apply"),
    ),
    rule(
        404,
        "NOT_FOUND",
        r"no binding (?P<subject>.{0,260}?) between (?P<ends>.{0,260}?) in vhost '(?P<vhost>[^'\n]*)'",
        "The binding that should be removed is not there. The broker closed the channel.",
        "Nothing needs to be removed; look at the bindings that are there.",
        closes="channel",
        kind="binding",
        commands=("attune-ops bindings",),
    ),
    rule(
        404,
        "NOT_FOUND",
        r"NOT_FOUND - (?P<subject>no (?:queue|exchange) '(?P<cut>[^\n]{100,}?)\.\.\.)",
        "Something with a very long name does not exist; the broker cut its own sentence at 255 bytes.",
        "Look the name up in the service's configuration, and compare it with what is there.",
        closes="channel",
        commands=("attune-ops topology diff",),
    ),
    rule(
        312,
        "NO_ROUTE",
        r"NO_ROUTE\b|unroutable message(?:\(s\)|s)? returned|reply_code: 312|UnroutableError",
        "A message that was published as mandatory came back: at that moment no queue was bound to its exchange "
        "with a matching routing key. It was not stored anywhere; the publisher has it and must decide.",
        "Ask where the key leads, and whether the worker it is meant for has bound its queue.",
        commands=("attune-ops bindings", "attune-ops orphans"),
    ),
    rule(
        313,
        "NO_CONSUMERS",
        r"NO_CONSUMERS\b",
        "A message that was published as immediate came back: no consumer could take it at once. RabbitMQ 3 and "
        "later do not support immediate at all, so another broker or a proxy said this.",
        "Publish without the immediate flag.",
    ),
    rule(
        311,
        "CONTENT_TOO_LARGE",
        r"CONTENT_TOO_LARGE\b|message size (?P<subject>\d+) is larger than (?:configured )?max size (?P<limit>\d+)",
        "The message is larger than the broker takes (`max_message_size`; 128 MiB up to RabbitMQ 3.13, 16 MiB from "
        "4.0 on). The broker closed the channel and stored nothing.",
        "Send a reference to the data instead of the data, or raise `max_message_size` on every node.",
        closes="channel",
        kind="message",
    ),
)
