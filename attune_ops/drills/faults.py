"""What a drill breaks through the management API: connections, permissions, policies. Never on what is in use.

Each function needs tag administrator (`put_policy` policymaker) and says what it changes as the method of its name in
`ManagementWriter` does.
"""

from __future__ import annotations

from collections.abc import Mapping

from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management_write import ALL as ALL
from attune_ops.installation.management_write import ManagementWriter, open_writer
from attune_ops.model.snapshot import PolicyState

ANSWER_S = 60.0  # a cluster answers that a virtual host is made when each node runs it, for which it waits up to 45 s


def close_connections(settings: Settings, client: str) -> int:
    """Closes the connections of this virtual host that call themselves `client`; returns how many. No undo."""
    with _writer(settings) as broker:
        return broker.close_connections(client)


def make_user(settings: Settings, user: str, password: str) -> None:
    """Makes a broker user without tags, with all permissions in this virtual host. Undo: `delete_user`."""
    with _writer(settings) as broker:
        broker.make_user(user, password)


def delete_user(settings: Settings, user: str) -> None:
    """Deletes a broker user; one that is gone is no error. Undo: `make_user`."""
    with _writer(settings) as broker:
        broker.delete_user(user)


def permit(settings: Settings, user: str, rights: Mapping[str, str]) -> None:
    """Sets a user's permissions in this virtual host. Undo: set them again as they were."""
    with _writer(settings) as broker:
        broker.permit(user, rights)


def put_policy(settings: Settings, policy: PolicyState) -> None:
    """Sets a policy in this virtual host, whatever its own was. Undo: delete it. Raises `ActionError`."""
    with _writer(settings) as broker:
        broker.set_policy(policy)


def make_vhost(settings: Settings, vhost: str) -> None:
    """Makes a virtual host with all permissions for this user. Undo: `delete_vhost`."""
    with _writer(settings, vhost) as broker:
        broker.make_vhost("attune-ops drill: may be deleted at any time", settings.amqp.user)


def delete_vhost(settings: Settings, vhost: str) -> None:
    """Deletes a virtual host with everything in it; one that is gone is no error. There is no undo."""
    with _writer(settings, vhost) as broker:
        broker.delete_vhost()


def _writer(settings: Settings, vhost: str | None = None) -> ManagementWriter:
    return open_writer(settings, vhost, max(settings.timeout, ANSWER_S))
