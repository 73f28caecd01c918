"""Closing the connection of a client."""

from __future__ import annotations

from attune_ops.installation import audit
from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings
from attune_ops.inventory import connections
from attune_ops.model.errors import ActionError, reports_done
from attune_ops.model.facts import Facts
from attune_ops.model.table import Column, Kind, Table
from attune_ops.model.units import listed

SHOWN = ("name", "client", "user", "peer", "consumers", "queues", "unacked", "connected")
VERDICT = Column("verdict", Kind.CATEGORY, doc="closes; after --apply closed")


def close_connection(settings: Settings, name: str, *, apply: bool = False, confirm: str | None = None) -> Table:
    """Closes a connection; without `apply` changes nothing and returns which it would close.

    `name` is the broker's name of the connection, or the name that the client gave itself: then each connection of
    that name. `confirm` is the environment's name where it is protected. Needs tag administrator, or the connection's
    own user. There is no undo: the broker requeues what the connection held, and the client may reconnect. Raises
    `SourceError`, `ConfigError` where `confirm` is missing, `ActionError` where there is no such connection.
    """
    if apply:
        audit.check_confirmation(settings, confirm)
    found = chosen(collect(settings, connections.SOURCES), name)
    closed: list[str] = []
    with reports_done(lambda: f"closed before: {listed(closed)}" if closed else ""):
        for record in found.records() if apply else ():
            subject = str(record["name"])
            with audit.change(
                settings, "connections close", subject, confirm=confirm, client=record["client"], user=record["user"]
            ) as change:
                change.management().close_connection(subject)
            closed.append(subject)
    rows = tuple((*row, "closed" if apply else "closes") for row in found.rows)
    return Table(found.name, (*found.columns, VERDICT), rows, found.taken_at)


def chosen(facts: Facts, name: str) -> Table:
    """The connection with that name on the broker, else all with it as client name; `ActionError` without any."""
    found = connections.connections(facts)
    known = found.column("name")
    found = found.where(lambda r: name == r["name" if name in known else "client"]).select(SHOWN)
    if not found.rows:
        raise ActionError(
            f"no connection {name!r} in virtual host {facts.vhost!r} (a new one is listed after up to 10 s)"
        )
    return found
