"""Reading what each user of a virtual host may configure, write and read."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import quote

import msgspec

from attune_ops.installation import http
from attune_ops.installation.management import Management
from attune_ops.model.snapshot import UserPermissions

T = TypeVar("T")


class _User(msgspec.Struct):
    """An element of `/api/users`."""

    name: str


def read_user_permissions(management: Management) -> tuple[UserPermissions, ...]:
    """Reads the permissions of every user of the broker's own user database in the virtual host.

    A user without permissions there has empty patterns; a user of another authorisation backend is not listed. Raises
    `SourceError`. Needs tag administrator, changes nothing.
    """

    def read(path: str, kind: type[T]) -> T:
        answer = management.http.request("GET", path)
        http.check(management.http.endpoint, path, answer)
        return http.decode(management.http.endpoint, path, answer, kind)

    users = read("users?columns=name", list[_User])
    given = read(f"vhosts/{quote(management.vhost, safe='')}/permissions", list[UserPermissions])
    named = {p.user: p for p in given}
    return tuple(named.get(u.name, UserPermissions(u.name)) for u in users)
