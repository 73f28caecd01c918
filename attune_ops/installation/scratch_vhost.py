"""A scratch virtual host: made, filled from definitions, asked, and removed again whatever happens."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import msgspec

from attune_ops.installation import http
from attune_ops.installation.config import Settings
from attune_ops.installation.http import ApiError, Http
from attune_ops.installation.management import Management
from attune_ops.model.errors import ActionError, SourceError

PREFIX = "attune-ops-scratch-"
PATIENCE = 12  # importing and deleting many queues takes the broker so many times longer than an ordinary answer

_EMPTY: dict[str, list[Any]] = {"exchanges": [], "queues": [], "bindings": [], "policies": [], "parameters": []}
_ALL = {"configure": ".*", "write": ".*", "read": ".*"}


class _Routed(msgspec.Struct):
    routed: bool


class Scratch:
    """A virtual host of its own on the broker of `settings`."""

    def __init__(self, transport: Http, settings: Settings, vhost: str) -> None:
        self.vhost = vhost
        self._http = transport
        self._patience = settings.timeout * PATIENCE
        self._quoted = quote(vhost, safe="")

    def define(self, kind: str, items: Sequence[dict[str, Any]]) -> list[str]:
        """Imports definitions of one kind, and returns what the broker refused of them.

        One wrong item spoils an import, so what is refused is halved until the wrong ones stand alone.
        """
        if not items:
            return []
        try:
            self._send("POST", f"definitions/{self._quoted}", {**_EMPTY, kind: list(items)})
        except ApiError as e:
            if len(items) > 1:
                half = len(items) // 2
                return [*self.define(kind, items[:half]), *self.define(kind, items[half:])]
            item = items[0]
            name = item.get("name") or f"{item.get('source')} → {item.get('destination')}"
            return [f"{kind.removesuffix('s')} {name}: {e.reason}"]
        return []

    def publish(self, exchange: str, routing_key: str, headers: dict[str, Any]) -> bool:
        """Publishes an empty message and returns whether a queue took it. Raises `ApiError` where it is refused."""
        body = {
            "properties": {"headers": headers} if headers else {},
            "routing_key": routing_key,
            "payload": "",
            "payload_encoding": "string",
        }
        path = f"exchanges/{self._quoted}/{quote(exchange or 'amq.default', safe='')}/publish"
        return http.decode(self._http.endpoint, path, self._send("POST", path, body), _Routed).routed

    def holding(self) -> list[str]:
        """The queues that hold a message."""
        here = Management(self._http, self.vhost, self._patience)
        return sorted(q.name for q in here.totals() if q.messages)

    def _send(self, method: str, path: str, body: Any = None) -> http.Answer:
        data = msgspec.json.encode(body) if body is not None else None
        answer = self._http.request(method, path, data, timeout=self._patience)
        http.check(self._http.endpoint, path, answer)
        return answer

    def make(self, user: str) -> None:
        """Makes the virtual host, with all permissions for `user`. Undo: `remove`."""
        self._send("PUT", f"vhosts/{self._quoted}", {"description": "attune-ops: may be deleted at any time"})
        self._send("PUT", f"permissions/{self._quoted}/{quote(user, safe='')}", _ALL)

    def remove(self) -> None:
        """Deletes the virtual host with everything in it; one that is gone already is no error."""
        try:
            self._send("DELETE", f"vhosts/{self._quoted}")
        except ApiError as e:
            if e.status != 404:
                raise


@contextmanager
def scratch_vhost(settings: Settings) -> Iterator[Scratch]:
    """Makes an empty virtual host and deletes it in the end, also when interrupted; needs tag administrator.

    Nothing of the broker's other virtual hosts is touched. Raises `SourceError` without the tag, and `ActionError`
    where the virtual host could not be removed again.
    """
    transport = http.open_http(settings.management, timeout=settings.timeout, ca_file=settings.ca_file)
    try:
        user = settings.management.user
        tags = Management(transport, settings.vhost, settings.timeout).whoami().all_tags
        if "administrator" not in tags:
            told = f"it has {', '.join(tags)}" if tags else "it has none"
            raise SourceError(
                f"a scratch virtual host needs a user with the tag administrator, and {user!r} is not one: {told}"
            )
        made = Scratch(transport, settings, PREFIX + secrets.token_hex(4))
        try:
            made.make(user)
            yield made
        finally:
            _remove(made)
    finally:
        transport.close()


def _remove(made: Scratch) -> None:
    try:
        made.remove()
    except KeyboardInterrupt:  # once more, then it ends
        made.remove()
        raise
    except SourceError as e:
        raise ActionError(
            f"the scratch virtual host {made.vhost!r} is still there, delete it with: "
            f"rabbitmqctl delete_vhost {made.vhost} ({e})"
        ) from None
