"""What a reply code alone says, for errors of a wording that no other rule knows."""

from __future__ import annotations

from attune_ops.doctor.explain._rule import rule


def _any(name: str) -> str:
    """The code's name as clients and as the broker's log write it, with the rest of its line."""
    return rf"\b{name}\b[^\n]*|\b(?:channel|connection) exception {name.lower()}:[^\n]*"


RULES = (
    rule(
        403,
        "ACCESS_REFUSED",
        _any("ACCESS_REFUSED"),
        "The broker refuses this to this user: credentials, a missing right, a reserved name, or exclusive use.",
        "Look at the user's permissions, and at who else uses the object.",
        commands=("rabbitmqctl list_permissions -p {vhost}",),
    ),
    rule(
        404,
        "NOT_FOUND",
        _any("NOT_FOUND"),
        "A queue, exchange or binding that was named does not exist. The broker closed the channel.",
        "Run set-up, and declare a queue before it is bound and consumed.",
        closes="channel",
        commands=("attune-ops topology diff", "attune-ops workers"),
    ),
    rule(
        405,
        "RESOURCE_LOCKED",
        _any("RESOURCE_LOCKED"),
        "Another connection holds the queue exclusively. The broker closed the channel.",
        "Find the connection that holds it.",
        closes="channel",
        commands=("attune-ops queues",),
    ),
    rule(
        406,
        "PRECONDITION_FAILED",
        _any("PRECONDITION_FAILED"),
        "What was asked for does not fit what is there: most often an object that exists was declared with other "
        "properties. The broker closed the channel and changed nothing.",
        "Compare the topology with the broker.",
        closes="channel",
        commands=("attune-ops topology diff",),
    ),
    rule(
        530,
        "NOT_ALLOWED",
        _any("NOT_ALLOWED"),
        "The broker forbids this on this connection: a vhost that is missing or not permitted, a limit, or a "
        "consumer tag used twice. It closed the connection.",
        "Look at the vhost of the URL, at limits, and at the tags of the consumers.",
        closes="connection",
        commands=("attune-ops config check", "rabbitmqctl list_vhosts"),
    ),
)
