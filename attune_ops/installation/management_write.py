"""The writes of RabbitMQ's management API: virtual hosts, users, policies, bindings, connections, definitions.

Each says which user tag it needs, what it changes and how to undo it. What the broker refuses is an `ApiError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from attune_ops.installation import http
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.http import ApiError
from attune_ops.installation.management import Management, open_http
from attune_ops.model.definitions import policy_body
from attune_ops.model.errors import ActionError
from attune_ops.model.snapshot import BindingState, PolicyState

MISSING, REFUSED = 404, 400
INCOMPLETE = "Timed out while waiting for the vhost to initialise"
ALL = {"configure": ".*", "write": ".*", "read": ".*"}
NOTHING: dict[str, list[Any]] = {"exchanges": [], "queues": [], "bindings": [], "policies": [], "parameters": []}


class _Connection(msgspec.Struct):
    name: str
    client_properties: dict[str, Any] = {}
    user_provided_name: str = ""

    @property
    def client_name(self) -> str:
        return self.user_provided_name or str(self.client_properties.get("connection_name", ""))


class _Routed(msgspec.Struct):
    routed: bool


class ManagementWriter(Management):
    """The management API of one broker with its writes, for one virtual host. `audit.change` hands it out."""

    def make_vhost(self, description: str, user: str) -> None:
        """Makes the virtual host, with all permissions for `user`. Needs tag administrator. Undo: `delete_vhost`."""
        path, body = f"vhosts/{self._vhost}", {"description": description}
        try:
            self._send("PUT", path, body)
        except ApiError as e:
            if INCOMPLETE not in e.reason:
                raise
            # In a cluster that has just formed one node may miss it: RabbitMQ waits 45 s for that node and leaves an
            # incomplete virtual host.
            self.delete_vhost()
            self._send("PUT", path, body)
        self.permit(user)

    def delete_vhost(self) -> None:
        """Deletes the virtual host with everything in it; a missing one is no error. Needs tag administrator.

        There is no undo.
        """
        self._delete(f"vhosts/{self._vhost}")

    def make_user(self, user: str, password: str) -> None:
        """Makes a user without tags, with all permissions in the virtual host. Needs tag administrator.

        Undo: `delete_user`.
        """
        self._send("PUT", f"users/{quote(user, safe='')}", {"password": password, "tags": ""})
        self.permit(user)

    def delete_user(self, user: str) -> None:
        """Deletes a user; a missing one is no error. Needs tag administrator. Undo: `make_user`."""
        self._delete(f"users/{quote(user, safe='')}")

    def permit(self, user: str, rights: Mapping[str, str] = ALL) -> None:
        """Sets a user's configure, write and read permissions in the virtual host. Needs tag administrator.

        Undo: set the earlier ones.
        """
        self._send("PUT", f"permissions/{self._vhost}/{quote(user, safe='')}", rights)

    def close_connection(self, name: str) -> None:
        """Closes the connection that the broker names `name`; a closed one is no error.

        Needs tag administrator, or the connection's own user. There is no undo: the client may reconnect.
        """
        self._delete(f"connections/{quote(name, safe='')}")

    def close_connections(self, client: str) -> int:
        """Closes the connections of the client named `client` to the virtual host, and returns how many.

        Needs tag administrator. The API lists a new connection only after some seconds. There is no undo: clients
        reconnect.
        """
        found = self._get(f"vhosts/{self._vhost}/connections", list[_Connection])
        names = [c.name for c in found if c.client_name == client]
        for name in names:
            self.close_connection(name)
        return len(names)

    def set_policy(self, policy: PolicyState) -> None:
        """Sets a policy in the virtual host. Needs tag policymaker, for an operator policy administrator.

        Undo: `delete_policy`, or set the earlier one. Raises `ActionError` where the broker refuses it.
        """
        where = "operator-policies" if policy.operator else "policies"
        try:
            self._send("PUT", f"{where}/{self._vhost}/{quote(policy.name, safe='')}", policy_body(policy), self.vhost)
        except ApiError as e:
            if e.status != REFUSED:
                raise
            raise ActionError(f"the broker refused policy {policy.name!r}: {e.reason}; nothing was changed") from None

    def delete_policy(self, name: str) -> None:
        """Deletes a policy. Needs tag policymaker. Undo: `set_policy`."""
        self._send("DELETE", f"policies/{self._vhost}/{quote(name, safe='')}", vhost=self.vhost)

    def bind(self, binding: BindingState) -> None:
        """Makes a binding. Needs tag management, write on the destination and read on the source. Undo: `unbind`."""
        body = {"routing_key": binding.routing_key, "arguments": binding.arguments}
        self._send("POST", self._binding_path(binding), body, self.vhost)

    def unbind(self, binding: BindingState) -> None:
        """Removes a binding. Needs tag management, write on the destination and read on the source. Undo: `bind`."""
        # The API's own name for a binding: arguments may have types that JSON does not have.
        path = f"{self._binding_path(binding)}/{quote(binding.properties_key, safe='')}"
        self._send("DELETE", path, vhost=self.vhost)

    def define(self, kind: str, items: Sequence[dict[str, Any]]) -> list[str]:
        """Imports definitions of one kind, and returns what the broker refused of them. Needs tag administrator.

        One wrong item fails a whole import, so a refused list is halved until the wrong items are alone. Undo: delete
        what was imported.
        """
        if not items:
            return []
        try:
            self._send("POST", f"definitions/{self._vhost}", {**NOTHING, kind: list(items)})
        except ApiError as e:
            if len(items) > 1:
                half = len(items) // 2
                return [*self.define(kind, items[:half]), *self.define(kind, items[half:])]
            item = items[0]
            name = item.get("name") or f"{item.get('source')} → {item.get('destination')}"
            return [f"{kind.removesuffix('s')} {name}: {e.reason}"]
        return []

    def publish(self, exchange: str, routing_key: str, headers: Mapping[str, Any]) -> bool:
        """Publishes an empty message, and returns whether it was routed to a queue. There is no undo."""
        body = {
            "properties": {"headers": headers} if headers else {},
            "routing_key": routing_key,
            "payload": "",
            "payload_encoding": "string",
        }
        path = f"exchanges/{self._vhost}/{quote(exchange or 'amq.default', safe='')}/publish"
        return http.decode(self.http.endpoint, path, self._send("POST", path, body), _Routed).routed

    def _binding_path(self, b: BindingState) -> str:
        kind = "q" if b.destination_kind == "queue" else "e"
        return f"bindings/{self._vhost}/e/{quote(b.source, safe='')}/{kind}/{quote(b.destination, safe='')}"

    def _delete(self, path: str) -> None:
        try:
            self._send("DELETE", path)
        except ApiError as e:
            if e.status != MISSING:
                raise

    def _send(self, method: str, path: str, body: Any = None, vhost: str | None = None) -> http.Answer:
        data = msgspec.json.encode(body) if body is not None else None
        answer = self.http.request(method, path, data, timeout=self._timeout)
        http.check(self.http.endpoint, path, answer, vhost)
        return answer


def open_writer(settings: Settings, vhost: str | None = None, timeout: float | None = None) -> ManagementWriter:
    """Connects to the management API when first used, for reads and writes in `vhost` (default: the settings').

    `timeout` in s is that of an answer (default: the settings'). Changes that people ask for go through `audit.change`.
    """
    return ManagementWriter(open_http(settings), vhost or settings.vhost, timeout or settings.timeout)
