"""A scratch virtual host: made, handed out, and deleted afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from attune_ops.installation.config import Settings
from attune_ops.installation.management_write import ManagementWriter, open_writer
from attune_ops.model.errors import ActionError, SourceError

PREFIX = "attune-ops-scratch-"
PATIENCE = 12  # importing and deleting many queues takes the broker so many times longer than an ordinary answer


@contextmanager
def scratch_vhost(settings: Settings) -> Iterator[ManagementWriter]:
    """Makes an empty virtual host and deletes it in the end, also when interrupted; needs tag administrator.

    The broker's other virtual hosts stay as they are. Raises `SourceError` without the tag, and `ActionError` where
    the virtual host cannot be deleted.
    """
    vhost = PREFIX + secrets.token_hex(4)
    with open_writer(settings, vhost, settings.timeout * PATIENCE) as broker:
        user = settings.management.user
        tags = broker.whoami().all_tags
        if "administrator" not in tags:
            has = f"its tags: {', '.join(tags)}" if tags else "it has no tags"
            raise SourceError(f"a scratch virtual host needs a user with the tag administrator; user {user!r}: {has}")
        try:
            broker.make_vhost("attune-ops: may be deleted at any time", user)
            yield broker
        finally:
            _delete(broker)


def _delete(broker: ManagementWriter) -> None:
    try:
        broker.delete_vhost()
    except KeyboardInterrupt:  # once more, then it ends
        broker.delete_vhost()
        raise
    except SourceError as e:
        raise ActionError(
            f"the scratch virtual host {broker.vhost!r} was not deleted; delete it with: "
            f"rabbitmqctl delete_vhost {broker.vhost} ({e})"
        ) from None
