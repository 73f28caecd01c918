"""A worker's permissions are taken away while it runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import msgspec

from attune_ops.drills import drill, faults
from attune_ops.drills._expecting import Expect
from attune_ops.drills._stage import Stage
from attune_ops.model.secret import Secret

NOTHING = {"configure": "^$", "write": "^$", "read": "^$"}


@drill(
    "permission-taken",
    hypothesis="A worker that consumes goes on without permissions; it fails only when it starts again.",
    promise="Permissions are checked when a consumer is attached and a queue is declared, not at each delivery.",
    source="https://www.rabbitmq.com/docs/access-control#authorisation",
)
def permission_taken(stage: Stage) -> Iterator[Expect]:
    """The worker's user loses all rights in the virtual host. Nothing shows until the next start, which gets 403.

    To do: after a change of permissions restart one worker and look, rather than wait for the next night.
    """
    user, password = f"attune-ops-drill-{secrets.token_hex(4)}", secrets.token_urlsafe(18)
    stage.undo.add("user", user)
    faults.make_user(stage.settings, user, password)
    amqp = msgspec.structs.replace(stage.settings.amqp, user=user, password=Secret(password))
    own = msgspec.structs.replace(stage.settings, amqp=amqp)
    worker = stage.worker("limited", settings=own)
    stage.fault(
        "its user may do nothing here any more", "its user has its permissions again",
        lambda: faults.permit(stage.settings, user, faults.ALL),
    )  # fmt: skip
    faults.permit(stage.settings, user, NOTHING)
    load = stage.load(worker)
    yield stage.sent(load, stage.parameters.count)
    yield stage.logged(worker, "acked", count=stage.parameters.count)
    stage.stop(worker)
    again = stage.start("worker", "limited", settings=own, wait=False)
    yield stage.failed(again, 403, "setup")
