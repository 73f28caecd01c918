"""What a drill breaks through the management API: connections, permissions, policies. Never on what is in use."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from attune_ops.installation import http
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.http import ApiError
from attune_ops.model.errors import ActionError
from attune_ops.model.snapshot import PolicyState

REFUSED = 400
HALF_MADE = "Timed out while waiting for the vhost to initialise"
ANSWER_S = 60.0  # a cluster answers that a virtual host is made when each node runs it, for which it waits up to 45 s
ALL = {"configure": ".*", "write": ".*", "read": ".*"}


class _Connection(msgspec.Struct):
    name: str
    vhost: str = ""
    client_properties: dict[str, Any] = {}
    user_provided_name: str = ""

    @property
    def shown(self) -> str:
        """The name that the client gave its connection."""
        return self.user_provided_name or str(self.client_properties.get("connection_name", ""))


def close_connections(settings: Settings, client: str) -> int:
    """Closes the connections of this virtual host that call themselves `client`; needs tag administrator.

    Returns how many; the API lists a new connection only after some seconds. There is no undo: clients reconnect.
    """
    path = f"vhosts/{quote(settings.vhost, safe='')}/connections"
    found = msgspec.json.decode(_ask(settings, "GET", path), type=list[_Connection])
    names = [c.name for c in found if c.shown == client]
    for name in names:
        _ask(settings, "DELETE", f"connections/{quote(name, safe='')}", missing_ok=True)
    return len(names)


def make_user(settings: Settings, user: str, password: str) -> None:
    """Makes a broker user without tags, with all permissions in this virtual host. Undo: `delete_user`."""
    _ask(settings, "PUT", f"users/{quote(user, safe='')}", {"password": password, "tags": ""})
    permit(settings, user, ALL)


def delete_user(settings: Settings, user: str) -> None:
    """Deletes a broker user; one that is gone is no error. Undo: `make_user`."""
    _ask(settings, "DELETE", f"users/{quote(user, safe='')}", missing_ok=True)


def permit(settings: Settings, user: str, rights: dict[str, str]) -> None:
    """Sets a user's permissions in this virtual host. Undo: set them again as they were."""
    _ask(settings, "PUT", f"permissions/{quote(settings.vhost, safe='')}/{quote(user, safe='')}", rights)


def put_policy(settings: Settings, policy: PolicyState) -> None:
    """Sets a policy in this virtual host, whatever its own was; needs tag policymaker, for an operator policy
    administrator. Undo: delete it. Raises `ActionError` where the broker refuses it.
    """
    body = {
        "pattern": policy.pattern, "apply-to": policy.apply_to, "definition": policy.definition,
        "priority": policy.priority,
    }  # fmt: skip
    where = "operator-policies" if policy.operator else "policies"
    try:
        _ask(settings, "PUT", f"{where}/{quote(settings.vhost, safe='')}/{quote(policy.name, safe='')}", body)
    except ApiError as e:
        if e.status != REFUSED:
            raise
        raise ActionError(f"the broker refuses policy {policy.name!r}: {e.reason}") from None


def delete_vhost(settings: Settings, vhost: str) -> None:
    """Deletes a virtual host with everything in it; one that is gone is no error. There is no undo."""
    _ask(settings, "DELETE", f"vhosts/{quote(vhost, safe='')}", missing_ok=True)


def make_vhost(settings: Settings, vhost: str) -> None:
    """Makes a virtual host with all permissions for this user; needs tag administrator. Undo: `delete_vhost`."""
    quoted = quote(vhost, safe="")
    body = {"description": "attune-ops drill: may be deleted at any time"}
    try:
        _ask(settings, "PUT", f"vhosts/{quoted}", body)
    except ApiError as e:
        if HALF_MADE not in e.reason:
            raise
        # In a cluster that has just formed one node may miss it; RabbitMQ waits 45 s for that node, and leaves a half.
        delete_vhost(settings, vhost)
        _ask(settings, "PUT", f"vhosts/{quoted}", body)
    _ask(settings, "PUT", f"permissions/{quoted}/{quote(settings.amqp.user, safe='')}", ALL)


def _ask(
    settings: Settings,
    method: str,
    path: str,
    body: Any = None,
    *,
    missing_ok: bool = False,
) -> bytes:
    transport = http.open_http(settings.management, timeout=max(settings.timeout, ANSWER_S), ca_file=settings.ca_file)
    try:
        data = msgspec.json.encode(body) if body is not None else None
        answer = transport.request(method, path, data)
        http.check(transport.endpoint, path, answer)
        return answer.body
    except ApiError as e:
        if missing_ok and e.status == 404:
            return b""
        raise
    finally:
        transport.close()
