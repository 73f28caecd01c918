"""A worker's permissions are revoked while it runs."""

from __future__ import annotations

import secrets

import msgspec

from attune_ops.drills.catalog import drill
from attune_ops.drills.context import Context, Steps
from attune_ops.drills.undo import writer
from attune_ops.installation.management_write import ALL
from attune_ops.model.secret import Secret

NOTHING = {"configure": "^$", "write": "^$", "read": "^$"}


@drill(
    hypothesis="A worker that consumes continues without permissions; it fails only at its next start.",
    promise="Permissions are checked when a consumer is added and a queue is declared, not at each delivery.",
    source="https://www.rabbitmq.com/docs/access-control#authorisation",
)
def permission_taken(context: Context) -> Steps:
    """Revokes all permissions of the worker's user in the virtual host. Only the next start fails, with 403.

    To do: after a change of permissions restart one worker and check that it starts.
    """
    user, password = f"attune-ops-drill-{secrets.token_hex(4)}", secrets.token_urlsafe(18)
    context.undo.add("user", user)
    with writer(context.settings) as broker:
        broker.make_user(user, password)

    def permit(rights: dict[str, str]) -> None:
        with writer(context.settings) as broker:
            broker.permit(user, rights)

    amqp = msgspec.structs.replace(context.settings.amqp, user=user, password=Secret(password))
    own = msgspec.structs.replace(context.settings, amqp=amqp)
    worker = context.services.worker("limited", settings=own)
    context.faults.announce(
        "its user has no permissions any more", "its user has its permissions again", lambda: permit(ALL)
    )
    permit(NOTHING)
    yield context.send(worker)
    yield context.expect.logged(worker, "acked", count=context.count)
    context.services.stop(worker)
    again = context.services.start("worker", "limited", settings=own, wait=False)
    yield context.expect.failed(again, 403, "setup")
